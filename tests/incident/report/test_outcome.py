"""The outcome's JSON: keys, links, redaction and length limits."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from incident.actions.changes import with_state
from incident.model import (
    Assessment,
    ChangeState,
    Confidence,
    Connection,
    Container,
    Decision,
    DetectedProcess,
    File,
    Finding,
    Gap,
    Kind,
    Lookup,
    Mode,
    Reason,
    Reputation,
    Responder,
    Secret,
    Status,
    Suspect,
    Technique,
    Verdict,
)
from incident.model.json_text import json_value
from incident.model.outcome import Outcome, ReportedDecision
from incident.redaction.redactor import Redactor
from incident.report.outcome import OutcomeParts, build_outcome, malformed_outcome
from incident.report.outcome_updates import (
    duplicate_outcome,
    has_active_containment,
    released_outcome,
)
from tests.support.constants import CATEGORY, SERVICE, SHA256
from tests.support.model import (
    NOW,
    configuration,
    evidence,
    finding,
    scale_to_zero_change,
    template,
    workload,
)

KEYS = {
    "approval_expires",
    "schema_version",
    "incident",
    "status",
    "finding",
    "workload",
    "responder",
    "rule",
    "mode",
    "decision",
    "assessment",
    "detected",
    "changes",
    "containment",
    "drains_until",
    "starts_until",
    "gaps",
    "timings_ms",
    "links",
}
CONSOLE = "https://console.cloud.google.com"
TECHNIQUE = Technique("T1105", "Ingress Tool Transfer", "Command and Control", "meaning", "url")
ASSESSMENT = Assessment(
    "summary", Confidence.HIGH, (Reason("because", "finding"),), (TECHNIQUE,), Verdict.CONTAIN
)
DECISION = Decision(Verdict.CONTAIN, (Reason("no guard objected", "guards"),), Mode.ENFORCE, "r")


def outcome_parts(found: Finding | None = None, **changes: Any) -> OutcomeParts:
    """Parts of a contained incident's outcome, some replaced."""
    full = OutcomeParts(
        incident="20261002-0123456789ab",
        status=Status.CONTAINED,
        decision=DECISION,
        evidence=evidence(finding=found or finding()),
        responder=Responder("steady", (CATEGORY,), lambda _: ASSESSMENT),
        assessment=ASSESSMENT,
        changes=(scale_to_zero_change(),),
        containment_folder="containments/x/1",
        drains_until=NOW,
        timings_ms={"read": 1.5, "total": 3.0},
        case_file="gs://case-files/incidents/20261002-0123456789ab",
    )
    return replace(full, **changes)


def stored_outcome(found: Finding | None = None, *secrets: Secret, **changes: Any) -> Any:
    """The outcome as the case file stores it."""
    made = build_outcome(outcome_parts(found, **changes), Redactor(b"key", secrets))
    return json.loads(json.dumps(made.to_json()))


def with_process(**changes: Any) -> Finding:
    """The sample finding with its process changed."""
    (process,) = finding().processes
    return finding(processes=(replace(process, **changes),))


def test_a_user_id_that_the_record_leaves_out_is_the_notification_s() -> None:
    """It stands under a key of its own, for the same process only."""
    silent = with_process(user_id=None)
    for claim, claimed in ((with_process(user_id=0), 0), (with_process(user_id=0, pid=9), None)):
        found = stored_outcome(evidence=evidence(finding=silent, claim=claim))["detected"]
        assert (found["user_id"], found["user_id_claimed"]) == (None, claimed)
    named = evidence(finding=with_process(user_id=7), claim=with_process(user_id=0))
    assert stored_outcome(evidence=named)["detected"]["user_id_claimed"] is None


