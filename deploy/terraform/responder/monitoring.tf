# Alerts. Each carries its runbook, deploy/runbooks/<alert>.md, with the names of this deployment
# filled in, so that the notification says what to look at and what to type.

locals {
  # Only what the responder itself wrote: a workload can print lines that look like these, but not
  # as these services. Terraform runs in the responder's project, and so do the metrics.
  stdout        = "logName=\"projects/${var.project_id}/logs/run.googleapis.com%2Fstdout\""
  respond_lines = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-respond\" AND ${local.stdout}"
  patrol_lines  = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-patrol\" AND ${local.stdout}"
  our_lines     = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(\"${var.name}-respond\" OR \"${var.name}-patrol\") AND ${local.stdout}"

  # What the function says when it has no policy to go by, or none that it can use.
  no_policy = "jsonPayload.outcome.decision.reasons:(\"cannot use the policy\" OR \"cannot read the policy\")"
  # The same from the patrol, in the last line of its round. A store that does not answer holds
  # nothing: findings are delivered again.
  patrol_without_policy = "jsonPayload.message=\"Patrol finished\" AND jsonPayload.problem:\"policy\" AND NOT jsonPayload.problem:\"does not answer\""
  patrol_without_answer = "jsonPayload.message=\"Patrol finished\" AND jsonPayload.problem:\"does not answer\""

  # Alerts on events. Each is a condition on the log line itself, not on a metric made of it: a
  # metric's incident stays open until it closes by itself, and a second event within that time
  # would page nobody. With a log condition each combination of the labels in `by` is notified
  # separately, and again after `again`, the least time between two notifications of the same
  # combination (300 s is the least that Google takes).
  #
  # What such conditions cannot do, and how it is met: they see the log of this project alone (the
  # functions write there), nothing that an exclusion drops (exclude none of theirs), cannot count
  # or tell absence (the metrics below), and Google bounds how many notifications one policy makes a
  # day. So where somebody outside can cause one event after the other, the incident is not among
  # the labels: noise about one workload must not use up what the next one needs.
  #
  # Together they match every line of severity ERROR that the functions print; a test holds them
  # against what is really printed.
  log_alerts = {
    # Every containment is an outage that somebody must know of: one page for each.
    contained = {
      title    = "A workload was contained"
      severity = "WARNING"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"contained\""
    }
    # Code runs on: one page for each.
    restricted = {
      title    = "A workload was restricted, and still runs"
      severity = "CRITICAL"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"restricted\""
    }
    # It may run on: one page for each, and again when the patrol finds it so.
    unverified = {
      title    = "A containment was written, but not verified"
      severity = "CRITICAL"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"unverified\""
    }
    # Not stopped: one page for each.
    failed = {
      title    = "A containment failed for good"
      severity = "CRITICAL"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"failed\""
    }
    # Each plan waits for an answer of its own, and expires.
    awaiting-approval = {
      title    = "A containment waits for approval"
      severity = "ERROR"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"awaiting-approval\""
    }
    # In order, but late: one for each. The field is null where nothing was measured, which is a number
    # between the bounds under no reading; Pub/Sub keeps no message for longer than 31 days.
    slow-containment = {
      title    = "A containment took longer than ${var.slow_containment_seconds} s"
      severity = "WARNING"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.respond_lines} AND jsonPayload.outcome.status=\"contained\" AND jsonPayload.time_to_contain_s>${var.slow_containment_seconds} AND jsonPayload.time_to_contain_s<2678400"
    }
    # Caused by an attacker, perhaps in numbers: one page for each workload, an hour between.
    held = {
      title    = "A finding was held, and an attacker may have caused that"
      severity = "ERROR"
      by       = ["workload"]
      again    = "3600s"
      filter   = "${local.our_lines} AND severity>=ERROR AND jsonPayload.outcome.status=\"held\" AND NOT ${local.no_policy}"
    }
    # One state of the whole responder, whichever finding shows it: hourly while it lasts.
    policy-invalid = {
      title    = "The policy cannot be used: every finding is held"
      severity = "CRITICAL"
      by       = []
      again    = "3600s"
      filter   = "${local.our_lines} AND severity>=ERROR AND ((jsonPayload.outcome.status=\"held\" AND ${local.no_policy}) OR (${local.patrol_without_policy}))"
    }
    # A publisher can send any number: hourly, whatever they contain.
    malformed = {
      title    = "A message could not be read, and is in quarantine"
      severity = "WARNING"
      by       = []
      again    = "3600s"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"malformed\""
    }
    # Each ended in its own way: one page for each.
    alarm = {
      title    = "An incident has ended, and a person must look"
      severity = "ERROR"
      by       = ["incident", "workload"]
      again    = "300s"
      filter   = "${local.our_lines} AND severity>=ERROR AND jsonPayload.outcome.status:* AND NOT jsonPayload.outcome.status=(\"restricted\" OR \"unverified\" OR \"failed\" OR \"awaiting-approval\" OR \"held\" OR \"malformed\")"
    }
    # An error of the store, or a bug, which every delivery meets: every half hour while it lasts.
    cannot-finish = {
      title    = "The responder cannot finish what it began"
      severity = "ERROR"
      by       = []
      again    = "1800s"
      filter   = "${local.our_lines} AND severity>=ERROR AND (jsonPayload.stage=(\"retried\" OR \"failed\") OR (${local.patrol_without_answer}))"
    }
    # Logged in every run as long as it is true: one page for each workload, and a reminder every
    # two hours. The line that sums up a run only repeats the others.
    patrol-reverted = {
      title    = "The patrol found a containment undone, or could not check"
      severity = "CRITICAL"
      by       = ["workload"]
      again    = "7200s"
      filter   = "${local.patrol_lines} AND severity>=ERROR AND NOT jsonPayload.outcome.status:* AND NOT jsonPayload.stage=(\"retried\" OR \"failed\") AND NOT jsonPayload.message=\"Patrol finished\""
    }
    # Google's own audit log of the policy's bucket: one page for each person who did something.
    policy-changed = {
      title    = "The policy file, or who may change it, was changed"
      severity = "WARNING"
      by       = ["principal"]
      again    = "300s"
      filter   = "logName=(\"projects/${var.project_id}/logs/cloudaudit.googleapis.com%2Fdata_access\" OR \"projects/${var.project_id}/logs/cloudaudit.googleapis.com%2Factivity\") AND resource.type=\"gcs_bucket\" AND resource.labels.bucket_name=\"${local.policy_bucket}\" AND protoPayload.methodName=(\"storage.objects.create\" OR \"storage.objects.update\" OR \"storage.objects.delete\" OR \"storage.setIamPermissions\" OR \"storage.buckets.update\" OR \"storage.buckets.delete\")"
    }
  }

  label_fields = {
    incident  = "EXTRACT(jsonPayload.incident)"
    workload  = "EXTRACT(jsonPayload.workload)"
    principal = "EXTRACT(protoPayload.authenticationInfo.principalEmail)"
  }

  # The runbooks, with this deployment's names in place of the words in capitals. INCIDENT_ID,
  # WORKLOAD_NAME and PRINCIPAL are filled in by Monitoring, per notification.
  runbooks = {
    for file in fileset("${path.module}/../../runbooks", "*.md") :
    trimsuffix(file, ".md") => replace(replace(replace(replace(replace(replace(replace(replace(replace(
      file("${path.module}/../../runbooks/${file}"),
      "PROJECT_ID-DEPLOYMENT-evidence", local.evidence_bucket),
      "PROJECT_ID-DEPLOYMENT-policy", local.policy_bucket),
      "RESPONDER_MODE=CEILING", "RESPONDER_MODE=${var.mode}"),
      "PROJECT_ID", var.project_id),
      "DEPLOYMENT", var.name),
      "REGION", var.region),
      "INCIDENT_ID", "$${log.extracted_label.incident}"),
      "WORKLOAD_NAME", "$${log.extracted_label.workload}"),
    "PRINCIPAL", "$${log.extracted_label.principal}")
  }
}

