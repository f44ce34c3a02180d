terraform {
  # Optional attributes with defaults, check blocks and preconditions: all there since 1.5.
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0"
    }
  }
}
