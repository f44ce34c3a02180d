# Custom roles in the responder's own project. Every permission stands in deploy/permissions.json, one
# line each, with its reason. Roles over workloads are the organization's part.

locals {
  permissions = jsondecode(file("${path.module}/../../permissions.json"))

  role_texts = {
    case-files    = "Creates and reads case files; deletes and replaces nothing"
    policy-reader = "Reads the policy and its versions"
    policy-editor = "For people: changes the policy, which may stop everything"
    on-duty       = "For people: what runbooks have them type in this project"
    quota-user    = "For people: their calls count on this project's quota"
    token-creator = "For people: coverage asks as the function"
  }

  roles = {
    case-files    = distinct([for row in local.permissions : row.permission if row.scope == "store"])
    policy-reader = distinct([for row in local.permissions : row.permission if row.scope == "policy" && contains(row.roles, "reader")])
    policy-editor = distinct([for row in local.permissions : row.permission if row.scope == "policy" && contains(row.roles, "policy-editor")])
    on-duty       = distinct([for row in local.permissions : row.permission if row.scope == "responder-project"])
    quota-user    = distinct([for row in local.permissions : row.permission if row.scope == "quota-project"])
    token-creator = distinct([for row in local.permissions : row.permission if row.scope == "responder-account"])
  }

  role_ids   = { for key in keys(local.roles) : key => replace("${var.name}_${key}${var.name_suffix}", "/[^a-zA-Z0-9]/", "_") }
  role_names = { for key, role in google_project_iam_custom_role.role : key => role.name }
}

resource "google_project_iam_custom_role" "role" {
  for_each = local.roles

  project     = var.project_id
  role_id     = local.role_ids[each.key]
  title       = "Threat responder ${each.key}"
  description = local.role_texts[each.key]
  permissions = each.value

  depends_on = [time_sleep.apis]
}
