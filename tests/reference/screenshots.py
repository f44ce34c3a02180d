"""Draw the README's pictures of page and terminal, from a demo, with Chromium.

``python -m tests.reference.screenshots`` writes docs/images/page.png and docs/images/terminal.png.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from emulator.cli.progress_line import ignore_progress
from emulator.runner.demo import run_demo
from tests.support.constants import REPOSITORY

INCIDENT = "20261002-6255b37a8bf0"
FOLDER = REPOSITORY / "docs" / "images"
_COLUMNS = 100
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 18px 22px; background: #0c0c0c; color: #d9d9d9; }}
pre {{ margin: 0; font: 14px/1.35 "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
{stylesheet}
</style><pre>$ cloud-run-responder show {incident}
{code}</pre>"""


async def draw(work: Path, chromium: str) -> None:
    """Both pictures, of the first incident of a demo."""
    async with run_demo(work / "demo", ignore_progress) as demo:
        shown = await _run(demo.exports, f"cloud-run-responder show {INCIDENT}", work)
        await _run(demo.exports, f"cloud-run-responder report {INCIDENT} --output page.html", work)
    (work / "terminal.html").write_text(_terminal_page(shown.replace(str(work), "/home/you")))
    FOLDER.mkdir(parents=True, exist_ok=True)
    _take(chromium, work / "page.html", FOLDER / "page.png", (1280, 800))
    lines = shown.count("\n") + 1
    _take(chromium, work / "terminal.html", FOLDER / "terminal.png", (960, 40 + 19 * lines))


async def _run(exports: str, command: str, folder: Path) -> str:
    """What a command prints at a terminal with colours."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"{exports}\n{command}"),
        cwd=folder,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return output.decode()


def _terminal_page(printed: str) -> str:
    """The text of a terminal as a page."""
    console = Console(record=True, width=2 * _COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(printed), crop=False, soft_wrap=True)
    text = console.export_html(theme=MONOKAI, code_format=_TERMINAL.replace("{incident}", INCIDENT))
    return text.replace("color: #d9d9d9; background-color: #0c0c0c", "")


def _take(chromium: str, page: Path, picture: Path, size: tuple[int, int]) -> None:
    """The picture of a page, at twice the resolution."""
    command = (
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        f"--window-size={size[0]},{size[1]}",
        f"--screenshot={picture}",
        page.as_uri(),
    )
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Draw them, if Chromium is there."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed: the pictures stay as they are")
    with tempfile.TemporaryDirectory(prefix="screenshots-") as work:
        asyncio.run(draw(Path(work), chromium))


if __name__ == "__main__":
    main()
