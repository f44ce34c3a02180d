# What people need to know of a deployment. Nothing here is secret.

locals {
  # All that cloud-run-responder needs to work on what the functions work on: their own settings, word for word.
  # Secrets by the command that reads them: they are neither in the state nor in this text. A shell
  # drops the line break that a secret may end with, and so do the settings.
  operator_environment = join("\n", concat(
    [for variable, value in local.environment : "export ${variable}='${value}'" if startswith(variable, "RESPONDER_")],
    [
      for variable, secret in local.secrets :
      "export ${variable}=\"$(gcloud secrets versions access '${secret.version}' --secret='${secret.secret}' --project='${secret.project}')\""
    ],
    ["export GOOGLE_CLOUD_QUOTA_PROJECT='${var.project_id}'", ""],
  ))
}

output "dead_letters_subscription" {
  description = "Subscription with the findings that could not be answered; kept 31 days."
  value       = google_pubsub_subscription.dead_letters.id
}

output "evidence_bucket" {
  description = "Bucket of the case files."
  value       = google_storage_bucket.evidence.url
}

output "findings_topic" {
  description = "Topic for Security Command Center's findings: the organization's part takes it."
  value       = "projects/${var.project_id}/topics/${google_pubsub_topic.findings.name}"

  # Without the subscription, what is published would be lost.
  depends_on = [google_pubsub_subscription.findings]
}

output "kill_switch" {
  description = "Command that stops every containment that is not yet written; for policy_editors. Keep it where people on call find it."
  value       = local.kill_switch
}

output "operator_environment" {
  description = "Environment of cloud-run-responder, for `eval` or for a file to be sourced; holds no secret."
  value       = local.operator_environment
}

output "outcomes_topic" {
  description = "Topic with the outcome of every incident; subscribe to it."
  value       = google_pubsub_topic.outcomes.id
}

output "policy" {
  description = "URL of the policy file. Changing it is the kill switch."
  value       = local.environment.RESPONDER_POLICY
}

output "roles" {
  description = "Full names of the custom roles in the responder's project, to grant them elsewhere by hand."
  value       = local.role_names
}

output "running" {
  description = "SHA-256 of the archive that both functions run."
  value       = local.source_hash
}

output "service_accounts" {
  description = "E-mail addresses of the service accounts that the functions run as, by function: the organization's part takes them."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "service_agents" {
  description = "Google's service agents of the responder's project, for grants in other projects: a build_worker_pool or a vpc_connector there."
  value       = local.service_agents
}
