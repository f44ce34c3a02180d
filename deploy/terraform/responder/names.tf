# Names that several files need.

locals {
  # What stays reserved after a removal ends with the suffix: buckets (a retention outlives the
  # deployment) and the ids of custom roles. Everything else can be made again at once.
  evidence_bucket = "${var.project_id}-${var.name}-evidence${var.name_suffix}"
  policy_bucket   = "${var.project_id}-${var.name}-policy${var.name_suffix}"
  source_bucket   = "${var.project_id}-${var.name}-source${var.name_suffix}"
  policy_object   = "policy.yaml"

  # A whole policy in one line, to be typed at night. The previous version is kept.
  kill_switch = "printf 'mode: dry-run\\n' | gcloud storage cp - gs://${local.policy_bucket}/${local.policy_object}"

  outcomes_topic = "${var.name}-outcomes"

  # What runs. `make package` and a release both put it beside the folder `deploy`.
  source_archive = coalesce(var.source_archive, "${path.module}/../../../function.zip")
  source_hash    = fileexists(local.source_archive) ? filesha256(local.source_archive) : "missing" # refused in build.tf
}
