"""Read a recorded decision back from the store: what was decided, and what it was made of.

Evidence is stored redacted: nothing that a policy looks at is a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from incident.actions.changes import parse_change
from incident.actions.masked_changes import actions_behind
from incident.case_file.containments import ContainmentHistory, containment_from_records
from incident.case_file.index import CaseSummary
from incident.case_file.journal import Journal, ObjectStore, Record
from incident.case_file.paths import (
    containment_folder,
    containments_folder,
    numbered_path,
    object_stem,
    parse_containment_path,
)
from incident.decision.guards import ResponderIdentity
from incident.model import (
    Access,
    AffectedWorkload,
    AffectedWorkloads,
    Binding,
    CutList,
    Evidence,
    Execution,
    Finding,
    GiveUp,
    IncidentError,
    JsonObject,
    Listing,
    Mode,
    Notification,
    Reputation,
    Route,
    Template,
    Verdict,
    Workload,
    WorkloadConfiguration,
)
from incident.model.json_codec import from_json
from incident.model.json_text import json_list, json_object, json_objects, json_string, json_strings
from incident.notification.parse import parse_record

T = TypeVar("T")

#: What a case file does not keep of a template, a secret's value above all.
_NOT_STORED: Mapping[str, Any] = {"secrets": []}
_STORED_APART = frozenset({"access", "revisions", "executions"})


class NotJudgeable(GiveUp):
    """The records do not say what the decision was made of."""


@dataclass(frozen=True, slots=True)
class DecisionSummary:
    """A decision in short.

    Attributes:
        verdict: Contain, hold or ignore.
        mode: The mode, after the environment's ceiling.
        rule: The policy's rule; None where none applied.
        actions: The actions that would be written; none where nothing is to be changed.
        reasons: Why.
    """

    verdict: Verdict
    mode: Mode
    rule: str | None
    actions: frozenset[str]
    reasons: tuple[str, ...]

    @property
    def effect(self) -> tuple[object, ...]:
        """What comes of it: two decisions of one effect do the same, whatever rule they name."""
        if self.verdict is not Verdict.CONTAIN:
            return (self.verdict,)
        return (self.verdict, self.mode, self.actions)


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """The first decision about an incident, and what it was made of.

    Attributes:
        incident: The incident's id.
        summary: What was decided.
        decided_at: When.
        evidence: What was read for it.
        route: Which responder answers.
        ceiling: The highest mode that the environment allowed.
        responder: Where the responder ran, as far as it matters.
        history: The workload's containments before it.
    """

    incident: str
    summary: DecisionSummary
    decided_at: datetime
    evidence: Evidence
    route: Route
    ceiling: Mode
    responder: ResponderIdentity
    history: ContainmentHistory


async def read_recorded_decision(
    store: ObjectStore, case: CaseSummary, route: Callable[[Notification], Route]
) -> RecordedDecision:
    """The first decision of a case file.

    Args:
        store: Where its evidence is.
        case: The case file.
        route: Which responder answers a finding.

    Raises:
        NotJudgeable: The records do not say what it was made of.
        Retry: The store does not answer.
    """
    decided = next((record for record in case.records if record.kind == "decided"), None)
    if decided is None:
        raise NotJudgeable("no decision is on record")
    evidence = _Evidence(store, case.folder)
    finding = _with_recorded_workload(await evidence.finding(), case)
    confirmed = await evidence.read("notification") is not None
    found_route = route(Notification(finding, deleted=False))
    gaps = await evidence.gaps()
    if "security-center" in gaps:
        raise NotJudgeable("Security Command Center's record could not be read then")
    configuration = await evidence.configuration(gaps)
    if configuration is None and finding.workload and found_route.verdict is not Verdict.HOLD:
        raise NotJudgeable("the workload's settings could not be read then")
    reputation = await evidence.reputation(found_route, finding)
    return RecordedDecision(
        case.incident,
        _summary(decided),
        decided.recorded_at,
        Evidence(
            finding,
            confirmed,
            configuration,
            reputation=reputation,
            affected=_affected(await evidence.read("affected")),
        ),
        found_route,
        Mode(json_string(decided.body.get("ceiling")) or Mode.ENFORCE),
        _responder(decided, finding.workload),
        (await _history_before(store, finding.workload, decided, case)).for_workload(configuration),
    )


def _summary(decided: Record) -> DecisionSummary:
    """What a record says was decided.

    Raises:
        NotJudgeable: It is incomplete.
    """
    body = decided.body
    try:
        changes = [parse_change(each) for each in json_objects(body["changes"])]
        return DecisionSummary(
            Verdict(json_string(body["verdict"])),
            Mode(json_string(body["mode"])),
            json_string(body["rule"]) or None,
            actions_behind(changes),
            tuple(map(str, json_list(body["reasons"]))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotJudgeable(f"the record of the decision is incomplete ({error!r})") from error


def _responder(decided: Record, workload: Workload | None) -> ResponderIdentity:
    """The responder's own name, where it was why the workload was not contained."""
    if workload and "not_the_responder" in json_list(decided.body.get("blockers")):
        return ResponderIdentity(service=workload.name)
    return ResponderIdentity()


