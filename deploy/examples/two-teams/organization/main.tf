# The platform team's root: custom roles, grants on workloads, notifications. It decides where the
# responder may act, and needs no right in the responder's project but on the findings topic.
# Apply it second, with two outputs of the SOC's root (../responder).

terraform {
  required_version = ">= 1.5, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.41, < 8.0"
    }
  }

  # backend "gcs" {
  #   bucket = "platform-terraform-state"
  #   prefix = "threat-responder"
  # }
}

# The platform team's own project, with the APIs of IAM, Resource Manager, Pub/Sub, Cloud Run, Artifact
# Registry and Security Command Center on.
provider "google" {
  project               = "platform-admin-prod"
  region                = "europe-west1"
  billing_project       = "platform-admin-prod"
  user_project_override = true
}

module "organization" {
  source = "../../../terraform/organization"

  organization_id = "123456789012"
  scope           = "folders/345678901234"

  # As `terraform output` of the SOC's root prints them.
  findings_topic = "projects/sec-responder-prod/topics/threat-responder-findings"
  service_accounts = {
    respond = "threat-responder-respond@sec-responder-prod.iam.gserviceaccount.com"
    patrol  = "threat-responder-patrol@sec-responder-prod.iam.gserviceaccount.com"
  }

  operators = ["group:soc@example.com"]
  approvers = ["group:soc-leads@example.com"]
  surveyors = ["group:platform@example.com"]

  # Later, step by step: deploy/README.md.
  # grant_acting_role       = true
  # drill_services          = ["projects/sandbox-1/locations/europe-west1/services/guinea-pig"]
  # target_service_accounts = ["guinea-pig@sandbox-1.iam.gserviceaccount.com"]
  # image_repositories      = ["projects/shared-images/locations/europe-west1/repositories/web"]
  # acting_scopes           = ["projects/sandbox-1"]
}

output "notification_service_account" {
  value = module.organization.notification_service_account
}

output "roles" {
  value = module.organization.roles
}
