# What the first apply makes.

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
  project_id     = "sec-responder-prod"
  region         = "europe-west1"
  source_archive = "versions.tf" # any file: nothing is built here

  operators             = ["group:operators@example.com"]
  approvers             = ["group:approvers@example.com"]
  surveyors             = ["group:surveyors@example.com"]
  policy_editors        = ["group:on-call@example.com"]
  notification_channels = ["projects/sec-responder-prod/notificationChannels/1"]
}

run "dry_run_by_default" {
  command = plan

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.function :
      function.service_config[0].environment_variables["RESPONDER_MODE"] == "dry-run"
    ])
    error_message = "A function may write on the first day."
  }
  assert {
    condition     = can(regex("(?m)^mode: dry-run$", google_storage_bucket_object.policy.content))
    error_message = "The first policy is not a dry run."
  }
  assert {
    condition     = can(regex("(?m)^protect:\n  - projects: \\[\"sec-responder-prod\"\\]$", google_storage_bucket_object.policy.content))
    error_message = "The first policy does not protect the responder's own project."
  }
}

run "nobody_is_granted_a_write_to_a_workload_here" {
  command = plan

  assert {
    condition     = length([for permission in flatten(values(local.roles)) : permission if can(regex("^run\\.|actAs$", permission))]) == 0
    error_message = "A role of the responder's project has permissions on workloads, or actAs."
  }
  assert {
    condition     = toset([for key, permissions in local.roles : key if contains(permissions, "storage.objects.delete")]) == toset(["policy-editor"])
    error_message = "Somebody else than policy editors may delete an object."
  }
  assert {
    condition     = length(google_service_account_iam_member.coverage) == 0
    error_message = "Somebody may act as the function."
  }
}

run "no_account_has_a_role_in_the_whole_project_but_the_build" {
  command = plan

  assert {
    condition     = toset([for member in concat(values(google_project_iam_member.quota_for_people), values(google_project_iam_member.duty_for_people)) : member.member]) == toset(concat(var.operators, var.approvers, var.surveyors))
    error_message = "A role in the whole project is granted to others than people."
  }
  assert {
    condition     = google_project_iam_member.build_reads_source.condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/gcf-v2-\")"
    error_message = "The build may read other buckets than that of the functions' source."
  }
  assert {
    condition     = alltrue([for name in [local.evidence_bucket, local.policy_bucket, local.source_bucket] : !startswith(name, "gcf-v2-")])
    error_message = "The build may read a bucket of the responder."
  }
}

run "each_alert_has_its_runbook_and_each_runbook_its_alert" {
  command = plan

  assert {
    condition = toset(concat(keys(google_monitoring_alert_policy.log_alert), ["backlog", "dead-letters", "patrol-missing"])) == toset([
      for file in fileset("${path.module}/../../runbooks", "*.md") : trimsuffix(file, ".md")
    ])
    error_message = "An alert has no runbook, or a runbook no alert."
  }
  assert {
    condition = alltrue([
      for key, alert in google_monitoring_alert_policy.log_alert : alert.documentation[0].content == local.runbooks[key]
    ])
    error_message = "An alert has another alert's runbook."
  }
  assert {
    condition = (
      google_monitoring_alert_policy.backlog.documentation[0].content == local.runbooks["backlog"] &&
      google_monitoring_alert_policy.dead_letters.documentation[0].content == local.runbooks["dead-letters"] &&
      google_monitoring_alert_policy.patrol_missing.documentation[0].content == local.runbooks["patrol-missing"]
    )
    error_message = "An alert has another alert's runbook."
  }
  assert {
    condition = alltrue([
      for alert in concat(values(google_monitoring_alert_policy.log_alert), [
        google_monitoring_alert_policy.backlog, google_monitoring_alert_policy.dead_letters, google_monitoring_alert_policy.patrol_missing,
      ]) : alert.notification_channels == tolist(var.notification_channels)
    ])
    error_message = "An alert reaches nobody."
  }
  assert {
    condition = alltrue([
      for key, alert in local.log_alerts : startswith(local.runbooks[key], "# ${alert.title}\n") if key != "slow-containment"
    ])
    error_message = "A runbook has another title than its alert."
  }
  assert {
    # Monitoring refuses longer documentation.
    condition     = alltrue([for text in values(local.runbooks) : length(text) <= 8192])
    error_message = "A runbook is too long for a notification."
  }
}

run "no_alert_needs_a_metric_of_the_same_apply" {
  command = plan

  assert {
    condition = alltrue([
      for alert in [google_monitoring_alert_policy.backlog, google_monitoring_alert_policy.dead_letters] :
      !strcontains(alert.conditions[0].condition_threshold[0].filter, "logging.googleapis.com/user/")
    ])
    error_message = "Monitoring refuses an alert on a log-based metric for up to ten minutes after that is made."
  }
}

