# Who may write where. Everything that could be named is named; the switch decides.

mock_provider "google" {}

variables {
  organization_id = "123456789012"
  scope           = "organizations/123456789012"
  findings_topic  = "projects/sec-responder-prod/topics/threat-responder-findings"
  service_accounts = {
    respond = "threat-responder-respond@sec-responder-prod.iam.gserviceaccount.com"
    patrol  = "threat-responder-patrol@sec-responder-prod.iam.gserviceaccount.com"
  }

  operators = ["group:operators@example.com"]
  approvers = ["group:approvers@example.com"]
  surveyors = ["group:surveyors@example.com"]

  acting_scopes  = ["projects/sandbox-1", "folders/7"]
  drill_services = ["projects/sandbox-1/locations/europe-west1/services/guinea-pig"]
  target_service_accounts = [
    "guinea-pig@sandbox-1.iam.gserviceaccount.com",
    "projects/accounts-1/serviceAccounts/storefront@accounts-1.iam.gserviceaccount.com",
  ]
  image_repositories = ["projects/shared-images/locations/us/repositories/web"]
  actions = {
    service     = ["scale-to-zero", "isolate-revision", "restrict-ingress", "require-authentication"]
    worker-pool = ["scale-to-zero"]
    job         = ["cancel-executions", "require-authentication"]
    instance    = ["stop-instance"]
  }
}

run "day_one_can_write_nowhere" {
  command = plan

  assert {
    condition     = !var.grant_acting_role
    error_message = "The master switch is on by default."
  }
  assert {
    condition     = toset([for grant in local.grants : grant.on]) == toset([var.scope])
    error_message = "Something is granted beside the scope."
  }
  assert {
    condition     = toset([for grant in local.grants : grant.role]) == toset(["reader", "operator", "surveyor"])
    error_message = "A role beside the reading ones is granted."
  }
  assert {
    condition = length([
      for permission in flatten([for grant in local.grants : local.roles[grant.role]]) : permission
      if can(regex("\\.(update|setIamPolicy|cancel|actAs|delete|create|getAccessToken)$", permission))
    ]) == 0
    error_message = "A reading role can write."
  }
  assert {
    condition = 0 == sum([
      length(google_folder_iam_member.workloads), length(google_project_iam_member.workloads),
      length(google_cloud_run_v2_service_iam_member.drill), length(google_service_account_iam_member.act_as),
      length(google_artifact_registry_repository_iam_member.images),
    ])
    error_message = "There is a grant on a project, a service, an account or a repository."
  }

  # Places are named, and nothing is granted there: said at every plan.
  expect_failures = [check.acting_is_switched_on]
}

run "the_defaults_name_no_place" {
  command = plan

  variables {
    acting_scopes           = []
    drill_services          = []
    target_service_accounts = []
    image_repositories      = []
  }

  assert {
    condition     = length(output.acting_scopes) == 0
    error_message = "There is a place to act in."
  }
}

run "the_switch_alone_grants_nothing" {
  command = plan

  variables {
    grant_acting_role = true
    acting_scopes     = []
    drill_services    = []
  }

  assert {
    condition     = toset([for grant in local.grants : grant.on]) == toset([var.scope])
    error_message = "Accounts or images were granted without a place to act in."
  }

  expect_failures = [check.acting_is_granted_somewhere]
}

run "a_drill_is_for_approvers_on_one_service" {
  command = plan

  variables {
    grant_acting_role = true
    acting_scopes     = []
  }

  assert {
    condition = toset([for grant in local.grants : "${grant.role} ${grant.member}" if grant.on != var.scope]) == toset([
      "drill group:approvers@example.com", "act-as group:approvers@example.com", "image-reader group:approvers@example.com",
    ])
    error_message = "Something else than the drill is granted, or to others than approvers."
  }
  assert {
    condition     = toset(local.roles.drill) == toset(["run.services.update", "run.services.setIamPolicy"])
    error_message = "The drill's role has other permissions than to stop a service and release it."
  }
  assert {
    condition     = [for member in google_cloud_run_v2_service_iam_member.drill : member.name] == ["guinea-pig"]
    error_message = "The drill's role is granted on another service."
  }
}

