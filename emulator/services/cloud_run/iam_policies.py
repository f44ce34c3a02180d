"""IAM policies of Cloud Run resources: get and set."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.iam.v1 import iam_policy_pb2, policy_pb2

from emulator.api import method_names, proto_json
from emulator.api.errors import aborted, invalid_argument, resource_not_found
from emulator.services.gate import Method, method
from emulator.world.state import World

# What Google answers for a resource that never had a policy.
_NO_POLICY_ETAG = b"\x00\x20\x01"
_CONDITIONS_VERSION = 3
# What SetIamPolicy replaces when no mask is given.
_MASK = ("bindings", "etag")
# Which method a permission is needed for, where the two are not spelled alike.
_VERBS = {"getIamPolicy": "GetIamPolicy", "setIamPolicy": "SetIamPolicy", "list": "List"}
_SERVICE_NAMES = {
    "services": ("Services", "Service"),
    "revisions": ("Revisions", "Revision"),
    "jobs": ("Jobs", "Job"),
    "executions": ("Executions", "Execution"),
    "tasks": ("Tasks", "Task"),
    "workerpools": ("WorkerPools", "WorkerPool"),
    "instances": ("Instances", "Instance"),
}


class IamPolicies:
    """The policies of one kind of resource.

    Attributes:
        service: The gRPC service that the methods belong to.
        kind: What Cloud Run calls the resources in errors.
        resources: Those that exist, by their keys.
    """

    def __init__(
        self, world: World, service: str, kind: str, resources: Mapping[str, object]
    ) -> None:
        self._world = world
        self.service = service
        self.kind = kind
        self.resources = resources

    def methods(self) -> list[Method]:
        """GetIamPolicy, SetIamPolicy and TestIamPermissions of the service."""
        return [
            method(f"/{self.service}/GetIamPolicy", iam_policy_pb2.GetIamPolicyRequest, self.get),
            method(
                f"/{self.service}/SetIamPolicy",
                iam_policy_pb2.SetIamPolicyRequest,
                self.set,
                writes_to=lambda _: "",
            ),
            method(
                f"/{self.service}/TestIamPermissions",
                iam_policy_pb2.TestIamPermissionsRequest,
                self.test,
            ),
        ]

    async def get(self, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        """The policy of a resource, in the version that was asked for.

        Conditions are shown from version 3 on. Below it, a conditional binding appears under a
        made-up role instead, as Google documents it.
        """
        policy = self._shown(self._stored(self._key(request.resource)))
        if request.options.requested_policy_version < _CONDITIONS_VERSION:
            _encode_conditions_as_roles(policy)
        return policy

    async def set(self, request: iam_policy_pb2.SetIamPolicyRequest) -> policy_pb2.Policy:
        """Replaces the policy of a resource; an etag has to be that of the current policy."""
        key = self._key(request.resource)
        stored = self._stored(key)
        sent = request.policy
        if sent.etag and sent.etag != stored.etag:
            raise aborted(
                "There were concurrent policy changes. Please retry the whole "
                "read-modify-write with exponential backoff."
            )
        conditional = any(binding.HasField("condition") for binding in sent.bindings)
        if conditional and sent.version != _CONDITIONS_VERSION:
            raise invalid_argument("A policy with conditions must have version 3.")
        self._check_members(sent, self._shown(stored))
        policy = proto_json.copy(sent)
        for field in {"bindings", "audit_configs"} - set(request.update_mask.paths or _MASK):
            policy.ClearField(field)
            getattr(policy, field).extend(getattr(stored, field))
        digest = proto_json.fingerprint(stored.etag.hex(), proto_json.to_json(policy))
        policy.etag = bytes.fromhex(digest)[:8]
        self._world.iam_policies[key] = policy
        return policy

    async def test(
        self, request: iam_policy_pb2.TestIamPermissionsRequest
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        """Which of some permissions the caller has: all those that no fault takes away.

        A permission is denied while the method that needs it would be answered with an injected
        PERMISSION_DENIED: a fault on UpdateService takes away `run.services.update`.
        """
        self._key(request.resource)
        granted = [
            p for p in request.permissions if not self._world.faults.denies(required_method(p))
        ]
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=granted)

    def _shown(self, policy: policy_pb2.Policy) -> policy_pb2.Policy:
        """A copy of a policy in which members that were deleted are spelled as such.

        A member that was deleted stays, as `deleted:user:EMAIL?uid=DIGITS` (reference of
        `google.iam.v1.Binding`).
        """
        shown = proto_json.copy(policy)
        for binding in shown.bindings:
            members = [self._spelled(member) for member in binding.members]
            binding.ClearField("members")
            binding.members.extend(members)
        return shown

    def _spelled(self, member: str) -> str:
        if member not in self._world.deleted_principals:
            return member
        uid = int(proto_json.fingerprint(member)[:15], 16)
        return f"deleted:{member}?uid={uid:021d}"

    def _check_members(self, sent: policy_pb2.Policy, stored: policy_pb2.Policy) -> None:
        """Refuses members that were deleted, but for those that a role keeps.

        The words for a service account were seen in the live API.
        """
        kept = {(b.role, member) for b in stored.bindings for member in b.members}
        for role, member in [(b.role, member) for b in sent.bindings for member in b.members]:
            deleted = member.startswith("deleted:") or member in self._world.deleted_principals
            if deleted and (role, member) not in kept:
                kind, _, identifier = member.removeprefix("deleted:").partition(":")
                words = re.sub("([A-Z])", r" \1", kind).lower().capitalize()
                name = identifier.partition("?")[0]
                raise invalid_argument(f"{words} {name} does not exist.")

    def _key(self, name: str) -> str:
        key = self._world.canonical(name)
        if key not in self.resources:
            raise resource_not_found(self.kind, name)
        return key

    def _stored(self, key: str) -> policy_pb2.Policy:
        return self._world.iam_policies.get(key) or policy_pb2.Policy(etag=_NO_POLICY_ETAG)


def required_method(permission: str) -> str:
    """The Cloud Run method that a permission is needed for; empty for any other permission."""
    pieces = permission.split(".")
    if len(pieces) != len(("run", "services", "get")) or pieces[1] not in _SERVICE_NAMES:
        return ""
    plural, singular = _SERVICE_NAMES[pieces[1]]
    verb = _VERBS.get(pieces[2], pieces[2].capitalize() + singular)
    verb = f"List{plural}" if verb == "List" else verb
    name = f"/google.cloud.run.v2.{plural}/{verb}"
    return name if name in method_names.known_methods() else ""


def _encode_conditions_as_roles(policy: policy_pb2.Policy) -> None:
    for binding in policy.bindings:
        if binding.HasField("condition"):
            digest = proto_json.fingerprint(proto_json.to_json(binding.condition))[:20]
            binding.role = f"{binding.role}_withcond_{digest}"
            binding.ClearField("condition")
    policy.version = 1
