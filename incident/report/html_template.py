"""Jinja environment of the HTML report: filters, escaping, length limit of texts. Pure."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from threading import Lock

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from incident.model.durations import format_milliseconds
from incident.report.terminal import escape_unprintable

_LONGEST = 600
#: First words that get a capital letter. Any other first word may be a name.
_SENTENCE_STARTS = re.compile(
    r"(?:all|an?|another|anybody|approved|as|at|buckets|by|callers|cannot|contained|defaults|each"
    r"|everybody|execution|file|from|how|if|in|internal|its?|named|no|nobody|not|nothing|of|on|only"
    r"|other|perhaps|related|released|revision|since|some|taken|the|these|they|this|those|what|when"
    r"|where|whether|which|who|whoever|why|with) "
)
_FOLDER = Path(__file__).parent / "templates"
_COMPILING = Lock()


def page_text(text: str) -> str:
    """A text with invisible characters as escapes, cut to the length limit."""
    left = len(text) - _LONGEST
    cut = escape_unprintable(text[:_LONGEST])
    return f"{cut}… ({left} more characters; the case file has them)" if left > 0 else cut


def _finalize(value: object) -> object:
    """Applied to every printed value, before escaping."""
    if isinstance(value, Markup):
        return value
    return page_text(value) if isinstance(value, str) else value


def report_template() -> Template:
    """The template of the report, compiled once per process, also where several need it at once."""
    with _COMPILING:
        return _compiled_template()


@cache
def _compiled_template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["clock"] = lambda at: f"{at:%H:%M:%S}"
    environment.filters["day"] = lambda at: f"{at:%Y-%m-%d}"
    environment.filters["stamp"] = _stamp
    environment.filters["duration"] = format_milliseconds
    environment.filters["sentence"] = _sentence
    environment.tests["page"] = is_page
    return environment.get_template("report.html.j2")


def _sentence(text: object) -> str:
    """A text with a capital first letter, unless its first word may be a name."""
    sentence = str(text)
    return sentence[:1].upper() + sentence[1:] if _SENTENCE_STARTS.match(sentence) else sentence


def _stamp(value: object) -> str:
    """A time of the evidence as ``YYYY-MM-DD HH:MM:SS``."""
    text = str(value or "")
    return text.replace("T", " ").partition(".")[0].removesuffix("Z") if text else "unknown"


def is_page(link: object) -> bool:
    """Whether a link is an ``https`` URL."""
    return isinstance(link, str) and link.startswith("https://")
