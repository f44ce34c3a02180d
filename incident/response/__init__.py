"""The pipeline of an incident, its triggers, and who is notified."""
