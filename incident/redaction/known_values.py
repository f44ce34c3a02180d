"""Find known secret values in a text, in every encoding that programs print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from threading import Lock
from typing import Any

from incident.model import Secret
from incident.redaction.aho_corasick import Automaton
from incident.redaction.encodings import MIN_PIECE_LENGTH, encodings
from incident.redaction.secret_names import names_secret, suggests_secret
from incident.redaction.spans import Span, credential_spans, named_value_spans

_MAX_JSON_NODES = 10_000  # of a value that is JSON
_MIN_NAMED_LENGTH = 4  # the shortest value under a name that suggests a secret
_MIN_LENGTH = 6  # under any other name
_MIN_LINE_LENGTH = 20  # of a value of several lines: shown alone, it is still the secret's
_PREFIX_LENGTH = 1024  # characters by which a known value is recognised
_MAX_CHARACTERS = 600_000  # of values that are looked for encoded too; a process has 2 MB at most
_MAX_FORM_CHARACTERS = 4_000_000  # of the forms in the automaton: half a second to build it
_MAX_NODES = 150_000  # of the automaton: 40 MB
_MAX_CACHED_CHARACTERS = 20_000  # of the secrets of an incident, to remember those of others too
#: By the length of the shortest form: how long grams are, and at how many positions they begin.
#: Beginnings of MIN_PIECE_LENGTH must have one too, so no more than that is of use.
_GRAM_SIZES = {8: (5, 4), 7: (4, 4), 6: (4, 3), 5: (3, 3), 0: (3, 2)}

_PLATFORM_VARIABLES = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z]+|HOSTNAME|PORT|PWD|OLDPWD|TZ|SHLVL|SHELL|TERM|USER|LOGNAME|_"
    r"|K_(?:SERVICE|REVISION|CONFIGURATION)|CLOUD_RUN_[A-Z_]+|FUNCTION_(?:TARGET|SIGNATURE_TYPE)"
    r"|(?:GOOGLE_CLOUD_|GCP_|GCLOUD_)?(?:PROJECT|PROJECT_ID|REGION|LOCATION)"
    r"|PYTHON[A-Z_]*|NODE_VERSION|NODE_ENV|(?:APP_|RAILS_|FLASK_|DJANGO_)?ENV|ENVIRONMENT|LOG_LEVEL"
    r"|DEBIAN_FRONTEND|GPG_KEY|SSL_CERT_(?:FILE|DIR)|(?:JAVA|GO|GOPATH|CARGO|RUSTUP)_?(?:HOME|VERSION)"
)
_COMMON_VALUES = re.compile(
    r"(?i)true|false|enabled|disabled|default|production|development|staging|warning|localhost"
    r"|[0-9]{1,9}|(?:127\.0\.0\.1|0\.0\.0\.0|localhost)(?::[0-9]{1,5})?"
    r"|(?::?/(?:app|bin|data|dev|etc|home|lib|mnt|opt|proc|root|run|sbin|srv|tmp|usr|var|workspace)"
    r"(?:/[a-z._-]{1,30}+[0-9]{0,6}+)*+/?+(?=:|$))++"
)
# Words, at most with a short number behind them, joined as names and addresses are.
_PLAIN_WORD = r"(?:(?:[A-Z]?[a-z]+|[A-Z]+)[0-9]{0,3}|[0-9]{1,6})"
_PLAIN_NAME = re.compile(rf"(?:[a-z][a-z0-9+.-]*://)?{_PLAIN_WORD}(?:[._@/ :-]+{_PLAIN_WORD})*/?")
_EMPTY_LITERALS = frozenset({"true", "false", "none", "null"})


class KnownValues:
    """The values known to be secret, in all their encodings, found in one pass over a text.

    The time that a text takes is linear in its length, however many values there are. Texts are
    first searched for short pieces (grams) with which forms begin; an automaton reads on from
    there. It holds only the forms whose grams were seen, so that few texts pay for building it.

    Attributes:
        longest: The length of the longest form, in characters.
        unencoded: How many values are looked for as they are only, not encoded: what is beyond
            600,000 characters of values.
    """

    def __init__(self, secrets: Iterable[Secret], harmless: frozenset[str]) -> None:
        self._values: dict[str, str] = {}
        self._long_forms: dict[str, list[str]] = {}
        self._truncatable: set[str] = set()
        self.longest = 0
        self.unencoded = 0
        characters = 0
        for value, truncatable in _values_to_hide(secrets, harmless).items():
            characters += len(value)
            within_budget = characters <= _MAX_CHARACTERS
            self.unencoded += not within_budget
            for form in dict.fromkeys(encodings(value)) if within_budget else (value,):
                if len(form) >= _MIN_NAMED_LENGTH:
                    self._add(form, value, truncatable=truncatable)
        shortest = min(map(len, self._values), default=_MIN_NAMED_LENGTH)
        self._gram_length, self._step = next(
            sizes for least, sizes in _GRAM_SIZES.items() if shortest >= least
        )
        self._forms_by_gram = self._grams()
        self._reaches: dict[str, int] = {}  # of grams, for texts that are searched coarsely
        self._automaton = Automaton()
        self._pending = dict.fromkeys(self._values)  # the forms that the automaton does not hold
        self._lock = Lock()

    def __contains__(self, value: str) -> bool:
        return value in self._values and value not in self._long_forms

    def spans(self, text: str) -> list[Span]:
        """Occurrences of known values, and the beginning of one at the end of the text."""
        grams, length = self._forms_by_gram, self._gram_length
        candidates = [
            at
            for at in range(0, len(text) - length + 1, self._step)
            if text[at : at + length] in grams
        ]
        if not candidates:
            return []
        automaton = self._automaton_for({text[at : at + length] for at in candidates})
        if automaton is None:
            return self._coarse_spans(text, candidates)
        covered, cut, tail = automaton.scan(text, candidates, self._step - 1, _PREFIX_LENGTH)
        spans = [
            Span(start, end, self._values.get(found, found) if single else found)
            for start, end, single in covered
            for found in (text[start:end],)
        ]
        if cut:
            spans += self._long_spans(text, cut)
        if tail >= MIN_PIECE_LENGTH:
            spans.append(Span(len(text) - tail, len(text), text[-tail:]))
        return spans

    def _add(self, form: str, value: str, *, truncatable: bool) -> None:
        pattern = form[:_PREFIX_LENGTH]
        self._values.setdefault(pattern, value)
        self.longest = max(self.longest, len(form))
        if len(form) > _PREFIX_LENGTH:
            self._long_forms.setdefault(pattern, []).append(form)
        if truncatable:
            self._truncatable.add(pattern)

    def _grams(self) -> dict[str, list[str]]:
        """Forms by the grams that begin within their first characters.

        A text is looked at every so many characters, so one of these meets each occurrence.
        """
        grams: dict[str, list[str]] = {}
        length = self._gram_length
        for form in self._values:
            for start in range(self._step):
                grams.setdefault(form[start : start + length], []).append(form)
        return grams

    def _automaton_for(self, grams: Iterable[str]) -> Automaton | None:
        """An automaton with all forms that have any of the grams; None where it grew too big.

        It is built again with at least twice as many forms, so that texts that show one form
        after the other cannot have it built once for each.
        """
        automaton, pending = self._automaton, self._pending
        missing = {form for gram in grams for form in self._forms_by_gram[gram] if form in pending}
        if not missing:
            return automaton
        with self._lock:
            held = self._values.keys() - self._pending.keys()
            more = islice((form for form in self._pending if form not in missing), len(held))
            forms = held | missing | set(more)
            automaton = Automaton()
            for form in forms if sum(map(len, forms)) <= _MAX_FORM_CHARACTERS else ():
                automaton.add(form, truncatable=form in self._truncatable)
                if automaton.nodes > _MAX_NODES:
                    break
            if not 1 < automaton.nodes <= _MAX_NODES:
                return None
            automaton.link()
            self._automaton = automaton
            self._pending = {form: None for form in self._pending if form not in forms}
        return automaton

    def _long_spans(self, text: str, starts: Iterable[int]) -> Iterator[Span]:
        """Full occurrences of forms of which the automaton knows the first 1,024 characters.

        What would take too long to compare is hidden to the end of the text.
        """
        budget = 512 * len(text) + 1_000_000
        for start in starts:
            for form in self._long_forms.get(text[start : start + _PREFIX_LENGTH], ()):
                budget -= 256 + len(form) // 8
                end = start + len(form)
                if budget < 0:
                    yield Span(start, len(text), text[start:])
                    return
                if text.startswith(form, start) or (
                    end > len(text) and form.startswith(text[start:])
                ):
                    end = min(end, len(text))
                    yield Span(start, end, self._values[form[:_PREFIX_LENGTH]])

    def _coarse_spans(self, text: str, candidates: Iterable[int]) -> list[Span]:
        """All that may be a known value, where there are too many to tell: more is hidden."""
        spans: list[Span] = []
        for at in candidates:
            reach = self._reach(text[at : at + self._gram_length])
            start, end = max(at - self._step + 1, 0), min(at + reach, len(text))
            if spans and start <= spans[-1].end:
                start, end = spans[-1].start, max(end, spans.pop().end)
            spans.append(Span(start, end, ""))
        return [Span(start, end, text[start:end]) for start, end, _ in spans]

    def _reach(self, gram: str) -> int:
        """The length of the longest form that has the gram within its first characters."""
        if gram not in self._reaches:
            forms = self._forms_by_gram[gram]
            long = any(form in self._long_forms for form in forms)
            self._reaches[gram] = self.longest if long else max(map(len, forms))
        return self._reaches[gram]


@lru_cache(maxsize=32)
def _few_known_values(secrets: frozenset[Secret], harmless: frozenset[str]) -> KnownValues:
    return KnownValues(secrets, harmless)


@lru_cache(maxsize=1)
def _many_known_values(secrets: frozenset[Secret], harmless: frozenset[str]) -> KnownValues:
    return KnownValues(secrets, harmless)


def known_values(secrets: Iterable[Secret], harmless: frozenset[str]) -> KnownValues:
    """The values to hide out of some secrets; built once for the redactors of one incident."""
    given = frozenset(secrets)
    few = sum(len(secret.value) for secret in given) <= _MAX_CACHED_CHARACTERS
    return (_few_known_values if few else _many_known_values)(given, harmless)


def _values_to_hide(secrets: Iterable[Secret], harmless: frozenset[str]) -> dict[str, bool]:
    """The values that are secret, the shortest first, and whether beginnings of one count too."""
    values: dict[str, bool] = {}
    for secret in (each for given in secrets for each in (given, *_json_strings(given))):
        if not _is_secret(secret, harmless):
            continue
        suggestive = suggests_secret(secret.name)
        for value in _secret_parts(secret.value, harmless):
            values[value] = values.get(value, False) or suggestive or value != secret.value
    return dict(sorted(values.items(), key=lambda item: (len(item[0]), item[0])))


def _is_secret(secret: Secret, harmless: frozenset[str]) -> bool:
    directory = secret.name in {"PWD", "OLDPWD"} and secret.value.startswith("/")
    platform = _PLATFORM_VARIABLES.fullmatch(secret.name) and not names_secret(secret.name)
    if directory or platform or secret.value in harmless:
        return False
    if suggests_secret(secret.name):
        number = secret.value.isdigit() and len(secret.value) < _MIN_LENGTH
        return (
            len(secret.value) >= _MIN_NAMED_LENGTH
            and not number
            and secret.value.lower() not in _EMPTY_LITERALS
        )
    return len(secret.value) >= _MIN_LENGTH and not _COMMON_VALUES.fullmatch(secret.value)


def _json_strings(secret: Secret) -> Iterator[Secret]:
    """The texts in a value that is JSON, which programs log alone; what plainly is a name stays.

    The names of hosts, accounts and places are evidence, and such a value is full of them.
    """
    if not secret.value.lstrip().startswith(("{", "[")):
        return
    try:
        waiting: list[tuple[str, Any]] = [(secret.name, json.loads(secret.value))]
    except (ValueError, RecursionError):
        return
    for _ in range(_MAX_JSON_NODES):
        if not waiting:
            return
        name, node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.items()
        elif isinstance(node, list):
            waiting += [(name, each) for each in node]
        elif isinstance(node, str) and (names_secret(name) or not _PLAIN_NAME.fullmatch(node)):
            yield Secret(name, node)


def _secret_parts(value: str, harmless: frozenset[str]) -> set[str]:
    """A secret value, its long lines, and the credentials inside it.

    Options in an address, such as ``?sslmode=require``, are none by themselves.
    """
    lowered = value.lower()
    lines = {
        line.strip()
        for line in value.splitlines()
        if len(line) >= _MIN_LINE_LENGTH and "---" not in line
    }
    spans = (
        *credential_spans(value.partition("?")[0], lowered),
        *named_value_spans(value, lowered),
    )
    parts = lines | {span.value for span in spans} | {value.strip()}
    return {value} | {part for part in parts - harmless if len(part) >= _MIN_LENGTH}
