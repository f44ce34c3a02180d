"""IAM admin API v1: get, disable and enable a service account, and test permissions on it.

The types of the library are imported when the first request arrives: it takes 0.3 s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from google.iam.v1 import iam_policy_pb2
from google.protobuf import empty_pb2

from emulator.api import proto_json
from emulator.api.errors import not_found
from emulator.services.gate import Method
from emulator.world.service_accounts import ServiceAccount
from emulator.world.state import World

_SERVICE = "/google.iam.admin.v1.IAM/"
_METHODS = {
    "iam.serviceAccounts.get": "GetServiceAccount",
    "iam.serviceAccounts.disable": "DisableServiceAccount",
    "iam.serviceAccounts.enable": "EnableServiceAccount",
}


class ServiceAccountAdmin:
    """The service accounts of the world, as IAM administers them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def methods(self) -> list[Method]:
        """What a responder calls; all else of the service is not implemented."""
        return [
            _method("GetServiceAccount", self._get),
            _method("DisableServiceAccount", self._disable, writes=True),
            _method("EnableServiceAccount", self._enable, writes=True),
            Method(
                f"{_SERVICE}TestIamPermissions",
                proto_json.parser(iam_policy_pb2.TestIamPermissionsRequest),
                self._test,
            ),
        ]

    async def _get(self, request: Any) -> Any:
        from google.cloud import iam_admin_v1  # noqa: PLC0415 - see the module's first lines

        account = self._find(request.name)
        return proto_json.from_json(iam_admin_v1.ServiceAccount, account.to_json())

    async def _disable(self, request: Any) -> empty_pb2.Empty:
        """Disable it; of one that is disabled it is no error, as in Google's API."""
        self._find(request.name).disabled = True
        return empty_pb2.Empty()

    async def _enable(self, request: Any) -> empty_pb2.Empty:
        self._find(request.name).disabled = False
        return empty_pb2.Empty()

    async def _test(
        self, request: iam_policy_pb2.TestIamPermissionsRequest
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        """All permissions but those whose method a fault denies."""
        self._find(request.resource)
        granted = [
            permission
            for permission in request.permissions
            if not self._world.faults.denies(_SERVICE + _METHODS.get(permission, ""))
        ]
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=granted)

    def _find(self, name: str) -> ServiceAccount:
        account = self._world.service_accounts.find(name)
        if account is None or f"serviceAccount:{account.email}" in self._world.deleted_principals:
            raise not_found("Unknown service account")
        return account


def _method(name: str, handle: Callable[[Any], Awaitable[Any]], *, writes: bool = False) -> Method:
    def parse(data: bytes) -> Any:
        from google.cloud import iam_admin_v1  # noqa: PLC0415 - see the module's first lines

        return proto_json.parser(getattr(iam_admin_v1, f"{name}Request"))(data)

    return Method(
        _SERVICE + name, parse, handle, (lambda request: str(request.name)) if writes else None
    )
