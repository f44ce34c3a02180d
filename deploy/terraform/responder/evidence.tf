# Case files: written once, read by people, deleted by nobody before their time.

resource "google_storage_bucket" "evidence" {
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

  depends_on = [google_project_service.api, google_kms_crypto_key_iam_member.storage]
}

# Create, read, list; never delete, and so never overwrite either.
resource "google_storage_bucket_iam_member" "evidence" {
  for_each = google_service_account.function

  bucket = google_storage_bucket.evidence.name
  role   = local.own_role_names["reader/store"]
  member = each.value.member
}

# Cloud Storage encrypts and decrypts with the operator's key.
data "google_storage_project_service_account" "storage" {
  project = var.project_id # without depends_on, as in apis.tf; enabled by hand likewise
}

resource "google_kms_crypto_key_iam_member" "storage" {
  for_each = toset(var.kms_key[*])

  crypto_key_id = each.value
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.storage.member
}
