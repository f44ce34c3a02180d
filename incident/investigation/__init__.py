"""Collectors of evidence: settings, access, logs, deployments, exposure, reputation."""
