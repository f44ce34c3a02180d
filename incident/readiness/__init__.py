"""Readiness before an incident: coverage of policy and permissions, and drills."""
