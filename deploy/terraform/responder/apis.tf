# The APIs that the responder and its deployment need in its own project. Those of Cloud Run,
# Logging and Security Command Center are called for other projects, but on this one's quota.

locals {
  apis = {
    "artifactregistry.googleapis.com"     = "holds the functions' images"
    "cloudbuild.googleapis.com"           = "builds them"
    "cloudfunctions.googleapis.com"       = "deploys them"
    "cloudkms.googleapis.com"             = "the optional key of the case files"
    "cloudresourcemanager.googleapis.com" = "grants on projects and folders"
    "cloudscheduler.googleapis.com"       = "starts the patrol"
    "iam.googleapis.com"                  = "service accounts and custom roles"
    "iamcredentials.googleapis.com"       = "coverage asks as the responder"
    "logging.googleapis.com"              = "evidence, and the log-based metrics"
    "monitoring.googleapis.com"           = "alerts"
    "pubsub.googleapis.com"               = "findings, outcomes, dead letters"
    "run.googleapis.com"                  = "runs the functions, and is what they read and write"
    "secretmanager.googleapis.com"        = "the optional secrets"
    "securitycenter.googleapis.com"       = "notifications, and confirming findings"
    "serviceusage.googleapis.com"         = "lets people's calls count on this project"
    "storage.googleapis.com"              = "case files, policy, source"
  }
}

resource "google_project_service" "api" {
  for_each = local.apis

  project = var.project_id
  service = each.key

  # Removing the responder must not switch off what something else in the project uses.
  disable_on_destroy = false
}

data "google_project" "responder" {
  # Without depends_on: a later apply that enables one more API would not know it before, and would
  # make every grant to the agents below anew. The API that it needs is enabled by hand (README).
  project_id = var.project_id
}

locals {
  # Google's own agents of this project. They exist once their API has been used or enabled.
  pubsub_agent = "serviceAccount:service-${data.google_project.responder.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  labels = merge(var.labels, { app = var.name })
}
