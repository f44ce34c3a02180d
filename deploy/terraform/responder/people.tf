# What people are granted in the responder's own project: what `cloud-run-responder` needs here, and what the
# runbooks and deploy/README.md have them type.

locals {
  on_duty = toset(concat(var.operators, var.approvers))
  people  = toset(concat(var.operators, var.approvers, var.surveyors))
}

# A person's calls, unlike a service account's, count on the project that their credentials name:
# let it be this one, whose APIs are on.
resource "google_project_iam_member" "quota_for_people" {
  for_each = local.people

  project = var.project_id
  role    = local.role_names.quota-user
  member  = each.value
}

resource "google_project_iam_member" "duty_for_people" {
  for_each = local.on_duty

  project = var.project_id
  role    = local.role_names.on-duty
  member  = each.value
}

resource "google_storage_bucket_iam_member" "evidence_for_people" {
  for_each = local.on_duty

  bucket = google_storage_bucket.evidence.name
  role   = local.role_names.case-files
  member = each.value
}

resource "google_storage_bucket_iam_member" "policy_people" {
  for_each = local.people

  bucket = google_storage_bucket.policy.name
  role   = local.role_names.policy-reader
  member = each.value
}

# The kill switch, in the hands of the people on call: they save objects there, and can change neither
# the bucket nor who may use it. What they save over stays as a version, and owners can restore what
# they delete for a while (policy.tf).
resource "google_storage_bucket_iam_member" "policy_editors" {
  for_each = toset(var.policy_editors)

  bucket = google_storage_bucket.policy.name
  role   = local.role_names.policy-editor
  member = each.value
}

resource "google_pubsub_topic_iam_member" "outcomes_from_people" {
  for_each = local.on_duty

  project = var.project_id
  topic   = google_pubsub_topic.outcomes.name
  role    = "roles/pubsub.publisher"
  member  = each.value
}

# Runbook dead-letters: pull them, and acknowledge them once they are delivered again. On this one
# subscription, from which nothing else reads.
resource "google_pubsub_subscription_iam_member" "dead_letters_people" {
  for_each = local.on_duty

  project      = var.project_id
  subscription = google_pubsub_subscription.dead_letters.name
  role         = "roles/pubsub.subscriber"
  member       = each.value
}

# Runbook dead-letters, and the first day's test message. A message is a claim that Security Command
# Center must confirm; an approver may contain by hand anyway.
resource "google_pubsub_topic_iam_member" "findings_from_approvers" {
  for_each = toset(var.approvers)

  project = var.project_id
  topic   = google_pubsub_topic.findings.name
  role    = "roles/pubsub.publisher"
  member  = each.value
}

# Coverage asks Google as `respond`. Holders of its token may do what it may: until a time that the
# operator names, and not beyond it.
resource "google_service_account_iam_member" "coverage" {
  for_each = toset(var.coverage_until != null ? var.surveyors : [])

  service_account_id = google_service_account.function["respond"].name
  role               = local.role_names.token-creator
  member             = each.value

  condition {
    title       = "coverage"
    description = "Ends by itself"
    expression  = "request.time < timestamp(\"${var.coverage_until}\")"
  }
}

# Approvers carry out what the functions would, with the same redaction key above all, so that equal
# values stay recognisable across their records and the functions'.
resource "google_secret_manager_secret_iam_member" "read_by_approvers" {
  for_each = {
    for pair in setproduct(var.approvers, keys(local.secrets)) :
    "${pair[0]} ${pair[1]}" => merge(local.secrets[pair[1]], { member = pair[0] })
  }

  project   = each.value.project
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}

# Warnings: each plan shows them, none stops an apply.

check "somebody_has_the_kill_switch" {
  assert {
    condition     = length(var.policy_editors) > 0
    error_message = "There are no policy_editors: only owners of the project can change the policy, and so stop everything at once."
  }
}

check "somebody_is_notified" {
  assert {
    condition     = length(var.notification_channels) > 0
    error_message = "There are no notification_channels: alerts will open, and nobody will be notified."
  }
}
