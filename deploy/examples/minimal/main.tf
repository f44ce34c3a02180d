# A root module to copy: the responder for one organization, with nothing it could do harm with.

terraform {
  required_version = ">= 1.5, < 2.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # The module has the same bounds. `terraform init` writes the version that it chose, with its
      # checksums, to .terraform.lock.hcl: commit that file, so that everybody applies with it.
      version = ">= 6.0, < 8.0"
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

# What runs. Keep the archive of every release: rolling back is naming the one from before, as in
# terraform apply -var source_archive=…/function-before.zip
variable "source_archive" {
  type    = string
  default = "../../../function.zip"
}

module "responder" {
  source = "../../terraform/responder"

  project_id      = "sec-responder-prod"
  region          = "europe-west1"
  organization_id = "123456789012"
  scope           = "organizations/123456789012"
  source_archive  = var.source_archive

  notification_channels = ["projects/sec-responder-prod/notificationChannels/1234567890123456789"]

  # Step 1: nobody can write to any workload. Everybody on this list can look.
  operators = ["group:soc@example.com"]
  approvers = ["group:soc-leads@example.com"]
  surveyors = ["group:platform@example.com"]

  # Whoever is on call: they can stop everything, by saving the policy.
  policy_editors = ["group:soc@example.com"]

  # Step 2, for a drill: the approvers may stop one sandbox service; the functions may stop nothing.
  # grant_acting_role       = true
  # drill_services          = ["projects/sandbox-1/locations/europe-west1/services/guinea-pig"]
  # target_service_accounts = ["web@sandbox-1.iam.gserviceaccount.com"]
  # image_repositories      = ["projects/shared-images/locations/europe-west1/repositories/web"]

  # Step 3, for one project: the functions may act there, people release there, once mode allows it.
  # acting_scopes = ["projects/sandbox-1"]

  # Step 4: the ceiling, above what the policy file says. deploy/README.md tells what comes before.
  # mode = "enforce"
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
