# Two functions from one archive: `respond` answers findings, `patrol` looks after what stands.

locals {
  # Set from measurement (one process, the real clients against the emulator; deploy/README.md has
  # the table). One incident takes about 0.25 s of work, most of it waiting; eight side by side,
  # each with 500 log entries of 16 kB, peak at 260 MB in the worker, beside the 103 MB that its
  # parent shares with it for the most part.
  functions = {
    respond = {
      description = "Answers findings of Cloud Run Threat Detection"
      # Evidence is redacted by this process too: with 16 side by side the last write waits for
      # 5 s, with 8 for 2 s. Further findings get an instance of their own.
      concurrency = 8
      # 5 x 8 incidents side by side. More would only meet the quotas: 60 log reads a minute for
      # a project, 60 writes a minute for a region.
      max_instances = 5
      min_instances = var.min_instances
    }
    patrol = {
      description = "Looks again at every containment that stands"
      # The same roles as respond's: it applies again what was undone, as far as the policy lets it,
      # and finishes incidents whose deliveries ran out, which may come to all that respond does.
      concurrency   = 1 # one round at a time …
      max_instances = 1 # … in one place
      min_instances = 0 # nobody waits for it
    }
  }

  environment = {
    RESPONDER_MODE    = var.mode
    RESPONDER_POLICY  = "gs://${local.policy_bucket}/${local.policy_object}"
    RESPONDER_STORE   = "gs://${local.evidence_bucket}" # anything else forbids acting
    RESPONDER_TOPIC   = "projects/${var.project_id}/topics/${local.outcomes_topic}"
    RESPONDER_PROJECT = var.project_id # so that it never contains itself

    # The framework would wrap standard output to add an id of its own to every line, one wrapper
    # for all threads. Our lines have the incident and the trace.
    LOG_EXECUTION_ID = "false"
  }

  # Environment variable to the secret it comes from.
  secrets = {
    for variable, secret in {
      RESPONDER_REDACTION_KEY = var.redaction_key_secret
      VIRUSTOTAL_API_KEY      = var.virustotal_secret
      RESPONDER_WEBHOOK       = var.webhook_secret
      } : variable => {
      secret  = secret.secret
      version = secret.version
      project = coalesce(secret.project, var.project_id)
    } if secret != null
  }
}

