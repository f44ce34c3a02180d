# Where it runs

variable "project_id" {
  description = "Project in which the responder itself runs. A project of its own: whoever may write in it may misuse the responder."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "Expected a project id, such as sec-responder-prod; not a number."
  }
}

variable "region" {
  description = "Region of the functions, the buckets and the scheduler. Cloud Scheduler must be offered there."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "Expected a region, such as europe-west1."
  }
}

variable "organization_id" {
  description = "Number of the organization. Custom roles are made there, unless the scope is a single project."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.organization_id))
    error_message = "Expected the organization's number, digits only."
  }
}

variable "name" {
  description = "Begins the name of everything that is made, so that two deployments can stand side by side."
  type        = string
  default     = "threat-responder"

  validation {
    # A service account's id has at most 30 characters, of which the longest suffix takes 8.
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}[a-z0-9]$", var.name))
    error_message = "Expected 4 to 22 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "name_suffix" {
  description = "Ends the names of buckets and the ids of custom roles, which stay reserved for a time after a removal: for applying again under the same `name`. Do not change it in a deployment that stands; the bucket of the case files would have to be made anew, which is refused."
  type        = string
  default     = ""

  validation {
    # A role's id has at most 64 characters, of which the longest name and role take 55.
    condition     = can(regex("^(-[a-z0-9]{1,7})?$", var.name_suffix))
    error_message = "Expected a hyphen and 1 to 7 lower-case letters and digits, such as -2."
  }
}

variable "source_archive" {
  description = "Path of the zip file that deploy/package.sh writes: what both functions run. To roll back, name an older one."
  type        = string
}

variable "labels" {
  description = "Labels of everything that takes labels."
  type        = map(string)
  default     = {}
}

# What it hears of

variable "scope" {
  description = "Whose findings are answered, and where the reading role is granted: organizations/NUMBER, folders/NUMBER or projects/ID."
  type        = string

  validation {
    condition     = can(regex("^(organizations/[0-9]+|folders/[0-9]+|projects/[a-z0-9][a-z0-9.:-]*)$", var.scope))
    error_message = "Expected organizations/NUMBER, folders/NUMBER or projects/ID."
  }
}

variable "categories" {
  description = "Finding types that Security Command Center sends, exactly as it shows them; [\"*\"] for all that finding_source reports on Cloud Run. Which of them may be contained, the policy file says."
  type        = list(string)
  default     = ["Execution: Modified Malicious Binary Executed"]

  validation {
    condition     = length(var.categories) > 0 && alltrue([for c in var.categories : can(regex("^[^\"\\\\]+$", c))])
    error_message = "Expected at least one category, without quotation marks and backslashes."
  }
}

variable "finding_source" {
  description = "Source of Cloud Run Threat Detection in the organization, organizations/NUMBER/sources/NUMBER. Left out: from any source. Needed for categories [\"*\"], which would bring every detector's findings otherwise."
  type        = string
  default     = null

  validation {
    condition     = var.finding_source == null || can(regex("^organizations/[0-9]+/sources/[0-9]+$", var.finding_source))
    error_message = "Expected organizations/NUMBER/sources/NUMBER, without a location."
  }
}

# How far it may go

variable "mode" {
  description = "The ceiling: dry-run, approve or enforce. The mode that applies is the lower of this and what the policy file says."
  type        = string
  default     = "dry-run"

  validation {
    condition     = contains(["dry-run", "approve", "enforce"], var.mode)
    error_message = "Expected dry-run, approve or enforce."
  }
}

variable "grant_acting_role" {
  description = "The master switch: without it nobody, function or person, is granted any right to write to a workload, whatever acting_scopes, drill_services, mode and policy say."
  type        = bool
  default     = false
}

