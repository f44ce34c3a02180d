"""Playbook: the response tasks left to people, one module per subject. Pure."""