resource "google_service_account" "function" {
  for_each = local.functions

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = "Responder: ${each.key}"
  description  = each.value.description

  lifecycle {
    precondition {
      condition     = length(local.evidence_bucket) <= 63
      error_message = "The bucket's name, PROJECT-NAME-evidence-SUFFIX, is longer than 63 characters: choose a shorter name or name_suffix."
    }
    precondition {
      condition     = !local.every_category || var.finding_source != null
      error_message = "With categories [\"*\"] name the finding_source: whatever any detector finds on Cloud Run would be sent otherwise."
    }
    precondition {
      condition     = local.scope_kind != "organizations" || local.scope_id == var.organization_id
      error_message = "The scope is another organization than organization_id."
    }
    precondition {
      condition     = local.scope_kind != "projects" || alltrue([for s in var.acting_scopes : s == var.scope])
      error_message = "With a project as scope, acting_scopes can name that project only."
    }
    precondition {
      condition     = local.scope_kind == "organizations" || alltrue([for s in var.acting_scopes : !startswith(s, "organizations/")])
      error_message = "acting_scopes cannot be wider than the scope."
    }
    precondition {
      condition     = alltrue([for s in var.acting_scopes : s == "organizations/${var.organization_id}" if startswith(s, "organizations/")])
      error_message = "acting_scopes names another organization than organization_id."
    }
    precondition {
      condition     = local.scope_kind != "projects" || alltrue([for s in var.drill_services : startswith(s, "${var.scope}/")])
      error_message = "With a project as scope, drill_services can name services of that project only."
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.functions

  project     = var.project_id
  location    = var.region
  name        = "${var.name}-${each.key}"
  description = each.value.description
  # The label is what the shipped policy suggests for protecting a workload.
  labels = merge(local.labels, { scc-responder = "protected" })

  build_config {
    runtime           = "python313"
    entry_point       = each.key
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }

    # Security updates of Python and of the base image, without a deployment.
    automatic_update_policy {}
  }

  service_config {
    service_account_email            = google_service_account.function[each.key].email
    available_cpu                    = "1" # more than one request at a time needs a whole one
    available_memory                 = "1Gi"
    timeout_seconds                  = 300 # > 240 s, an incident's budget; < 600 s, the ack deadline
    max_instance_request_concurrency = each.value.concurrency
    max_instance_count               = each.value.max_instances
    min_instance_count               = each.value.min_instances
    all_traffic_on_latest_revision   = true

    # Pushes of this project's Pub/Sub count as internal. Nothing else has business here.
    ingress_settings = "ALLOW_INTERNAL_ONLY"

    # One thread for each request that may be there at once; the framework's default is four.
    environment_variables = merge(local.environment, { THREADS = tostring(each.value.concurrency) })

    dynamic "secret_environment_variables" {
      for_each = local.secrets

      content {
        key        = secret_environment_variables.key
        project_id = secret_environment_variables.value.project
        secret     = secret_environment_variables.value.secret
        version    = secret_environment_variables.value.version
      }
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_pushes,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_reads_source,
    google_pubsub_topic_iam_member.outcomes_from_functions,
    google_secret_manager_secret_iam_member.read,
    google_storage_bucket_iam_member.evidence,
    google_storage_bucket_iam_member.policy,
  ]
}

# Pub/Sub's pushes, with the push account's token, are the only invocations.
resource "google_cloud_run_v2_service_iam_member" "pushed_to" {
  for_each = google_cloudfunctions2_function.function

  project  = var.project_id
  location = var.region
  name     = each.value.name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

resource "google_secret_manager_secret_iam_member" "read" {
  for_each = merge([
    for name in keys(local.functions) : {
      for variable, secret in local.secrets : "${name} ${variable}" => merge(secret, { function = name })
    }
  ]...)

  project   = each.value.project
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}

# The source, and the account that builds it

resource "google_storage_bucket" "source" {
  project  = var.project_id
  name     = local.source_bucket
  location = var.region
  labels   = local.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # nothing in it that git does not have

  dynamic "encryption" {
    for_each = var.kms_key[*]

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.api, google_kms_crypto_key_iam_member.storage]
}

# The one input that says what runs, in both functions: another archive moves both, forward or back.
# Named by its content, so that a new archive is a new deployment and an old one is not.
resource "google_storage_bucket_object" "source" {
  bucket       = google_storage_bucket.source.name
  name         = "source-${filesha256(var.source_archive)}.zip"
  source       = var.source_archive
  content_type = "application/zip"
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project_id
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of the responder's functions"
  labels        = local.labels

  # Enough to roll back; the rest is rebuilt from git.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "7776000s" # 90 days
    }
  }

  depends_on = [google_project_service.api]
}

# Not the default compute account, which in many projects may edit everything.
resource "google_service_account" "build" {
  project      = var.project_id
  account_id   = "${var.name}-build"
  display_name = "Builds the responder's functions"

  depends_on = [google_project_service.api]
}

# Pushes the image that it built.
resource "google_artifact_registry_repository_iam_member" "build_pushes" {
  project    = var.project_id
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

# Writes the build's log.
resource "google_project_iam_member" "build_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

# Reads the source where Cloud Functions keeps its copy: a bucket of Google's making, of which only
# the beginning of the name is known. The condition keeps it out of the case files.
resource "google_project_iam_member" "build_reads_source" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title       = "only the source of functions"
    description = "Cloud Functions copies the source to gcf-v2-sources-NUMBER-REGION"
    expression  = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-\")"
  }
}