def _with_recorded_workload(finding: Finding, case: CaseSummary) -> Finding:
    """The finding with the project's id and number that Cloud Run's answer showed then."""
    workload, found = finding.workload, case.workload
    if workload is None or found is None:
        return finding
    completed = replace(
        workload,
        project_id=workload.project_id or found.project_id,
        project_number=workload.project_number or found.project_number,
    )
    proven = f"projects/{completed.project_number}" == finding.filed_under
    ancestors = {finding.filed_under} if proven and not workload.project_number else set()
    return replace(finding, workload=completed, ancestors=finding.ancestors | ancestors)


async def _history_before(
    store: ObjectStore, workload: Workload | None, decided: Record, case: CaseSummary
) -> ContainmentHistory:
    """The workload's containments as they were when the decision was made."""
    if workload is None:
        return ContainmentHistory()
    paths = await store.list(f"{containments_folder(workload)}/")
    numbers = sorted({at.number for path in paths if (at := parse_containment_path(path))})
    found = []
    for number in numbers:
        folder = containment_folder(workload, number)
        journal = Journal(store, folder, run_id="", clock=datetime.now)
        earlier = tuple(
            record
            for record in await journal.records()
            if record.recorded_at < decided.recorded_at
            and record.body.get("incident") != case.incident
        )
        if earlier:
            found.append(_containment(folder, number, earlier))
    return ContainmentHistory(tuple(found))


def _containment(folder: str, number: int, records: tuple[Record, ...]) -> Any:
    try:
        return containment_from_records(folder, number, records)
    except (KeyError, TypeError, ValueError) as error:
        raise NotJudgeable(f"a record of {folder} is incomplete ({error!r})") from error


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The evidence of one case file, as its first run stored it."""

    store: ObjectStore
    folder: str

    async def read(self, name: str) -> Any:
        """One object's JSON; None where there is none."""
        path = numbered_path(object_stem(self.folder, f"evidence/{name}"), "json", 1)
        data = await self.store.read(path)
        try:
            return None if data is None else json.loads(data)
        except (ValueError, RecursionError) as error:
            raise NotJudgeable(f"{path} is not JSON") from error

    async def finding(self) -> Finding:
        """The finding that was decided about."""
        value = await self.read("finding")
        if value is None:
            raise NotJudgeable("no evidence is on record: the incident is not finished")
        try:
            return parse_record(json_object(value))
        except IncidentError as error:
            raise NotJudgeable(f"its finding cannot be read back: {error}") from error

    async def gaps(self) -> Mapping[str, str]:
        """Reasons of missing evidence, by collector."""
        found = json_objects(await self.read("gaps"))
        return {json_string(gap.get("collector")): json_string(gap.get("reason")) for gap in found}

    async def configuration(self, gaps: Mapping[str, str]) -> WorkloadConfiguration | None:
        """The workload's settings, with all details that any action may need."""
        value = await self.read("settings")
        if value is None:
            return None
        return replace(
            _decode(WorkloadConfiguration, _with_secrets(value), "settings"),
            access=_access(await self.read("access")),
            revisions=_list(Template, await self.read("revisions"), "revisions", gaps),
            executions=_list(Execution, await self.read("executions"), "executions", gaps),
        )

    async def reputation(self, route: Route, finding: Finding) -> Reputation | None:
        """VirusTotal's answer about the file that SCC's record names; None where there is none."""
        value = await self.read("virustotal")
        if value is None:
            return None
        suspect = route.responder.suspect(finding) if route.responder else finding.suspect
        reputation = _decode(Reputation, value, "virustotal")
        same = suspect.file is not None and suspect.file.sha256 == reputation.sha256
        return reputation if same else None


