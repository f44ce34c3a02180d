"""The Terraform modules: what must hold between them and the code, and what no plan shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients import Settings
from emulator.api import list_filters
from incident.decision.guards import CONFIRMATION_WINDOW
from incident.model import Kind, Workload
from incident.model.finding_types import EVENT_THREAT_DETECTION
from incident.policy.resolve import Subject, parse_policy, resolve
from incident.response.pipeline import INCIDENT_BUDGET
from responders import RESPONDERS
from tests.deploy.terraform import (
    DEPLOY,
    EXAMPLES,
    GIVEN,
    MODULES,
    ORGANIZATION,
    RESPONDER,
    evaluated,
    module,
    read_module,
    source,
)
from tests.support.constants import CATEGORY
from tests.support.environment import JsonDict
from tests.support.findings import sample_notification

FUNCTION = "google_cloudfunctions2_function"
#: Set by Terraform for the framework, not for us.
FRAMEWORK = {"THREADS", "LOG_EXECUTION_ID"}
#: Google's ready-made roles that are granted. Each is on one resource, but for those of the build:
#: on a project there is no other way to write its log, nor to use a pool; reading has a condition.
READY_MADE = {
    "roles/artifactregistry.writer",
    "roles/cloudbuild.workerPoolUser",
    "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "roles/iam.serviceAccountOpenIdTokenCreator",
    "roles/logging.logWriter",
    "roles/pubsub.publisher",
    "roles/pubsub.subscriber",
    "roles/run.invoker",
    "roles/secretmanager.secretAccessor",
    "roles/storage.objectViewer",
}


def seconds(text: str) -> int:
    """A duration as Google's APIs write it."""
    return int(text.removesuffix("s"))


def timeout_s() -> int:
    """How long Cloud Run lets a request take."""
    return int(module().one(FUNCTION, "function")["service_config"][0]["timeout_seconds"])


@pytest.mark.parametrize("subscription", ["findings", "patrol"])
def test_deadlines_nest(subscription: str) -> None:
    """An incident is over before its request is, and that before Pub/Sub gives up on it."""
    ack_s = module().one("google_pubsub_subscription", subscription)["ack_deadline_seconds"]
    assert ack_s > timeout_s() > INCIDENT_BUDGET.total_seconds()


def test_a_long_outage_loses_no_finding() -> None:
    """Until a message becomes a dead letter hours pass, and it is not forgotten before."""
    subscription = module().one("google_pubsub_subscription", "findings")
    attempts = subscription["dead_letter_policy"][0]["max_delivery_attempts"]
    retry = subscription["retry_policy"][0]
    pause_s, longest_s = seconds(retry["minimum_backoff"]), seconds(retry["maximum_backoff"])
    assert (pause_s, longest_s) == (10, 600)
    assert attempts >= 50
    lasting_s = sum(min(pause_s * 2**n, longest_s) for n in range(attempts - 1))
    assert lasting_s > 6 * 60 * 60
    kept_s = seconds(subscription["message_retention_duration"])
    assert kept_s > lasting_s + attempts * timeout_s()


def test_the_backlog_alert_leaves_time_for_confirming() -> None:
    """A finding that SCC does not list yet is retried; that is no reason to wake anybody."""
    policy = module().one("google_monitoring_alert_policy", "backlog")
    threshold_s = policy["conditions"][0]["condition_threshold"][0]["threshold_value"]
    longest_pause_s = 600
    assert threshold_s >= CONFIRMATION_WINDOW.total_seconds() + longest_pause_s


@pytest.mark.parametrize("name", ["findings", "patrol"])
def test_pushes_show_the_token_that_cloud_run_checks(name: str) -> None:
    """The token's audience is the address that is pushed to, without a path."""
    push = module().one("google_pubsub_subscription", name)["push_config"][0]
    assert push["oidc_token"][0]["audience"] == push["push_endpoint"]
    assert push["push_endpoint"].endswith(".service_config[0].uri}")


