# Which findings Security Command Center sends. The filter only saves traffic: the function checks
# everything again by SCC's own record, and the policy says what may be contained.
#
# Only fields that the reference of ListFindings names can be filtered by for certain: category,
# parent, resource_name and state are among them, and mute is in the how-to pages; findingClass,
# which the console knows, is in neither.

locals {
  every_category = contains(var.categories, "*")

  # Control plane findings come from another source, Event Threat Detection, and how they name their
  # resource is not documented: so neither is asked of them.
  control_plane = [for category in var.control_plane_categories : "category=\"${category}\""]

  # Narrow: these categories.
  by_category = local.every_category ? [] : [
    [for category in var.categories : "category=\"${category}\""],
  ]

  # Wide, with narrow as well if it is known: all that the detector's own source reports.
  by_source = [for source in var.finding_source[*] : ["parent=\"${source}/locations/global\""]]

  # ':' is "contains": GKE's and Agent Engine's findings of the same category stay out.
  by_resource = [["resource_name:\"//run.googleapis.com/\""]]

  # `OR` binds tighter than `AND` in this language; the parentheses are for people.
  findings_filter = join(" AND ", concat(
    [
      for terms in concat(local.by_category, local.by_source, local.by_resource) :
      "(${join(" OR ", concat(terms, local.control_plane))})"
    ],
    ["state=\"ACTIVE\"", "-mute=\"MUTED\""],
  ))
}
