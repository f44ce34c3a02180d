"""Snapshot, write, read back, record; and release."""
