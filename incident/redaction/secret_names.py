"""What a name says of its value, and where in a text such names announce one.

Like the forms of credentials, every expression here is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from incident.redaction.credential_patterns import MARK_PATTERN, WORD_START


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRET_WORDS = _vocabulary(
    "password passwords passwd pwd passphrase passcode secret token credential credentials apikey"
    " dsn salt cookie"
)
_SECRET_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey")
_KEY_QUALIFIERS = _vocabulary(
    "access account admin api app application auth client consumer deploy encryption host license"
    " master private root secret service session shared signing ssh storage webhook"
)
_SECRET_PAIRS = frozenset(
    {("session", "id"), ("connection", "string"), ("auth", "code"), ("auth", "key")}
)
_SHORT_SECRET_WORDS = frozenset({"pass", "pw"})
_METADATA_WORDS = _vocabulary(
    "accessor alg algorithm arn count enabled endpoint expires expiry fingerprint field file id"
    " length limit manager name names path policy prompt ref required sha256 status stdin"
    " ttl type uri url version"
)
_SUGGESTIVE_WORDS = _SECRET_WORDS | _vocabulary(
    "auth authorization cert certificate code cookies jwt key keys login otp pass pin private pw"
    " secrets session sig signature tokens webhook"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HINT = re.compile(
    "pass|pw|secret|token|key|credential|dsn|salt|cookie|session|connection|auth", re.IGNORECASE
)
_HINTS = tuple(_HINT.pattern.split("|"))


def split_name(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: ``clientSecret`` has those of ``CLIENT_SECRET``."""
    return tuple(word.lower() for word in _WORD.findall(name[:256]))


def suggests_secret(name: str) -> bool:
    """Whether a variable of this name may well hold a secret, judged by the words of the name."""
    parts = split_name(name)
    return not _SUGGESTIVE_WORDS.isdisjoint(parts) or any(
        word.endswith(_SECRET_ENDINGS) for word in parts
    )


def names_secret(name: str) -> bool:
    """Whether what is assigned to this name in a text or a command line must not be shown.

    Stricter than ``suggests_secret``, since text is evidence: ``key=``, ``auth:`` and
    ``token_type:`` announce nothing.
    """
    if not _HINT.search(name):
        return False
    parts = split_name(name)
    if not parts or parts[-1] in _METADATA_WORDS:
        return parts[-2:] == ("session", "id")
    return (
        not _SECRET_WORDS.isdisjoint(parts)
        or any(word.endswith(_SECRET_ENDINGS) for word in parts)
        or any(
            pair in _SECRET_PAIRS or (pair[1] == "key" and pair[0] in _KEY_QUALIFIERS)
            for pair in pairwise(parts)
        )
        or (not _SHORT_SECRET_WORDS.isdisjoint(parts) and (len(parts) > 1 or name.startswith("-")))
    )


_NAME = WORD_START + r"(?P<name>[\w.-]++)"
_ASSIGNMENTS = (
    re.compile(_NAME + r"\\*[\"']?\]?[ \t]{0,8}(?::=|=>|==?|:)[ \t]{0,8}"),
    re.compile(
        WORD_START + r"(?P<name>--?[A-Za-z][\w.-]*+)"
        r"(?:[ \t]{1,8}(?!--?[A-Za-z])|\\*[\"']\s{0,8},\s{0,8}(?=\\*[\"'])(?!\\*[\"']--?[A-Za-z]))"
    ),
    re.compile(
        r"[\"'](?:name|key)\\*[\"']\s{0,8}:\s{0,8}\\*[\"'](?P<name>[\w.-]{1,128})\\*[\"']\s{0,8},"
        r"\s{0,8}\\*[\"']val(?:ue)?\\*[\"']\s{0,8}:\s{0,8}(?=\\*[\"'])"
    ),
)
_QUOTED = re.compile(
    r"(?P<slashes>\\*+)(?P<quote>[\"'])"
    r"(?P<secret>(?:[^\\\"'\n]++|(?!(?P=slashes)(?P=quote))(?:\\++[\"']?|[\"']))*+)"
)
_BARE = re.compile(
    rf"(?P<secret>(?:{MARK_PATTERN}|[^\s\"'`\\;,&|)}}\]<>]"
    r"|\\(?![\"']|[nrt](?:[\w.-]{1,64}[=:]|[\\\"'\s]|$))"
    r"|[,&|)}\]>](?=[^\s\"'`\\;,&|)}\]<>])(?![\w.%-]{1,64}\\*[\"']?\s?[=:]))++)"
)
#: ``latest`` is what gcloud has after the name of a secret: ``db-password:latest``.
_NOT_SECRET = re.compile(r"(?i)[^\w]*|true|false|null|none|nil|undefined|yes|no|on|off|latest")
_SECRET_NAME = re.compile(r"\\*[\"']?projects/[\w-]{1,64}/secrets/")
_ABSOLUTE_PATH = re.compile(r"\\*[\"']?/")


def find_named_values(
    text: str, is_secret_name: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Where values stand that a name before them announces: start and end of each.

    Knows ``name=value``, ``name: value``, ``"name": "value"`` (also escaped), ``--name value``,
    ``"--name", "value"`` and ``"name": "name", "value": "value"``.

    Args:
        text: Any text; at most a few times its length is read.
        is_secret_name: Whether a name announces a secret.
    """
    for expression in _ASSIGNMENTS:
        done = 0
        while found := expression.search(text, done):
            done = found.end()
            if not is_secret_name(found["name"]) or _stays_visible(found["name"], text, done):
                continue
            value = _QUOTED.match(text, done) or _BARE.match(text, done)
            if value and not _NOT_SECRET.fullmatch(value["secret"]):
                yield value.span("secret")
                done = value.end()


def _stays_visible(name: str, text: str, start: int) -> bool:
    """Whether the name of a secret or a working directory begins here, which both stay.

    Told by the beginning alone: a value that stays is read again for what it announces, and
    reading each to its end would take quadratic time.
    """
    directory = name in {"PWD", "OLDPWD"} and _ABSOLUTE_PATH.match(text, start)
    return bool(directory or _SECRET_NAME.match(text, start))


def may_name_secret(lowered: str) -> bool:
    """Whether a text, in lower case, has any part of a name that announces a secret."""
    return any(sign in lowered for sign in _HINTS)
