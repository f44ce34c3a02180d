# What people need to know of a deployment. Nothing here is secret.

locals {
  # All that cli.py needs to work on what the functions work on: their own settings, word for word.
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

output "findings_topic" {
  description = "Where Security Command Center publishes findings."
  value       = google_pubsub_topic.findings.id
}

output "outcomes_topic" {
  description = "Where outcomes are announced; subscribe to it."
  value       = google_pubsub_topic.outcomes.id
}

output "dead_letters_subscription" {
  description = "Where findings lie that could not be answered."
  value       = google_pubsub_subscription.dead_letters.id
}

output "evidence_bucket" {
  description = "Where the case files are."
  value       = google_storage_bucket.evidence.url
}

output "policy" {
  description = "The policy file. Changing it is the kill switch."
  value       = local.environment.RESPONDER_POLICY
}

output "kill_switch" {
  description = "Stops everything that is not yet written, at once; for policy_editors. Keep it where people on call find it."
  value       = local.kill_switch
}

output "notification_filter" {
  description = "What Security Command Center sends."
  value       = local.findings_filter
}

output "running" {
  description = "The SHA-256 of the archive that both functions run."
  value       = filesha256(var.source_archive)
}

output "service_accounts" {
  description = "What the functions run as."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "roles" {
  description = "The custom roles, to be granted by hand where this module does not."
  value       = local.role_names
}

output "operator_environment" {
  description = "All that cli.py needs to know, for eval or for a file to be sourced; holds no secret."
  value       = local.operator_environment
}
