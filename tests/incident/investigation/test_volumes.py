"""Volumes: for each kind what is true of a changed file, whatever became of the workload."""

from __future__ import annotations

import pytest
from google.cloud import run_v2

from clients.cloud_run_conversion import template_of
from incident.investigation.volumes import describe_volumes
from incident.model import ExposureFact, Volume
from tests.support.model import configuration, evidence, template

BUCKET = run_v2.GCSVolumeSource(bucket="uploads")
SHARE = run_v2.NFSVolumeSource(server="10.0.0.2", path="/share")


def volume_sentences(*mounted: Volume) -> tuple[ExposureFact, ...]:
    """What is said of a service that mounts so."""
    return describe_volumes(
        evidence(configuration=configuration(template=template(revision="", volumes=mounted)))
    )


@pytest.mark.parametrize(
    ("volume", "text", "serious"),
    [
        (run_v2.Volume(name="v", gcs=BUCKET), "comes back with every instance that mounts", True),
        (run_v2.Volume(name="v", nfs=SHARE), "every other machine that mounts it", True),
        (
            run_v2.Volume(name="v", gcs=run_v2.GCSVolumeSource(bucket="b", read_only=True)),
            "buckets mounted read-only could be read, not changed",
            False,
        ),
        (
            run_v2.Volume(name="v", nfs=run_v2.NFSVolumeSource(server="s", read_only=True)),
            "file shares mounted read-only could be read, not changed",
            False,
        ),
        (
            run_v2.Volume(name="v", empty_dir=run_v2.EmptyDirVolumeSource()),
            "what is in memory is lost with its instance",
            False,
        ),
        (
            run_v2.Volume(
                name="v", cloud_sql_instance=run_v2.CloudSqlInstance(instances=["p:r:db"])
            ),
            "keep what was changed in them",
            True,
        ),
        (
            run_v2.Volume(name="v"),
            "whether a change to a volume of type unknown lasts is not",
            False,
        ),
    ],
)
def test_each_volume_kind_is_described(volume: run_v2.Volume, text: str, *, serious: bool) -> None:
    """As the client reads it from Cloud Run."""
    read = template_of(run_v2.Revision(name="r", volumes=[volume])).volumes
    (point,) = [each for each in volume_sentences(*read) if each.names]
    assert text in point.text
    assert point.serious is serious


def test_an_ephemeral_volume_is_not_called_gone_while_it_runs() -> None:
    """A held or planned incident's workload still runs; the sentence is true for it as well."""
    (point,) = volume_sentences()
    assert point.text == (
        "it mounts nothing that keeps a changed file, by its settings as they are now: what was"
        " changed in the container's own file system lasts as long as its instance, and is lost"
        " when that stops"
    )
    listed = evidence(revisions=(template(),))
    assert "as they are now" not in describe_volumes(listed)[0].text


def test_volumes_of_one_kind_are_one_point() -> None:
    """Buckets together, and before what is not kept; secrets are on a list of their own."""
    first, second = volume_sentences(
        Volume("s", "secret key", persists=False),
        Volume("scratch", "empty_dir", persists=False),
        Volume("a", "gcs one", persists=True),
        Volume("b", "gcs two", persists=True),
    )
    assert first.names == ("gcs one", "gcs two")
    assert second.names == ("scratch",)
