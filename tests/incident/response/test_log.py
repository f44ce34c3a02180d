"""The log: one structured line per delivery, whatever a finding says."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TextIO

import pytest

from incident.model import Finding, Kind, Status
from incident.model.outcome import Outcome, ReportedFinding, ReportedWorkload
from incident.response import log
from incident.response.deliveries import RetryDelivery
from incident.response.log import Trace
from incident.response.response import Response
from tests.support.constants import SERVICE
from tests.support.environment import captured_output
from tests.support.model import finding

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True, project="")
LABELS = "logging.googleapis.com/labels"
HOSTILE = 'x\n{"severity": "DEBUG", "status": "ignored"} %s {} \x1b[31m'


@pytest.fixture(autouse=True)
def _fresh_logger() -> Iterator[None]:
    """Lines go to the standard output of this test, and of no other.

    pytest adds a handler of its own to loggers that do not propagate, which would keep ours from
    being set up.
    """
    logger = logging.getLogger("responder")
    logger.handlers.clear()
    logger.propagate = True
    yield
    logger.handlers.clear()
    logger.propagate = True


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was written to standard output, each line an object."""
    captured = capsys.readouterr()
    assert captured.err == ""
    return [json.loads(line) for line in captured.out.splitlines()]


WORKLOAD = ReportedWorkload(Kind.SERVICE, "", None, "", "", "services/x")


def outcome(status: str, **changes: Any) -> Outcome:
    """An outcome with the fields that the log uses."""
    named = Outcome(Status(status), "i-1", ReportedFinding("finding-1"), WORKLOAD)
    return replace(named, **changes)


