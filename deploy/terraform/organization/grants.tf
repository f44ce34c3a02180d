# Who is granted which role on workloads, on the accounts that they run as, and on their images.

locals {
  # NAME@PROJECT.iam.gserviceaccount.com contains its project; others are given with it.
  account_names = {
    for account in distinct(concat(var.target_service_accounts, var.disable_service_accounts)) :
    account => startswith(account, "projects/") ? account : "projects/${split(".", split("@", account)[1])[0]}/serviceAccounts/${account}"
  }
  target_accounts     = distinct([for account in var.target_service_accounts : local.account_names[account]])
  disabled_accounts   = distinct([for account in var.disable_service_accounts : local.account_names[account]])
  target_repositories = distinct(var.image_repositories)

  # By label: an account's address may be unknown until the responder has made it.
  function_labels = [for name in keys(var.service_accounts) : "function ${name}"]
  members         = { for name, email in var.service_accounts : "function ${name}" => "serviceAccount:${email}" }

  # The master switch, and then one place after the other.
  acting_scopes  = var.grant_acting_role ? distinct(var.acting_scopes) : []
  drill_services = var.grant_acting_role ? distinct(var.drill_services) : []

  actors    = length(local.acting_scopes) > 0 ? concat(local.function_labels, var.approvers) : []
  releasers = length(local.acting_scopes) > 0 ? var.operators : []
  drillers  = length(local.drill_services) > 0 ? var.approvers : []
  # Cloud Run asks each of them for both at every update, even of scaling alone.
  writers = distinct(concat(local.actors, local.releasers, local.drillers))

  # Every grant: role, member and resource. The form of the resource's name says what it is. actAs on
  # an account is the power to be it; for a project's accounts it would be the power to be whatever
  # runs there. So accounts and repositories are named one by one.
  wanted_grants = concat(
    [for member in concat(local.function_labels, var.approvers) : { role = "reader", member = member, on = var.scope }],
    [for member in var.operators : { role = "operator", member = member, on = var.scope }],
    [for member in var.surveyors : { role = "surveyor", member = member, on = var.scope }],
    [for pair in setproduct(local.actors, local.acting_scopes) : { role = "actor", member = pair[0], on = pair[1] }],
    [for pair in setproduct(local.releasers, local.acting_scopes) : { role = "releaser", member = pair[0], on = pair[1] }],
    [for pair in setproduct(local.drillers, local.drill_services) : { role = "drill", member = pair[0], on = pair[1] }],
    [for pair in setproduct(local.writers, local.target_accounts) : { role = "act-as", member = pair[0], on = pair[1] }],
    [for pair in setproduct(local.writers, local.target_repositories) : { role = "image-reader", member = pair[0], on = pair[1] }],
    [for pair in setproduct(concat(local.actors, local.releasers), local.disabled_accounts) : { role = "disable", member = pair[0], on = pair[1] }],
  )
  grants = distinct([for grant in local.wanted_grants : grant if contains(keys(local.roles), grant.role)])

  # By what they are on, each under a key that says all of it.
  grants_on = {
    for kind, form in {
      organization = "^organizations/[^/]+$"
      folder       = "^folders/[^/]+$"
      project      = "^projects/[^/]+$"
      service      = "/services/"
      account      = "/serviceAccounts/"
      repository   = "/repositories/"
    } :
    kind => {
      for grant in local.grants : "${grant.role} ${grant.member} ${grant.on}" => merge(grant, {
        named = local.scope_kind == "projects" ? "${grant.role} ${split("/", grant.on)[1]}" : grant.role
      })
      if can(regex(form, grant.on))
    }
  }
}

resource "google_organization_iam_member" "workloads" {
  for_each = local.grants_on.organization

  org_id = split("/", each.value.on)[1]
  role   = local.role_names[each.value.named]
  member = lookup(local.members, each.value.member, each.value.member)
}

resource "google_folder_iam_member" "workloads" {
  for_each = local.grants_on.folder

  folder = each.value.on
  role   = local.role_names[each.value.named]
  member = lookup(local.members, each.value.member, each.value.member)
}

resource "google_project_iam_member" "workloads" {
  for_each = local.grants_on.project

  project = split("/", each.value.on)[1]
  role    = local.role_names[each.value.named]
  member  = lookup(local.members, each.value.member, each.value.member)
}

# One sandbox service, for the drill: nothing else can be stopped with it.
resource "google_cloud_run_v2_service_iam_member" "drill" {
  for_each = local.grants_on.service

  project  = split("/", each.value.on)[1]
  location = split("/", each.value.on)[3]
  name     = split("/", each.value.on)[5]
  role     = local.role_names[each.value.named]
  member   = each.value.member
}

# Runtime service accounts and image repositories, one by one, whatever project they are in.

resource "google_service_account_iam_member" "act_as" {
  for_each = local.grants_on.account

  service_account_id = each.value.on
  role               = local.role_names[each.value.named]
  member             = lookup(local.members, each.value.member, each.value.member)
}

resource "google_artifact_registry_repository_iam_member" "images" {
  for_each = local.grants_on.repository

  project    = split("/", each.value.on)[1]
  location   = split("/", each.value.on)[3]
  repository = split("/", each.value.on)[5]
  role       = local.role_names[each.value.named]
  member     = lookup(local.members, each.value.member, each.value.member)
}
