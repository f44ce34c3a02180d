# Which findings Security Command Center sends. The filter only saves traffic: the function checks
# everything again by SCC's own record, and the policy says what may be contained.

locals {
  # `OR` binds tighter than `AND` in this language; the parentheses are for people.
  named_categories = "(${join(" OR ", [for category in var.categories : "category=\"${category}\""])})"

  # The wide form. findingClass is not in the documented list of fields that can be filtered by.
  every_threat = "findingClass=\"THREAT\""

  # ':' is "contains": GKE's and Agent Engine's findings of the same category stay out.
  findings_filter = join(" AND ", [
    contains(var.categories, "*") ? local.every_threat : local.named_categories,
    "state=\"ACTIVE\"",
    "-mute=\"MUTED\"",
    "resource_name:\"//run.googleapis.com/\"",
  ])
}
