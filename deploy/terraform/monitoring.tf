# Who is told of what. Every alert carries its runbook, deploy/runbooks/<alert>.md, with the names
# of this deployment filled in: what to look at and what to type stands in the notification.

locals {
  # Only what the responder itself wrote: a workload can print lines that look like ours, but not
  # as these services. Terraform runs in the responder's project, and so do the metrics.
  stdout        = "logName=\"projects/${var.project_id}/logs/run.googleapis.com%2Fstdout\""
  respond_lines = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-respond\" AND ${local.stdout}"
  patrol_lines  = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-patrol\" AND ${local.stdout}"
  our_lines     = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(\"${var.name}-respond\" OR \"${var.name}-patrol\") AND ${local.stdout}"

  # What the function says when it has no policy to go by, or none that it can use.
  no_policy = "jsonPayload.outcome.decision.reasons:(\"cannot use the policy\" OR \"cannot read the policy\")"

  # Alerts on log lines. Together they match every line of severity ERROR that the functions print
  # (a test holds them against what is really printed). `by` is the label that notifications tell
  # apart by; where a flood could make one notification each, there is none.
  log_alerts = {
    contained = {
      title    = "A workload was contained"
      severity = "WARNING"
      by       = "incident"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"contained\""
    }
    restricted = {
      title    = "A workload was restricted, and still runs"
      severity = "CRITICAL"
      by       = "incident"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"restricted\""
    }
    unverified = {
      title    = "A containment was written, and not seen in effect"
      severity = "CRITICAL"
      by       = "incident"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"unverified\""
    }
    failed = {
      title    = "A containment failed for good"
      severity = "CRITICAL"
      by       = "incident"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"failed\""
    }
    awaiting-approval = {
      title    = "A containment waits for approval"
      severity = "ERROR"
      by       = "incident"
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"awaiting-approval\""
    }
    held = {
      title    = "A finding was held by a cap, a label or a doubt that an attacker may have caused"
      severity = "ERROR"
      by       = null
      filter   = "${local.our_lines} AND severity>=ERROR AND jsonPayload.outcome.status=\"held\" AND NOT ${local.no_policy}"
    }
    policy-invalid = {
      title    = "The policy cannot be used: every finding is held"
      severity = "CRITICAL"
      by       = null
      filter   = "${local.our_lines} AND severity>=ERROR AND jsonPayload.outcome.status=\"held\" AND ${local.no_policy}"
    }
    malformed = {
      title    = "A message could not be read and lies in quarantine"
      severity = "WARNING"
      by       = null
      filter   = "${local.our_lines} AND jsonPayload.outcome.status=\"malformed\""
    }
    alarm = {
      title    = "An incident has ended, and a person must look"
      severity = "ERROR"
      by       = "incident"
      filter   = "${local.our_lines} AND severity>=ERROR AND jsonPayload.outcome.status:* AND NOT jsonPayload.outcome.status=(\"restricted\" OR \"unverified\" OR \"failed\" OR \"awaiting-approval\" OR \"held\" OR \"malformed\")"
    }
    cannot-finish = {
      title    = "The responder cannot finish what it began"
      severity = "ERROR"
      by       = null
      filter   = "${local.our_lines} AND severity>=ERROR AND jsonPayload.stage=(\"retried\" OR \"failed\")"
    }
    patrol-reverted = {
      title    = "The patrol found a containment that does not hold, or could not look"
      severity = "CRITICAL"
      by       = null
      filter   = "${local.patrol_lines} AND severity>=ERROR AND NOT jsonPayload.outcome.status:* AND NOT jsonPayload.stage=(\"retried\" OR \"failed\")"
    }
    policy-changed = {
      title    = "The policy file, or who may change it, was changed"
      severity = "WARNING"
      by       = "principal"
      filter   = "resource.type=\"gcs_bucket\" AND resource.labels.bucket_name=\"${local.policy_bucket}\" AND protoPayload.methodName=(\"storage.objects.create\" OR \"storage.objects.update\" OR \"storage.objects.delete\" OR \"storage.setIamPermissions\" OR \"storage.buckets.update\" OR \"storage.buckets.delete\")"
    }
  }

  label_fields = {
    incident  = "EXTRACT(jsonPayload.incident)"
    principal = "EXTRACT(protoPayload.authenticationInfo.principalEmail)"
  }

  # The runbooks, with this deployment's names in place of the words in capitals. INCIDENT_ID and
  # PRINCIPAL are filled in by Monitoring, per notification.
  runbooks = {
    for file in fileset("${path.module}/../runbooks", "*.md") :
    trimsuffix(file, ".md") => replace(replace(replace(replace(replace(replace(replace(
      file("${path.module}/../runbooks/${file}"),
      "PROJECT_ID-DEPLOYMENT-evidence", local.evidence_bucket),
      "PROJECT_ID-DEPLOYMENT-policy", local.policy_bucket),
      "PROJECT_ID", var.project_id),
      "DEPLOYMENT", var.name),
      "REGION", var.region),
      "INCIDENT_ID", "$${metric.label.incident}"),
    "PRINCIPAL", "$${metric.label.principal}")
  }
}

resource "google_logging_metric" "log_alert" {
  for_each = local.log_alerts

  project     = var.project_id
  name        = "${var.name}/${each.key}"
  description = each.value.title
  filter      = each.value.filter

  label_extractors = { for label in each.value.by[*] : label => local.label_fields[label] }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.by[*]

      content {
        key         = labels.value
        value_type  = "STRING"
        description = "Told apart in notifications"
      }
    }
  }

  depends_on = [google_project_service.api]
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

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"logging.googleapis.com/user/${google_logging_metric.log_alert[each.key].name}\"",
        "resource.type=\"${each.key == "policy-changed" ? "gcs_bucket" : "cloud_run_revision"}\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = [for label in each.value.by[*] : "metric.label.${label}"]
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "[${var.name}] ${each.value.title}"
    mime_type = "text/markdown"
    content   = local.runbooks[each.key]
  }
}

# How long a containment took, from the delivery to the read-back that proved it.
resource "google_logging_metric" "time_to_contain" {
  project         = var.project_id
  name            = "${var.name}/time-to-contain"
  description     = "Milliseconds from the delivery of a finding to the end of its containment"
  filter          = "${local.respond_lines} AND jsonPayload.outcome.status=\"contained\""
  value_extractor = "EXTRACT(jsonPayload.outcome.timings_ms.total)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 32
      growth_factor      = 1.5
      scale              = 100
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "slow_containment" {
  project               = var.project_id
  display_name          = "${var.name}: A containment took longer than ${var.slow_containment_seconds} s"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "A containment took longer than ${var.slow_containment_seconds} s"

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"logging.googleapis.com/user/${google_logging_metric.time_to_contain.name}\"",
        "resource.type=\"cloud_run_revision\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = var.slow_containment_seconds * 1000
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_PERCENTILE_99"
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    subject   = "[${var.name}] A containment was slow"
    mime_type = "text/markdown"
    content   = local.runbooks["slow-containment"]
  }
}

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

# Fifty attempts take hours. This tells long before them that nothing answers.
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

# A metric that stopped coming. Monitoring must have seen it once after the apply, or it waits for
# ever: deploy/README.md has the patrol run by hand on the first day.
resource "google_monitoring_alert_policy" "patrol_missing" {
  project               = var.project_id
  display_name          = "${var.name}: The patrol has not run"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "No round of the patrol ended well for 30 minutes"

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