def test_an_outcome_has_its_keys_and_no_others() -> None:
    """Full or empty, every outcome has the same top-level keys."""
    bare = stored_outcome(
        finding(workload=None, processes=(), containers=()),
        responder=None,
        assessment=None,
        changes=(),
        containment_folder=None,
        drains_until=None,
        timings_ms=None,
        case_file=None,
    )
    assert set(stored_outcome()) == set(bare) == KEYS
    malformed = malformed_outcome("digest", "reason", "where")
    assert set(malformed.to_json()) == KEYS | {"message_sha256"}
    duplicate = duplicate_outcome(Outcome.from_json(stored_outcome()))
    assert set(duplicate.to_json()) == KEYS


def test_an_outcome_says_what_became_of_the_incident() -> None:
    """Status, workload, rule, mode, decision and containment have their values."""
    made = stored_outcome()
    assert (made["schema_version"], made["incident"]) == (1, "20261002-0123456789ab")
    assert (made["status"], made["mode"], made["rule"]) == ("contained", "enforce", "r")
    assert made["decision"] == {
        "verdict": "contain",
        "reasons": ["no guard objected"],
        "barred": [],
    }
    assert made["responder"] == "steady"
    assert made["workload"]["resource_name"] == SERVICE
    assert made["workload"]["kind"] == "service"
    assert (made["containment"], made["drains_until"]) == (
        "containments/x/1",
        "2026-10-02T08:14:12.318000Z",
    )
    assert made["timings_ms"] == {"read": 1.5, "total": 3.0}


def test_a_change_shows_its_whole_fields() -> None:
    """Before and after, target, mask, state and error are complete."""
    (change,) = stored_outcome()["changes"]
    assert set(change) >= {"action", "target", "mask", "before", "after", "state", "error"}
    assert set(change["before"]) == set(change["after"]) == {"scaling", "traffic"}


def test_the_outcome_has_what_was_detected() -> None:
    """Binary, arguments, container, image, digest and hash come from the finding."""
    detected = stored_outcome()["detected"]
    assert detected["binary_path"] == "/usr/local/bin/healthcheck"
    assert detected["arguments"][1:] == ["--url", "stratum+tcp://pool.example.net:3333"]
    assert (detected["sha256"], detected["hash_is_partial"]) == (SHA256, False)
    assert detected["container"] == "storefront-1"
    assert detected["image"].endswith("web/storefront:2026-09-28")
    assert detected["digest"].startswith("sha256:80e1d5")


def test_the_outcome_has_the_known_parent_processes() -> None:
    """Nearest first and redacted; a circle of parents ends."""
    (process,) = finding().processes
    child = replace(process, pid=81, parent_pid=12)
    shell = replace(process, name="sh", pid=12, parent_pid=7, arguments=("sh", "hunter2hunter2"))
    odd = replace(process, name="odd", pid=7, parent_pid=81)
    found = finding(processes=(child, shell, odd))
    reader = Responder(
        "reader", (CATEGORY,), lambda _: ASSESSMENT, suspect=lambda _: Suspect(child, None)
    )
    made = stored_outcome(found, Secret("TOKEN", "hunter2hunter2"), responder=reader)
    parents = made["detected"]["parents"]
    assert [parent["pid"] for parent in parents] == [12, 7]
    assert "hunter2" not in json.dumps(made)
    assert stored_outcome()["detected"]["parents"] == []


def test_the_file_that_the_responder_suspects_is_reported() -> None:
    """The hash and process of a library or script replace the binary's."""
    library = File("/tmp/x.so", "b" * 64, partially_hashed=False)  # noqa: S108 - of the finding
    (process,) = finding().processes
    loading = replace(process, binary_path="/usr/sbin/nginx")
    reader = Responder(
        "reader", (CATEGORY,), lambda _: ASSESSMENT, suspect=lambda _: Suspect(loading, library)
    )
    made = stored_outcome(responder=reader)
    assert made["detected"]["binary_path"] == "/usr/sbin/nginx"
    assert (made["detected"]["file"], made["detected"]["sha256"]) == (library.path, library.sha256)
    assert made["links"]["virustotal"].endswith(f"/{library.sha256}")
    assert stored_outcome(responder=None)["detected"]["file"] == "/usr/local/bin/healthcheck"


