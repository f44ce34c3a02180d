# The SOC's root: everything in the responder's own project. It needs no right in the organization.
# Apply it first; the platform team's root (../organization) takes two of its outputs.

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

  # backend "gcs" {
  #   bucket = "soc-terraform-state"
  #   prefix = "threat-responder"
  # }
}

provider "google" {
  project               = "sec-responder-prod"
  region                = "europe-west1"
  billing_project       = "sec-responder-prod"
  user_project_override = true
}

variable "source_archive" {
  description = "What both functions run. Left out: function.zip beside the folder `deploy`."
  type        = string
  default     = null
}

module "responder" {
  source = "../../../terraform/responder"

  project_id     = "sec-responder-prod"
  region         = "europe-west1"
  source_archive = var.source_archive

  operators      = ["group:soc@example.com"]
  approvers      = ["group:soc-leads@example.com"]
  surveyors      = ["group:platform@example.com"]
  policy_editors = ["group:soc@example.com"]

  notification_channels = ["projects/sec-responder-prod/notificationChannels/1234567890123456789"]
}

# For the platform team's root.
output "findings_topic" {
  value = module.responder.findings_topic
}

output "service_accounts" {
  value = module.responder.service_accounts
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