resource "google_monitoring_alert_policy" "log_alert" {
  for_each = local.log_alerts

  project               = var.project_id
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = each.value.title

    condition_matched_log {
      filter           = each.value.filter
      label_extractors = { for label in each.value.by : label => local.label_fields[label] }
    }
  }

  alert_strategy {
    # The shortest that there is. Nothing waits for it: what comes again is notified again.
    auto_close = "1800s"

    notification_rate_limit {
      period = each.value.again
    }
  }

  documentation {
    subject   = "[${var.name}] ${each.value.title}"
    mime_type = "text/markdown"
    content   = local.runbooks[each.key]
  }

  depends_on = [time_sleep.apis, time_sleep.policy_written]
}

# How many incidents ended how, for charts. Nothing is alerted on by it.
resource "google_logging_metric" "outcomes" {
  project     = var.project_id
  name        = "${var.name}/outcomes"
  description = "Answered deliveries, by status and mode"
  filter      = "${local.our_lines} AND jsonPayload.outcome.status:*"

  label_extractors = {
    status = "EXTRACT(jsonPayload.outcome.status)"
    mode   = "EXTRACT(jsonPayload.outcome.mode)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "status"
      value_type  = "STRING"
      description = "What became of the incident"
    }
    labels {
      key         = "mode"
      value_type  = "STRING"
      description = "The mode that applied"
    }
  }

  depends_on = [time_sleep.apis]
}