def test_function_variables_are_known_settings() -> None:
    """Every variable that is set is a setting: a misspelt one would be ignored in silence."""
    prefixed = {f"RESPONDER_{name.upper()}" for name in Settings.model_fields}
    own = {str(field.validation_alias) for field in Settings.model_fields.values()}
    fields = prefixed | own
    given = set(module().locals["environment"]) | set(
        re.findall(r"^ +((?:RESPONDER|VIRUSTOTAL)_[A-Z_]+) += var\.", source(), re.MULTILINE)
    )
    assert {"RESPONDER_STORE", "RESPONDER_REDACTION_KEY", "VIRUSTOTAL_API_KEY"} <= given
    assert given - FRAMEWORK <= fields


def test_acting_is_possible_once_it_is_allowed() -> None:
    """The store is a bucket, and the responder knows its own project."""
    environment = module().locals["environment"]
    assert environment["RESPONDER_STORE"].startswith("gs://")
    assert environment["RESPONDER_POLICY"].startswith("gs://")
    assert environment["RESPONDER_PROJECT"] == "${var.project_id}"


@pytest.mark.parametrize("name", [RESPONDER, ORGANIZATION])
def test_every_variable_and_every_output_is_explained(name: str) -> None:
    """What it is, and of which type; registries show it so."""
    for each in (*module(name).variables.values(), *module(name).outputs.values()):
        assert len(each["description"]) > len("Where it runs")
    assert all("type" in each for each in module(name).variables.values())


def test_case_files_are_not_destroyed_and_the_policy_is_left_alone() -> None:
    """What no plan shows: a plan that would destroy is refused, and an apply touches no policy."""
    (evidence,) = module().one("google_storage_bucket", "evidence")["lifecycle"]
    (policy,) = module().one("google_storage_bucket_object", "policy")["lifecycle"]
    assert evidence["prevent_destroy"] is True
    assert policy["ignore_changes"] in ("all", "${all}")


def test_no_wider_role_is_granted() -> None:
    """Each ready-made role is one that was weighed; everything else is made of permissions."""
    assert set(re.findall(r"roles/[a-zA-Z.]+", source())) == READY_MADE


def test_the_seed_of_the_policy_is_valid_and_protects_the_responder(tmp_path: Path) -> None:
    """The first apply leaves a policy that holds whatever runs in the responder's own project."""
    seed = parse_policy(
        evaluated(tmp_path, "local.policy_seed", "policy.tf").encode(), source="seed"
    )
    for project, held in ((GIVEN["project_id"], True), ("example-shop-prod", False)):
        name = Workload(Kind.SERVICE, "europe-west1", "threat-responder-patrol", project, "42", ())
        resolution = resolve(seed, Subject(name, (CATEGORY,), "1", {}))
        assert bool(resolution.holds) is held
    assert seed.mode == "dry-run"


def test_the_kill_switch_saves_a_policy_that_stops_everything(tmp_path: Path) -> None:
    """What the printed line would upload is valid, and contains nothing anywhere."""
    line = evaluated(tmp_path, "local.kill_switch", "names.tf")
    written, upload = line.split(" | ")
    saved = subprocess.run(("sh", "-c", written), capture_output=True, check=True, timeout=10)
    policy = parse_policy(saved.stdout, source="kill switch")
    assert (policy.mode, policy.rules) == ("dry-run", ())
    assert upload == "gcloud storage cp - gs://sec-responder-threat-responder-policy/policy.yaml"
    documented = line.replace(GIVEN["project_id"], "sec-responder-prod")
    assert documented in (DEPLOY / "README.md").read_text()


NARROW: tuple[str, ...] = (CATEGORY,)


def changed(**fields: Any) -> JsonDict:
    """The sample's finding, with fields replaced."""
    return {**sample_notification()["finding"], **fields}


