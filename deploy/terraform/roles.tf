# Who may do what. Every permission stands in deploy/permissions.json, one line each, with its
# reason, its roles and where these are granted; nothing is granted by a wider, ready-made role.
# A test holds that file against what the code says it needs.

locals {
  permissions = jsondecode(file("${path.module}/../permissions.json"))

  role_titles = {
    reader   = "confirms findings, gathers evidence, keeps case files"
    actor    = "contains workloads; granted with grant_acting_role only"
    operator = "for people: lists, shows and releases"
    approver = "for people: approves, contains by hand, or drills"
    surveyor = "for people: lists workloads, for coverage"
  }

  # Where a role with a permission of each scope is granted. What concerns workloads, their projects'
  # logs and their findings goes together: all of it is granted on `scope`.
  places = {
    workload                = "scope"
    project                 = "scope"
    security-center         = "scope"
    runtime-service-account = "runtime-service-account"
    image-repository        = "image-repository"
    store                   = "store"
    policy                  = "policy"
    topic                   = "topic"
    quota-project           = "quota-project"
  }

  # "reader/store" => its permissions. A role is for one kind of place, so that none carries what
  # it needs elsewhere.
  roles = {
    for key, rows in {
      for row in flatten([
        for permission in local.permissions : [
          for role in permission.roles : { key = "${role}/${local.places[permission.scope]}", name = permission.permission }
        ]
      ]) : row.key => row.name...
    } : key => distinct(rows)
  }

  # Custom roles live in the organization, from where they can be granted everywhere below. With a
  # project as scope nobody needs rights in the organization: they live where they are granted.
  own_places    = ["store", "policy", "topic", "quota-project"]
  project_roles = local.scope_kind == "projects" ? local.roles : {}
  role_names = merge(
    { for key, role in google_organization_iam_custom_role.role : key => role.name },
    { for key, role in google_project_iam_custom_role.role : key => role.name },
  )
}

resource "google_organization_iam_custom_role" "role" {
  for_each = { for key, permissions in local.roles : key => permissions if local.scope_kind != "projects" }

  org_id      = var.organization_id
  role_id     = replace("${var.name}_${each.key}", "/[^a-zA-Z0-9]/", "_")
  title       = "Responder ${each.key}"
  description = local.role_titles[split("/", each.key)[0]]
  permissions = each.value

  depends_on = [google_project_service.api]
}

resource "google_project_iam_custom_role" "role" {
  for_each = local.project_roles

  project     = contains(local.own_places, split("/", each.key)[1]) ? var.project_id : local.scope_id
  role_id     = replace("${var.name}_${each.key}", "/[^a-zA-Z0-9]/", "_")
  title       = "Responder ${each.key}"
  description = local.role_titles[split("/", each.key)[0]]
  permissions = each.value

  depends_on = [google_project_service.api]
}

# Over workloads: reading in all of the scope, acting where it is allowed

locals {
  acting_scopes = coalesce(var.acting_scopes, [var.scope])

  workload_grants = concat(
    [for name in keys(local.functions) : { role = "reader", scope = var.scope, function = name, member = null }],
    [
      for pair in setproduct(keys(local.functions), local.acting_scopes) :
      { role = "actor", scope = pair[1], function = pair[0], member = null } if var.grant_acting_role
    ],
    [for member in var.operators : { role = "operator", scope = var.scope, function = null, member = member }],
    [for member in var.approvers : { role = "approver", scope = var.scope, function = null, member = member }],
    [for member in var.surveyors : { role = "surveyor", scope = var.scope, function = null, member = member }],
  )

  # "actor patrol folders/1" => the grant, with the member that it is for.
  workload_grants_by_name = {
    for grant in local.workload_grants :
    "${grant.role} ${coalesce(grant.function, grant.member)} ${grant.scope}" => grant
  }
}

