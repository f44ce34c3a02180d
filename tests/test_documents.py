"""Documents name only files that exist."""

from __future__ import annotations

import re

import pytest

from tests.support.constants import REPOSITORY

PATH = re.compile(
    r"`((?:incident|responders|clients|commands|emulator|deploy|tests|docs)/[\w./-]+)`"
)


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    """A newcomer finds what the map names."""
    named = set(PATH.findall((REPOSITORY / document).read_text()))
    assert named
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []
