# What is refused at plan, and what is sent.

mock_provider "google" {}

variables {
  organization_id  = "123456789012"
  scope            = "organizations/123456789012"
  findings_topic   = "projects/sec-responder-prod/topics/threat-responder-findings"
  service_accounts = { respond = "threat-responder-respond@sec-responder-prod.iam.gserviceaccount.com" }
}

run "only_security_command_center_publishes" {
  command = plan

  assert {
    condition     = google_pubsub_topic_iam_member.findings_from_scc.role == "roles/pubsub.publisher" && google_pubsub_topic_iam_member.findings_from_scc.project == "sec-responder-prod"
    error_message = "Security Command Center may not publish, or may do more."
  }
  assert {
    condition     = google_scc_v2_organization_notification_config.findings[0].streaming_config[0].filter == output.notification_filter
    error_message = "The notification config has another filter."
  }
}

run "a_folder_has_its_own_notification_config" {
  command = plan

  variables {
    scope = "folders/7"
  }

  assert {
    condition     = length(google_scc_v2_folder_notification_config.findings) == 1 && length(google_scc_v2_organization_notification_config.findings) == 0
    error_message = "The findings of more than the folder are sent."
  }
}

run "every_category_needs_a_source" {
  command = plan

  variables {
    categories = ["*"]
  }

  expect_failures = [terraform_data.inputs]
}

run "every_category_of_a_source" {
  command = plan

  variables {
    categories     = ["*"]
    finding_source = "organizations/123456789012/sources/42"
  }

  assert {
    condition     = !can(regex("category=", output.notification_filter)) && can(regex("sources/42/locations/global", output.notification_filter))
    error_message = "The filter does not ask for all of the source."
  }
}

run "control_plane_findings_are_off_by_default" {
  command = plan

  assert {
    condition     = !can(regex("Cryptomining|SetIAMPolicy", output.notification_filter))
    error_message = "Control plane findings are sent although nobody chose them."
  }
}

run "control_plane_findings_of_another_source" {
  command = plan

  variables {
    control_plane_categories = ["Impact: Cryptomining Commands"]
    finding_source           = "organizations/123456789012/sources/42"
  }

  assert {
    condition     = can(regex("parent=\"[^\"]*\" OR category=\"Impact: Cryptomining Commands\"", output.notification_filter))
    error_message = "The filter asks the source of Cloud Run Threat Detection of control plane findings."
  }
}

run "another_organization" {
  command = plan

  variables {
    scope = "organizations/999"
  }

  expect_failures = [terraform_data.inputs]
}

run "acting_beyond_the_scope" {
  command = plan

  variables {
    scope         = "projects/sandbox-1"
    acting_scopes = ["projects/production"]
  }

  expect_failures = [terraform_data.inputs, check.acting_is_switched_on]
}

run "acting_above_the_scope" {
  command = plan

  variables {
    scope         = "folders/7"
    acting_scopes = ["organizations/123456789012"]
  }

  expect_failures = [terraform_data.inputs, check.acting_is_switched_on]
}

run "a_drill_beyond_the_scope" {
  command = plan

  variables {
    scope          = "projects/sandbox-1"
    drill_services = ["projects/production/locations/europe-west1/services/guinea-pig"]
  }

  expect_failures = [terraform_data.inputs, check.acting_is_switched_on]
}

run "a_default_account_is_warned_of" {
  command = plan

  variables {
    target_service_accounts = ["projects/sandbox-1/serviceAccounts/42-compute@developer.gserviceaccount.com"]
  }

  expect_failures = [check.no_default_accounts]
}

run "accounts_without_the_action_are_warned_of" {
  command = plan

  variables {
    disable_service_accounts = ["storefront@example-shop-prod.iam.gserviceaccount.com"]
  }

  expect_failures = [check.accounts_may_be_disabled]
}

run "malformed_inputs" {
  command = plan

  variables {
    organization_id          = "example.com"
    scope                    = "sandbox-1"
    name                     = "No Name"
    name_suffix              = "2"
    findings_topic           = "threat-responder-findings"
    categories               = []
    control_plane_categories = ["Malware: Outgoing DoS"]
    finding_source           = "42"
    acting_scopes            = ["sandbox-1"]
    actions                  = { service = ["delete"] }
    drill_services           = ["guinea-pig"]
    target_service_accounts  = ["web@sandbox-1.iam.gserviceaccount.com"] # 3 characters, Google asks for 6
    image_repositories       = ["web"]
    disable_service_accounts = ["42-compute@developer.gserviceaccount.com"]
  }

  expect_failures = [
    var.organization_id, var.scope, var.name, var.name_suffix, var.findings_topic, var.categories, var.control_plane_categories, var.finding_source,
    var.acting_scopes, var.actions, var.drill_services, var.target_service_accounts, var.image_repositories,
    var.disable_service_accounts,
  ]
}
