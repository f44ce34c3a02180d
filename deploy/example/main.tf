# A root module to copy: the responder for one organization, with nothing it could do harm with.

terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }

  # Keep the state where your other state is. It holds no secret, but whoever can write it can
  # change the responder at the next apply.
  # backend "gcs" {
  #   bucket = "my-terraform-state"
  #   prefix = "threat-responder"
  # }
}

# Security Command Center and Monitoring count calls by a project: let it be the responder's.
provider "google" {
  project               = "sec-responder-prod"
  region                = "europe-west1"
  billing_project       = "sec-responder-prod"
  user_project_override = true
}

module "responder" {
  source = "../terraform"

  project_id      = "sec-responder-prod"
  region          = "europe-west1"
  organization_id = "123456789012"
  scope           = "organizations/123456789012"
  source_archive  = "${path.module}/../../function.zip"

  notification_channels = ["projects/sec-responder-prod/notificationChannels/1234567890123456789"]

  # Who looks and releases, and who runs coverage. The others write to workloads and to the policy, with
  # their own credentials: deploy/README.md tells when they are needed.
  operators = ["group:soc@example.com"]
  surveyors = ["group:soc@example.com"]
  # approvers      = ["group:soc-leads@example.com"]
  # policy_editors = ["group:soc-leads@example.com"]

  # The second day, for one sandbox. deploy/README.md tells what comes before.
  # mode              = "enforce"
  # grant_acting_role = true
  # acting_scopes     = ["projects/sandbox-1"]
  # target_service_accounts = [{
  #   service_account = "projects/sandbox-1/serviceAccounts/web@sandbox-1.iam.gserviceaccount.com"
  #   repositories    = ["projects/sandbox-1/locations/europe-west1/repositories/web"]
  # }]
}

output "operator_environment" {
  value = module.responder.operator_environment
}
