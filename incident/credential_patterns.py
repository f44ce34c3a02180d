"""What credentials look like in text: a table of patterns, and what a name says of its value.

Every expression is linear in the length of the text: it begins with a literal or where a run
of its own characters begins, and what it repeats is possessive or bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """A form of credential that shows in text.

    Attributes:
        name: Its name.
        recognises: What it recognises, for a person.
        hints: Lower-case parts, of which the text has one wherever the expression matches.
        expression: Its group ``secret`` is what must not be shown.
        example: Text with such a credential, in parts, so that no scanner takes it for one.
        near_miss: Text that resembles one and stays.
    """

    name: str
    recognises: str
    hints: tuple[str, ...]
    expression: re.Pattern[str]
    example: tuple[str, ...]
    near_miss: str


def _token(prefix: str, tail: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9])(?P<secret>{prefix}{tail})")


_PEM = re.compile(
    r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:[^-]++|-(?!----(?:BEGIN|END)))*+-----END [A-Z0-9 ]{0,60}(?:-----)?"
    r"|(?:[A-Za-z0-9+/=\s\\\"',:-](?!----BEGIN))*+))"
)

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "private-key",
        "a private key in PEM, whole or cut off",
        ("private key",),
        _PEM,
        ("-----BEGIN RSA PRI", "VATE KEY-----\nMIIfake0fake+/fake=\n-----END RSA PRI", "VATE KEY-----"),
        "-----BEGIN PUBLIC KEY-----\nMIIfake\n-----END PUBLIC KEY-----",
    ),
    Pattern(
        "google-api-key",
        "an API key of Google",
        ("aiza",),
        _token("AIza", r"[A-Za-z0-9_-]{30,}+"),
        ("AI", "za", "FAKE-fake_" * 4),
        "AIzawa is a name",
    ),
    Pattern(
        "google-oauth-token",
        "an access token of Google",
        ("ya29.",),
        _token(r"ya29\.", r"[A-Za-z0-9._-]{16,}+"),
        ("ya", "29.", "fake-FAKE_" * 4),
        "ya29.5 metres",
    ),
    Pattern(
        "jwt",
        "a JSON web token, also without its signature",
        ("eyj",),
        re.compile(
            r"(?<![A-Za-z0-9_-])(?P<secret>eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+)?)"
        ),
        ("ey", "JmYWtlIjoxfQ", ".", "eyJmYWtlIjoyfQ", ".", "ZmFrZS1zaWduYXR1cmU"),
        "eyJmYWtlIjoxfQ",
    ),
    Pattern(
        "github-token",
        "a token of GitHub",
        ("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_"),
        _token("(?:gh[pousr]|github_pat)_", r"[A-Za-z0-9_]{20,}+"),
        ("gh", "p_", "FAKEfake0" * 4),
        "ghp_example",
    ),
    Pattern(
        "aws-access-key-id",
        "an access key id of AWS",
        ("akia", "asia"),
        _token("(?:AKIA|ASIA)", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("AK", "IA", "FAKEFAKE" * 2),
        "AKIARA is a place",
    ),
    Pattern(
        "authorization",
        "the value of an Authorization header",
        ("authorization",),
        re.compile(
            r"(?i)authorization[\"']?\s{0,4}[:=]\s{0,4}\\?[\"']?"
            r"(?:(?:bearer|basic|token|digest|apikey)\s{1,4})?(?P<secret>[^\s\"'\\]++)"
        ),
        ("Authorization: Bea", "rer fake"),
        "authorization failed",
    ),
    Pattern(
        "userinfo",
        "the password of a URL",
        ("://",),
        re.compile(r"://[^\s/?#@:\"'<>]*+:(?P<secret>[^\s/?#@\"'<>]++)@(?!sha256:)"),
        ("postgres://app:", "fake", "@db.example.net/shop"),
        "stratum+tcp://pool.example.net:3333",
    ),
    Pattern(
        "query-parameter",
        "the value of a query parameter",
        ("?", "&"),
        re.compile(r"[?&][^\s=&?#\"'<>]{1,128}=(?P<secret>[^\s&#\"'<>]++)"),
        ("https://example.net/a?x=", "fake"),
        "what? a=b",
    ),
)

_STRONG = frozenset({"password", "passwd", "pwd", "passphrase", "secret", "token", "apikey"})
_LOOSE = _STRONG | frozenset(
    "key keys credential credentials auth dsn salt cookie session cert private pass".split()
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case: ``clientSecret`` and ``CLIENT_SECRET`` have the same."""
    return tuple(word.lower() for word in _WORD.findall(name))


def suggests_secret(name: str) -> bool:
    """Whether a variable of this name plausibly holds a secret."""
    return not _LOOSE.isdisjoint(words(name))


def announces_secret(name: str) -> bool:
    """Whether a text that assigns to this name shows a secret."""
    return not _STRONG.isdisjoint(words(name)) or words(name)[-2:] in {("api", "key"), ("access", "key"), ("account", "key"), ("private", "key"), ("secret", "key")}
