# A root module to copy: one team applies both parts. The first apply can write to no workload.

terraform {
  required_version = ">= 1.5, < 2.0"

  # The modules have the same bounds. `terraform init` writes the versions that it chose, with their
  # checksums, to .terraform.lock.hcl: commit that file, so that everybody applies with them.
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

  # Keep the state where your other state is. It holds no secret, but anyone who can write it can
  # change the responder at the next apply.
  # backend "gcs" {
  #   bucket = "my-terraform-state"
  #   prefix = "threat-responder"
  # }
}

# Security Command Center and Monitoring count calls by project: let it be the responder's.
provider "google" {
  project               = "sec-responder-prod"
  region                = "europe-west1"
  billing_project       = "sec-responder-prod"
  user_project_override = true
}

locals {
  # Both parts take these: what each person may do here and on workloads.
  people = {
    operators = ["group:soc@example.com"]
    approvers = ["group:soc-leads@example.com"]
    surveyors = ["group:platform@example.com"]
  }

  # Step 4: "enforce". The ceiling, above what the policy file says; deploy/README.md says what comes before.
  mode = "dry-run"
}

# Left out: function.zip beside the folder `deploy`. To roll back, name an older archive:
# terraform apply -var source_archive=…/function-before.zip
variable "source_archive" {
  description = "What both functions run."
  type        = string
  default     = null
}

module "responder" {
  # From a release: "git::https://…/….git//deploy/terraform/responder?ref=v1.0.0", or the archive's
  # address followed by //deploy/terraform/responder. Take both modules from the same one.
  source = "../../terraform/responder"

  project_id     = "sec-responder-prod"
  region         = "europe-west1"
  source_archive = var.source_archive
  mode           = local.mode

  operators = local.people.operators
  approvers = local.people.approvers
  surveyors = local.people.surveyors

  # Everyone on call: they can stop everything, by saving the policy.
  policy_editors        = ["group:soc@example.com"]
  notification_channels = ["projects/sec-responder-prod/notificationChannels/1234567890123456789"]
}

module "organization" {
  source = "../../terraform/organization"

  organization_id = "123456789012"
  scope           = "organizations/123456789012"

  findings_topic   = module.responder.findings_topic
  service_accounts = module.responder.service_accounts

  # Step 1: nobody can write to any workload. Everybody on these lists can read.
  operators = local.people.operators
  approvers = local.people.approvers
  surveyors = local.people.surveyors

  # Step 2, for a drill: the approvers may stop one sandbox service; the functions may stop nothing.
  # grant_acting_role       = true
  # drill_services          = ["projects/sandbox-1/locations/europe-west1/services/guinea-pig"]
  # target_service_accounts = ["guinea-pig@sandbox-1.iam.gserviceaccount.com"]
  # image_repositories      = ["projects/shared-images/locations/europe-west1/repositories/web"]

  # Step 3, for one project: the functions may act there, people release there, once mode allows it.
  # acting_scopes = ["projects/sandbox-1"]
}

check "what_the_mode_allows_is_granted" {
  assert {
    condition     = local.mode == "dry-run" || length(module.organization.acting_scopes) > 0
    error_message = "The mode allows more than a dry run, but nothing is granted: what enforcing tries will be denied."
  }
}

output "running" {
  value = module.responder.running
}

output "kill_switch" {
  value = module.responder.kill_switch
}

output "operator_environment" {
  value = module.responder.operator_environment
}
