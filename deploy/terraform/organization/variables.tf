# Where

variable "organization_id" {
  description = "Number of the organization. Custom roles are made there, unless the scope is a single project."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.organization_id))
    error_message = "Expected the organization's number, digits only."
  }
}

variable "scope" {
  description = "Whose findings are answered, and where the reading roles are granted: organizations/NUMBER, folders/NUMBER or projects/ID."
  type        = string

  validation {
    condition     = can(regex("^(organizations/[0-9]+|folders/[0-9]+|projects/[a-z0-9][a-z0-9.:-]*)$", var.scope))
    error_message = "Expected organizations/NUMBER, folders/NUMBER or projects/ID."
  }
}

variable "name" {
  description = "Begins the name of everything that is made. Two deployments in one organization need two names."
  type        = string
  default     = "threat-responder"

  validation {
    # The same bounds as the responder's: the longest suffix of a service account's id takes 8 of 30.
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}[a-z0-9]$", var.name))
    error_message = "Expected 4 to 22 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "name_suffix" {
  description = "Ends the ids of custom roles, which stay reserved for a time after a removal. Set it to apply again under the same `name`."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(-[a-z0-9]{1,7})?$", var.name_suffix))
    error_message = "Expected a hyphen and 1 to 7 lower-case letters and digits, such as -2."
  }
}

# From the responder: its outputs of the same names

variable "findings_topic" {
  description = "Topic that Security Command Center publishes findings on, projects/PROJECT/topics/TOPIC: the responder's output `findings_topic`."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/topics/[^/]+$", var.findings_topic))
    error_message = "Expected projects/PROJECT/topics/TOPIC."
  }
}

variable "service_accounts" {
  description = "E-mail addresses of the service accounts that the functions run as, by function: the responder's output `service_accounts`."
  type        = map(string)
}

# Which findings are sent

variable "categories" {
  description = "Finding types that Security Command Center sends, exactly as it shows them; [\"*\"] for all that finding_source reports on Cloud Run. The policy file says which of them may be contained."
  type        = list(string)
  default     = ["Execution: Modified Malicious Binary Executed"]

  validation {
    condition     = length(var.categories) > 0 && alltrue([for c in var.categories : can(regex("^[^\"\\\\]+$", c))])
    error_message = "Expected at least one category, without quotation marks and backslashes."
  }
}

variable "control_plane_categories" {
  description = "Control plane findings of Event Threat Detection about Cloud Run that are sent besides `categories`, whatever finding_source names. The policy file says which of them may be contained. Empty: none."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for category in var.control_plane_categories :
      contains(["Execution: Cryptomining Docker Image", "Impact: Cryptomining Commands", "Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy"], category)
    ])
    error_message = "Expected Execution: Cryptomining Docker Image, Impact: Cryptomining Commands or Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy."
  }
}

variable "finding_source" {
  description = "Source of Cloud Run Threat Detection in the organization, organizations/NUMBER/sources/NUMBER; `gcloud scc sources describe ORGANIZATION --source-display-name=\"Cloud Run Threat Detection\"` prints it. Left out: any source. Required for categories [\"*\"], which would otherwise bring every detector's findings."
  type        = string
  default     = null

  validation {
    condition     = var.finding_source == null || can(regex("^organizations/[0-9]+/sources/[0-9]+$", var.finding_source))
    error_message = "Expected organizations/NUMBER/sources/NUMBER, without a location."
  }
}

# Who may write to workloads, and where

variable "grant_acting_role" {
  description = "The master switch: while it is off nobody, function or person, is granted any right to write to a workload, whatever acting_scopes, drill_services, mode and policy say."
  type        = bool
  default     = false
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

variable "actions" {
  description = "Actions that the policy file may name under contain, by kind of workload. Rights that none of them needs are granted to nobody, editing who may invoke a service for instance. By default the actions of the shipped policy."
  type        = map(list(string))
  default = {
    service     = ["scale-to-zero"]
    worker-pool = ["scale-to-zero"]
    job         = ["cancel-executions", "require-authentication"]
    instance    = ["stop-instance"]
  }

  validation {
    condition     = alltrue([for kind in keys(var.actions) : contains(["service", "worker-pool", "job", "instance"], kind)])
    error_message = "Expected service, worker-pool, job and instance."
  }

  validation {
    condition = alltrue([
      for name in flatten(values(var.actions)) :
      contains(["scale-to-zero", "isolate-revision", "restrict-ingress", "require-authentication", "cancel-executions", "disable-service-account", "stop-instance"], name)
    ])
    error_message = "Expected scale-to-zero, isolate-revision, restrict-ingress, require-authentication, cancel-executions, disable-service-account or stop-instance."
  }
}

variable "drill_services" {
  description = "Sandbox services within `scope` that approvers may stop and release for a drill, with grant_acting_role: projects/ID/locations/REGION/services/NAME. Nothing is granted on anything else of their projects."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.drill_services : can(regex("^projects/[a-z0-9][a-z0-9.:-]*/locations/[a-z0-9-]+/services/[a-z0-9-]+$", s))])
    error_message = "Expected projects/ID/locations/REGION/services/NAME."
  }
}

variable "target_service_accounts" {
  description = "Runtime service accounts of the workloads that may be contained, in whatever project they are: NAME@PROJECT.iam.gserviceaccount.com, or projects/PROJECT/serviceAccounts/EMAIL for those whose address does not contain the project. Cloud Run asks for actAs on the account at every update. Granted with grant_acting_role, one by one, never for a project. Write them out: they must be known at plan."
  type        = list(string)
  default     = []

  validation {
    # Ids of service accounts have 6 to 30 characters.
    condition = alltrue([
      for account in var.target_service_accounts :
      can(regex("^(projects/[a-z][a-z0-9.:-]*/serviceAccounts/[^/@]+@[^/@]+|[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z][a-z0-9-]*\\.iam\\.gserviceaccount\\.com)$", account))
    ])
    error_message = "Expected NAME@PROJECT.iam.gserviceaccount.com, where NAME has 6 to 30 characters, or projects/PROJECT/serviceAccounts/EMAIL with the project's id."
  }
}

variable "disable_service_accounts" {
  description = "Runtime service accounts that disable-service-account may disable and a release enable again, spelled as in target_service_accounts. The policy must name the action and declare the accounts as well. Granted with grant_acting_role, one by one, never for a project; never a default service account."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for account in var.disable_service_accounts :
      can(regex("^(projects/[a-z][a-z0-9.:-]*/serviceAccounts/)?[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z][a-z0-9.-]*\\.iam\\.gserviceaccount\\.com$", account))
    ])
    error_message = "Expected NAME@PROJECT.iam.gserviceaccount.com, where NAME has 6 to 30 characters, or projects/PROJECT/serviceAccounts/EMAIL with the project's id; a default service account cannot be disabled."
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

# People, as IAM members such as group:soc@example.com. Give the responder the same lists

variable "operators" {
  description = "People who list, show and release. They read in all of `scope`; the writes of a release are granted in acting_scopes, with grant_acting_role."
  type        = list(string)
  default     = []
}

variable "approvers" {
  description = "People who approve plans, contain by hand and drill. They read in all of `scope`; they write in acting_scopes and on drill_services, with grant_acting_role."
  type        = list(string)
  default     = []
}

variable "inventory" {
  description = "Whether the functions and approvers may search Cloud Asset Inventory in all of `scope`, for other workloads that share a finding's image or service account. Set inventory_scope of the responder's part too."
  type        = bool
  default     = false
}

variable "surveyors" {
  description = "People who run coverage. They may list workloads in all of `scope`, and write nothing."
  type        = list(string)
  default     = []
}
