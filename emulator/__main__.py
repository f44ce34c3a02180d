"""The command line: `python -m emulator serve` and `python -m emulator run`."""

from __future__ import annotations

import click

from emulator.cli.run import run_command
from emulator.cli.serve import serve


@click.group()
def main() -> None:
    """A small Google Cloud for a laptop."""


main.add_command(run_command)
main.add_command(serve)


if __name__ == "__main__":
    main(prog_name="python -m emulator")
