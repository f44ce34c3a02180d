terraform {
  # Optional attributes with defaults, check blocks and preconditions: all there since 1.5.
  required_version = ">= 1.5, < 2.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # Validated, planned and tested with 6.41.0 and 7.45.0. A new major version removes arguments:
      # read its upgrade guide, then raise the bound. A module has no lock file; its root does.
      version = ">= 6.41, < 8.0"
    }
  }
}
