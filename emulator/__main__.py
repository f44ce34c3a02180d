"""The command line: `python -m emulator serve`, `run` and `demo`."""

from __future__ import annotations

import click

from emulator.cli.demo import demo
from emulator.cli.run import run_command
from emulator.cli.serve import serve


@click.group()
def main() -> None:
    """A small Google Cloud for a laptop."""


main.add_command(run_command)
main.add_command(demo)
main.add_command(serve)


if __name__ == "__main__":
    main(prog_name="python -m emulator")
