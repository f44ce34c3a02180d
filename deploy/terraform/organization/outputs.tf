output "notification_filter" {
  description = "Which findings Security Command Center sends."
  value       = local.findings_filter
}

output "notification_service_account" {
  description = "The service agent that publishes findings on the topic."
  value       = local.notification_agent
}

output "roles" {
  description = "Full names of the custom roles, to grant them elsewhere by hand. With a project as scope each key ends with the project that the role is in."
  value       = local.role_names
}

output "acting_scopes" {
  description = "Where workloads may be written to, with grant_acting_role applied. Empty: nowhere but on drill_services."
  value       = local.acting_scopes
}