run "acting_is_granted_where_it_is_named" {
  command = plan

  variables {
    grant_acting_role = true
  }

  assert {
    condition     = toset([for grant in local.grants : grant.on if grant.role == "actor"]) == toset(["projects/sandbox-1", "folders/7"])
    error_message = "The acting role is granted elsewhere."
  }
  assert {
    condition     = toset([for grant in local.grants : grant.member if grant.role == "actor"]) == toset(["function respond", "function patrol", "group:approvers@example.com"])
    error_message = "The acting role is granted to others than the functions and approvers."
  }
  assert {
    condition     = toset([for grant in local.grants : grant.member if grant.role == "releaser"]) == toset(["group:operators@example.com"])
    error_message = "The releasing role is granted to others than operators."
  }
  assert {
    condition     = !contains([for grant in local.grants : grant.member if !contains(["surveyor"], grant.role)], "group:surveyors@example.com")
    error_message = "A surveyor is granted more than listing."
  }
  assert {
    condition = alltrue([
      for grant in local.grants :
      contains(local.roles[grant.role], "iam.serviceAccounts.actAs") == can(regex("/serviceAccounts/", grant.on))
    ])
    error_message = "actAs is granted on something else than one service account."
  }
  assert {
    condition = alltrue([
      for grant in local.grants :
      contains(local.roles[grant.role], "artifactregistry.repositories.downloadArtifacts") == can(regex("/repositories/", grant.on))
    ])
    error_message = "Reading images is granted on something else than one repository."
  }
  assert {
    condition     = length(local.grants) == sum([for some in values(local.grants_on) : length(some)])
    error_message = "A grant is made by no resource, or by two."
  }
  assert {
    condition     = google_service_account_iam_member.act_as["act-as function respond projects/sandbox-1/serviceAccounts/guinea-pig@sandbox-1.iam.gserviceaccount.com"].member == "serviceAccount:threat-responder-respond@sec-responder-prod.iam.gserviceaccount.com"
    error_message = "The function's account is not the one that was given."
  }
}

run "operators_release_and_cancel_nothing" {
  command = plan

  variables {
    grant_acting_role = true
  }

  assert {
    condition     = !contains(local.roles.releaser, "run.executions.cancel") && contains(local.roles.actor, "run.executions.cancel")
    error_message = "Operators can cancel an execution, which cannot be released."
  }
  assert {
    condition     = length(setsubtract(local.roles.releaser, local.roles.actor)) == 0
    error_message = "Operators can write what approvers cannot."
  }
  assert {
    condition     = contains(local.roles.operator, "run.executions.list")
    error_message = "A runbook has operators list executions."
  }
}

run "no_permission_is_lost_between_the_list_and_the_roles" {
  command = plan

  variables {
    disable_service_accounts = ["storefront@accounts-1.iam.gserviceaccount.com"]
    actions = {
      service     = ["scale-to-zero", "isolate-revision", "restrict-ingress", "require-authentication", "disable-service-account"]
      worker-pool = ["scale-to-zero"]
      job         = ["cancel-executions", "require-authentication"]
      instance    = ["stop-instance"]
    }
  }

  assert {
    condition = toset(local.permissions[*].scope) == toset([
      "workload", "project", "security-center", "inventory", "runtime-service-account", "disabled-service-account", "image-repository", # here
      "store", "policy", "topic", "quota-project", "responder-account", "responder-project",                                            # the responder's
    ])
    error_message = "A scope of permissions.json is in no module: say which roles are made of it, and where they are granted."
  }

  assert {
    condition = length(setsubtract(
      [
        for row in local.permissions : row.permission
        if contains(["workload", "project", "security-center", "inventory", "runtime-service-account", "disabled-service-account", "image-repository"], row.scope)
      ],
      flatten(values(local.roles)),
    )) == 0
    error_message = "A permission of permissions.json is in no role."
  }
  assert {
    condition     = length(distinct([for permissions in local.roles : join(" ", sort(permissions))])) == length(local.roles)
    error_message = "Two roles have the same permissions."
  }

  expect_failures = [check.acting_is_switched_on]
}

run "a_role_has_what_its_holders_need_and_no_more" {
  command = plan

  assert {
    condition = alltrue([
      for role in ["reader", "operator"] : toset(local.roles[role]) == toset([
        for row in local.permissions : row.permission
        if contains(row.roles, role) && !contains(row.roles, "actor") && contains(["workload", "project", "security-center"], row.scope)
      ])
    ])
    error_message = "A reading role has other permissions than those that need it."
  }
  assert {
    condition = toset(local.roles.surveyor) == toset([
      "cloudasset.assets.searchAllResources",
      "run.instances.list", "run.jobs.list", "run.locations.list", "run.services.list", "run.workerpools.list",
    ])
    error_message = "Surveyors may do more than list."
  }
  assert {
    condition     = toset(local.roles.act-as) == toset(["iam.serviceAccounts.actAs"]) && toset(local.roles.image-reader) == toset(["artifactregistry.repositories.downloadArtifacts"])
    error_message = "What is granted on accounts and images is more than what an update asks for."
  }

  expect_failures = [check.acting_is_switched_on]
}

run "the_inventory_is_searched_where_it_is_switched_on" {
  command = plan

  variables {
    inventory = true
  }

  assert {
    condition     = contains(local.roles.reader, "cloudasset.assets.searchAllResources") && !contains(local.roles.operator, "cloudasset.assets.searchAllResources")
    error_message = "The functions cannot search the inventory, or operators can."
  }

  expect_failures = [check.acting_is_switched_on]
}

