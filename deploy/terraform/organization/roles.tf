# Custom roles over workloads. Every permission stands in deploy/permissions.json, one line each, with
# its reason, who needs it (roles) and on what (scope). A test compares that file with what the code
# declares. One role for each distinct set of permissions, however many hold it.

locals {
  permissions = jsondecode(file("${path.module}/../../permissions.json"))

  # A permission that only some actions need is left out if none of them is named.
  actions = flatten([for kind, names in var.actions : [for name in names : "${kind}/${name}"]])
  needed = [
    for row in local.permissions : row
    if !can(row.actions) || length(setintersection(try(row.actions, []), local.actions)) > 0
  ]

  # Workloads, their projects' logs, their findings: what the functions' "actor" has is a write, in
  # the hands of people too. No role that is granted over the whole scope contains one.
  over_workloads = [for row in local.needed : row if contains(["workload", "project", "security-center", "inventory"], row.scope)]
  reads          = [for row in local.over_workloads : row if !contains(row.roles, "actor")]
  writes         = [for row in local.over_workloads : row if contains(row.roles, "actor")]

  role_texts = {
    reader       = "Confirms findings and gathers evidence"
    operator     = "For people: reads what a release needs"
    surveyor     = "For people: lists workloads, for coverage"
    actor        = "Contains workloads"
    releaser     = "For people: releases contained workloads"
    drill        = "For people: stops and releases one sandbox service"
    act-as       = "Cloud Run asks for it at every update of a workload that runs as this account"
    image-reader = "Cloud Run asks for it at every update of a workload with an image from this repository"
    disable      = "Disables this service account and enables it again"
  }

  role_permissions = {
    # The functions and approvers, who carry out by hand what the functions would.
    reader       = [for row in local.reads : row.permission if contains(row.roles, "reader") && (row.scope != "inventory" || var.inventory)]
    operator     = [for row in local.reads : row.permission if contains(row.roles, "operator")]
    surveyor     = [for row in local.reads : row.permission if contains(row.roles, "surveyor")]
    actor        = [for row in local.writes : row.permission]
    releaser     = [for row in local.writes : row.permission if contains(row.roles, "operator")]
    drill        = [for row in local.writes : row.permission if startswith(row.permission, "run.services.")]
    act-as       = [for row in local.needed : row.permission if row.scope == "runtime-service-account"]
    image-reader = [for row in local.needed : row.permission if row.scope == "image-repository"]
    disable      = [for row in local.needed : row.permission if row.scope == "disabled-service-account"]
  }

  # No action needs anything of the kind: no such role.
  roles    = { for key, permissions in local.role_permissions : key => distinct(permissions) if length(permissions) > 0 }
  role_ids = { for key in keys(local.roles) : key => replace("${var.name}_${key}${var.name_suffix}", "/[^a-zA-Z0-9]/", "_") }

  # A role of the organization can be granted everywhere below it. With a project as scope nobody needs
  # rights in the organization: a role lives in each project where it is granted.
  role_projects = {
    for key in keys(local.roles) : key => lookup({
      act-as       = distinct([for account in local.target_accounts : split("/", account)[1]])
      image-reader = distinct([for repository in local.target_repositories : split("/", repository)[1]])
      disable      = distinct([for account in local.disabled_accounts : split("/", account)[1]])
    }, key, [local.scope_id])
  }

  # "reader sandbox-1" => what it is made of.
  project_roles = {
    for role in flatten([
      for key, permissions in local.roles : [
        for project in local.role_projects[key] : { key = key, project = project, permissions = permissions }
      ]
    ]) : "${role.key} ${role.project}" => role if local.scope_kind == "projects"
  }

  role_names = merge(
    { for key, role in google_organization_iam_custom_role.role : key => role.name },
    { for key, role in google_project_iam_custom_role.role : key => role.name },
  )
}

resource "google_organization_iam_custom_role" "role" {
  for_each = { for key, permissions in local.roles : key => permissions if local.scope_kind != "projects" }

  org_id      = var.organization_id
  role_id     = local.role_ids[each.key]
  title       = "Threat responder ${each.key}"
  description = local.role_texts[each.key]
  permissions = each.value
}

resource "google_project_iam_custom_role" "role" {
  for_each = local.project_roles

  project     = each.value.project
  role_id     = local.role_ids[each.value.key]
  title       = "Threat responder ${each.value.key}"
  description = local.role_texts[each.value.key]
  permissions = each.value.permissions
}