variable "actions" {
  description = "What the policy file may name under contain, by kind of workload: rights that no action here needs are granted to nobody, editing who may invoke a service for instance. By default what the shipped policy names."
  type        = map(list(string))
  default = {
    service     = ["scale-to-zero"]
    worker-pool = ["scale-to-zero"]
    job         = ["cancel-executions", "require-authentication"]
  }

  validation {
    condition     = alltrue([for kind in keys(var.actions) : contains(["service", "worker-pool", "job"], kind)])
    error_message = "Expected service, worker-pool and job."
  }

  validation {
    condition = alltrue([
      for name in flatten(values(var.actions)) :
      contains(["scale-to-zero", "isolate-revision", "restrict-ingress", "require-authentication", "cancel-executions"], name)
    ])
    error_message = "Expected scale-to-zero, isolate-revision, restrict-ingress, require-authentication or cancel-executions."
  }
}

variable "acting_scopes" {
  description = "Where, with grant_acting_role, the functions may contain, operators release and approvers do both: scopes within `scope`, such as [\"projects/sandbox-1\"]. Empty: nowhere."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.acting_scopes : can(regex("^(organizations/[0-9]+|folders/[0-9]+|projects/[a-z0-9][a-z0-9.:-]*)$", s))])
    error_message = "Expected organizations/NUMBER, folders/NUMBER or projects/ID."
  }
}

variable "drill_services" {
  description = "Sandbox services within `scope` that approvers may stop and give back for a drill, with grant_acting_role: projects/ID/locations/REGION/services/NAME. Nothing is granted on anything else of their projects."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.drill_services : can(regex("^projects/[a-z0-9][a-z0-9.:-]*/locations/[a-z0-9-]+/services/[a-z0-9-]+$", s))])
    error_message = "Expected projects/ID/locations/REGION/services/NAME."
  }
}

variable "target_service_accounts" {
  description = "Runtime service accounts of the workloads that may be contained, in whatever project they are: NAME@PROJECT.iam.gserviceaccount.com, or projects/PROJECT/serviceAccounts/EMAIL for those whose address does not tell the project. Cloud Run asks for actAs on the account at every update. Granted with grant_acting_role, one by one, never for a project."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for account in var.target_service_accounts :
      can(regex("^(projects/[a-z][a-z0-9.:-]*/serviceAccounts/[^/@]+@[^/@]+|[a-z0-9-]+@[a-z][a-z0-9-]*\\.iam\\.gserviceaccount\\.com)$", account))
    ])
    error_message = "Expected NAME@PROJECT.iam.gserviceaccount.com or projects/PROJECT/serviceAccounts/EMAIL, with the project's id."
  }
}

variable "image_repositories" {
  description = "Artifact Registry repositories of these workloads' images, in whatever project they are, a shared one for instance: projects/PROJECT/locations/LOCATION/repositories/NAME. Cloud Run asks for read access to them at every update. Granted like the accounts."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for r in var.image_repositories : can(regex("^projects/[a-z][a-z0-9.:-]*/locations/[a-z0-9-]+/repositories/[^/]+$", r))])
    error_message = "Expected projects/PROJECT/locations/LOCATION/repositories/NAME, with the project's id."
  }
}

variable "operators" {
  description = "People who list, show and release, as IAM members such as group:soc@example.com. They read in all of `scope`; the writes of a release are granted in acting_scopes, with grant_acting_role."
  type        = list(string)
  default     = []
}

variable "approvers" {
  description = "People who approve plans, contain by hand and drill, as IAM members. They read in all of `scope`; they write in acting_scopes and on drill_services, with grant_acting_role."
  type        = list(string)
  default     = []
}

variable "surveyors" {
  description = "People who run coverage, as IAM members: they may list workloads over the scope and read the policy, write nothing, and until coverage_until ask as the function."
  type        = list(string)
  default     = []
}

variable "coverage_until" {
  description = "Until when surveyors may ask as the function `respond`, such as 2026-03-01T18:00:00Z. Whoever may, may do what it may: choose an hour. Left out: never."
  type        = string
  default     = null

  validation {
    condition     = var.coverage_until == null || can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", var.coverage_until))
    error_message = "Expected a time in UTC, such as 2026-03-01T18:00:00Z."
  }
}

