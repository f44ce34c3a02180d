# Names that several files need.

locals {
  evidence_bucket = "${var.project_id}-${var.name}-evidence"
  policy_bucket   = "${var.project_id}-${var.name}-policy"
  source_bucket   = "${var.project_id}-${var.name}-source"
  policy_object   = "policy.yaml"
  outcomes_topic  = "${var.name}-outcomes"
}