run "what_the_shipped_policy_does_not_need_is_in_no_role" {
  command = plan

  variables {
    actions = {
      service     = ["scale-to-zero"]
      worker-pool = ["scale-to-zero"]
      job         = ["cancel-executions", "require-authentication"]
    }
  }

  assert {
    condition     = contains(local.roles.actor, "run.services.update") && !contains(flatten(values(local.roles)), "run.services.setIamPolicy")
    error_message = "Somebody may edit who may invoke a service, which is the power to invite oneself."
  }

  expect_failures = [check.acting_is_switched_on]
}

run "actions_on_jobs_alone_need_no_account_and_no_image" {
  command = plan

  variables {
    grant_acting_role = true
    actions           = { job = ["cancel-executions"] }
  }

  assert {
    condition     = length(setintersection(keys(local.roles), ["act-as", "image-reader", "drill"])) == 0
    error_message = "There is a role that no action needs."
  }
  assert {
    condition     = contains(local.roles.actor, "run.executions.cancel") && length(google_service_account_iam_member.act_as) == 0
    error_message = "The role for jobs is incomplete, or an account is granted."
  }
}

run "accounts_may_be_disabled_one_by_one" {
  command = plan

  variables {
    grant_acting_role        = true
    disable_service_accounts = ["storefront@accounts-1.iam.gserviceaccount.com"]
    actions = {
      service = ["scale-to-zero", "disable-service-account"]
    }
  }

  assert {
    condition = toset([for grant in local.grants : "${grant.member} ${grant.on}" if grant.role == "disable"]) == toset([
      for member in ["function respond", "function patrol", "group:approvers@example.com", "group:operators@example.com"] :
      "${member} projects/accounts-1/serviceAccounts/storefront@accounts-1.iam.gserviceaccount.com"
    ])
    error_message = "The right to disable an account is granted to others, or elsewhere than on the account."
  }
  assert {
    condition     = toset(local.roles.disable) == toset(["iam.serviceAccounts.get", "iam.serviceAccounts.disable", "iam.serviceAccounts.enable"])
    error_message = "The role has other permissions than to read, disable and enable."
  }
  assert {
    condition = length([
      for key, permissions in local.roles : key
      if key != "disable" && length(setintersection(permissions, local.roles.disable)) > 0
    ]) == 0
    error_message = "Another role can disable accounts."
  }
}

run "nobody_may_disable_accounts_by_default" {
  command = plan

  variables {
    grant_acting_role = true
  }

  assert {
    condition     = !contains(keys(local.roles), "disable") && length([for grant in local.grants : grant if grant.role == "disable"]) == 0
    error_message = "Somebody may disable accounts although nothing is listed."
  }
}

run "with_a_project_as_scope_a_role_lives_where_it_is_granted" {
  command = plan

  variables {
    scope             = "projects/sandbox-1"
    grant_acting_role = true
    acting_scopes     = ["projects/sandbox-1"]
  }

  assert {
    condition     = length(google_organization_iam_custom_role.role) == 0 && length(google_organization_iam_member.workloads) == 0
    error_message = "Rights in the organization are needed."
  }
  assert {
    condition     = alltrue([for grant in local.grants : contains(keys(local.project_roles), "${grant.role} ${split("/", grant.on)[1]}")])
    error_message = "A role is granted in a project that it does not live in."
  }
  assert {
    condition     = toset([for role in google_project_iam_custom_role.role : role.project]) == toset(["sandbox-1", "accounts-1", "shared-images"])
    error_message = "A role is made in another project."
  }
}

run "above_projects_the_organization_has_the_roles" {
  command = plan

  variables {
    scope             = "folders/7"
    grant_acting_role = true
  }

  assert {
    condition     = length(google_project_iam_custom_role.role) == 0 && length(google_organization_iam_custom_role.role) == length(local.roles)
    error_message = "A role is not the organization's."
  }
  assert {
    condition     = length(google_folder_iam_member.workloads) > 0 && length(google_organization_iam_member.workloads) == 0
    error_message = "The reading roles are granted above the scope."
  }
}

run "ids_of_roles_are_valid_and_change_with_the_suffix" {
  command = plan

  variables {
    name        = "nnnnnnnnnnnnnnnnnnnnnn"
    name_suffix = "-2222222"
  }

  assert {
    condition     = alltrue([for id in values(local.role_ids) : can(regex("^[a-zA-Z0-9_]{3,64}$", id)) && endswith(id, "_2222222")])
    error_message = "An id is too long, or does not end with the suffix."
  }
  assert {
    condition     = length(distinct(values(local.role_ids))) == length(local.roles)
    error_message = "Two roles have the same id."
  }

  expect_failures = [check.acting_is_switched_on]
}