variable "policy_editors" {
  description = "People who may change the policy file, as IAM members: whoever is on call must be among them, since saving it is the kill switch. They can change neither its bucket nor who may use it."
  type        = list(string)
  default     = []
}

# What it keeps

variable "evidence_retention_days" {
  description = "For so many days nobody, owners included, can delete or replace a case file."
  type        = number
  default     = 400

  validation {
    condition     = var.evidence_retention_days >= 1 && var.evidence_retention_days <= 3650
    error_message = "Expected 1 to 3650 days."
  }
}

variable "evidence_retention_locked" {
  description = "Whether the retention can never again be shortened or removed. Cannot be undone, and the project cannot be deleted before the last object may be."
  type        = bool
  default     = false
}

variable "kms_key" {
  description = "Cloud KMS key for the buckets, projects/…/locations/…/keyRings/…/cryptoKeys/…, in the buckets' region. Left out: Google's own encryption."
  type        = string
  default     = null
}

# Secrets, by reference: Terraform never sees their values

variable "redaction_key_secret" {
  description = "Secret Manager secret with the key of the hashes that stand in for redacted values: {secret, version, project}. Left out: every process makes its own, and equal values are recognisable within one process only."
  type = object({
    secret  = string
    version = optional(string, "latest")
    project = optional(string)
  })
  default = null

  validation {
    # They stand in a line for shells.
    condition     = var.redaction_key_secret == null || can(regex("^[A-Za-z0-9_-]+ [A-Za-z0-9_-]+$", "${var.redaction_key_secret.secret} ${var.redaction_key_secret.version}"))
    error_message = "Expected the secret's short name and a version: letters, digits, hyphens and underscores."
  }
}

variable "virustotal_secret" {
  description = "Secret with the VirusTotal API key. Left out: nothing is looked up, links only."
  type = object({
    secret  = string
    version = optional(string, "latest")
    project = optional(string)
  })
  default = null

  validation {
    # They stand in a line for shells.
    condition     = var.virustotal_secret == null || can(regex("^[A-Za-z0-9_-]+ [A-Za-z0-9_-]+$", "${var.virustotal_secret.secret} ${var.virustotal_secret.version}"))
    error_message = "Expected the secret's short name and a version: letters, digits, hyphens and underscores."
  }
}

variable "webhook_secret" {
  description = "Secret with the address of a Slack or Google Chat compatible webhook; such an address is a credential. Left out: outcomes go to the topic only."
  type = object({
    secret  = string
    version = optional(string, "latest")
    project = optional(string)
  })
  default = null

  validation {
    # They stand in a line for shells.
    condition     = var.webhook_secret == null || can(regex("^[A-Za-z0-9_-]+ [A-Za-z0-9_-]+$", "${var.webhook_secret.secret} ${var.webhook_secret.version}"))
    error_message = "Expected the secret's short name and a version: letters, digits, hyphens and underscores."
  }
}

# Who is told, and when

variable "notification_channels" {
  description = "Cloud Monitoring notification channels, projects/…/notificationChannels/…, that every alert goes to."
  type        = list(string)
  default     = []
}

variable "slow_containment_seconds" {
  description = "A containment that took longer than this raises an alert: from the publication of the finding until its workload was read back as stopped."
  type        = number
  default     = 60
}

variable "patrol_schedule" {
  description = "When standing containments are looked at again, as a cron expression in UTC; at least every 15 minutes, or the alert patrol-missing goes off."
  type        = string
  default     = "*/5 * * * *"
}

variable "min_instances" {
  description = "Instances of `respond` that are kept warm. 0 costs nothing and adds a cold start (seconds) to the first finding after a quiet time; 1 takes that away."
  type        = number
  default     = 0
}
