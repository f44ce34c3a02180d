"""Message bytes, or Security Command Center's record, to a finding."""
