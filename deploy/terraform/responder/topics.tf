# Findings in, outcomes out, and what could not be delivered.

resource "google_pubsub_topic" "findings" {
  project = var.project_id
  name    = "${var.name}-findings"
  labels  = local.labels

  kms_key_name = var.kms_key

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

# The identity that Pub/Sub shows to the functions. It may invoke them, and nothing else.
resource "google_service_account" "push" {
  project      = var.project_id
  account_id   = "${var.name}-push"
  display_name = "Pub/Sub pushes to the responder's functions"

  depends_on = [time_sleep.apis]
}

# Pub/Sub signs its pushes with tokens of that account. Its service agent has this right in the
# whole project by default; said here for projects from before April 2021, or with defaults removed.
resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent

  depends_on = [time_sleep.pubsub_agent]
}

# Deadlines nest: ack 600 s > function 300 s > incident 240 s. A delivery is over before Pub/Sub
# gives up on it, so that no delivery is repeated while the first one still works.
resource "google_pubsub_subscription" "findings" {
  project = var.project_id
  name    = "${var.name}-findings"
  topic   = google_pubsub_topic.findings.id
  labels  = local.labels

  ack_deadline_seconds       = 600
  message_retention_duration = "604800s" # 7 days: attempts end within eight hours

  # Never delete the subscription because nothing happened for a month: that is the good case.
  expiration_policy {
    ttl = ""
  }

  push_config {
    push_endpoint = google_cloudfunctions2_function.function["respond"].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      # Cloud Run accepts tokens for the service's own address only.
      audience = google_cloudfunctions2_function.function["respond"].service_config[0].uri
    }
  }

  # 10 s, 20 s, … 600 s: fifty attempts last about seven and a half hours. Five, the smallest
  # number there is, would give up within five minutes and lose every finding of a longer outage.
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 50
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.pushed_to,
    google_pubsub_topic_iam_member.dead_letters_from_pubsub,
    google_service_account_iam_member.push_tokens,
  ]
}

resource "google_pubsub_topic" "dead_letters" {
  project = var.project_id
  name    = "${var.name}-dead-letters"
  labels  = local.labels

  kms_key_name = var.kms_key

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

# Without a subscription a dead letter would be gone at once.
resource "google_pubsub_subscription" "dead_letters" {
  project = var.project_id
  name    = "${var.name}-dead-letters"
  topic   = google_pubsub_topic.dead_letters.id
  labels  = local.labels

  ack_deadline_seconds       = 600
  message_retention_duration = "2678400s" # 31 days, the longest there is

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves dead letters: its agent publishes them …
resource "google_pubsub_topic_iam_member" "dead_letters_from_pubsub" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent

  depends_on = [time_sleep.pubsub_agent]
}

# … and takes them off the subscription. Without this grant nothing is ever moved, silently.
resource "google_pubsub_subscription_iam_member" "dead_letters_taken_off" {
  project      = var.project_id
  subscription = google_pubsub_subscription.findings.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent

  depends_on = [time_sleep.pubsub_agent]
}

# Outcomes, for subscribers. Kept a week, so that a subscriber made later can go back.
resource "google_pubsub_topic" "outcomes" {
  project                    = var.project_id
  name                       = local.outcomes_topic
  labels                     = local.labels
  message_retention_duration = "604800s"
  kms_key_name               = var.kms_key

  depends_on = [time_sleep.apis, time_sleep.key_grants]
}

resource "google_pubsub_topic_iam_member" "outcomes_from_functions" {
  for_each = google_service_account.function

  project = var.project_id
  topic   = google_pubsub_topic.outcomes.name
  role    = "roles/pubsub.publisher"
  member  = each.value.member
}
