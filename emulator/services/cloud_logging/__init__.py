"""Cloud Logging API v2, and the audit log of Cloud Run writes."""
