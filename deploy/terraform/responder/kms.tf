# The optional key: which of Google's agents encrypt with it.

data "google_storage_project_service_account" "storage" {
  project = var.project_id # without depends_on, as in apis.tf; enabled by hand likewise
}

locals {
  # Known at plan, so that each grant has a fixed name. Cloud Functions asks for the first four.
  key_users = {
    artifact-registry = "serviceAccount:${local.service_agents.artifact-registry}"
    cloud-functions   = "serviceAccount:${local.service_agents.cloud-functions}"
    cloud-run         = "serviceAccount:${local.service_agents.cloud-run}"
    cloud-storage     = data.google_storage_project_service_account.storage.member
    pubsub            = "serviceAccount:${local.service_agents.pubsub}"
  }
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = var.kms_key == null ? {} : local.key_users

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value

  depends_on = [time_sleep.apis]
}

# A new grant on a key takes effect within a minute or so; whatever is encrypted with it waits.
resource "time_sleep" "key_grants" {
  count = var.kms_key == null ? 0 : 1

  create_duration = "60s"
  triggers        = { key = var.kms_key }

  depends_on = [google_kms_crypto_key_iam_member.agent]
}
