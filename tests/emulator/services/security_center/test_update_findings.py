"""What may be written to a finding: security marks and external systems."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import securitycenter_v2
from google.cloud.securitycenter_v2.types import ExternalSystem, SecurityMarks
from google.protobuf import field_mask_pb2

from emulator.world.state import parse_world
from tests.support.constants import PROJECT_ID, PROJECT_NUMBER
from tests.support.google_clients import GoogleClients, google_clients, world_with_services

TAIL = "sources/77/locations/global/findings/f0"
NAME = f"organizations/123456789012/{TAIL}"
CANONICAL = f"projects/{PROJECT_NUMBER}/{TAIL}"
FINDING: dict[str, Any] = {
    "name": NAME,
    "canonicalName": CANONICAL,
    "category": "C",
    "securityMarks": {"marks": {"owner": "web", "Ticket": "7"}},
    "externalSystems": {"jira": {"status": "open", "assignees": ["a"]}},
}


def world(**finding: Any) -> dict[str, Any]:
    """A world with one finding."""
    return world_with_services(findings=[{"finding": FINDING | finding}])


async def write_marks(
    google: GoogleClients, *paths: str, name: str = NAME, **marks: str
) -> SecurityMarks:
    """Writes marks of a finding with a mask."""
    return await google.security_center.update_security_marks(
        securitycenter_v2.UpdateSecurityMarksRequest(
            security_marks=SecurityMarks(name=f"{name}/securityMarks", marks=marks),
            update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
        )
    )


async def write_external_system(
    google: GoogleClients, *paths: str, name: str = NAME, **system: Any
) -> ExternalSystem:
    """Writes what the system `jira`, or another one, says of a finding."""
    short = system.pop("system", "jira")
    return await google.security_center.update_external_system(
        securitycenter_v2.UpdateExternalSystemRequest(
            external_system=ExternalSystem(name=f"{name}/externalSystems/{short}", **system),
            update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
        )
    )


async def listed_marks(google: GoogleClients) -> dict[str, str]:
    """The marks of the finding as it is listed."""
    listed = await google.security_center.list_findings(
        parent="organizations/123456789012/sources/-"
    )
    (result,) = [found async for found in listed]
    return dict(result.finding.security_marks.marks)


def dumped(google: GoogleClients) -> dict[str, Any]:
    """The finding as the world shows it."""
    world: dict[str, Any] = google.emulator.world.dump()
    finding: dict[str, Any] = world["findings"][0]["finding"]
    return finding


async def test_a_mask_sets_one_mark_and_leaves_the_others() -> None:
    """The answer, the list and the world agree."""
    async with google_clients(world()) as google:
        answer = await write_marks(google, "marks.incident", incident=" x1 ", ignored="y")
        expected = {"owner": "web", "Ticket": "7", "incident": "x1"}
        assert dict(answer.marks) == await listed_marks(google) == expected
        assert answer.name == f"{NAME}/securityMarks"
        assert answer.canonical_name == f"{CANONICAL}/securityMarks"
        assert dumped(google)["securityMarks"]["marks"] == expected
        (write,) = google.emulator.writes
        assert write.mask == ["marks.incident"]


async def test_a_named_mark_that_is_not_sent_is_taken_away() -> None:
    """Keys that differ in case only are one."""
    async with google_clients(world()) as google:
        await write_marks(google, "marks.owner")
        assert await listed_marks(google) == {"Ticket": "7"}
        await write_marks(google, "marks.ticket", TICKET="8")
        assert await listed_marks(google) == {"TICKET": "8"}


@pytest.mark.parametrize("paths", [[], ["marks"]])
async def test_without_a_key_all_marks_are_replaced(paths: list[str]) -> None:
    """An empty mask says the same as `marks`."""
    async with google_clients(world()) as google:
        await write_marks(google, *paths, incident="x1")
        assert await listed_marks(google) == {"incident": "x1"}


@pytest.mark.parametrize(
    "name",
    [
        CANONICAL,
        CANONICAL.replace(PROJECT_NUMBER, PROJECT_ID),
        NAME.replace("/locations/global", ""),
        CANONICAL.replace("/locations/global", ""),
    ],
)
async def test_a_finding_is_written_under_each_of_its_names(name: str) -> None:
    """Organisation or project, id or number, with the location `global` or without."""
    async with google_clients(world()) as google:
        await write_marks(google, "marks.a", name=name, a="b")
        assert (
            await write_external_system(google, "status", name=name, status="done")
        ).status == "done"
        assert (await listed_marks(google))["a"] == "b"


async def test_a_finding_that_is_not_there_cannot_be_written() -> None:
    """Another id, another location; names that are none are refused."""
    async with google_clients(world()) as google:
        for name in (f"{NAME}x", NAME.replace("global", "eu")):
            with pytest.raises(exceptions.NotFound):
                await write_marks(google, name=name)
            with pytest.raises(exceptions.NotFound):
                await write_external_system(google, name=name)
        with pytest.raises(exceptions.InvalidArgument):
            await write_marks(google, name="organizations/123456789012/assets/1")
        with pytest.raises(exceptions.InvalidArgument):
            await write_external_system(google, system="")
        assert [write.code for write in google.emulator.writes][-1] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("paths", "sent"),
    [
        ([], {"a b": "x"}),
        ([], {"a.b": "x"}),
        ([], {"k" * 257: "x"}),
        ([], {"a": " "}),
        ([], {"a": "x" * 4097}),
        (["marks.a", "marks.a"], {"a": "x"}),
        (["marks.a b"], {}),
        (["security_marks.a"], {}),
        (["name"], {}),
    ],
)
async def test_marks_have_rules(paths: list[str], sent: dict[str, str]) -> None:
    """Letters, digits, dashes and underscores; sizes; no path twice. Nothing changes."""
    async with google_clients(world()) as google:
        with pytest.raises(exceptions.InvalidArgument):
            await write_marks(google, *paths, **sent)
        assert await listed_marks(google) == {"owner": "web", "Ticket": "7"}


async def test_a_mask_replaces_fields_of_an_external_system() -> None:
    """Those outside of the mask stay; a system that is not there is made."""
    async with google_clients(world()) as google:
        changed = await write_external_system(
            google, "status", status="closed", external_uid="ignored"
        )
        assert (changed.status, list(changed.assignees)) == ("closed", ["a"])
        assert not changed.external_uid
        made = await write_external_system(
            google, system="responder", status="contained", case_uri="https://e/1"
        )
        assert made.name == f"{NAME}/externalSystems/responder"
        replaced = await write_external_system(google, external_uid="7")
        assert not replaced.status
        assert dumped(google)["externalSystems"]["responder"]["status"] == "contained"
        dump = google.emulator.world.dump()
        assert parse_world(dump, source="dump").dump() == dump


async def test_a_camel_case_path_of_an_external_system_is_refused() -> None:
    """Names in masks are snake_case."""
    async with google_clients(world()) as google:
        with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
            await write_external_system(google, "externalUid", external_uid="7")


async def test_writing_to_a_finding_can_be_denied() -> None:
    """Faults hit these methods like any other."""
    faults = [{"method": "UpdateSecurityMarks", "code": "PERMISSION_DENIED"}]
    async with google_clients(world() | {"faults": faults}) as google:
        with pytest.raises(exceptions.PermissionDenied):
            await write_marks(google, a="b")
        await write_external_system(google, status="done")
