"""Cloud Storage, by its XML and JSON APIs."""
