# A company's rules, one by one; and what is refused at plan.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }
}
mock_provider "time" {}

variables {
  project_id            = "sec-responder-prod"
  region                = "europe-west1"
  source_archive        = "versions.tf" # any file: nothing is built here
  approvers             = ["group:approvers@example.com"]
  surveyors             = ["group:surveyors@example.com"]
  policy_editors        = ["group:on-call@example.com"]
  notification_channels = ["projects/sec-responder-prod/notificationChannels/1"]
}

run "a_key_encrypts_all_that_takes_one" {
  command = plan

  variables {
    kms_key = "projects/company-keys/locations/europe-west1/keyRings/soc/cryptoKeys/responder"
  }

  assert {
    condition = alltrue([
      for topic in [google_pubsub_topic.findings, google_pubsub_topic.patrol, google_pubsub_topic.dead_letters, google_pubsub_topic.outcomes] :
      topic.kms_key_name == var.kms_key
    ])
    error_message = "A topic is not encrypted with the key."
  }
  assert {
    condition     = google_artifact_registry_repository.images.kms_key_name == var.kms_key && alltrue([for function in google_cloudfunctions2_function.function : function.kms_key_name == var.kms_key])
    error_message = "Images or functions are not encrypted with the key."
  }
  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.evidence, google_storage_bucket.policy, google_storage_bucket.source] :
      bucket.encryption[0].default_kms_key_name == var.kms_key
    ])
    error_message = "A bucket is not encrypted with the key."
  }
  assert {
    condition = toset([for grant in google_kms_crypto_key_iam_member.agent : grant.member]) == toset([
      "serviceAccount:service-123456789012@gcf-admin-robot.iam.gserviceaccount.com",
      "serviceAccount:service-123456789012@gcp-sa-artifactregistry.iam.gserviceaccount.com",
      "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com",
      "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com",
      "serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com",
    ])
    error_message = "An agent that encrypts may not use the key, or another may."
  }
  assert {
    condition     = contains(keys(google_project_service.api), "cloudkms.googleapis.com")
    error_message = "The API of Cloud KMS is off."
  }
}

run "without_a_key_nothing_is_granted_on_one" {
  command = plan

  assert {
    condition     = length(google_kms_crypto_key_iam_member.agent) == 0 && length(time_sleep.key_grants) == 0 && google_pubsub_topic.findings.kms_key_name == null
    error_message = "There is something of a key."
  }
  assert {
    condition     = length(setintersection(keys(google_project_service.api), ["cloudkms.googleapis.com", "vpcaccess.googleapis.com"])) == 0
    error_message = "An API is enabled that nothing needs."
  }
}

run "a_key_of_another_region" {
  command = plan

  variables {
    kms_key = "projects/company-keys/locations/global/keyRings/soc/cryptoKeys/responder"
  }

  expect_failures = [google_service_account.function]
}

run "a_private_pool_in_the_same_project" {
  command = plan

  variables {
    build_worker_pool = "projects/sec-responder-prod/locations/europe-west1/workerPools/private"
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : function.build_config[0].worker_pool == var.build_worker_pool])
    error_message = "A function is built elsewhere."
  }
  assert {
    condition     = toset(keys(google_project_iam_member.build_pool)) == toset(["build", "cloud-functions", "cloud-run"])
    error_message = "The pool may not be used."
  }
}

run "a_private_pool_in_another_project_is_granted_there" {
  command = plan

  variables {
    build_worker_pool = "projects/company-builds/locations/europe-west1/workerPools/private"
  }

  assert {
    condition     = length(google_project_iam_member.build_pool) == 0
    error_message = "Rights in another project are needed."
  }
  assert {
    condition     = output.service_agents.cloud-functions == "service-123456789012@gcf-admin-robot.iam.gserviceaccount.com"
    error_message = "The owners of the pool cannot see whom to grant it to."
  }
}

run "functions_send_through_the_connector" {
  command = plan

  variables {
    vpc_connector = "projects/company-network/locations/europe-west1/connectors/serverless"
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.function :
      function.service_config[0].vpc_connector == var.vpc_connector && function.service_config[0].vpc_connector_egress_settings == "ALL_TRAFFIC"
    ])
    error_message = "Something goes out beside the connector."
  }
}

run "without_a_connector_there_are_no_settings_of_one" {
  command = plan

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : function.service_config[0].vpc_connector == null && function.service_config[0].vpc_connector_egress_settings == null])
    error_message = "There are settings of a connector."
  }
}

run "coverage_ends_by_itself" {
  command = plan

  variables {
    coverage_until = "2027-03-01T18:00:00Z"
  }

  assert {
    condition     = google_service_account_iam_member.coverage["group:surveyors@example.com"].condition[0].expression == "request.time < timestamp(\"2027-03-01T18:00:00Z\")"
    error_message = "Surveyors may act as the function for ever."
  }
}

run "secrets_are_read_one_by_one" {
  command = plan

  variables {
    virustotal_secret = { secret = "virustotal", project = "company-secrets" } # checkov:skip=CKV_SECRET_6: names, no values
  }

  assert {
    condition = toset([for grant in concat(values(google_secret_manager_secret_iam_member.read), values(google_secret_manager_secret_iam_member.read_by_approvers)) : "${grant.project} ${grant.secret_id} ${grant.role}"]) == toset([
      "company-secrets virustotal roles/secretmanager.secretAccessor",
    ])
    error_message = "Another secret may be read."
  }
}

run "the_archive_decides_what_runs" {
  command = plan

  assert {
    condition     = google_storage_bucket_object.source.name == "source-${filesha256("versions.tf")}.zip" && output.running == filesha256("versions.tf")
    error_message = "Another archive would be no new deployment."
  }
}

run "an_archive_that_is_not_there" {
  command = plan

  variables {
    source_archive = "no-such.zip"
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "a_name_that_is_too_long_for_a_bucket" {
  command = plan

  variables {
    project_id  = "p23456789012345678901234567890"
    name        = "nnnnnnnnnnnnnnnnnnnnnn"
    name_suffix = "-2222222"
  }

  expect_failures = [google_service_account.function]
}

run "malformed_inputs" {
  command = plan

  variables {
    project_id              = "123456789012"
    region                  = "europe"
    name                    = "No Name"
    name_suffix             = "2"
    mode                    = "on"
    coverage_until          = "tomorrow"
    evidence_retention_days = 0
    kms_key                 = "responder"
    build_worker_pool       = "private"
    vpc_connector           = "serverless"
    vpc_egress              = "NONE"
    redaction_key_secret    = { secret = "a'b" }
    virustotal_secret       = { secret = "projects/p/secrets/s" } # checkov:skip=CKV_SECRET_6: names, no values
    webhook_secret          = { secret = "hook", version = "$(id)" }
  }

  expect_failures = [
    var.project_id, var.region, var.name, var.name_suffix, var.mode, var.coverage_until, var.evidence_retention_days,
    var.kms_key, var.build_worker_pool, var.vpc_connector, var.vpc_egress, var.redaction_key_secret, var.virustotal_secret,
    var.webhook_secret,
  ]
}
