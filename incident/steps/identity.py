"""The steps about the identity that the workload had: its tokens, keys and roles. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from incident.links import account_page, logs_page
from incident.model import Evidence, Part, Step, Workload
from incident.reach import is_default
from incident.steps.gcloud import gcloud


def read_its_deeds(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """What was done with its identity."""
    account = evidence.affected.service_account if evidence.affected else ""
    if not account:
        return
    since = f'timestamp>="{evidence.finding.event_time:%Y-%m-%dT00:00:00Z}"'
    query = f'protoPayload.authenticationInfo.principalEmail="{_plain(account)}" {since}'
    text = (
        f"See what was done as {account} since the day of the event, here and in every other"
        " project that trusts it"
    )
    command = gcloud("logging read", query, project=workload.project)
    yield Step(text, command, logs_page(workload.project, query), Part.READ)


def revoke(evidence: Evidence, workload: Workload) -> Iterator[Step]:
    """Making what was taken worthless."""
    if evidence.affected is None:
        return
    account, project = evidence.affected.service_account, workload.project
    page = account_page(project, account) if account else ""
    if is_default(account):
        text = (
            "Revoke its tokens. It runs as a default account that other workloads share: disabling"
            " it stops them too, so move this workload to an account of its own first"
        )
        yield Step(text, "", page, Part.REVOKE)
        return
    text = (
        f"Revoke the tokens of {account}. Disabling it is all that stops one already taken. See"
        " first which other workloads run as it; they lose their access too"
    )
    command = gcloud("iam service-accounts disable", account, project=project)
    yield Step(text, command, page, Part.REVOKE)


def _plain(text: str) -> str:
    """A text that cannot end the quotes that it stands in."""
    return text.replace("\\", "").replace('"', "")
