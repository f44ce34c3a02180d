# APIs in the responder's own project. Those of Cloud Run, Logging and Security Command Center are
# called about other projects, but count on this one's quota.

locals {
  apis = {
    "artifactregistry.googleapis.com"     = "stores the functions' images"
    "cloudasset.googleapis.com"           = "the optional search for affected workloads, and coverage"
    "cloudbuild.googleapis.com"           = "builds them"
    "cloudfunctions.googleapis.com"       = "deploys them"
    "cloudkms.googleapis.com"             = "the optional key"
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
    "vpcaccess.googleapis.com"            = "the optional connector"
  }
  optional_apis = {
    "cloudasset.googleapis.com" = var.inventory_scope
    "cloudkms.googleapis.com"   = var.kms_key
    "vpcaccess.googleapis.com"  = var.vpc_connector
  }
}

resource "google_project_service" "api" {
  for_each = { for api, purpose in local.apis : api => purpose if !contains(keys(local.optional_apis), api) || lookup(local.optional_apis, api, null) != null }

  project = var.project_id
  service = each.key

  # Removing the responder must not switch off what something else in the project uses.
  disable_on_destroy = false
}

# An API that was just enabled refuses calls for up to a minute. Everything that needs one depends on
# this wait. It waits again only when an API is added.
resource "time_sleep" "apis" {
  create_duration = "60s"
  triggers        = { apis = join(" ", sort(keys(google_project_service.api))) }
}

data "google_project" "responder" {
  # Without depends_on: a later apply that enables one more API would not know the number at plan, and
  # would replace every grant to the agents below. The API that it needs is enabled by hand (README).
  project_id = var.project_id
}

locals {
  number = data.google_project.responder.number

  # Google's service agents of this project. Pub/Sub's exists once `gcloud beta services identity
  # create` or the first use of Pub/Sub has made it; the others once their API is on.
  service_agents = {
    artifact-registry = "service-${local.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    cloud-functions   = "service-${local.number}@gcf-admin-robot.iam.gserviceaccount.com"
    cloud-run         = "service-${local.number}@serverless-robot-prod.iam.gserviceaccount.com"
    pubsub            = "service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  }
  pubsub_agent = "serviceAccount:${local.service_agents.pubsub}"

  labels = merge(var.labels, { app = var.name })
}

# A grant to an agent that does not exist is refused. Creating a topic makes Pub/Sub's, if nothing has
# before; grants to it wait for that.
resource "time_sleep" "pubsub_agent" {
  create_duration = "60s"
  triggers        = { topic = google_pubsub_topic.dead_letters.name }
}
