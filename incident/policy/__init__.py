"""The operator's policy file: rules, mode, actions, limits."""
