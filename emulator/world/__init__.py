"""The emulated state: one JSON document, and plausible surroundings of a finding."""
