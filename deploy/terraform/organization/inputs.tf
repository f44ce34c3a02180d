# Rules that concern more than one variable. They are checked at plan.

locals {
  scope_kind = split("/", var.scope)[0]
  scope_id   = split("/", var.scope)[1]
}

resource "terraform_data" "inputs" {
  lifecycle {
    precondition {
      condition     = !local.every_category || var.finding_source != null
      error_message = "categories = [\"*\"] needs a finding_source. Without it, findings of every detector about Cloud Run would be sent."
    }
    precondition {
      condition     = local.scope_kind != "organizations" || local.scope_id == var.organization_id
      error_message = "scope names another organization than organization_id."
    }
    precondition {
      condition     = local.scope_kind != "projects" || alltrue([for s in var.acting_scopes : s == var.scope])
      error_message = "With a project as scope, acting_scopes can name that project only."
    }
    precondition {
      condition     = local.scope_kind == "organizations" || alltrue([for s in var.acting_scopes : !startswith(s, "organizations/")])
      error_message = "acting_scopes cannot be wider than scope."
    }
    precondition {
      condition     = alltrue([for s in var.acting_scopes : s == "organizations/${var.organization_id}" if startswith(s, "organizations/")])
      error_message = "acting_scopes names another organization than organization_id."
    }
    precondition {
      condition     = local.scope_kind != "projects" || alltrue([for s in var.drill_services : startswith(s, "${var.scope}/")])
      error_message = "With a project as scope, drill_services can name services of that project only."
    }
  }
}

# Warnings: each plan shows them, none stops an apply.

check "acting_is_granted_somewhere" {
  assert {
    condition     = !var.grant_acting_role || length(var.acting_scopes) + length(var.drill_services) > 0
    error_message = "grant_acting_role is on, but acting_scopes and drill_services are empty: it grants nothing."
  }
}

check "acting_is_switched_on" {
  assert {
    condition     = var.grant_acting_role || length(var.acting_scopes) + length(var.drill_services) == 0
    error_message = "acting_scopes or drill_services name something, but grant_acting_role is off: nothing is granted there, to people neither."
  }
}

check "accounts_may_be_disabled" {
  assert {
    condition     = (length(var.disable_service_accounts) > 0) == contains(flatten(values(var.actions)), "disable-service-account")
    error_message = "disable_service_accounts and the action disable-service-account in actions go together: one of them is missing, and nothing is granted for the other."
  }
}

check "no_default_accounts" {
  assert {
    condition = alltrue([
      for account in local.target_accounts :
      !endswith(account, "-compute@developer.gserviceaccount.com") && !endswith(account, "@appspot.gserviceaccount.com")
    ])
    error_message = "A default service account is among target_service_accounts. Where it may edit the project, so may the responder from then on: give the workload an account of its own."
  }
}
