"""Redaction: what is secret leaves only as a keyed mark, and the rest of the evidence stays.

What a pattern cannot know is a limit: a password without a name beside it, a secret split
over several arguments or encoded in a way that is not tried here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from incident.credential_patterns import PATTERNS, announces_secret, suggests_secret
from incident.model import Json, Secret

_MARK = re.compile(r"\[redacted:[0-9a-f]{8}\]")
_MARKS = re.compile(r"(?:\[redacted:[0-9a-f]{8}\])+")
_ASSIGNMENT = re.compile(r"(?<![\w.-])([\w.-]++)\\*[\"']?[ \t]{0,8}[:=][ \t]{0,8}")
_VALUE = re.compile(r"\\*\"[^\"\\\n]*+|\\*'[^'\\\n]*+|[^\s\"'&,;\\]++")
_MARGIN = 8192
_DEEPEST = 100
_PLATFORM = frozenset(
    "PATH HOME LANG HOSTNAME PORT K_SERVICE K_REVISION K_CONFIGURATION PWD TZ SHLVL TERM USER".split()
)
_ENVIRONMENTS = frozenset(
    "env envVariables env_variables envVars environment environmentVariables environment_variables".split()
)
_COMMANDS = frozenset({"args", "arguments", "command"})
_URLS = frozenset("requestUrl request_url referer url uri externalUri external_uri".split())


class Redactor:
    """Replaces what is secret in the evidence of one incident. Equal secrets get equal marks."""

    def __init__(
        self, key: bytes, secrets: Iterable[Secret] = (), *, harmless: Iterable[str] = ()
    ) -> None:
        if not key:
            raise ValueError("redact: the key of the marks is empty")
        self._key = key
        spared = frozenset(harmless)
        values = {
            secret.value
            for secret in secrets
            if secret.value not in spared
            and secret.name not in _PLATFORM
            and len(secret.value) >= (4 if suggests_secret(secret.name) else 6)
        }
        longest_first = sorted(values, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if values else None

    def _mark(self, value: str) -> str:
        digest = hmac.new(self._key, value.encode(errors="surrogatepass"), hashlib.sha256)
        return f"[redacted:{digest.hexdigest()[:8]}]"

    def _hide(self, value: str) -> str:
        return value if not value or _MARKS.fullmatch(value) else self._mark(value)

    def text(self, value: str) -> str:
        """Evidence text with known secret values and credentials replaced by marks."""
        if self._known:
            value = self._known.sub(lambda match: self._mark(match[0]), value)
        lowered = value.lower()
        for pattern in PATTERNS:
            if any(hint in lowered for hint in pattern.hints):
                value = pattern.expression.sub(self._replace, value)
        return self._assignments(value)

    def _replace(self, match: re.Match[str]) -> str:
        start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
        whole = match[0]
        return whole[:start] + self._hide(match["secret"]) + whole[end:]

    def _assignments(self, value: str) -> str:
        parts, done = [], 0
        while found := _ASSIGNMENT.search(value, done):
            parts.append(value[done : found.end()])
            done = found.end()
            if announces_secret(found[1]) and (shown := _VALUE.match(value, done)):
                bare = shown[0].lstrip("\\\"'")
                parts.append(shown[0][: len(shown[0]) - len(bare)] + self._hide(bare))
                done = shown.end()
        return "".join([*parts, value[done:]])

    def arguments(self, values: Sequence[str]) -> list[str]:
        """A command line, with the value after a flag that announces a secret replaced too."""
        shown = []
        announced = False
        for value in values:
            shown.append(self._hide(value) if announced else self.text(value))
            announced = value.startswith("-") and "=" not in value and announces_secret(value)
        return shown

    def value(self, name: str, value: str) -> str:  # noqa: ARG002 - the name never matters
        """A value that is never shown, such as that of an environment variable."""
        return self._hide(value)

    def url(self, value: str) -> str:
        """The URL of a request, without query values, fragment and userinfo."""
        rest, hash_mark, fragment = value.partition("#")
        rest, question_mark, query = rest.partition("?")
        rest = re.sub(r"(?<=://)[^/]*(?=@)", lambda match: self._hide(match[0]), rest)
        pairs = [pair.partition("=") for pair in query.split("&")]
        query = "&".join(
            name + equals + self._hide(shown) if equals else self._hide(name)
            for name, equals, shown in pairs
        )
        return self.text(rest) + question_mark + query + hash_mark + self._hide(fragment)

    def json(self, value: Json) -> Json:
        """Any JSON, walked: strings as text, and whole values where the key says so."""
        return self._walk(value, "", _DEEPEST)

    def _walk(self, value: Json, key: str, depth: int) -> Json:
        if isinstance(value, str):
            if key in _URLS:
                return self.url(value)
            return self._hide(value) if announces_secret(key) else self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth == 0:
            return self._mark("")
        if isinstance(value, Mapping):
            return {
                self.text(name): self._member(value, name, key, depth - 1) for name in value
            }
        if key in _COMMANDS and all(isinstance(item, str) for item in value):
            return list(self.arguments([str(item) for item in value]))
        return [self._walk(item, key, depth - 1) for item in value]

    def _member(self, owner: Mapping[str, Json], name: str, key: str, depth: int) -> Json:
        member = owner[name]
        if key in {"protoPayload", "proto_payload"} and name in {"request", "response"}:
            return self._mark(json.dumps(member, sort_keys=True))
        if key in _ENVIRONMENTS and isinstance(member, str):
            entry = "name" in owner and name not in {"val", "value"}
            return self.text(member) if entry else self._hide(member)
        return self._walk(member, name, depth)

    def raw(self, data: bytes, *, limit: int) -> str:
        """The redacted beginning of a malformed message."""
        text = data[: 4 * limit + _MARGIN].decode(errors="replace")
        text = re.sub(
            r"(\"val(?:ue)?\"\s{0,4}:\s{0,4}\")([^\"]*+)",
            lambda match: match[1] + self._hide(match[2]),
            text,
        )
        return self.text(text)[:limit]
