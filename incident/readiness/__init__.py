"""Before an incident: coverage of permissions and policy, and drills."""
