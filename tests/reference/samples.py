"""Compose a sample notification for each finding type that has none in tests/samples.

``python -m tests.reference.samples`` writes tests/samples/types/NAME.json from the first case of
each responder; with ``--check`` it says which are not what the cases say, and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from responders import RESPONDERS
from tests.support.constants import REPOSITORY, SAMPLES_FOLDER

FOLDER = SAMPLES_FOLDER / "types"
_CASES = REPOSITORY / "responders" / "cases"
#: What the base sample says of its own finding type.
_OF_THE_BASE = ("processes", "mitreAttack", "moduleName", "sourceProperties")


def composed_samples() -> dict[str, str]:
    """The samples as JSON text, by the name of their responder."""
    named = {responder.name: responder for responder in RESPONDERS.values()}
    shown = _sampled_categories()
    return {
        name: _sample(name, responder.categories[0])
        for name, responder in sorted(named.items())
        if responder.categories and not shown & set(responder.categories)
    }


def _sampled_categories() -> set[str]:
    """The finding types that have a sample of their own."""
    samples = (json.loads(path.read_bytes()) for path in SAMPLES_FOLDER.glob("*.json"))
    return {sample["finding"]["category"] for sample in samples}


def _sample(name: str, category: str) -> str:
    base: dict[str, Any] = json.loads((SAMPLES_FOLDER / "cloud-run-service.json").read_bytes())
    (case, *_) = json.loads((_CASES / f"{name}.json").read_bytes())
    known = base["finding"]["name"].rpartition("/")[2]
    digest = hashlib.sha256(name.encode()).hexdigest()[: len(known)]
    finding = {key: value for key, value in base["finding"].items() if key not in _OF_THE_BASE}
    finding |= {
        "category": category,
        "description": f"Composed from the documentation of {category}; not observed.",
        **case["finding"],
    }
    text = json.dumps({**base, "finding": finding}, indent=2, ensure_ascii=False) + "\n"
    return text.replace(known, digest)


def main() -> int:
    """Write the samples, or check them."""
    samples = composed_samples()
    present = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
    if "--check" in sys.argv[1:]:
        if present != samples:
            sys.stderr.write(f"{FOLDER.name}: not what the cases say; run: make generate\n")
        return int(present != samples)
    FOLDER.mkdir(exist_ok=True)
    for name in present.keys() - samples.keys():
        Path(FOLDER / f"{name}.json").unlink()
    for name, text in samples.items():
        (FOLDER / f"{name}.json").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
