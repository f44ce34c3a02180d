# Every option of both modules, in one root: an armed responder in a company that has rules. For looking
# things up; begin with ../minimal.

terraform {
  required_version = ">= 1.5, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.41, < 8.0"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.9, < 1.0"
    }
  }
}

provider "google" {
  project               = "sec-responder-prod"
  region                = "europe-west1"
  billing_project       = "sec-responder-prod"
  user_project_override = true
}

locals {
  people = {
    operators = ["group:soc@example.com"]
    approvers = ["group:soc-leads@example.com"]
    surveyors = ["group:platform@example.com"]
  }
  mode = "enforce"
}

variable "source_archive" {
  description = "What both functions run. Left out: function.zip beside the folder `deploy`."
  type        = string
  default     = null
}

module "responder" {
  source = "../../terraform/responder"

  project_id     = "sec-responder-prod"
  region         = "europe-west1"
  name           = "threat-responder"
  name_suffix    = "-2"
  source_archive = var.source_archive
  labels         = { team = "soc" }

  mode = local.mode

  operators      = local.people.operators
  approvers      = local.people.approvers
  surveyors      = local.people.surveyors
  coverage_until = "2027-03-01T18:00:00Z"
  policy_editors = ["group:soc@example.com"]

  evidence_retention_days   = 800
  evidence_retention_locked = true

  # A company's rules.
  kms_key                     = "projects/company-keys/locations/europe-west1/keyRings/soc/cryptoKeys/responder"
  build_worker_pool           = "projects/sec-responder-prod/locations/europe-west1/workerPools/private"
  vpc_connector               = "projects/company-network/locations/europe-west1/connectors/serverless"
  vpc_egress                  = "ALL_TRAFFIC"
  binary_authorization_policy = "default"

  redaction_key_secret = { secret = "responder-redaction-key", version = "3" }
  virustotal_secret    = { secret = "virustotal", project = "company-secrets" } # checkov:skip=CKV_SECRET_6: names, no values
  webhook_secret       = { secret = "soc-chat" }
  outcomes_format      = "ocsf"
  webhook_format       = "slack"
  runbooks_url         = "https://git.example/responder/blob/main/deploy/runbooks"

  inventory_scope = "organizations/123456789012"

  notification_channels    = ["projects/sec-responder-prod/notificationChannels/1234567890123456789"]
  slow_containment_seconds = 90
  patrol_schedule          = "*/10 * * * *"
  min_instances            = 1
}

module "organization" {
  source = "../../terraform/organization"

  organization_id = "123456789012"
  scope           = "organizations/123456789012"
  name            = "threat-responder"
  name_suffix     = "-2"

  findings_topic   = module.responder.findings_topic
  service_accounts = module.responder.service_accounts

  categories     = ["*"]
  finding_source = "organizations/123456789012/sources/1234567890"
  control_plane_categories = [
    "Execution: Cryptomining Docker Image",
    "Impact: Cryptomining Commands",
    "Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy",
  ]

  operators = local.people.operators
  approvers = local.people.approvers
  surveyors = local.people.surveyors
  inventory = true

  grant_acting_role = true
  acting_scopes     = ["projects/sandbox-1", "folders/345678901234"]
  actions = {
    service     = ["scale-to-zero", "isolate-revision", "restrict-ingress", "require-authentication", "disable-service-account"]
    worker-pool = ["scale-to-zero", "disable-service-account"]
    job         = ["cancel-executions", "require-authentication", "disable-service-account"]
    instance    = ["stop-instance", "disable-service-account"]
  }
  drill_services = ["projects/sandbox-1/locations/europe-west1/services/guinea-pig"]
  target_service_accounts = [
    "guinea-pig@sandbox-1.iam.gserviceaccount.com",
    "storefront@example-shop-prod.iam.gserviceaccount.com",
  ]
  disable_service_accounts = ["storefront@example-shop-prod.iam.gserviceaccount.com"]
  image_repositories       = ["projects/shared-images/locations/europe-west1/repositories/web"]
}

check "what_the_mode_allows_is_granted" {
  assert {
    condition     = local.mode == "dry-run" || length(module.organization.acting_scopes) > 0
    error_message = "The mode allows more than a dry run, but nothing is granted: what enforcing tries will be denied."
  }
}

output "responder" {
  value = module.responder
}

output "organization" {
  value = module.organization
}