EXPECTED = {
    Status.CONTAINED: "WARNING",
    Status.RESTRICTED: "WARNING",
    Status.HELD: "WARNING",
    Status.AWAITING_APPROVAL: "WARNING",
    Status.FAILED: "ERROR",
    Status.UNVERIFIED: "ERROR",
    Status.MALFORMED: "ERROR",
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("alarm", [True, False])
def test_a_line_is_as_severe_as_its_outcome(
    capsys: pytest.CaptureFixture[str], status: Status, *, alarm: bool
) -> None:
    """What a person must see is an ERROR, what changed something a WARNING, the rest INFO."""
    log.delivery_answered(Response(outcome(status.value), alarm=alarm), None)
    (line,) = lines(capsys)
    assert line["severity"] == ("ERROR" if alarm else EXPECTED.get(status, "INFO"))
    assert line["message"] == f"{status.value.upper()}: i-1"


def test_a_line_names_incident_finding_and_workload(capsys: pytest.CaptureFixture[str]) -> None:
    """It can be searched for by each, and carries the whole outcome."""
    reported = outcome("contained", rule="r")
    log.delivery_answered(Response(reported), TRACE)
    (line,) = lines(capsys)
    assert (line["incident"], line["finding"], line["workload"]) == (
        "i-1",
        "finding-1",
        "services/x",
    )
    assert line["outcome"] == reported.to_json()
    assert (line["stage"], line["trace"]) == ("done", TRACE.trace_id)
    assert line["time"].endswith("Z")


@pytest.mark.parametrize(
    ("resource", "kind"),
    [("services", "service"), ("jobs", "job"), ("workerPools", "worker-pool"), ("topics", None)],
)
def test_a_line_has_labels_to_filter_by(
    capsys: pytest.CaptureFixture[str], resource: str, kind: str | None
) -> None:
    """Labels are short texts for filters; unknown ones are left out."""
    name = f"projects/example-shop-prod/locations/europe-west1/{resource}/storefront"
    log.delivery_answered(
        Response(outcome("contained", workload=replace(WORKLOAD, resource_name=name))), None
    )
    (line,) = lines(capsys)
    expected = {
        "incident": "i-1",
        "status": "contained",
        "workload_kind": kind,
        "project": "example-shop-prod",
    }
    assert line[LABELS] == {name: value for name, value in expected.items() if value}


def test_a_line_about_nothing_in_particular_has_no_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A retry of something unreadable belongs to no finding."""
    log.delivery_retried(RetryDelivery("no answer", None, urgent=False), None)
    (line,) = lines(capsys)
    assert LABELS not in line


def test_a_malformed_message_has_nothing_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The keys are there, and empty."""
    log.delivery_answered(
        Response(outcome("malformed", incident=None, finding=None, workload=None), alarm=True),
        None,
    )
    (line,) = lines(capsys)
    assert (line["incident"], line["finding"], line["workload"]) == (None, None, None)
    assert "trace" not in line


def test_a_message_names_workload_category_and_incident(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message of an outcome says what happened to which workload, and why."""
    workload = replace(
        WORKLOAD, name="storefront", project="example-shop-prod", location="europe-west1"
    )
    finding = ReportedFinding("finding-1", category="Unexpected Child Shell")
    log.delivery_answered(Response(outcome("held", finding=finding, workload=workload)), None)
    (line,) = lines(capsys)
    where = "storefront (example-shop-prod, europe-west1)"
    assert line["message"] == f"HELD {where}: Unexpected Child Shell, i-1"


def test_a_message_escapes_and_cuts_what_a_finding_supplies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A category of any length and content stays one printable part of the message."""
    hostile = HOSTILE + "\x1b[2J" + "x" * 5000
    log.delivery_answered(
        Response(outcome("held", finding=ReportedFinding(category=hostile))), None
    )
    (line,) = lines(capsys)
    assert line["message"].isprintable()
    assert len(line["message"]) < 200


def test_hostile_text_stays_inside_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a line break nor a format in a finding makes a line of its own."""
    workload = replace(WORKLOAD, resource_name=HOSTILE)
    hostile = outcome("held", finding=ReportedFinding(HOSTILE), workload=workload)
    log.delivery_answered(Response(hostile), None)
    claim = finding(name=HOSTILE)
    log.delivery_retried(RetryDelivery(HOSTILE, claim, urgent=False), None)
    answered, retried = lines(capsys)
    assert (answered["finding"], answered["severity"]) == (HOSTILE, "WARNING")
    assert answered["message"] == "HELD: i-1"
    assert (retried["reason"], retried["message"]) == (
        HOSTILE,
        "Delivery not acknowledged; Pub/Sub will redeliver it",
    )
    assert retried["finding"] == HOSTILE
    assert answered[LABELS] == {"incident": "i-1", "status": "held"}


@pytest.mark.parametrize(("urgent", "severity"), [(False, "WARNING"), (True, "ERROR")])
def test_a_retry_has_no_outcome(
    capsys: pytest.CaptureFixture[str], severity: str, *, urgent: bool
) -> None:
    """It says why the delivery comes again, of which incident, and whether time will heal it."""
    claim = finding()
    log.delivery_retried(RetryDelivery("cannot read the policy", claim, urgent=urgent), None)
    (line,) = lines(capsys)
    assert (line["severity"], line["outcome"]) == (severity, None)
    assert (line["reason"], line["stage"]) == ("cannot read the policy", "retried")
    assert (line["incident"], line["finding"], line["workload"]) == (
        claim.incident_id,
        claim.name,
        SERVICE,
    )
    assert line[LABELS] == {
        "incident": claim.incident_id,
        "workload_kind": "service",
        "project": "example-shop-prod",
    }


@pytest.mark.parametrize("claim", [None, finding(workload=None)])
def test_a_retry_may_have_nothing_to_name(
    capsys: pytest.CaptureFixture[str], claim: Finding | None
) -> None:
    """The keys are there, and empty."""
    log.delivery_retried(RetryDelivery("no answer", claim, urgent=False), None)
    (line,) = lines(capsys)
    assert {"incident", "finding", "workload"} <= set(line)
    assert line["workload"] is None


def test_an_internal_error_is_logged_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """One line holds all of it."""
    with pytest.raises(ValueError, match="DEBUG") as raised:
        raise ValueError(HOSTILE)
    log.internal_error("the responder failed", raised.value, None)
    (line,) = lines(capsys)
    assert (line["severity"], line["outcome"]) == ("ERROR", None)
    assert "ValueError" in line["exc_info"]


def test_lines_do_not_reach_other_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    """A framework that configures the root logger does not print them twice."""
    root = logging.StreamHandler()
    logging.getLogger().addHandler(root)
    try:
        for _ in range(3):
            log.delivery_answered(Response(outcome("held")), None)
    finally:
        logging.getLogger().removeHandler(root)
    assert len(lines(capsys)) == 3


def test_first_lines_at_once_are_printed_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two handlers would print every line of the process twice, and metrics would count both."""
    both_there = threading.Barrier(2)

    class SlowHandler(log._Handler):  # noqa: SLF001 - waits for the other thread, if it comes
        def __init__(self, stream: TextIO) -> None:
            super().__init__(stream)
            with contextlib.suppress(threading.BrokenBarrierError):
                both_there.wait(timeout=0.2)

    monkeypatch.setattr(log, "_Handler", SlowHandler)
    lines = [
        threading.Thread(target=log.log_line, args=(logging.INFO, "one line", {}, None))
        for _ in range(2)
    ]
    with captured_output() as output:
        for line in lines:
            line.start()
        for line in lines:
            line.join()
    assert len(output.getvalue().splitlines()) == 2
