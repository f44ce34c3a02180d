"""Scheduled checks: drift of containments, unfinished incidents, expired approvals."""
