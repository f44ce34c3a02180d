"""Security Command Center v2 client: list findings, set security marks and external systems."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from google.cloud import securitycenter_v2 as scc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

from clients.errors import google_call
from clients.filters import findings_named, findings_of, findings_since
from clients.observed_secrets import ObservedSecrets
from clients.paging import ListBounds, read_all
from clients.retries import PATIENT, PROMPT
from incident.model import GrantScope, JsonObject, Listing, Permission, Workload, found_in

_PAGE_SIZE = 1000
# The decision waits for the confirmation; the other findings are supporting evidence.
_CONFIRMING, _SUPPORTING = ListBounds(20_000, 30), ListBounds(20_000, 8)
_PRECISION = timedelta(seconds=1)

LIST = Permission(
    "securitycenter.findings.list",
    GrantScope.SECURITY_CENTER,
    "confirms the finding, and finds those related to it",
)
_MARK = Permission(
    "securitycenter.findingsecuritymarks.update",
    GrantScope.SECURITY_CENTER,
    "sets security marks with the outcome",
)
_LINK = Permission(
    "securitycenter.findingexternalsystems.update",
    GrantScope.SECURITY_CENTER,
    "links the case file to the finding",
)
#: What updating a finding after a containment or a release needs.
UPDATE_FINDING = (_MARK, _LINK)


class SecurityCenter:
    """Lists findings, and writes the outcome of an incident to them.

    Findings are returned as proto JSON of ``ListFindings`` results.

    Args:
        client: Google's client.
        observed_secrets: Collects the environment values that are read; None to collect nothing.
    """

    def __init__(
        self, client: scc.SecurityCenterAsyncClient, observed_secrets: ObservedSecrets | None = None
    ) -> None:
        self._client = client
        self._observed_secrets = observed_secrets

    async def findings_at(self, source: str, since: datetime) -> Listing[JsonObject]:
        """The findings of one source, detected or updated at ``since`` or later.

        The filter starts a second earlier: the API may store times less precisely than
        notifications carry them.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure, for example a missing permission.
        """
        return await self._list(source, findings_since(since - _PRECISION), prompt=True)

    async def findings_named(self, source: str, *names: str) -> Listing[JsonObject]:
        """The findings of one source that have one of these resource names.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure, for example a missing permission.
        """
        query = findings_named(dict.fromkeys(name for name in names if name))
        return await self._list(source, query, prompt=True)

    async def findings_on(
        self, workload: Workload, start: datetime, end: datetime, *, location: str
    ) -> Listing[JsonObject]:
        """The findings in a time window whose resource name contains the workload's.

        The API matches substrings only, so the caller filters exactly. The location is that of
        SCC's data, ``global`` unless the organization stores its findings elsewhere.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure, for example a missing permission.
        """
        parent = f"projects/{workload.project}/sources/-/locations/{location}"
        return await self._list(parent, findings_of(workload, start, end), prompt=False)

    async def set_marks(self, finding: str, marks: Mapping[str, str]) -> None:
        """Set security marks of a finding; other marks stay.

        Args:
            finding: Its canonical name, with its location.
            marks: Values by key; keys are case-insensitive.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure: a missing permission, a deleted finding.
        """
        request = scc.UpdateSecurityMarksRequest(
            security_marks=scc.SecurityMarks(name=f"{finding}/securityMarks", marks=dict(marks)),
            update_mask=FieldMask(paths=[f"marks.{key}" for key in marks]),
        )
        with google_call("mark the finding", finding, _MARK):
            await self._client.update_security_marks(request, **PROMPT.options())

    async def set_external_system(
        self, finding: str, system: str, fields: Mapping[str, str]
    ) -> None:
        """Set fields of an external system on a finding; other fields and systems stay.

        Args:
            finding: Its canonical name, with its location.
            system: Short name of the external system.
            fields: Values by field of the API's ``ExternalSystem``, such as ``case_uri``.

        Raises:
            Retry: A transient failure.
            GiveUp: A permanent failure: a missing permission, a deleted finding.
        """
        request = scc.UpdateExternalSystemRequest(
            external_system=scc.ExternalSystem(
                name=f"{finding}/externalSystems/{system}", **dict(fields)
            ),
            update_mask=FieldMask(paths=list(fields)),
        )
        with google_call("link a case to the finding", finding, _LINK):
            await self._client.update_external_system(request, **PROMPT.options())

    async def _list(self, parent: str, query: str, *, prompt: bool) -> Listing[JsonObject]:
        request = scc.ListFindingsRequest(parent=parent, filter=query, page_size=_PAGE_SIZE)
        retry_policy = PROMPT if prompt else PATIENT
        with google_call("list the findings of", parent, LIST):
            found = await read_all(
                f"findings of {parent}",
                lambda: self._client.list_findings(request, **retry_policy.options()),
                _record,
                _CONFIRMING if prompt else _SUPPORTING,
            )
        if self._observed_secrets:
            for record in found_in(found):
                self._observed_secrets.add_finding(record)
        return found


def _record(result: scc.ListFindingsResponse.ListFindingsResult) -> JsonObject:
    record: JsonObject = MessageToDict(type(result).pb(result))
    return record
