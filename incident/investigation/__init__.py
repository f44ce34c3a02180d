"""Collect and describe evidence: settings, access, logs, deployments, exposure, reputation."""