@pytest.mark.parametrize(
    ("categories", "entry", "sent"),
    [
        pytest.param(NARROW, changed(), True, id="the finding"),
        pytest.param(NARROW, changed(state="INACTIVE"), False, id="inactive"),
        pytest.param(NARROW, changed(mute="MUTED"), False, id="muted"),
        pytest.param(NARROW, changed(category="Reverse Shell"), False, id="another category"),
        pytest.param(
            (*NARROW, "Reverse Shell"), changed(category="Reverse Shell"), True, id="one of two"
        ),
        pytest.param(
            NARROW,
            changed(resourceName="//container.googleapis.com/projects/1/locations/l/clusters/c"),
            False,
            id="the same category of another detector",
        ),
    ],
)
def test_the_filter_sends_what_it_should(
    tmp_path: Path, categories: tuple[str, ...], entry: JsonDict, *, sent: bool
) -> None:
    """Evaluated by Terraform, parsed by the emulator, applied to findings."""
    assert is_sent(tmp_path, entry, categories=categories) is sent


def is_sent(folder: Path, entry: JsonDict, **variables: Any) -> bool:
    """Whether the filter of a deployment sends a finding."""
    text = evaluated(folder, "local.findings_filter", "filter.tf", of=ORGANIZATION, **variables)
    node = list_filters.parse_filter(text, list_filters.SECURITY_CENTER_DIALECT)

    def compare(asked: list_filters.Comparison) -> bool:
        head, *rest = asked.path[0].split("_")
        found = entry.get(head + "".join(word.capitalize() for word in rest), "")
        return asked.value.text in found if asked.operator == ":" else asked.value.text == found

    return list_filters.evaluate(node, compare)


MINING = "Impact: Cryptomining Commands"
ON_PROJECT = "//cloudresourcemanager.googleapis.com/projects/210987654321"


@pytest.mark.parametrize(
    ("chosen", "fields", "sent"),
    [
        pytest.param((), {}, False, id="not chosen"),
        pytest.param((MINING,), {}, True, id="chosen"),
        pytest.param((MINING,), {"resourceName": ON_PROJECT}, True, id="of another form"),
        pytest.param((MINING,), {"state": "INACTIVE"}, False, id="inactive"),
        pytest.param((MINING,), {"category": "Malware: Bad Domain"}, False, id="another type"),
        pytest.param(
            (MINING,), {"category": CATEGORY, "parent": ""}, False, id="ours of another source"
        ),
    ],
)
@pytest.mark.parametrize("categories", [NARROW, ("*",)])
def test_control_plane_findings_are_sent_once_they_are_chosen(
    tmp_path: Path,
    categories: tuple[str, ...],
    chosen: tuple[str, ...],
    fields: JsonDict,
    *,
    sent: bool,
) -> None:
    """Though they come from another source than the one that the deployment names."""
    entry = {**sample_notification("cryptomining-commands")["finding"], **fields}
    given = {"categories": categories, "control_plane_categories": chosen, "finding_source": SOURCE}
    assert is_sent(tmp_path, entry, **given) is sent


def test_the_control_plane_findings_to_choose_are_those_with_a_responder() -> None:
    """One list in Terraform, one in the code."""
    answered = {
        category
        for category, responder in RESPONDERS.items()
        if responder.detector == EVENT_THREAT_DETECTION
    }
    text = str(module(ORGANIZATION).variables["control_plane_categories"]["validation"])
    assert answered
    assert all(category in text for category in answered)


SOURCE = "organizations/1/sources/2"
#: What the reference of ListFindings names, and mute, which the how-to pages of filters have.
DOCUMENTED = {"category", "parent", "resource_name", "state", "mute"}


@pytest.mark.parametrize("categories", [("*",), NARROW])
@pytest.mark.parametrize("source", [SOURCE, None])
def test_the_filter_asks_for_documented_fields_only(
    tmp_path: Path, categories: tuple[str, ...], source: str | None
) -> None:
    """A star asks for all of the detector's source, whatever the types are called."""
    given = {"categories": categories, "finding_source": source}
    text = evaluated(tmp_path, "local.findings_filter", "filter.tf", of=ORGANIZATION, **given)
    asked: dict[str, str] = {}

    def note(comparison: list_filters.Comparison) -> bool:
        asked[".".join(comparison.path)] = comparison.value.text
        return comparison.path[0] != "mute"

    assert list_filters.evaluate(
        list_filters.parse_filter(text, list_filters.SECURITY_CENTER_DIALECT), note
    )
    assert set(asked) <= DOCUMENTED
    assert ("category" in asked) is (categories == NARROW)
    assert asked.get("parent") == (f"{SOURCE}/locations/global" if source else None)
    assert asked["resource_name"] == "//run.googleapis.com/"


