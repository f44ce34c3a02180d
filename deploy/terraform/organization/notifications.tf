# Findings: from Security Command Center to the responder's topic.

locals {
  # Names that Security Command Center takes have letters, digits, hyphens and underscores.
  notification_config = {
    config_id   = "${var.name}-findings"
    description = "Findings of Cloud Run Threat Detection for the threat responder"
  }

  # The one of the three that there is.
  notification_agent = one(concat(
    google_scc_v2_organization_notification_config.findings[*].service_account,
    google_scc_v2_folder_notification_config.findings[*].service_account,
    google_scc_v2_project_notification_config.findings[*].service_account,
  ))
}

resource "google_scc_v2_organization_notification_config" "findings" {
  count = local.scope_kind == "organizations" ? 1 : 0

  organization = local.scope_id
  location     = "global"
  config_id    = local.notification_config.config_id
  description  = local.notification_config.description
  pubsub_topic = var.findings_topic

  streaming_config {
    filter = local.findings_filter
  }
}

resource "google_scc_v2_folder_notification_config" "findings" {
  count = local.scope_kind == "folders" ? 1 : 0

  folder       = local.scope_id
  location     = "global"
  config_id    = local.notification_config.config_id
  description  = local.notification_config.description
  pubsub_topic = var.findings_topic

  streaming_config {
    filter = local.findings_filter
  }
}

resource "google_scc_v2_project_notification_config" "findings" {
  count = local.scope_kind == "projects" ? 1 : 0

  project      = local.scope_id
  location     = "global"
  config_id    = local.notification_config.config_id
  description  = local.notification_config.description
  pubsub_topic = var.findings_topic

  streaming_config {
    filter = local.findings_filter
  }
}

# Security Command Center publishes findings. Besides it, only approvers may publish there (the
# responder's people.tf). A message is a claim that Security Command Center must confirm.
resource "google_pubsub_topic_iam_member" "findings_from_scc" {
  project = split("/", var.findings_topic)[1]
  topic   = split("/", var.findings_topic)[3]
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${local.notification_agent}"
}
