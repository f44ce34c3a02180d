# What the runbooks and deploy/README.md have people type, beside what `cli.py` needs (roles.tf):
# for each command a right that somebody on duty has, and none that they do not need. All of it is
# in the responder's own project.

locals {
  # Permission => why. In runbooks/ unless said otherwise.
  duty_permissions = {
    "cloudscheduler.jobs.enable"     = "patrol-missing: resumes the patrol's job"
    "cloudscheduler.jobs.get"        = "patrol-missing: tells whether the job runs"
    "cloudscheduler.jobs.run"        = "patrol-missing: starts a round"
    "logging.logEntries.list"        = "gcloud logging read: what the functions said"
    "logging.privateLogEntries.list" = "policy-changed: who wrote to the policy's bucket stands in a data access log"
    "pubsub.subscriptions.get"       = "backlog: is the subscription there, and where does it push"
    "pubsub.topics.getIamPolicy"     = "held, malformed: who may publish findings"
  }

  policy_reading = {
    "storage.objects.get"  = "policy-changed, policy-invalid: reads it, and its versions"
    "storage.objects.list" = "policy-changed, policy-invalid: lists its versions"
  }

  # One role for each kind of place, as in roles.tf.
  people_roles = {
    duty          = { title = "on duty", permissions = keys(local.duty_permissions) }
    policy_reader = { title = "reads the policy", permissions = keys(local.policy_reading) }
  }

  on_duty = distinct(concat(var.operators, var.approvers))
}

resource "google_project_iam_custom_role" "people" {
  for_each = local.people_roles

  project     = var.project_id
  role_id     = replace("${var.name}_people_${each.key}${var.name_suffix}", "/[^a-zA-Z0-9]/", "_")
  title       = "Responder people: ${each.value.title}"
  description = "What runbooks have people type; see people.tf"
  permissions = each.value.permissions

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "people" {
  for_each = toset(local.on_duty)

  project = var.project_id
  role    = google_project_iam_custom_role.people["duty"].name
  member  = each.value
}

resource "google_storage_bucket_iam_member" "policy_people" {
  for_each = toset(local.on_duty)

  bucket = google_storage_bucket.policy.name
  role   = google_project_iam_custom_role.people["policy_reader"].name
  member = each.value
}

# dead-letters: pulls them, and acknowledges them once they are delivered again. On this one
# subscription, from which nothing else reads.
resource "google_pubsub_subscription_iam_member" "dead_letters_people" {
  for_each = toset(local.on_duty)

  project      = var.project_id
  subscription = google_pubsub_subscription.dead_letters.name
  role         = "roles/pubsub.subscriber"
  member       = each.value
}

# dead-letters, and the first day's test message. A message is a claim that Security Command Center
# must bear out; whoever may contain by hand gains nothing by publishing one.
resource "google_pubsub_topic_iam_member" "findings_from_approvers" {
  for_each = toset(var.approvers)

  project = var.project_id
  topic   = google_pubsub_topic.findings.name
  role    = "roles/pubsub.publisher"
  member  = each.value
}
