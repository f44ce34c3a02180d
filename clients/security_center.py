"""Security Command Center v2: the record that is the truth about a finding."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.cloud import securitycenter_v2 as scc
from google.protobuf.json_format import MessageToDict

from clients.errors import calling
from clients.filters import findings_of, findings_since
from clients.permissions import Permission, Scope
from clients.retries import PATIENT, PROMPT
from incident.model import JsonObject, Workload

_PAGE_SIZE = 1000
_RECORDS = 20_000
_PRECISION = timedelta(seconds=1)

LIST = Permission(
    "securitycenter.findings.list",
    Scope.SECURITY_CENTER,
    "confirms the finding, and finds those related to it",
)


class SecurityCenter:
    """Reads findings. Answers are proto JSON, as ``ListFindings`` would print them."""

    def __init__(self, client: scc.SecurityCenterAsyncClient) -> None:
        self._client = client

    async def findings_at(self, source: str, since: datetime) -> tuple[JsonObject, ...]:
        """The findings of one source, detected or updated at ``since`` or later.

        A second earlier is asked for, since the API may keep times less finely than
        notifications carry them.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not, for example a missing permission.
        """
        return await self._list(source, findings_since(since - _PRECISION), prompt=True)

    async def findings_on(
        self, workload: Workload, start: datetime, end: datetime, *, location: str
    ) -> tuple[JsonObject, ...]:
        """The findings in a window whose resource name contains the workload's.

        More than the workload's own: the caller matches exactly. The location is that of
        SCC's data, ``global`` unless the organisation keeps its findings elsewhere.

        Raises:
            Retry: Time may heal it.
            GiveUp: It will not, for example a missing permission.
        """
        parent = f"projects/{workload.project}/sources/-/locations/{location}"
        return await self._list(parent, findings_of(workload, start, end), prompt=False)

    async def _list(self, parent: str, query: str, *, prompt: bool) -> tuple[JsonObject, ...]:
        request = scc.ListFindingsRequest(parent=parent, filter=query, page_size=_PAGE_SIZE)
        patience = PROMPT if prompt else PATIENT
        found: list[JsonObject] = []
        with calling("list the findings of", parent, LIST):
            pages = await self._client.list_findings(request, **patience.options())
            async for result in pages:
                found.append(MessageToDict(type(result).pb(result)))
                if len(found) >= _RECORDS:
                    break
        return tuple(found)