run "buckets_are_closed_and_case_files_stay" {
  command = plan

  assert {
    condition = alltrue([
      for bucket in [google_storage_bucket.evidence, google_storage_bucket.policy, google_storage_bucket.source] :
      bucket.uniform_bucket_level_access && bucket.public_access_prevention == "enforced"
    ])
    error_message = "A bucket can be opened."
  }
  assert {
    condition     = tonumber(google_storage_bucket.evidence.retention_policy[0].retention_period) == 400 * 86400 && !google_storage_bucket.evidence.retention_policy[0].is_locked
    error_message = "Case files are not kept for 400 days, or the retention is final by default."
  }
  assert {
    condition     = length(google_storage_bucket.policy.retention_policy) == 0 && google_storage_bucket.policy.versioning[0].enabled
    error_message = "The policy could not be changed, or would be lost when it is."
  }
}

run "functions_answer_pushes_only" {
  command = plan

  assert {
    condition = alltrue([
      for name in ["respond", "patrol"] :
      google_cloudfunctions2_function.function[name].build_config[0].entry_point == name && google_cloudfunctions2_function.function[name].build_config[0].source[0].storage_source[0].object == google_storage_bucket_object.source.name
    ])
    error_message = "A function runs something else than its entry point of the one archive."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.function :
      function.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY" && function.service_config[0].timeout_seconds < google_pubsub_subscription.findings.ack_deadline_seconds
    ])
    error_message = "A function can be called from outside, or a delivery is repeated while the first still works."
  }
  assert {
    condition     = toset([for member in google_cloud_run_v2_service_iam_member.pushed_to : member.role]) == toset(["roles/run.invoker"])
    error_message = "The push account may do more than invoke."
  }
  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.function :
      function.service_config[0].environment_variables["THREADS"] == tostring(function.service_config[0].max_instance_request_concurrency)
    ])
    error_message = "There are fewer threads than requests."
  }
}

run "dead_letters_are_kept_for_31_days_and_nothing_expires" {
  command = plan

  assert {
    condition     = google_pubsub_subscription.dead_letters.message_retention_duration == "2678400s"
    error_message = "Dead letters are lost earlier than Pub/Sub allows."
  }
  assert {
    condition     = alltrue([for s in [google_pubsub_subscription.findings, google_pubsub_subscription.patrol, google_pubsub_subscription.dead_letters] : s.expiration_policy[0].ttl == ""])
    error_message = "A subscription is deleted after a quiet month."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.dead_letters_from_pubsub.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub's agent cannot publish dead letters."
  }
}

run "people_change_the_policy_and_not_its_bucket" {
  command = plan

  assert {
    condition     = toset(local.roles.policy-editor) == toset(["storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list"])
    error_message = "A policy editor may do more than save, read and return to a policy."
  }
  assert {
    condition     = [for member in google_storage_bucket_iam_member.policy_editors : member.member] == ["group:on-call@example.com"]
    error_message = "Others than policy_editors may change the policy."
  }
  assert {
    condition     = toset([for member in google_pubsub_topic_iam_member.findings_from_approvers : member.member]) == toset(var.approvers)
    error_message = "Others than approvers may publish findings."
  }
}

run "every_role_is_one_set_of_permissions" {
  command = plan

  assert {
    condition = length(setsubtract(
      [
        for row in local.permissions : row.permission
        if contains(["store", "policy", "quota-project", "responder-account", "responder-project"], row.scope)
      ],
      flatten(values(local.roles)),
    )) == 0
    error_message = "A permission of permissions.json is in no role."
  }
  assert {
    # What everybody of the scope has is exactly roles/pubsub.publisher.
    condition     = [for row in local.permissions : row.permission if row.scope == "topic"] == ["pubsub.topics.publish"]
    error_message = "Publishing needs more than the role that is granted."
  }

  assert {
    condition     = length(distinct([for permissions in local.roles : join(" ", sort(permissions))])) == length(local.roles) && alltrue([for permissions in local.roles : length(permissions) > 0])
    error_message = "Two roles have the same permissions, or one has none."
  }
  assert {
    condition     = alltrue([for id in values(local.role_ids) : can(regex("^[a-zA-Z0-9_]{3,64}$", id))])
    error_message = "A role's id is not valid."
  }
  assert {
    condition     = toset([for role in google_project_iam_custom_role.role : role.project]) == toset(["sec-responder-prod"])
    error_message = "A role for this project lives elsewhere."
  }
}

run "warnings_of_what_is_missing" {
  command = plan

  variables {
    policy_editors        = []
    notification_channels = []
  }

  expect_failures = [check.somebody_has_the_kill_switch, check.somebody_is_notified]
}
