# The policy file lies apart from the case files: it must stay changeable, being the kill switch.

locals {
  # What the first apply puts there: the shipped policy, and the responder's own project protected.
  # The function knows itself by name; this covers its sibling, and whatever else is in the project.
  policy_seed = join("\n", [
    file("${path.module}/../../policy.yaml"),
    "# Put here by Terraform: the responder never contains what runs in its own project.",
    "protect:",
    "  - projects: [\"${var.project_id}\"]",
    "",
  ])
}

resource "google_storage_bucket" "policy" {
  project  = var.project_id
  name     = local.policy_bucket
  location = var.region
  labels   = local.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Who changed what stays visible, and the last good one is a copy away. No retention: a retained
  # object could not be replaced.
  versioning {
    enabled = true
  }

  # Who may save over a policy may delete its versions as well. Owners of the project can then bring
  # them back for 90 days, the longest that there is; policy editors cannot end that.
  soft_delete_policy {
    retention_duration_seconds = 7776000
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.api, google_kms_crypto_key_iam_member.storage]
}

# A beginning only. From then on the file belongs to whoever is on duty: an apply must never put
# back a policy that somebody has just changed to stop everything.
resource "google_storage_bucket_object" "policy" {
  bucket       = google_storage_bucket.policy.name
  name         = local.policy_object
  content      = local.policy_seed
  content_type = "application/yaml"

  lifecycle {
    ignore_changes = [content, content_type, detect_md5hash, metadata, source_md5hash]
  }
}

# The functions read it. They never write it.
resource "google_storage_bucket_iam_member" "policy" {
  for_each = google_service_account.function

  bucket = google_storage_bucket.policy.name
  role   = local.own_role_names["reader/policy"]
  member = each.value.member
}

# Who wrote to a bucket is logged only where data access logs are on. Needed for the alert
# policy-changed; covers the case files' bucket too, at a line for each record.
resource "google_project_iam_audit_config" "storage_writes" {
  project = var.project_id
  service = "storage.googleapis.com"

  audit_log_config {
    log_type = "DATA_WRITE"
  }

  depends_on = [google_project_service.api]
}
