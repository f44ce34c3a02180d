terraform {
  # Optional attributes with defaults, check blocks and preconditions: all there since 1.5.
  required_version = ">= 1.5, < 2.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # Checked against the schema of 6.50. A new major version removes arguments: read its upgrade
      # guide, then raise the bound. A module has no lock file; the root that calls it does.
      version = ">= 6.0, < 8.0"
    }
  }
}
