"""Regular expressions for credentials in text: headers, URLs, keys, options, SQL.

What a format of its own gives away is in the table of formats, what a variable's name gives away
in ``secret_names``. Every expression is linear in the length of the text: it begins with a literal
or where a run of its own characters begins, and whatever it repeats is possessive, bounded or
unambiguous.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

#: A redaction mark, which replaces a secret in a text.
MARK_PATTERN = r"\[redacted:[0-9a-f]{8}\]"
# Where a word may begin: also behind an escaped line break, a percent-encoded character and the
# end of a terminal's colour, whose last letters look as if they belonged to it.
# The first look at one character rules most places out.
_ESCAPE = r"(?<=[nrtm0-9A-F])(?:(?<=\\[nrt])|(?<=%[0-9A-F]{2})|(?<=\[[0-9]m)|(?<=\[[0-9]{2}m))"
_TOKEN_START = rf"(?:(?<![A-Za-z0-9_-])|{_ESCAPE})"
WORD_START = rf"(?:(?<![\w.\\-])|{_ESCAPE}|(?<=\\)(?![nrt]))"
_FAKE_RANDOM = "Fake0Fake1" * 4  # the random part of the examples
_FAKE_HEX = "fa4e0" * 6 + "fa"


@dataclass(frozen=True, slots=True)
class CredentialPattern:
    """A form in which a credential shows in text.

    Attributes:
        name: Its name, unique in the table.
        description: What it recognises, for a person.
        expression: Its group ``secret`` is what must not be shown.
        hints: Parts of which a text has one wherever the expression matches; in lower case
            where the expression ignores case.
        example: Text with such a credential, in parts, so that no scanner takes it for one.
        near_miss: Text that resembles one and stays.
    """

    name: str
    description: str
    expression: re.Pattern[str]
    hints: tuple[str, ...]
    example: tuple[str, ...]
    near_miss: str


def _pattern(  # noqa: PLR0913, PLR0917 - the columns of the table below
    name: str,
    description: str,
    hints: str,
    expression: str,
    example: tuple[str, ...],
    near_miss: str,
    *,
    before: str = "",
    after: str = "",
) -> CredentialPattern:
    compiled = re.compile(before + expression + after)
    return CredentialPattern(name, description, compiled, tuple(hints.split()), example, near_miss)


_token_pattern = partial(
    _pattern, before=f"{_TOKEN_START}(?P<secret>", after=")"
)  # identified by its own prefix
_keyword_pattern = partial(
    _pattern, before=f"(?i){WORD_START}"
)  # identified by a word before it, in any case

PATTERNS: tuple[CredentialPattern, ...] = (
    _pattern(
        "private-key",
        "a private key in PEM; one without its end as far as it may reach",
        "PRIVATE",
        r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]++|-(?!----(?:BEGIN|END)))*+-----END [A-Z0-9 ]{0,60}(?:-----)?"
        r"|(?:[A-Za-z0-9+/=\s\\\"',:.-](?!----BEGIN))*+))",
        ("-----BEGIN PRI", "VATE KEY-----\nMIIfake+/fake=\n-----END PRI", "VATE KEY-----"),
        "-----BEGIN PUBLIC KEY-----\nMIIfake\n-----END PUBLIC KEY-----",
    ),
    _token_pattern(
        "jwt",
        "a JSON web token, also without its signature",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+)*+",
        ("ey", "JmYWtlIjoxfQ.", "ey", "JmYWtlIjoyfQ.", _FAKE_RANDOM),
        "eyJmYWtlIjoxfQ",
    ),
    _pattern(
        "slack-webhook",
        "the address of a Slack webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9_/-]++)",
        ("https://hooks.sl", "ack.com/serv", "ices/T0FAKE/B0FAKE/", _FAKE_RANDOM),
        "https://hooks.slack.com/services",
    ),
    _pattern(
        "teams-webhook",
        "the address of a Microsoft Teams webhook",
        "webhook.office.com",
        r"webhook\.office\.com/webhookb2/(?P<secret>[A-Za-z0-9_/@-]++)",
        ("https://shop.webhook.off", "ice.com/webhookb2/", _FAKE_RANDOM),
        "https://shop.webhook.office.com/webhookb2",
    ),
    _pattern(
        "discord-webhook",
        "the address of a Discord webhook",
        "/api/webhooks/",
        r"/api/webhooks/[0-9]{1,24}/(?P<secret>[A-Za-z0-9_-]++)",
        ("https://discord.com/api/web", "hooks/1/", _FAKE_RANDOM),
        "https://discord.com/api/webhooks/1",
    ),
    _pattern(
        "password-hash",
        "a salted password hash, as in /etc/shadow",
        "$",
        r"(?P<secret>\$(?:1|2[abxy]?|5|6|7|y|gy|argon2(?:id?|d))\$[./A-Za-z0-9$=,+_-]{20,}+)",
        ("$", "6$", "salt$", _FAKE_RANDOM),
        "$1$2",
    ),
    _pattern(
        "authorization",
        "the value of an Authorization header",
        "authorization",
        r"(?i)authorization\\*[\"']?\]?\s{0,4}[:=,]\s{0,4}\\*[\"']?"
        r"(?:(?:bearer|basic|token|negotiate|apikey|ssws)\s{1,4}|(?=[^\s\"'\\]{16}))"
        r"(?P<secret>[^\s\"'\\]++)",
        ("Authorization: Bea", "rer fake"),
        "authorization: failed",
    ),
    _pattern(
        "authorization-parameters",
        "an Authorization header made of parameters",
        "authorization",
        r"(?i)authorization\\*[\"']?\]?\s{0,4}[:=,]\s{0,4}\\*[\"']?"
        r"(?:digest|aws4-hmac-sha256|hawk|oauth|signature)\s{1,4}"
        r"(?P<secret>(?:=\\*\"[^\"\\\r\n]*+\\*\"|[^\r\n\"'\\])++)",
        ("Authorization: Dig", "est username=fake"),
        "authorization: digest",
    ),
    _keyword_pattern(
        "bearer",
        "a bearer token without its header",
        "bearer",
        r"bearer\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{16,}+)",
        ("bea", "rer ", _FAKE_RANDOM),
        "the bearer of good news",
    ),
    _keyword_pattern(
        "cookie",
        "the value of a Cookie or Set-Cookie header",
        "cookie",
        r"(?:set-)?cookie\s{0,4}:\s{1,4}"
        r"(?P<secret>(?:=\\*\"[^\"\\\r\n]*+\\*\"|[^\r\n\"'\\])++)",
        ("Coo", "kie: a=fake; b=fake"),
        "cookies: none",
    ),
    _pattern(
        "userinfo",
        "the password of a URL",
        "://",
        r"://(?:\[redacted:[0-9a-f]{8}\]|[^\s/?#@:\"'<>\\])*+:"
        r"(?P<secret>[^\s/?#@\"'<>\\]{1,512}+(?:@[^\s/?#@\"'<>\\]{0,512}+(?=@))*+(?=@)"
        r"|(?![0-9]{1,5}[/?#])[^\s@\"'<>\\]{1,128}+)@(?!sha256:)",
        ("postgres://app:", "fake", "@db.example.net/shop"),
        "stratum+tcp://pool.example.net:3333/a@b",
    ),
    _pattern(
        "userinfo-token",
        "a token as the user of a URL",
        "://",
        r"://(?P<secret>[A-Za-z0-9_.~%-]{16,}+)@(?!sha256:)",
        ("https://", _FAKE_RANDOM, "@example.net"),
        "ssh://git@example.net:22/shop.git",
    ),
    _pattern(
        "query-parameter",
        "the value of a query parameter",
        "? &",
        r"[?&][^\s=&?#\"'<>]{1,128}=(?P<secret>[^\s&#\"'<>\\]++)",
        ("https://example.net/a?x=", "fake"),
        "what? a=b",
    ),
    _pattern(
        "query",
        "a query string without names",
        "://",
        r"://[^\s?#:\"'<>\\]*+(?::[0-9]{1,5}[^\s?#:\"'<>\\]*+)?"
        r"\?(?P<secret>[^\s=&#\"'<>\\]++)(?![=&])",
        ("https://example.net/a?", "fake"),
        "https://example.net/a? no",
    ),
    _keyword_pattern(
        "mysql-dsn",
        "the password of a data source name in Go's form",
        "@tcp( @unix(",
        r"(?<!\[)[\w.-]{1,64}+:(?P<secret>[^\s@\"'/]{1,64}+)@(?:tcp|unix)\(",
        ("app:", "fake", "@tcp(db:3306)/shop"),
        "app@tcp(db:3306)/shop",
    ),
    _keyword_pattern(
        "sql",
        "a password in SQL",
        "identified password",
        r"(?:identified\s{1,4}(?:with\s{1,4}\S{1,40}\s{1,4})?(?:by|as)"
        r"(?:\s{1,4}password)?|password)(?:\s{1,4}|\s{0,4}\(\s{0,4})'(?P<secret>(?:[^'\r\n]|'')++)",
        ("CREATE USER app IDENTIFIED BY '", "fake", "'"),
        "identified by its name",
    ),
    _keyword_pattern(
        "quoted-password",
        "a password in quotes behind its name",
        "passw passphrase passcode",
        r"(?:password|passwd|passphrase|passcode)\s{1,4}\\*[\"'](?P<secret>[^\s\"'\\]++)",
        ('refused using password "', "fake", '" of app'),
        'the password field is "empty"',
    ),
    _keyword_pattern(
        "netrc",
        "the password of a netrc line",
        "login",
        r"login\s{1,4}\S{1,128}\s{1,4}password\s{1,4}(?P<secret>\S++)",
        ("machine example.net login app password ", "fake"),
        "login with a password",
    ),
    _keyword_pattern(
        "registry-login",
        "the login that a registry's client keeps",
        "auth",
        r"_?auth\\*[\"']?\s{0,4}[:=]\s{0,4}\\*[\"']?(?P<secret>[A-Za-z0-9+/=_-]{12,}+)",
        ('{"au', 'th": "', _FAKE_RANDOM, '"}'),
        "auth: ok",
    ),
    _pattern(
        "xml",
        "the element of XML that is named after a secret",
        "</",
        r"(?i)<[\w:.-]{0,64}(?:password|passwd|secret|token|api-?key)>(?P<secret>[^<]++)</",
        ("<password>", "fake", "</password>"),
        "<passwordless>yes</passwordless>",
    ),
    _keyword_pattern(
        "user-option",
        "the password behind a user in an option",
        "-u --user --proxy-user",
        r"(?:-u|--user|--proxy-user)(?:\s{1,4}|=)[\"']?"
        r"(?:\[redacted:[0-9a-f]{8}\]|[^\s:/\"']){1,128}:"
        r"(?![0-9]{1,9}(?:\s|$)|//)(?P<secret>[^\s\"']++)",
        ("curl -u app:", "fake", " example.net"),
        "docker run -u 1000:1000 shop",
    ),
    _pattern(
        "program-option",
        "a password that only its program's option gives away",
        "sshpass redis-cli mysql mariadb docker podman",
        r"(?:sshpass\s{1,4}-p\s{0,4}|redis-cli\s(?:[^\s|;&]++\s){0,12}?-a\s{1,4}"
        r"|(?:docker|podman)\s{1,4}login\s(?:[^\s|;&]++\s){0,12}?-p\s{1,4}"
        r"|(?:mysql|mariadb)(?:dump|admin)?\s(?:[^\s|;&]++\s){0,12}?-p)[\"']?(?P<secret>[^\s\"']++)",
        ("mysql -h db -p", "fake", " shop"),
        "docker run -p 8080:80 shop",
    ),
)

_HINTS = tuple((hint, pattern) for pattern in PATTERNS for hint in pattern.hints)
_CASE_INSENSITIVE_HINTS = tuple(item for item in _HINTS if item[1].expression.flags & re.IGNORECASE)
_CASE_SENSITIVE_HINTS = tuple(
    item for item in _HINTS if not item[1].expression.flags & re.IGNORECASE
)


def candidate_patterns(text: str, lowered: str) -> list[CredentialPattern]:
    """The patterns that may match a text, given it as it is and in lower case."""
    found = [pattern for hint, pattern in _CASE_SENSITIVE_HINTS if hint in text]
    found += [pattern for hint, pattern in _CASE_INSENSITIVE_HINTS if hint in lowered]
    return list(dict.fromkeys(found)) if found else found
