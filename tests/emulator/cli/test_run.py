"""The command `run`: the real function, under functions-framework, against the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from emulator.cli.run import run_command
from emulator.cli.run_arguments import store_folder
from emulator.runner.child_process import ProcessGroup
from emulator.runner.function_process import FunctionProcess
from tests.support.constants import SAMPLES_FOLDER, SERVICE
from tests.support.forked_process import ForkedProcessGroup
from tests.support.terminal import Terminal, open_terminal

SAMPLE = SAMPLES_FOLDER / "cloud-run-service.json"


def run_output(*arguments: object) -> Result:
    """What the command answers."""
    return CliRunner().invoke(run_command, [str(argument) for argument in arguments])


def outcome_of(*arguments: object) -> dict[str, Any]:
    """The object that `--json` prints, of a run that went as promised."""
    result = run_output(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@contextmanager
def use_forked_functions() -> Iterator[None]:
    """Functions start warm; what a newcomer runs first starts as it does for everybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FunctionProcess, "process_group_type", ForkedProcessGroup)
        yield


@pytest.fixture(scope="module", autouse=True)
def _temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stores that runs make for themselves go where pytest cleans up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        yield


@pytest.fixture(scope="module")
def default_run() -> Result:
    """The sample with everything left at its default, as a newcomer runs it first."""
    return run_output(SAMPLE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for case files that does not exist yet."""
    return tmp_path_factory.mktemp("run") / "new" / "case files"


@pytest.fixture(scope="module")
def enforced_run(store: Path) -> dict[str, Any]:
    """The sample in enforce mode, delivered five times at once."""
    with use_forked_functions():
        return outcome_of(SAMPLE, "--mode", "enforce", "--deliveries", 5, "--store", store)


@pytest.fixture(scope="module")
def run_at_terminal(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Terminal]:
    """A message that is not JSON, with a person at the terminal and a pipe behind the object."""
    message = tmp_path_factory.mktemp("run") / "cut-off.json"
    message.write_bytes(SAMPLE.read_bytes()[:500])
    with (
        open_terminal() as screen,
        io.TextIOWrapper(io.BytesIO(), write_through=True) as output,
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(screen.stream),
    ):
        patch.setenv("TERM", "xterm")
        with pytest.raises(SystemExit) as ended:
            run_command.main([str(message), "--verbatim", "--json"])
        output.seek(0)
        answer: dict[str, Any] = json.load(output)
    assert ended.value.code == 0
    return answer, screen


@pytest.fixture(scope="module")
def malformed_run(run_at_terminal: tuple[dict[str, Any], Terminal]) -> dict[str, Any]:
    """What became of that message."""
    return run_at_terminal[0]


def test_a_default_run_shows_the_plan_and_the_next_command(default_run: Result) -> None:
    """By default the plan is shown, with its diff and the next command; nothing else is said."""
    assert default_run.exit_code == 0, default_run.stderr
    assert "PLANNED" in default_run.stdout
    assert "manualInstanceCount: 0" in default_run.stdout
    assert "58 of 71 engines" in " ".join(default_run.stdout.split())
    assert "--mode enforce" in " ".join(default_run.stdout.split())
    assert default_run.stderr == ""


def test_what_is_printed_fits_a_page_and_has_no_escapes(default_run: Result) -> None:
    """Into a pipe goes plain text of 120 columns and about 60 lines; what is pasted stays whole."""
    lines = default_run.stdout.splitlines()

    assert "\x1b" not in default_run.stdout
    long = [line for line in lines if len(line) > 120]
    assert all("emulator run" in line or "file://" in line for line in long)
    assert len(lines) <= 70


def test_enforcing_contains_the_service(enforced_run: dict[str, Any]) -> None:
    """The mode of the command is the policy's: the service is stopped in the world."""
    service = next(s for s in enforced_run["world"]["services"] if s["name"] == SERVICE)

    assert "contained" in {outcome["status"] for outcome in enforced_run["outcomes"]}
    assert service["scaling"]["scalingMode"] == "MANUAL"
    assert not any("tag" in target for target in service["traffic"])


def test_every_delivery_has_an_answer_and_an_outcome(enforced_run: dict[str, Any]) -> None:
    """Five deliveries at once have five of each, and contain once."""
    stops = [
        write
        for write in enforced_run["writes"]
        if "scaling" in write["mask"] and not write["validate_only"]
    ]

    assert [delivery["http_status"] // 100 for delivery in enforced_run["deliveries"]] == [2] * 5
    assert len(enforced_run["outcomes"]) == 5
    assert len(stops) == 1
    assert stops[0]["method"] == "/google.cloud.run.v2.Services/UpdateService"


def test_notifications_of_own_writes_are_delivered_last(
    enforced_run: dict[str, Any],
) -> None:
    """Two writes to the finding come back as two notifications, and start nothing."""
    again = enforced_run["renotifications"]

    assert [one["http_status"] // 100 for one in again] == [2, 2]
    assert [one["outcome"]["status"] for one in again] == ["duplicate", "duplicate"]
    assert {one["outcome"]["incident"] for one in again} == {
        enforced_run["outcomes"][0]["incident"]
    }
    own_writes = [write for write in enforced_run["writes"] if "securitycenter" in write["method"]]
    assert len(own_writes) == 2


def test_calls_are_counted_from_the_first_delivery(enforced_run: dict[str, Any]) -> None:
    """The function has started before the first delivery: no call comes earlier."""
    times = [call["at_ms"] for call in enforced_run["calls"]]

    assert times
    assert min(times) >= 0
    assert all(round(time, 1) == time for time in times)


def test_the_store_is_made_and_kept(enforced_run: dict[str, Any], store: Path) -> None:
    """The case file lies in the folder that the command named."""
    incident = enforced_run["outcomes"][0]["incident"]

    assert any((store / "incidents" / incident).iterdir())


def test_a_malformed_message_arrives_as_it_is(malformed_run: dict[str, Any]) -> None:
    """What is not JSON is delivered, quarantined and acknowledged; the world is empty."""
    assert [outcome["status"] for outcome in malformed_run["outcomes"]] == ["malformed"]
    assert malformed_run["calls"] == malformed_run["renotifications"] == []
    world = malformed_run["world"]
    assert not any(world[key] for key in ("projects", "services", "jobs", "findings", "published"))


def test_a_person_sees_what_a_run_is_doing(
    run_at_terminal: tuple[dict[str, Any], Terminal],
) -> None:
    """Each phase while it lasts, on a line that is gone in the end."""
    _, screen = run_at_terminal

    assert "starting the function" in screen.printed
    assert screen.printed.index("starting the function") < screen.printed.index("ending the func")
    assert "0 calls so far; 1 answered" in screen.printed
    assert screen.screen == []
    assert not screen.hides_cursor


@pytest.mark.skipif(
    shutil.which("gcloud") is None and "PUBSUB_EMULATOR_HOST" not in os.environ,
    reason="Google's Pub/Sub emulator needs the Cloud SDK",
)
def test_googles_pubsub_emulator_delivers_too() -> None:
    """Two subscriptions push one message to the function, and both pushes are reported."""
    with use_forked_functions():
        answer = outcome_of(SAMPLE, "--via", "pubsub", "--deliveries", 2)

    assert [delivery["http_status"] // 100 for delivery in answer["deliveries"]] == [2, 2]
    assert len({outcome["incident"] for outcome in answer["outcomes"]}) == 1
    assert min(call["at_ms"] for call in answer["calls"]) >= 0


def test_a_function_that_does_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last words are shown, and the exit status is 1."""
    monkeypatch.setenv("RESPONDER_VERIFY_TIMEOUT", "soon")

    with use_forked_functions():
        result = run_output(SAMPLE, "--json")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "cannot start the function" in result.stderr
    assert "RESPONDER_VERIFY_TIMEOUT" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("missing.json",), "missing.json"),
        ((SAMPLES_FOLDER,), "is a directory"),
        ((SAMPLE, "--policy", "missing.yaml"), "missing.yaml"),
        ((SAMPLE, "--world", "missing.json"), "missing.json"),
        ((SAMPLE, "--world", SAMPLE), "is not a key"),
        ((SAMPLE, "--mode", "live"), "enforce"),
        ((SAMPLE, "--now", "yesterday"), "2026-10-02T08:14:12Z"),
        ((SAMPLE, "--now", "2026-10-02T08:14:12"), "no zone"),
        ((SAMPLE, "--deliveries", "0"), "range"),
        ((SAMPLE, "--store", SAMPLE), "is a file"),
        ((SAMPLE, "--via", "carrier-pigeon"), "pubsub"),
    ],
)
def test_bad_arguments_are_refused(arguments: tuple[object, ...], complaint: str) -> None:
    """Before anything starts, what is wrong is said on standard error; the status is 2."""
    result = run_output(*arguments, "--json")

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stdout == ""


def test_the_cloud_sdk_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gcloud, the complaint says what to install or to set."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)

    result = run_output(SAMPLE, "--via", "pubsub")

    assert result.exit_code == 2
    assert "gcloud is not on the PATH; install the Cloud SDK" in result.stderr


def test_a_run_without_a_key_for_virustotal_has_the_link_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The emulator gives one, unless the variable is set to nothing."""
    monkeypatch.setenv("VIRUSTOTAL_API_KEY", "")
    with use_forked_functions():
        (outcome,) = outcome_of(SAMPLE)["outcomes"]
    assert outcome["detected"]["virustotal"]["lookup"] == "no-key"
    assert "virustotal.com" in outcome["links"]["virustotal"]


async def test_a_process_ends_with_all_that_it_started(tmp_path: Path) -> None:
    """Neither the child that ignores the polite signal nor its own child is left behind."""
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    script = "trap '' TERM; sleep 60 & echo $!; wait; wait"
    environment = {"PATH": os.environ["PATH"]}
    group = ProcessGroup(("sh", "-c", script), environment, tmp_path, lines.put_nowait, grace_s=0.2)

    async with group:
        grandchild = int(await asyncio.wait_for(lines.get(), 10))
        assert alive(grandchild)

    assert not alive(grandchild)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def own_finding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finding of a person's own: in no folder of the repository."""
    file = tmp_path_factory.mktemp("own") / "finding.json"
    file.write_bytes(SAMPLE.read_bytes())
    return file


def test_the_world_of_an_own_finding_corroborates_nothing(own_finding: Path) -> None:
    """No related finding and no verdict of VirusTotal, unless they are asked for."""
    with use_forked_functions():
        (plain,) = outcome_of(own_finding)["outcomes"]
        (attacked,) = outcome_of(own_finding, "--plausible-attack")["outcomes"]
    assert plain["status"] == attacked["status"] == "planned"
    assert plain["assessment"]["related"] == []
    assert plain["detected"]["virustotal"]["lookup"] == "unknown"
    assert len(attacked["assessment"]["related"]) == 1
    assert attacked["detected"]["virustotal"]["malicious"] == 58


def test_a_run_is_marked_as_simulated(default_run: Result, enforced_run: dict[str, Any]) -> None:
    """For people, and in every outcome."""
    assert "SIMULATED" in default_run.stdout.splitlines()[1]
    assert all(outcome["simulated"] is True for outcome in enforced_run["outcomes"])


def test_folders_of_old_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ten are kept, and none that may still be at work is removed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = store_folder(None)
    runs = first.parent
    assert runs.parent == tmp_path
    hour = time.time() - 3600
    for number in range(20):
        (runs / f"run-old-{number:02}").mkdir()
        os.utime(runs / f"run-old-{number:02}", (hour + number, hour + number))
    new = store_folder(None)
    kept = {path.name for path in runs.iterdir()}
    assert {first.name, new.name} <= kept
    assert len(kept) == 10
    assert "run-old-19" in kept
    assert "run-old-00" not in kept
    assert store_folder(tmp_path / "mine") == (tmp_path / "mine").resolve()
