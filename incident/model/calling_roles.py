"""IAM roles by which a member may call a service or start a job."""

from __future__ import annotations

INVOKER_ROLE = "roles/run.invoker"
#: Everybody, and everybody with a Google account.
PUBLIC_MEMBERS = frozenset({"allUsers", "allAuthenticatedUsers"})
