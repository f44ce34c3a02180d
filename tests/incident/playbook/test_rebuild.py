"""Tasks about the container image: inspect commands by registry, digests, provenance."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Container, Kind, PlaybookTask
from incident.playbook.commands_and_links import image_page
from incident.playbook.rebuild import parse_image, rebuild_and_redeploy
from tests.support.model import (
    NOW,
    configuration,
    evidence,
    finding,
    repeatable,
    template,
    workload,
)

SHA = f"sha256:{'0123456789abcdef' * 4}"
AR = "europe-west1-docker.pkg.dev/example-shop-prod/shop/storefront"
DESCRIBE = "gcloud artifacts docker images describe"
INSPECT = "docker buildx imagetools inspect"
PLACE = "--region=europe-west1 --project=example-shop-prod"


def steps(image: str, digest: str | None = SHA, **more: object) -> list[PlaybookTask]:
    """The tasks for a finding that names an image."""
    this = replace(finding(), containers=(Container("c", image, digest),), revision=None)
    return list(rebuild_and_redeploy(evidence(finding=replace(this, **more)), workload()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "command"),
    [
        (f"{AR}:v2", f"{DESCRIBE} {AR}@{SHA}"),
        (AR, f"{DESCRIBE} {AR}@{SHA}"),
        (f"{AR}@{SHA}", f"{DESCRIBE} {AR}@{SHA}"),
        ("gcr.io/p/shop:v2", f"{DESCRIBE} gcr.io/p/shop@{SHA}"),
        ("eu.gcr.io/p/shop", f"{DESCRIBE} eu.gcr.io/p/shop@{SHA}"),
        ("mirror.gcr.io/library/nginx", f"{INSPECT} mirror.gcr.io/library/nginx@{SHA}"),
        ("nginx", f"{INSPECT} docker.io/library/nginx@{SHA}"),
        ("nginx:1.25", f"{INSPECT} docker.io/library/nginx@{SHA}"),
        ("bitnami/redis:7", f"{INSPECT} docker.io/bitnami/redis@{SHA}"),
        ("docker.io/bitnami/redis", f"{INSPECT} docker.io/bitnami/redis@{SHA}"),
        ("ghcr.io/o/app:1", f"{INSPECT} ghcr.io/o/app@{SHA}"),
        ("registry.example:5000/app:1", f"{INSPECT} registry.example:5000/app@{SHA}"),
        ("gcr.io.example.net/p/app", f"{INSPECT} gcr.io.example.net/p/app@{SHA}"),
    ],
)
def test_each_registry_is_asked_by_what_can_read_it(reference: str, command: str) -> None:
    """By the digest that ran, since a tag may have moved."""
    compare, deploy = steps(reference)
    assert compare.command == command
    name = command.rsplit(maxsplit=1)[-1].partition("@")[0]
    assert f"--image={name}@sha256:NEW_DIGEST {PLACE}" in deploy.command


@pytest.mark.parametrize("reference", ["--help", "a b", "A/B", "x'; touch /tmp/owned; '", "a\nb"])
def test_what_is_no_reference_makes_no_command(reference: str) -> None:
    """Without a valid reference the task lists the revisions' digests."""
    listed, deploy = steps(reference)
    assert listed.command.startswith("gcloud run revisions list --service=storefront")
    assert deploy.command == ""


def test_without_an_image_in_the_finding_the_template_is_used() -> None:
    """The template's image is used, whose digest is unknown."""
    _, compare, _ = steps("", None)
    assert compare.command == f"{INSPECT} registry.example/storefront"


@repeatable
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_reference_is_more_than_one_word(reference: str, digest: str) -> None:
    """Any reference stays one word of the command."""
    command = parse_image(reference, digest).inspect_command
    words = shlex.split(command)
    assert len(words) in (0, 5, 6)
    assert not words or not words[-1].startswith("-")


@pytest.mark.parametrize(
    ("kind", "ran", "command"),
    [
        (Kind.SERVICE, {"revision": "r-1"}, "gcloud run revisions describe r-1"),
        (Kind.SERVICE, {}, "gcloud run revisions list --service=storefront"),
        (Kind.WORKER_POOL, {}, "gcloud beta run worker-pools revisions list"),
        (Kind.WORKER_POOL, {"revision": "r"}, "gcloud beta run worker-pools revisions describe r"),
        (Kind.JOB, {"execution": "e-1"}, "gcloud run jobs executions describe e-1"),
        (Kind.JOB, {}, "gcloud run jobs describe storefront"),
    ],
)
def test_an_unknown_digest_has_a_lookup_command(
    kind: Kind, ran: dict[str, str], command: str
) -> None:
    """By revision, by execution, or in the list of revisions."""
    container, place = Container("c", f"{AR}:v2", None), workload(kind=kind)
    this = replace(finding(), containers=(container,), revision=None, workload=place)
    of = evidence(finding=replace(this, **ran))  # type: ignore[arg-type]
    first, second, _ = rebuild_and_redeploy(of, place)
    assert first.command.startswith(command)
    assert first.command.endswith("--project=example-shop-prod")
    assert second.command == f"{DESCRIBE} {AR}:v2"
    assert "as the tag is now" in second.text


@pytest.mark.parametrize(
    ("category", "says"),
    [
        ("Execution: Modified Malicious Binary Executed", "changed while it ran"),
        ("Execution: Added Malicious Library Loaded", "brought in while it ran"),
        ("Execution: Built in Malicious Binary Executed", "came with the image"),
        ("Reverse Shell", "may be clean"),
    ],
)
def test_the_finding_type_decides_whether_the_image_is_clean(category: str, says: str) -> None:
    """A file changed at run time leaves a clean image; a built-in one does not."""
    compare, _ = steps(AR, category=category)
    assert says in compare.text


def test_an_image_of_artifact_registry_has_its_page() -> None:
    """Images of other registries have no console page."""
    assert image_page(AR) == (
        "https://console.cloud.google.com/artifacts/docker/example-shop-prod/europe-west1/shop"
        "/storefront?project=example-shop-prod"
    )
    assert image_page("gcr.io/p/shop") is None
    assert image_page("x-docker.pkg.dev/p") is None


def test_every_possible_image_is_checked() -> None:
    """Where the finding names no image, every candidate template's image is checked."""
    one = template().containers[0]
    revisions = tuple(
        template(revision=name, containers=(replace(one, image=f"{AR}:{name}"),))
        for name in ("a", "b")
    )
    this = replace(finding(), containers=(), revision=None)
    later = configuration(update_time=NOW)
    of = evidence(finding=this, revisions=revisions, configuration=later)
    texts = [step.text for step in rebuild_and_redeploy(of, workload())]
    assert [name for name in ("a", "b") if any(f"{AR}:{name}" in text for text in texts)] == [
        "a",
        "b",
    ]
