# Names that several files need.

locals {
  evidence_bucket = "${var.project_id}-${var.name}-evidence"
  policy_bucket   = "${var.project_id}-${var.name}-policy"
  source_bucket   = "${var.project_id}-${var.name}-source"
  policy_object   = "policy.yaml"

  # Typed at night, with nothing at hand: a whole policy in one line. The version before stays.
  kill_switch = "printf 'mode: dry-run\\n' | gcloud storage cp - gs://${local.policy_bucket}/${local.policy_object}"

  outcomes_topic = "${var.name}-outcomes"
}
