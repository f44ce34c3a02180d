"""The emulated VirusTotal, as any HTTP client sees it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from emulator.server.emulator import Emulator
from emulator.services.loopback import NO_TLS
from emulator.world.state import BadWorld, parse_world
from tests.support.constants import SHA256

ANSWER = {"data": {"id": SHA256, "type": "file", "attributes": {"tags": ["elf"]}}}
KEY = {"x-apikey": "any"}


async def asked(
    path: str = f"/api/v3/files/{SHA256}", headers: dict[str, str] | None = None, **world: Any
) -> httpx.Response:
    """What is answered in a world that knows one file."""
    made = parse_world({"virustotal": {SHA256.upper(): ANSWER}, **world}, source="test")
    async with (
        Emulator(made) as emulator,
        httpx.AsyncClient(
            base_url=f"http://{emulator.http_address}", trust_env=False, verify=NO_TLS
        ) as client,
    ):
        answer = await client.get(path, headers=KEY if headers is None else headers)
        assert emulator.calls == []
        return answer


async def test_a_file_is_answered_as_the_world_has_it() -> None:
    """Whichever way the hash is spelled."""
    answer = await asked()
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert (await asked(f"/api/v3/files/{SHA256.upper()}")).json() == ANSWER


async def test_another_file_is_not_found() -> None:
    """In VirusTotal's own form of an error."""
    answer = await asked(f"/api/v3/files/{'0' * 64}")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "NotFoundError", "message": f'File "{"0" * 64}" not found'}
    }


@pytest.mark.parametrize("headers", [{}, {"x-apikey": ""}])
async def test_who_brings_no_key_is_refused(headers: dict[str, str]) -> None:
    """Any other key will do."""
    answer = await asked(headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "AuthenticationRequiredError"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("RESOURCE_EXHAUSTED", 429, "QuotaExceededError"),
        ("UNAUTHENTICATED", 401, "WrongCredentialsError"),
        ("UNAVAILABLE", 503, "TransientError"),
        ("DATA_LOSS", 500, "ServerError"),
    ],
)
async def test_faults_are_answered_as_virustotal_would(code: str, status: int, error: str) -> None:
    """A fault is set as for every other call."""
    answer = await asked(faults=[{"method": "GetFileReport", "code": code, "message": "so"}])
    assert answer.status_code == status
    assert answer.json() == {"error": {"code": error, "message": "so"}}


async def test_the_rest_of_the_path_is_storage() -> None:
    """Only reports are VirusTotal's."""
    assert "NoSuchKey" in (await asked("/api/v3/else")).text


def test_its_one_call_has_a_name_that_a_world_may_use() -> None:
    """Another one is refused, as it would never come."""
    parse_world({"latency": {"GetFileReport": "1ms"}}, source="test")
    with pytest.raises(BadWorld):
        parse_world({"latency": {"virustotal.GET": "1ms"}}, source="test")
