# Two functions from one archive: `respond` answers findings, `patrol` checks containments for drift.

locals {
  # From measurement: `make bench`; deploy/README.md, "Sizes", has the tables. A finding takes 50 to
  # 60 ms of the processor, however many there are, and waits for the rest of its second. Eight side
  # by side, each with 500 log entries of 16 kB, peak at 155 MB in the worker, beside the 91 MB that
  # its parent shares with it for the most part.
  functions = {
    respond = {
      description = "Answers findings of Cloud Run Threat Detection"
      # Eight keep one processor busy. Beyond that, each one's containing write waits for the
      # others'; further findings get an instance of their own.
      concurrency = 8
      # 5 x 8 incidents side by side. More would only meet the quotas: 60 log reads a minute for
      # a project, 60 writes a minute for a region.
      max_instances = 5
      min_instances = var.min_instances
    }
    patrol = {
      description = "Checks every containment for drift"
      # The same roles as respond's: it applies again what was undone, as far as the policy lets it,
      # and finishes incidents whose deliveries ran out, which may come to all that respond does.
      concurrency   = 1 # one run at a time …
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
    # So that it never disables one of its own. An account of example.com:project is at
    # project.example.com.
    RESPONDER_SERVICE_ACCOUNTS = join(",", [
      for name in sort(keys(local.functions)) :
      "${var.name}-${name}@${join(".", reverse(split(":", var.project_id)))}.iam.gserviceaccount.com"
    ])

    RESPONDER_TOPIC_FORMAT   = var.outcomes_format
    RESPONDER_WEBHOOK_FORMAT = var.webhook_format
    RESPONDER_RUNBOOKS       = var.runbooks_url

    # The framework would wrap standard output to add an id of its own to every line, one wrapper
    # for all threads. Our lines have the incident and the trace.
    LOG_EXECUTION_ID = "false"

    # Empty is as good as unset: the project of each finding.
    RESPONDER_INVENTORY_SCOPE = var.inventory_scope == null ? "" : var.inventory_scope
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
      condition     = var.kms_key == null || try(split("/", var.kms_key)[3], "") == var.region
      error_message = "kms_key must be in the region: Cloud Functions, Artifact Registry and the buckets take keys of their own region only."
    }
  }

  depends_on = [time_sleep.apis]
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.functions

  project     = var.project_id
  location    = var.region
  name        = "${var.name}-${each.key}"
  description = each.value.description
  # The label is what the shipped policy suggests for protecting a workload.
  labels = merge(local.labels, { scc-responder = "protected" })

  kms_key_name = var.kms_key

  build_config {
    runtime           = "python313"
    entry_point       = each.key
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id
    worker_pool       = var.build_worker_pool

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

    vpc_connector                 = var.vpc_connector
    vpc_connector_egress_settings = var.vpc_connector == null ? null : var.vpc_egress
    binary_authorization_policy   = var.binary_authorization_policy

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
    google_pubsub_topic_iam_member.outcomes_from_functions,
    google_secret_manager_secret_iam_member.read,
    google_storage_bucket_iam_member.evidence,
    google_storage_bucket_iam_member.policy,
    time_sleep.build_grants,
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