# How long a containment took: from the moment when Pub/Sub took the finding's notification to the
# moment when the workload was read back as stopped. Deliveries in vain are in it; gathering evidence
# is not, nor what Security Command Center took to find and to publish. For charts. No alert refers to a
# log-based metric: Monitoring refuses that for up to ten minutes after the metric is made, in the same
# apply above all. The alert slow-containment is on the log line instead.
resource "google_logging_metric" "time_to_contain" {
  project         = var.project_id
  name            = "${var.name}/time-to-contain"
  description     = "Seconds from the publication of a finding until its workload was read back as stopped"
  filter          = "${local.respond_lines} AND jsonPayload.outcome.status=\"contained\" AND jsonPayload.time_to_contain_s>=0"
  value_extractor = "EXTRACT(jsonPayload.time_to_contain_s)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "s"
  }

  bucket_options {
    exponential_buckets {
      # From 0.1 s to beyond the seven hours that deliveries last, each a tenth longer than the one
      # before: a percentile is not off by more.
      num_finite_buckets = 132
      growth_factor      = 1.1
      scale              = 0.1
    }
  }

  depends_on = [time_sleep.apis]
}

# A metric, since this is a state: while there is any, one incident is open, and the person who works on
# the first dead letter finds the second. Nothing logs a dead letter.
resource "google_monitoring_alert_policy" "dead_letters" {
  project               = var.project_id
  display_name          = "${var.name}: There are dead letters"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "A finding was delivered fifty times in vain"

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
        "resource.type=\"pubsub_subscription\"",
        "resource.label.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  # Until somebody has taken them off: the condition itself ends then.
  alert_strategy {
    auto_close = "604800s"
  }

  documentation {
    subject   = "[${var.name}] There are dead letters"
    mime_type = "text/markdown"
    content   = local.runbooks["dead-letters"]
  }
}

# A metric, since this is a state. Fifty attempts take hours; this says long before them that
# nothing answers.
resource "google_monitoring_alert_policy" "backlog" {
  project               = var.project_id
  display_name          = "${var.name}: Findings wait for an answer"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "The oldest finding has waited for more than 15 minutes"

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"",
        "resource.type=\"pubsub_subscription\"",
        "resource.label.subscription_id=\"${google_pubsub_subscription.findings.name}\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 900 # a finding that SCC does not list yet is retried for five minutes
      duration        = "60s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "[${var.name}] Findings wait for an answer"
    mime_type = "text/markdown"
    content   = local.runbooks["backlog"]
  }
}

# Absence, which no log condition can tell: a metric that stopped coming. Monitoring must have seen it once after the apply, or it waits for
# ever: deploy/README.md has the patrol run by hand on the first day.
resource "google_monitoring_alert_policy" "patrol_missing" {
  project               = var.project_id
  display_name          = "${var.name}: The patrol has not run"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "No patrol run succeeded for 30 minutes"

    condition_absent {
      filter = join(" AND ", [
        "metric.type=\"run.googleapis.com/request_count\"",
        "resource.type=\"cloud_run_revision\"",
        "resource.label.service_name=\"${google_cloudfunctions2_function.function["patrol"].name}\"",
        "metric.label.response_code_class=\"2xx\"",
      ])
      duration = "1800s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "[${var.name}] The patrol has not run"
    mime_type = "text/markdown"
    content   = local.runbooks["patrol-missing"]
  }
}
