# What the functions run, and the account that builds it.

resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62: nobody is served from it; who wrote is in the audit log (policy.tf, storage_writes)
  #checkov:skip=CKV_GCP_78: each archive is an object of its own, named by its content, and git has it
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

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

# The one input that says what runs, in both functions: another archive moves both, forward or back.
# Named by its content, so that a new archive is a new deployment and an old one is not.
resource "google_storage_bucket_object" "source" {
  bucket       = google_storage_bucket.source.name
  name         = "source-${local.source_hash}.zip"
  source       = local.source_archive
  content_type = "application/zip"

  lifecycle {
    precondition {
      condition     = local.source_hash != "missing"
      error_message = "There is no ${local.source_archive}: run `make package`, take it from a release, or set source_archive."
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  project       = var.project_id
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of the responder's functions"
  labels        = local.labels
  kms_key_name  = var.kms_key

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

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

# Not the default compute account, which in many projects may edit everything.
resource "google_service_account" "build" {
  project      = var.project_id
  account_id   = "${var.name}-build"
  display_name = "Builds the responder's functions"

  depends_on = [time_sleep.apis]
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

# Uses the private pool, where this project has one. For a pool in another project its owners grant it.
resource "google_project_iam_member" "build_pool" {
  for_each = {
    for name, member in {
      build           = google_service_account.build.member
      cloud-functions = "serviceAccount:${local.service_agents.cloud-functions}"
      cloud-run       = "serviceAccount:${local.service_agents.cloud-run}"
    } : name => member if try(split("/", var.build_worker_pool)[1], "") == var.project_id
  }

  project = var.project_id
  role    = "roles/cloudbuild.workerPoolUser"
  member  = each.value

  depends_on = [time_sleep.apis]
}

# A build that starts before its account's grants are in effect fails.
resource "time_sleep" "build_grants" {
  create_duration = "60s"
  triggers        = { account = google_service_account.build.email }

  depends_on = [
    google_artifact_registry_repository_iam_member.build_pushes,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_pool,
    google_project_iam_member.build_reads_source,
  ]
}
