"""Cloud Run Admin API v2: a workload's settings, and the masked writes to it.

Never sends a template, never a write without a mask: an update without one replaces every
field that it does not name, and one with a template may mint a revision or be refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.api_core.exceptions import from_grpc_status
from google.cloud import run_v2
from google.iam.v1 import iam_policy_pb2, options_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict

from clients.cloud_run_reading import access_of, settings_of, template_of
from clients.errors import calling
from clients.retries import PATIENT, PROMPT, WRITE
from incident.model import Access, Change, Kind, Settings, Template, Workload

_REVISIONS = 100
_CONDITIONAL_POLICY_VERSION = 3


class CloudRun:
    """Reads and writes Cloud Run workloads."""

    def __init__(
        self, services: run_v2.ServicesAsyncClient, revisions: run_v2.RevisionsAsyncClient
    ) -> None:
        self._services = services
        self._revisions = revisions

    async def settings(self, workload: Workload) -> Settings:
        """The workload's settings as they are now.

        Raises:
            Retry: Time may heal it.
            Missing: The workload does not exist.
            Denied: ``run.services.get`` is missing.
        """
        name = _service_name(workload)
        with calling("read the settings of", name, "run.services.get"):
            service = await self._services.get_service(name=name, **PROMPT.options())
        return settings_of(service)

    async def revisions(self, workload: Workload) -> tuple[Template, ...]:
        """The workload's revisions, newest first, at most a hundred.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = _service_name(workload)
        found: list[Template] = []
        with calling("list the revisions of", name, "run.revisions.list"):
            request = run_v2.ListRevisionsRequest(parent=name, page_size=_REVISIONS)
            pages = await self._revisions.list_revisions(request, **PATIENT.options())
            async for revision in pages:
                found.append(template_of(revision))
                if len(found) == _REVISIONS:
                    break
        return tuple(sorted(found, key=_age, reverse=True))

    async def access(self, workload: Workload) -> Access:
        """The workload's own IAM policy, with conditional bindings.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = _service_name(workload)
        options = options_pb2.GetPolicyOptions(requested_policy_version=_CONDITIONAL_POLICY_VERSION)
        request = iam_policy_pb2.GetIamPolicyRequest(resource=name, options=options)
        with calling("read the IAM policy of", name, "run.services.getIamPolicy"):
            policy = await self._services.get_iam_policy(request, **PATIENT.options())
        return access_of(policy)

    async def lacking(self, workload: Workload, permissions: Sequence[str]) -> tuple[str, ...]:
        """Which of some permissions on the workload we do not have.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not.
        """
        name = _service_name(workload)
        request = iam_policy_pb2.TestIamPermissionsRequest(resource=name, permissions=permissions)
        with calling("test our permissions on", name, "run.services.get"):
            answer = await self._services.test_iam_permissions(request, **PATIENT.options())
        return tuple(sorted(set(permissions) - set(answer.permissions)))

    async def write(self, change: Change, *, validate_only: bool) -> int | None:
        """Send one change: only its fields, by its mask.

        The API answers when it has accepted the write, not when it is in effect; and no
        condition on what was there before is sent, since the API does not hold to it.

        Returns:
            The generation that the write made, where the answer tells it.

        Raises:
            Conflict: Another change to the workload is under way.
            Retry: Time may heal it. The write may have been accepted all the same.
            GiveUp: Google refuses the change.
        """
        service = ParseDict({"name": change.target, **change.after}, run_v2.Service.pb()())
        request = run_v2.UpdateServiceRequest(
            service=run_v2.Service.wrap(service),
            update_mask=FieldMask(paths=change.mask),
            validate_only=validate_only,
        )
        verb = "validate a change of" if validate_only else "change"
        with calling(verb, change.target, "run.services.update"):
            operation = await self._services.update_service(request, **WRITE.options())
            failed = await _failure(operation)
            if failed is not None:
                raise failed
        return _generation(operation.operation)


async def _failure(operation: Any) -> Exception | None:
    """Why an accepted operation has failed already; None when it has not."""
    if not operation.operation.done or await operation.exception() is None:
        return None
    error = operation.operation.error
    failure: Exception = from_grpc_status(error.code, error.message)  # type: ignore[no-untyped-call]
    return failure


def _generation(operation: Any) -> int | None:
    """The generation that an accepted write made, where the operation tells it."""
    service = run_v2.Service.pb()()
    if not operation.metadata.Unpack(service):
        return None
    return int(service.generation) or None


def _service_name(workload: Workload) -> str:
    if workload.kind is not Kind.SERVICE:
        raise ValueError(f"{workload.resource_name} is not a service")
    return workload.resource_name


def _age(template: Template) -> tuple[float, str]:
    made = template.create_time
    return (made.timestamp() if made else 0.0, template.revision)