resource "google_organization_iam_member" "workloads" {
  for_each = { for key, grant in local.workload_grants_by_name : key => grant if startswith(grant.scope, "organizations/") }

  org_id = split("/", each.value.scope)[1]
  role   = local.role_names["${each.value.role}/scope"]
  member = each.value.function == null ? each.value.member : google_service_account.function[each.value.function].member
}

resource "google_folder_iam_member" "workloads" {
  for_each = { for key, grant in local.workload_grants_by_name : key => grant if startswith(grant.scope, "folders/") }

  folder = each.value.scope
  role   = local.role_names["${each.value.role}/scope"]
  member = each.value.function == null ? each.value.member : google_service_account.function[each.value.function].member
}

resource "google_project_iam_member" "workloads" {
  for_each = { for key, grant in local.workload_grants_by_name : key => grant if startswith(grant.scope, "projects/") }

  project = split("/", each.value.scope)[1]
  role    = local.role_names["${each.value.role}/scope"]
  member  = each.value.function == null ? each.value.member : google_service_account.function[each.value.function].member
}

# Over runtime service accounts and images: one by one. actAs on an account is the power to be it,
# so a whole project's worth of it would make the responder whatever runs there, and on the default
# compute account an editor. Cloud Run asks for both on an update, even of scaling alone.

locals {
  # Who acts on a workload: the functions where they may act at all, and people.
  acting_members = merge(
    { for name in keys(local.functions) : name => { role = "actor", function = name, member = null } if var.grant_acting_role },
    { for member in var.operators : "operator ${member}" => { role = "operator", function = null, member = member } },
    { for member in var.approvers : "approver ${member}" => { role = "approver", function = null, member = member } },
  )

  target_accounts     = distinct([for target in var.target_service_accounts : target.service_account])
  target_repositories = distinct(flatten([for target in var.target_service_accounts : target.repositories]))
}

resource "google_service_account_iam_member" "act_as" {
  for_each = {
    for pair in setproduct(keys(local.acting_members), local.target_accounts) :
    "${pair[0]} ${pair[1]}" => merge(local.acting_members[pair[0]], { account = pair[1] })
  }

  service_account_id = each.value.account
  role               = local.role_names["${each.value.role}/runtime-service-account"]
  member             = each.value.function == null ? each.value.member : google_service_account.function[each.value.function].member
}

resource "google_artifact_registry_repository_iam_member" "images" {
  for_each = {
    for pair in setproduct(keys(local.acting_members), local.target_repositories) :
    "${pair[0]} ${pair[1]}" => merge(local.acting_members[pair[0]], { place = split("/", pair[1]) })
  }

  project    = each.value.place[1]
  location   = each.value.place[3]
  repository = each.value.place[5]
  role       = local.role_names["${each.value.role}/image-repository"]
  member     = each.value.function == null ? each.value.member : google_service_account.function[each.value.function].member
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
  role    = local.role_names["${each.value.role}/quota-project"]
  member  = each.value.member
}

resource "google_storage_bucket_iam_member" "evidence_for_people" {
  for_each = local.people

  bucket = google_storage_bucket.evidence.name
  role   = local.role_names["${each.value.role}/store"]
  member = each.value.member
}

resource "google_storage_bucket_iam_member" "policy_for_people" {
  for_each = merge(
    { for key, person in local.people : key => person if person.role == "approver" },
    local.surveyors,
  )

  bucket = google_storage_bucket.policy.name
  role   = local.role_names["${each.value.role}/policy"]
  member = each.value.member
}

resource "google_pubsub_topic_iam_member" "outcomes_from_people" {
  for_each = local.people

  project = var.project_id
  topic   = google_pubsub_topic.outcomes.name
  role    = local.role_names["${each.value.role}/topic"]
  member  = each.value.member
}

# Said at every plan

check "acting_is_possible" {
  assert {
    condition     = var.mode == "dry-run" || var.grant_acting_role
    error_message = "The mode allows more than a dry run, but grant_acting_role is off: what enforcing tries will be denied."
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
