# The policy file has a bucket of its own: unlike case files it must stay changeable, as the kill switch.

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
  #checkov:skip=CKV_GCP_62: who wrote is in the audit log (storage_writes below), which the alert policy-changed reads
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

  # A policy editor may delete versions as well. Owners of the project can then bring
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

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

# The first version only. From then on the file belongs to the people on call: an apply must never put
# back a policy that somebody has just changed to stop everything, nor touch the object, which would
# raise policy-changed. The provider compares the content's hash whatever `ignore_changes` names, unless
# it is `all`.
resource "google_storage_bucket_object" "policy" {
  bucket       = google_storage_bucket.policy.name
  name         = local.policy_object
  content      = local.policy_seed
  content_type = "application/yaml"

  lifecycle {
    ignore_changes = all
  }
}

# The functions read it. They never write it.
resource "google_storage_bucket_iam_member" "policy" {
  for_each = google_service_account.function

  bucket = google_storage_bucket.policy.name
  role   = local.role_names.policy-reader
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

  depends_on = [time_sleep.apis]
}

# What the first apply itself writes to the bucket must not raise policy-changed: the alerts wait until
# it is written, and its audit log entries are in (monitoring.tf).
resource "time_sleep" "policy_written" {
  create_duration = "60s"
  triggers        = { bucket = google_storage_bucket.policy.name }

  depends_on = [
    google_storage_bucket_object.policy,
    google_storage_bucket_iam_member.policy,
    google_storage_bucket_iam_member.policy_editors,
    google_storage_bucket_iam_member.policy_people,
  ]
}
