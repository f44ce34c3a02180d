"""Assessment, policy and guards to a decision."""