def _affected(value: Any) -> AffectedWorkloads | None:
    """The other workloads, with what the decision looks at: who they are and run as, labels."""
    if value is None:
        return None
    found = json_object(value)
    workloads = tuple(
        AffectedWorkload(
            _decode(Workload, each.get("workload"), "affected"),
            frozenset(),
            tuple(json_strings(each.get("service_accounts"))),
            None if each.get("labels") is None else _texts(each.get("labels")),
        )
        for each in json_objects(found.get("workloads"))
    )
    complete = found.get("complete") is True
    return AffectedWorkloads(workloads, complete, json_string(found.get("reason")))


def _texts(value: Any) -> Mapping[str, str]:
    return {key: json_string(text) for key, text in json_object(value).items()}


def _decode(kind: type[T], value: Any, name: str) -> T:
    """A value of the model.

    Raises:
        NotJudgeable: A part of it cannot be read.
    """
    unreadable: list[str] = []
    try:
        found = from_json(kind, value, unreadable)
    except ValueError as error:
        raise NotJudgeable(f"evidence/{name}.json cannot be read back: {error}") from error
    # A key that a later version added has its default.
    wrong = [path for path in unreadable if path not in _STORED_APART and _stands_in(value, path)]
    if wrong:
        raise NotJudgeable(f"evidence/{name}.json cannot be read back: {wrong[0]}")
    return found


def _stands_in(value: Any, path: str) -> bool:
    """Whether there is something at a path such as ``template/containers/0``."""
    for part in path.split("/"):
        if isinstance(value, list):
            value = value[int(part)]
        elif part not in json_object(value):
            return False
        else:
            value = json_object(value)[part]
    return True


def _list(kind: type[T], value: Any, name: str, gaps: Mapping[str, str]) -> Listing[T] | None:
    """A list of the evidence; cut where the evidence says so."""
    if value is None:
        return None
    found = tuple(_decode(kind, _with_secrets(each), name) for each in json_list(value))
    return CutList(found, gaps[name]) if name in gaps else found


def _with_secrets(value: Any) -> JsonObject:
    """Settings, a template or an execution with what no case file keeps, as empty."""
    found = json_object(value)
    inner = {"template": _with_secrets(found["template"])} if "template" in found else {}
    return {**_NOT_STORED, **found, **inner}


def _access(value: Any) -> Access | None:
    """The IAM policy; a condition has its name alone, by which it is known to be one."""
    if value is None:
        return None
    bindings = tuple(_decode(Binding, each, "access") for each in json_objects(value["bindings"]))
    return Access(bindings, raw=tuple(map(_raw_binding, bindings)))


def _raw_binding(binding: Binding) -> JsonObject:
    condition = {"condition": {"title": binding.condition}} if binding.condition else {}
    return {"role": binding.role, "members": list(binding.members), **condition}
