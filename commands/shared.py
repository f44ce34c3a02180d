"""What the commands have in common: connecting, JSON, and one clear sentence for what is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from clients import Clients, connect, read_settings
from incident.model import IncidentError

T = TypeVar("T")


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json``, as ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."
    )(command)


def run(work: Callable[[Clients], Coroutine[Any, Any, T]]) -> T:
    """Connect with the operator's own credentials, do the work, and close what was opened."""

    async def connected() -> T:
        clients = await connect(read_settings())
        try:
            return await work(clients)
        finally:
            await clients.close()

    return checked(lambda: asyncio.run(connected()))


def checked(work: Callable[[], T]) -> T:
    """Do it; what is wrong is one clear sentence on standard error, and exit status 1."""
    try:
        return work()
    except IncidentError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def print_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