def test_the_outcome_has_addresses_and_connection() -> None:
    """The first URLs, without parts that may be secret."""
    urls = ("http://a:sample-not-a-real-secret@x.example/p?key=sample-not-a-real-key", *"abcdef")
    found = finding(urls=urls, connection=Connection("203.0.113.77", 4444, "", None))
    detected = stored_outcome(found)["detected"]
    assert len(detected["urls"]) == 5
    assert detected["urls"][0].endswith("]")
    assert "sample-not-a-real" not in json.dumps(detected)
    assert detected["connection"]["remote_ip"] == "203.0.113.77"


def test_the_outcome_has_what_to_check() -> None:
    """Redacted and cut."""
    assessment = replace(
        ASSESSMENT, investigation_steps=("password=sample-not-a-secret", "x" * 5000)
    )
    first, second = stored_outcome(assessment=assessment)["assessment"]["look_at"]
    assert first.startswith("password=[redacted:")
    assert second.endswith("more characters)")


def test_a_finding_without_processes_or_containers_has_nothing_detected() -> None:
    """All keys are there, empty."""
    full, empty = (
        stored_outcome()["detected"],
        stored_outcome(finding(processes=(), containers=()))["detected"],
    )
    assert set(full) == set(empty)
    assert set(map(str, empty.values())) == {"None", "[]", "False"}


def test_the_outcome_has_a_short_virustotal_summary() -> None:
    """Numbers and times stay; texts are redacted and cut."""
    known = Reputation(
        Lookup.KNOWN,
        SHA256,
        malicious=58,
        engines=71,
        label="miner/hunter2-planted",
        names=("hunter2-planted", "x" * 5000, *map(str, range(20))),
        tags=("elf",),
        first_seen=NOW,
    )
    made = stored_outcome(
        None, Secret("PASSWORD", "hunter2-planted"), evidence=evidence(reputation=known)
    )
    shown = made["detected"]["virustotal"]
    assert (shown["lookup"], shown["malicious"], shown["engines"]) == ("known", 58, 71)
    assert shown["said"] == known.summary
    assert (shown["first_seen"], shown["last_seen"]) == ("2026-10-02T08:14:12.318000Z", None)
    assert (shown["tags"], shown["file_type"], len(shown["names"])) == (["elf"], None, 10)
    assert max(map(len, shown["names"])) < 1100
    assert "hunter2" not in json.dumps(made)
    assert stored_outcome()["detected"]["virustotal"] is None


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 10, 2, 8, 14, 7, tzinfo=UTC), "2026-10-02T08:14:07Z"),
        (datetime(2026, 10, 2, 8, 14, 7, 318000, tzinfo=UTC), "2026-10-02T08:14:07.318000Z"),
        (
            datetime(2026, 10, 2, 10, 14, 7, tzinfo=timezone(timedelta(hours=2))),
            "2026-10-02T08:14:07Z",
        ),
    ],
)
def test_times_are_utc_with_a_z(moment: datetime, shown: str) -> None:
    """Times of any time zone are written in UTC."""
    made = stored_outcome(finding(event_time=moment), drains_until=moment)
    assert (made["finding"]["event_time"], made["drains_until"]) == (shown, shown)


# Links.


def test_links_lead_to_the_console_virustotal_mitre_and_the_case() -> None:
    """Console, VirusTotal, MITRE and case file have links."""
    links = stored_outcome()["links"]
    assert links["console"] == (
        f"{CONSOLE}/security/command-center/findingsv2?project=example-shop-prod&resourceId="
        "projects%2F210987654321%2Fsources%2F1234567890123456789%2Flocations%2Fglobal"
        "%2Ffindings%2F1a9b70556ba3e8cbe635114c625da879"
    )
    page = f"{CONSOLE}/run/detail/europe-west1/storefront?project=example-shop-prod"
    assert links["workload"] == page
    assert links["virustotal"] == f"https://www.virustotal.com/gui/file/{SHA256}"
    assert links["mitre"] == ["url"]
    assert links["case_file"] == "gs://case-files/incidents/20261002-0123456789ab"


