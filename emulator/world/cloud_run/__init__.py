"""Defaults, validation rules and life cycle of Cloud Run resources. Pure."""
