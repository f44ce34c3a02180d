# Who may do what. Every permission stands in deploy/permissions.json, one line each, with its
# reason, its roles and where these are granted; grants.tf works out who gets which where.
# A test holds that file against what the code says it needs.

locals {
  role_titles = {
    reader        = "confirms findings, gathers evidence, keeps case files"
    actor         = "contains workloads; granted with grant_acting_role only"
    operator      = "for people: lists, shows and releases"
    approver      = "for people: approves, contains by hand, or drills"
    surveyor      = "for people: lists workloads, for coverage"
    policy-editor = "for people: changes the policy, and so may stop everything"
  }

  role_names = merge(
    { for key, role in google_organization_iam_custom_role.role : key => role.name },
    { for key, role in google_project_iam_custom_role.role : key => role.name },
  )
  # Those that are granted in the responder's own project.
  own_role_names = {
    for key in keys(local.roles) : key => local.role_names[local.scope_kind == "projects" ? "${key} ${var.project_id}" : key]
    if contains(local.own_places, split("/", key)[1])
  }

  members = { for name, account in google_service_account.function : "function ${name}" => account.member }
}

resource "google_organization_iam_custom_role" "role" {
  for_each = { for key, permissions in local.roles : key => permissions if local.scope_kind != "projects" }

  org_id      = var.organization_id
  role_id     = local.role_ids[each.key]
  title       = "Responder ${each.key}"
  description = local.role_titles[split("/", each.key)[0]]
  permissions = each.value

  depends_on = [google_project_service.api]
}

resource "google_project_iam_custom_role" "role" {
  for_each = local.project_roles

  project     = each.value.project
  role_id     = local.role_ids[each.value.key]
  title       = "Responder ${each.value.key}"
  description = local.role_titles[split("/", each.value.key)[0]]
  permissions = each.value.permissions

  depends_on = [google_project_service.api]
}

# Over workloads: reading in all of the scope, acting where it is allowed

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

# Over one sandbox service, for the drill: nothing else can be stopped with it.
resource "google_cloud_run_v2_service_iam_member" "drill" {
  for_each = local.grants_on.service

  project  = split("/", each.value.on)[1]
  location = split("/", each.value.on)[3]
  name     = split("/", each.value.on)[5]
  role     = local.role_names[each.value.named]
  member   = each.value.member
}

# Over runtime service accounts and images, whatever project they are in: one by one.

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

# People and the case files

locals {
  people = merge(
    { for member in var.operators : "operator ${member}" => { role = "operator", member = member } },
    { for member in var.approvers : "approver ${member}" => { role = "approver", member = member } },
  )
  surveyors = { for member in var.surveyors : "surveyor ${member}" => { role = "surveyor", member = member } }
}

# A person's calls, unlike a service account's, count on the project that their credentials name:
# let it be the responder's, whose APIs are on.
resource "google_project_iam_member" "quota_for_people" {
  for_each = merge(local.people, local.surveyors)

  project = var.project_id
  role    = local.own_role_names["${each.value.role}/quota-project"]
  member  = each.value.member
}

resource "google_storage_bucket_iam_member" "evidence_for_people" {
  for_each = local.people

  bucket = google_storage_bucket.evidence.name
  role   = local.own_role_names["${each.value.role}/store"]
  member = each.value.member
}

resource "google_storage_bucket_iam_member" "policy_for_people" {
  for_each = merge(
    { for key, person in local.people : key => person if person.role == "approver" },
    local.surveyors,
  )

  bucket = google_storage_bucket.policy.name
  role   = local.own_role_names["${each.value.role}/policy"]
  member = each.value.member
}

# Coverage asks Google as `respond`, and whoever may make its tokens may do what it may: until a
# moment that the operator names, and not beyond it.
resource "google_service_account_iam_member" "coverage" {
  for_each = { for key, person in local.surveyors : key => person if var.coverage_until != null }

  service_account_id = google_service_account.function["respond"].name
  role               = local.own_role_names["surveyor/responder-account"]
  member             = each.value.member

  condition {
    title       = "coverage"
    description = "Ends by itself"
    expression  = "request.time < timestamp(\"${var.coverage_until}\")"
  }
}

# Approvers carry out what the functions would, with the same key for redacted values above all, so
# that equal ones stay recognisable across their records and the functions'.
resource "google_secret_manager_secret_iam_member" "read_by_approvers" {
  for_each = {
    for pair in setproduct(var.approvers, keys(local.secrets)) :
    "${pair[0]} ${pair[1]}" => merge(local.secrets[pair[1]], { member = pair[0] })
  }

  project   = each.value.project
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}

# The kill switch, in the hands of whoever is on call: they save objects there, and can change
# neither the bucket nor who may use it. What they save over stays as a version, and what
# they delete can be restored by owners for a while (policy.tf).
resource "google_storage_bucket_iam_member" "policy_editors" {
  for_each = toset(var.policy_editors)

  bucket = google_storage_bucket.policy.name
  role   = local.own_role_names["policy-editor/policy"]
  member = each.value
}

resource "google_pubsub_topic_iam_member" "outcomes_from_people" {
  for_each = local.people

  project = var.project_id
  topic   = google_pubsub_topic.outcomes.name
  role    = local.own_role_names["${each.value.role}/topic"]
  member  = each.value.member
}

# Said at every plan

check "acting_is_possible" {
  assert {
    condition     = var.mode == "dry-run" || length(local.acting_scopes) > 0
    error_message = "The mode allows more than a dry run, but grant_acting_role is off or acting_scopes is empty: what enforcing tries will be denied."
  }
}

check "acting_is_granted_somewhere" {
  assert {
    condition     = !var.grant_acting_role || length(var.acting_scopes) + length(var.drill_services) > 0
    error_message = "grant_acting_role is on, but acting_scopes and drill_services are empty: nobody is granted anything by it."
  }
}

check "acting_is_switched_on" {
  assert {
    condition     = var.grant_acting_role || length(var.acting_scopes) + length(var.drill_services) == 0
    error_message = "acting_scopes or drill_services name something, but grant_acting_role is off: nothing is granted there, to people neither."
  }
}

check "somebody_has_the_kill_switch" {
  assert {
    condition     = length(var.policy_editors) > 0
    error_message = "There are no policy_editors: only owners of the project can change the policy, and so stop everything at once."
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

check "somebody_is_told" {
  assert {
    condition     = length(var.notification_channels) > 0
    error_message = "There are no notification_channels: alerts will open, and nobody will hear of them."
  }
}