def test_a_partial_hash_is_not_looked_up() -> None:
    """A partial hash has no VirusTotal link."""
    assert (
        stored_outcome(replace(with_process(partially_hashed=True), virustotal_url=None))["links"][
            "virustotal"
        ]
        is None
    )


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (Kind.SERVICE, "detail"),
        (Kind.JOB, "jobs/details"),
        (Kind.WORKER_POOL, "workerpools"),
    ],
)
def test_each_kind_of_workload_has_its_page(kind: Kind, page: str) -> None:
    """Services, jobs and worker pools have different console pages."""
    link = stored_outcome(finding(workload=workload(kind=kind)))["links"]["workload"]
    assert link.startswith(f"{CONSOLE}/run/{page}/europe-west1/storefront?")


def test_a_finding_without_a_workload_links_to_the_finding_alone() -> None:
    """There is no workload page and no project."""
    links = stored_outcome(finding(workload=None))["links"]
    assert links["workload"] is None
    assert "findingsv2?resourceId=" in links["console"]


# Text of an attacker.

LONG = "A" * 100_000


@pytest.mark.parametrize(
    "found",
    [
        with_process(binary_path=LONG, name=LONG),
        with_process(arguments=(LONG,) * 60),
        finding(containers=(Container(LONG, LONG, LONG),)),
        finding(category=LONG, detector=LONG, severity=LONG, state=LONG),
    ],
)
def test_long_text_is_cut_and_says_so(found: Finding) -> None:
    """Untrusted text is cut with the number of characters left out."""
    made = json.dumps(stored_outcome(found))
    assert len(made) < 100_000
    assert "(99000 more characters)" in made


def test_text_of_the_assessment_is_cut_too() -> None:
    """A summary, reason or meaning may quote a path of any length."""
    assessment = replace(
        ASSESSMENT,
        summary=LONG,
        reasons=(Reason(LONG, "finding"),),
        techniques=(replace(TECHNIQUE, meaning=LONG),),
    )
    assert len(json.dumps(stored_outcome(assessment=assessment)["assessment"])) < 20_000


@pytest.mark.parametrize(
    ("process", "truncated"),
    [
        ({"arguments": ("a",) * 50}, False),
        ({"arguments": ("a",) * 51}, True),
        ({"arguments": ("a" * 1000,)}, False),
        ({"arguments": ("a" * 1001,)}, True),
        ({"arguments_truncated": True}, True),
        ({"arguments": ()}, False),
    ],
)
def test_arguments_say_whether_they_are_all(process: dict[str, Any], *, truncated: bool) -> None:
    """The outcome says whether the detector or the responder cut them."""
    detected = stored_outcome(with_process(**process))["detected"]
    assert detected["arguments_truncated"] is truncated
    assert len(detected["arguments"]) <= 50


def test_known_secrets_are_marks_wherever_they_stand() -> None:
    """A known secret is in no text of the outcome."""
    planted = "planted-and-known"
    decision = replace(DECISION, reasons=(Reason(f"because of {planted}", "finding"),))
    assessment = replace(
        ASSESSMENT,
        summary=f"{planted} ran",
        reasons=(Reason(planted, "finding"),),
        techniques=(replace(TECHNIQUE, meaning=planted),),
    )
    found = with_process(
        binary_path=f"/{planted}", arguments=("--x", planted), name=f"{planted}.sh"
    )
    made = json.dumps(
        stored_outcome(
            replace(found, containers=(Container(planted, f"image/{planted}", None),)),
            Secret("DB_PASSWORD", planted),
            decision=decision,
            assessment=assessment,
            evidence=evidence(finding=found, gaps=(Gap("logs", f"the message was {planted}"),)),
        )
    )
    assert planted not in made
    assert "[redacted:" in made


