# Where it runs

variable "project_id" {
  description = "Project in which the responder itself runs. A project of its own: anyone who may write in it may misuse the responder."
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

variable "name" {
  description = "Begins the name of everything that is made, so that two deployments can exist side by side."
  type        = string
  default     = "threat-responder"

  validation {
    # A service account's id has at most 30 characters, of which the longest suffix takes 8.
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}[a-z0-9]$", var.name))
    error_message = "Expected 4 to 22 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "name_suffix" {
  description = "Ends the names of buckets and the ids of custom roles, which stay reserved for a time after a removal. Set it to apply again under the same `name`; do not change it in a running deployment: the case files' bucket would have to be replaced, which is refused."
  type        = string
  default     = ""

  validation {
    # A role's id has at most 64 characters, of which the longest name and role take 55.
    condition     = can(regex("^(-[a-z0-9]{1,7})?$", var.name_suffix))
    error_message = "Expected a hyphen and 1 to 7 lower-case letters and digits, such as -2."
  }
}

variable "source_archive" {
  description = "Path of the zip file that both functions run: what `make package` writes, or function.zip of a release. Left out: function.zip beside the folder `deploy`, where both put it. To roll back, name an older one."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of everything that takes labels."
  type        = map(string)
  default     = {}
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

variable "inventory_scope" {
  description = "Where Cloud Asset Inventory is searched for workloads that share a finding's image or service account: projects/P, folders/N or organizations/N. Enables the API here. Left out: it is not enabled, and the evidence `affected` is missing."
  type        = string
  default     = null

  validation {
    condition     = var.inventory_scope == null || can(regex("^(projects/[^/]+|(folders|organizations)/[0-9]+)$", var.inventory_scope))
    error_message = "Expected projects/P, folders/N or organizations/N."
  }
}

# People, as IAM members such as group:soc@example.com. Give the organization's part the same lists

variable "operators" {
  description = "People who list, show and release. Here they get case files, logs, the policy, dead letters and the patrol's job."
  type        = list(string)
  default     = []
}

variable "approvers" {
  description = "People who approve plans, contain by hand and drill. Here they get what operators get, the secrets, and publishing on the findings topic."
  type        = list(string)
  default     = []
}

variable "surveyors" {
  description = "People who run coverage. Here they read the policy, and until coverage_until ask as the function."
  type        = list(string)
  default     = []
}

variable "coverage_until" {
  description = "Until when surveyors may ask as the function `respond`, such as 2026-03-01T18:00:00Z. They may do what it may until then: choose an hour from now. Left out: never."
  type        = string
  default     = null

  validation {
    condition     = var.coverage_until == null || can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$", var.coverage_until))
    error_message = "Expected a time in UTC, such as 2026-03-01T18:00:00Z."
  }
}

variable "policy_editors" {
  description = "People who may change the policy file. Include everyone on call: saving it is the kill switch. They can change neither its bucket nor who may use it."
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
  description = "Makes the retention final: it can never be shortened or removed. Cannot be undone, and the project cannot be deleted before the last object may be."
  type        = bool
  default     = false
}

# A company's rules

variable "kms_key" {
  description = "Cloud KMS key for topics, images, functions and buckets, projects/…/locations/…/keyRings/…/cryptoKeys/…: a symmetric key in `region`. It must exist. Set it from the first apply on: images, topics and case files that are there already stay as they are or must be made again. Left out: encryption keys of Google."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "Expected projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY."
  }
}

variable "build_worker_pool" {
  description = "Private pool of Cloud Build that builds the functions, projects/PROJECT/locations/REGION/workerPools/POOL. It must reach the package index. In another project, Google's agents of this project need roles/cloudbuild.workerPoolUser there (output `service_agents`). Left out: Cloud Build's default pool."
  type        = string
  default     = null

  validation {
    condition     = var.build_worker_pool == null || can(regex("^projects/[^/]+/locations/[^/]+/workerPools/[^/]+$", var.build_worker_pool))
    error_message = "Expected projects/PROJECT/locations/REGION/workerPools/POOL."
  }
}

variable "vpc_connector" {
  description = "Serverless VPC Access connector that the functions send through, projects/PROJECT/locations/REGION/connectors/CONNECTOR. Its network must reach Google's APIs (Private Google Access), and VirusTotal and the webhook if these are set. Left out: no VPC."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_connector == null || can(regex("^projects/[^/]+/locations/[^/]+/connectors/[^/]+$", var.vpc_connector))
    error_message = "Expected projects/PROJECT/locations/REGION/connectors/CONNECTOR."
  }
}

variable "vpc_egress" {
  description = "What the functions send through vpc_connector: ALL_TRAFFIC, or PRIVATE_RANGES_ONLY."
  type        = string
  default     = "ALL_TRAFFIC"

  validation {
    condition     = contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], var.vpc_egress)
    error_message = "Expected ALL_TRAFFIC or PRIVATE_RANGES_ONLY."
  }
}

variable "binary_authorization_policy" {
  description = "Binary Authorization policy of the functions, projects/PROJECT/platforms/cloudRun/POLICY, or `default`. It must allow what Cloud Build builds here. Left out: none."
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

variable "outcomes_format" {
  description = "Format of the messages on the outcome topic: outcome, or ocsf for an OCSF Detection Finding."
  type        = string
  default     = "outcome"

  validation {
    condition     = contains(["outcome", "ocsf"], var.outcomes_format)
    error_message = "Expected outcome or ocsf."
  }
}

variable "webhook_format" {
  description = "Format of the chat messages: slack (blocks), google-chat (cards) or text. Left out: by the host of the webhook."
  type        = string
  default     = ""

  validation {
    condition     = contains(["", "slack", "google-chat", "text"], var.webhook_format)
    error_message = "Expected slack, google-chat or text."
  }
}

variable "runbooks_url" {
  description = "https:// address of the folder with the runbooks, such as that of deploy/runbooks in your repository, for the buttons of chat messages. Left out: no button."
  type        = string
  default     = ""

  validation {
    # It stands in a line for shells.
    condition     = can(regex("^(https://[A-Za-z0-9._~:/%-]{1,1000})?$", var.runbooks_url))
    error_message = "Expected https:// and a path without spaces, quotes and queries."
  }
}

# Alerts and pace

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
  description = "When the patrol checks containments again, as a cron expression in UTC; at least every 15 minutes, or the alert patrol-missing goes off."
  type        = string
  default     = "*/5 * * * *"
}

variable "min_instances" {
  description = "Instances of `respond` that are kept warm. 0 costs nothing and adds a cold start (seconds) to the first finding after a quiet time; 1 takes that away."
  type        = number
  default     = 0
}
