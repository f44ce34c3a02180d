# Case files: written once, read by people, deleted by nobody before their time.

resource "google_storage_bucket" "evidence" {
  #checkov:skip=CKV_GCP_62: who wrote is in the audit log (policy.tf, storage_writes), each record once
  #checkov:skip=CKV_GCP_78: the retention lets nobody replace an object, so that there are no versions to keep
  project  = var.project_id
  name     = local.evidence_bucket
  location = var.region
  labels   = local.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  retention_policy {
    retention_period = var.evidence_retention_days * 24 * 60 * 60
    is_locked        = var.evidence_retention_locked
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]

    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle {
    # Evidence outlives the responder. To remove the deployment and keep the bucket:
    # terraform state rm 'module.responder.google_storage_bucket.evidence'
    prevent_destroy = true
  }

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

# Create, read, list; never delete, and so never overwrite either.
resource "google_storage_bucket_iam_member" "evidence" {
  for_each = google_service_account.function

  bucket = google_storage_bucket.evidence.name
  role   = local.role_names.case-files
  member = each.value.member
}
