# The patrol is started by a message, like everything else here: the scheduler publishes it, with
# the right that Cloud Scheduler's own service agent has in every project that uses it.

resource "google_pubsub_topic" "patrol" {
  project = var.project_id
  name    = "${var.name}-patrol"
  labels  = local.labels

  kms_key_name = var.kms_key

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

resource "google_pubsub_subscription" "patrol" {
  project = var.project_id
  name    = "${var.name}-patrol"
  topic   = google_pubsub_topic.patrol.id
  labels  = local.labels

  ack_deadline_seconds = 600
  # The next run makes up for one that was missed: no dead letters, and no queue of runs.
  message_retention_duration = "600s"

  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = google_cloudfunctions2_function.function["patrol"].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.function["patrol"].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.pushed_to,
    google_service_account_iam_member.push_tokens,
  ]
}

resource "google_cloud_scheduler_job" "patrol" {
  project     = var.project_id
  region      = var.region
  name        = "${var.name}-patrol"
  description = "Starts the patrol, which checks every containment"
  schedule    = var.patrol_schedule
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.patrol.id
    data       = base64encode("{}")
  }

  depends_on = [time_sleep.apis]
}
