# Who is granted what on workloads, on the accounts that these run as, and on their images. Values
# only: roles.tf makes the roles and the grants, and tests evaluate what stands here.

locals {
  scope_kind = split("/", var.scope)[0]
  scope_id   = split("/", var.scope)[1]

  permissions = jsondecode(file("${path.module}/../../permissions.json"))

  # Where a role with a permission of each scope is granted. What concerns workloads, their projects'
  # logs and their findings goes together; what writes to them, apart from what reads.
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
    responder-account       = "responder-account"
    hierarchy               = "hierarchy"
  }

  # A permission that only some actions need is left out where none of them is named.
  actions = flatten([for kind, names in var.actions : [for name in names : "${kind}/${name}"]])
  needed = [
    for row in local.permissions : row
    if !can(row.actions) || length(setintersection(try(row.actions, []), local.actions)) > 0
  ]

  # One row for each permission and role. Whatever the actor has is a write, also in the hands of
  # people: it goes to "acting", and no role for "scope" has it.
  role_rows = flatten([
    for row in local.needed : [
      for role in row.roles : {
        role       = role
        place      = local.places[row.scope] == "scope" && contains(row.roles, "actor") ? "acting" : local.places[row.scope]
        permission = row.permission
      }
    ]
  ])

  # "reader/store" => its permissions. A role is for one kind of place, so that none carries what
  # it needs elsewhere.
  roles = merge(
    { for key, names in { for row in local.role_rows : "${row.role}/${row.place}" => row.permission... } : key => distinct(names) },
    # The drill's own: what an approver needs on one service to stop it, and give it back.
    {
      for key, names in { "approver/drill" = [
        for row in local.role_rows : row.permission
        if row.role == "approver" && row.place == "acting" && startswith(row.permission, "run.services.")
      ] } : key => names if length(names) > 0
    },
  )

  role_ids = { for key in keys(local.roles) : key => replace("${var.name}_${key}${var.name_suffix}", "/[^a-zA-Z0-9]/", "_") }

  target_accounts = distinct([
    for account in var.target_service_accounts :
    # NAME@PROJECT.iam.gserviceaccount.com tells its project; others are given with it.
    startswith(account, "projects/") ? account : "projects/${split(".", split("@", account)[1])[0]}/serviceAccounts/${account}"
  ])
  target_repositories = distinct(var.image_repositories)

  functions_members = [for name in keys(local.functions) : "function ${name}"]

  # The master switch, and then one place after the other.
  acting_scopes  = var.grant_acting_role ? distinct(var.acting_scopes) : []
  drill_services = var.grant_acting_role ? distinct(var.drill_services) : []

  # Whoever may write to a workload at all: only they need what goes with an update. Cloud Run asks
  # for both on every one, even of scaling alone.
  acting_members = concat(
    [for member in local.functions_members : { role = "actor", member = member } if length(local.acting_scopes) > 0],
    [for member in var.operators : { role = "operator", member = member } if length(local.acting_scopes) > 0],
    [for member in var.approvers : { role = "approver", member = member } if length(local.acting_scopes) + length(local.drill_services) > 0],
  )

  # Every grant: the role, the member, and the resource, by the form of whose name it is told what
  # it is. actAs on an account is the power to be it, so a whole project's worth of it would make
  # the responder whatever runs there: accounts and repositories are named one by one.
  wanted_grants = concat(
    [for member in local.functions_members : { role = "reader/scope", member = member, on = var.scope }],
    [for member in var.operators : { role = "operator/scope", member = member, on = var.scope }],
    [for member in var.approvers : { role = "approver/scope", member = member, on = var.scope }],
    [for member in var.surveyors : { role = "surveyor/scope", member = member, on = var.scope }],
    # There is nothing to walk through below a project, and a project's role cannot have these.
    [for member in var.surveyors : { role = "surveyor/hierarchy", member = member, on = var.scope } if local.scope_kind != "projects"],
    [
      for pair in setproduct(local.acting_members, local.acting_scopes) :
      { role = "${pair[0].role}/acting", member = pair[0].member, on = pair[1] }
    ],
    [
      for pair in setproduct(var.approvers, local.drill_services) :
      { role = "approver/drill", member = pair[0], on = pair[1] }
    ],
    [
      for pair in setproduct(local.acting_members, local.target_accounts) :
      { role = "${pair[0].role}/runtime-service-account", member = pair[0].member, on = pair[1] }
    ],
    [
      for pair in setproduct(local.acting_members, local.target_repositories) :
      { role = "${pair[0].role}/image-repository", member = pair[0].member, on = pair[1] }
    ],
  )

  # Where no action needs anything of the kind, there is no such role.
  grants = [for grant in local.wanted_grants : grant if contains(keys(local.roles), grant.role)]

  # By what they are on, each under a name that says it all.
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

  # Custom roles live in the organization, from where they can be granted everywhere below. With a
  # project as scope nobody needs rights in the organization: a role lives in each project where it
  # is granted, since a project's role can be granted in that project alone.
  own_places = ["store", "policy", "topic", "quota-project", "responder-account"]
  role_projects = merge(
    {
      scope                   = [local.scope_id]
      acting                  = [local.scope_id]
      drill                   = [local.scope_id]
      hierarchy               = []
      runtime-service-account = distinct([for account in local.target_accounts : split("/", account)[1]])
      image-repository        = distinct([for repository in local.target_repositories : split("/", repository)[1]])
    },
    { for place in local.own_places : place => [var.project_id] },
  )

  # "reader/store sec-responder" => what it is made of. In the organization the name has no project.
  project_roles = {
    for role in flatten([
      for key, permissions in local.roles : [
        for project in local.role_projects[split("/", key)[1]] : { key = key, project = project, permissions = permissions }
      ]
    ]) : "${role.key} ${role.project}" => role if local.scope_kind == "projects"
  }
}