def test_the_names_of_a_runbook_are_filled_in(tmp_path: Path) -> None:
    """What is sent in a notification can be typed as it stands, and fits."""
    files = ("monitoring.tf", "names.tf")
    filled = evaluated(tmp_path, "local.runbooks", *files, name_suffix="-again")
    assert "gs://sec-responder-threat-responder-policy-again/" in filled["policy-changed"]
    assert {path.stem for path in (DEPLOY / "runbooks").glob("*.md")} == set(filled)
    for text in filled.values():
        assert not re.search(
            "PROJECT_ID|DEPLOYMENT|REGION[^S]|INCIDENT_ID|WORKLOAD_NAME|PRINCIPAL|ITS_[a-z]", text
        )
        assert len(text) <= 8192  # Monitoring's limit
        assert len(text.encode()) <= 10_240
    assert "`cloud-run-responder show ${log.extracted_label.incident}`" in filled["contained"]


def test_the_module_is_formatted() -> None:
    """As ``terraform fmt`` would have it."""
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("needs terraform, to check the format")
    answer = subprocess.run(
        (terraform, "fmt", "-check", "-recursive", str(DEPLOY)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (0, "")


ROOTS = sorted(path.parent for path in EXAMPLES.rglob("main.tf"))


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: str(root.relative_to(EXAMPLES)))
def test_an_example_gives_a_module_what_it_asks_for(root: Path) -> None:
    """Every variable without a default, and none that is not there; in comments neither."""
    text = (root / "main.tf").read_text()
    for name in read_module(root).calls:
        body = text[text.index(f'module "{name}" {{') :]
        body = body[: body.index("\n}\n")]
        given = set(re.findall(r"^  (?:# )?([a-z_]+) += ", body, re.MULTILINE)) - {"source"}
        variables = module(name).variables
        needed = {name for name, each in variables.items() if "default" not in each}
        assert needed <= given <= set(variables)


def test_there_is_an_example_for_one_team_for_two_and_for_every_option() -> None:
    """And the last one names every variable of both modules."""
    names = [str(root.relative_to(EXAMPLES)) for root in ROOTS]
    assert names == ["full", "minimal", "two-teams/organization", "two-teams/responder"]
    for name, call in read_module(EXAMPLES / "full").calls.items():
        assert set(module(name).variables) <= set(call)


def test_versions_have_bounds_on_both_sides() -> None:
    """A major version of a provider that nobody has read about is refused; the roots agree."""
    folders = [MODULES / RESPONDER, MODULES / ORGANIZATION, *ROOTS]
    for folder in folders:
        text = "\n".join(path.read_text() for path in folder.glob("*.tf"))
        asked = re.findall(r'^ +(?:required_version|version) += "(.*)"', text, re.MULTILINE)
        time = [">= 0.9, < 1.0"] if "hashicorp/time" in text else []
        assert asked == [">= 1.5, < 2.0", ">= 6.41, < 8.0", *time]


def test_what_a_module_reads_lies_beside_it() -> None:
    """The folder contains every file that it refers to; the archive is built."""
    named = set(re.findall(r'\$\{path\.module\}/((?:\.\./)+[a-z./]+)[/"]', source()))
    assert named == {
        *("../../permissions.json", "../../policy.yaml", "../../runbooks"),
        "../../../function.zip",
    }
    for relative in named - {"../../../function.zip"}:
        assert (MODULES / RESPONDER / relative).exists()


def test_permissions_are_one_list() -> None:
    """It is valid JSON, each entry on a line of its own, for diffs that people can read."""
    text = (DEPLOY / "permissions.json").read_text()
    assert len(text.splitlines()) == len(json.loads(text)) + 2
