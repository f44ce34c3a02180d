"""Cloud Run Admin API v2."""