# Other outcomes.


def test_a_malformed_message_has_an_outcome_without_a_finding() -> None:
    """It has the reason and the message's digest."""
    malformed = malformed_outcome("abc", "cannot read it", "gs://x/quarantine/abc.json")
    made: Any = malformed.to_json()
    assert (made["status"], made["message_sha256"]) == ("malformed", "abc")
    assert made["decision"]["reasons"] == ["cannot read it"]
    assert (made["finding"], made["incident"], made["changes"]) == (None, None, [])
    assert made["links"]["case_file"] == "gs://x/quarantine/abc.json"


def test_a_duplicate_repeats_the_outcome_without_its_changes() -> None:
    """It names the earlier status and has no changes."""
    done = stored_outcome()
    made: Any = duplicate_outcome(Outcome.from_json(done)).to_json()
    assert made["status"] == "duplicate"
    assert made["decision"]["verdict"] == "contain"
    assert "'contained'" in made["decision"]["reasons"][0]
    assert (made["changes"], made["timings_ms"]) == ([], {})
    same = KEYS - {"status", "decision", "changes", "timings_ms"}
    assert {key: made[key] for key in same} == {key: done[key] for key in same}


def test_a_duplicate_of_something_odd_is_still_an_outcome() -> None:
    """A record without a decision raises no error."""
    made = duplicate_outcome(Outcome.from_json({"status": "held", "decision": None}))
    assert (made.status, len(made.decision.reasons)) == ("duplicate", 1)


def test_a_plain_value_has_no_field_that_is_not_printed() -> None:
    """Fields with secrets are not converted to JSON."""
    hidden = template(secrets=(Secret("DB_PASSWORD", "planted-and-known"),))
    shown = json_value({"settings": configuration(template=hidden), "finding": finding()})
    assert "planted-and-known" not in repr(shown)
    assert "sample-not-a-real-secret" not in repr(shown)
    assert "secrets" not in shown["settings"]["template"]
    assert not {"secrets", "raw"} & set(shown["finding"])
    assert shown["settings"]["template"]["create_time"].endswith("Z")
    assert shown["finding"]["workload"]["kind"] == "service"


def test_a_plain_process_keeps_names_of_the_environment_only() -> None:
    """Values of a process's environment are not converted to JSON."""
    (process,) = finding().processes
    assert isinstance(process, DetectedProcess)
    assert json_value(process)["environment_names"] == ["PATH", "DB_PASSWORD"]


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        ("contained", "verified", True),
        ("restricted", "verified", True),
        ("unverified", "unverified", True),
        ("failed", "verified", True),
        ("failed", "failed", False),
        ("held", "planned", False),
        ("awaiting-approval", "planned", False),
        ("released", "verified", False),
    ],
)
def test_a_release_ends_only_what_has_an_effect(status: str, state: str, *, expected: bool) -> None:
    """A held, refused or released incident has no active containment."""
    change = with_state(scale_to_zero_change(), ChangeState(state))
    outcome = Outcome(Status(status), changes=(change,))
    assert has_active_containment(outcome) is expected
    assert has_active_containment(Outcome(Status.FAILED)) is False


def test_a_released_incident_says_by_whom_and_what_stays_lost() -> None:
    """The release comes first, then the earlier reasons."""
    done = Outcome(Status.CONTAINED, decision=ReportedDecision(reasons=("why",)))
    released = released_outcome(done, "someone@example.com", ("an execution",))
    reasons = ("released by someone@example.com", "an execution", "why")
    assert released.decision.reasons == reasons
    assert (released.status, released.drains_until) == ("released", None)
