"""Template of the page: filters, escaping, length limit of texts. Pure."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from threading import Lock

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from incident.report.page_words import stamp
from incident.report.terminal import escape_unprintable, escape_unprintable_lines

_LONGEST = 600
#: First words that get a capital letter. Any other first word may be a name.
_SENTENCE_STARTS = re.compile(
    r"(?:all|an?|another|anybody|approved|as|at|buckets|by|callers|cannot|confirmed|contained"
    r"|defaults|each|everybody|execution|file|from|hostile:|how|if|in|internal|its?|named|no|nobody|not"
    r"|nothing|of|on|only|other|perhaps|related|released|revision|since|some|taken|the|these|they"
    r"|this|those|what|when|where|whether|which|who|whoever|why|with) "
)
_CODE = re.compile(r"`([^`]{1,100})`")
_FOLDER = Path(__file__).parent / "templates"
_COMPILING = Lock()


def page_text(text: str) -> str:
    """A text with invisible characters as escapes, cut to the length limit."""
    left = len(text) - _LONGEST
    cut = escape_unprintable(text[:_LONGEST])
    return f"{cut}… ({left} more characters; the case file has them)" if left > 0 else cut


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
    environment.filters["block"] = _block
    environment.filters["prose"] = _prose
    environment.filters["clock"] = lambda at: f"{at:%H:%M:%S}"
    environment.filters["day"] = lambda at: f"{at:%Y-%m-%d}"
    environment.filters["stamp"] = stamp
    environment.filters["sentence"] = _sentence
    environment.tests["link"] = lambda link: isinstance(link, str) and link.startswith("https://")
    return environment.get_template("report.html.j2")


def _finalize(value: object) -> object:
    """Applied to every printed value, before escaping."""
    if isinstance(value, Markup):
        return value
    return page_text(value) if isinstance(value, str) else value


def _block(text: str) -> Markup:
    """Lines of commands, whole: what is cut is not to be pasted."""
    return escape(escape_unprintable_lines(text))


def _prose(text: str) -> Markup:
    """A text whose words in backquotes are code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(page_text(text)))))  # noqa: S704 - escaped


def _sentence(text: str) -> str:
    """A text with a capital first letter, unless its first word may be a name."""
    return text[:1].upper() + text[1:] if _SENTENCE_STARTS.match(text) else text
