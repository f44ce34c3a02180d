"""Secrets out of text and JSON: known values, credential patterns, keyed marks."""
