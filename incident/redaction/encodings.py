"""How programs print a value: as it is, percent-encoded, escaped, in base64, in hex."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

#: The shortest value, in bytes, that is looked for in hex and base64.
MIN_ENCODED_LENGTH = 6
#: The shortest piece of base64, and of a value's beginning where a text ends, that is looked for.
MIN_PIECE_LENGTH = 8
#: The longest value that is looked for with every character escaped, in bytes.
_MAX_ESCAPED_LENGTH = 1024


def encodings(value: str) -> Iterator[str]:
    """A value in every encoding that is looked for; the same one may come more than once."""
    yield value
    data = value.encode(errors="surrogatepass")
    for safe in ("", "/", "!'()*~", "/:?#[]@!$&'()*+,;=~"):
        encoded = quote(data, safe=safe)
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield quote_plus(data)
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", escaped)
        yield re.sub("[<>&='`]", lambda match: f"\\u{ord(match[0]):04x}", escaped)
        yield json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(value)
    yield value.replace("'", "'\\''")
    if len(data) >= MIN_ENCODED_LENGTH:
        yield data.hex()
        yield data.hex().upper()
        yield from _base64_encodings(data)
    if (
        MIN_ENCODED_LENGTH <= len(data) <= _MAX_ESCAPED_LENGTH
    ):  # nobody escapes more than that for a person to read
        yield from _fully_escaped(value, data)
        yield base64.b32encode(data).decode().rstrip("=")
        yield base64.b64encode(base64.b64encode(data)).decode().rstrip("=")


def _fully_escaped(value: str, data: bytes) -> Iterator[str]:
    """Every character escaped, whether it needs that or not."""
    units = value.encode("utf-16-be", errors="surrogatepass")
    for sign, digits in (("%", data.hex("%")), ("\\x", data.hex("%")), ("\\u", units.hex("%", 2))):
        for cased in (digits, digits.upper()):
            yield sign + cased.replace("%", sign)


def _base64_encodings(data: bytes) -> Iterator[str]:
    """Base64 of it alone, and what shows of it inside a longer encoded text."""
    for alphabet in (None, b"-_"):
        yield base64.b64encode(data, alphabet).decode()
        for shift, start in ((0, 0), (1, 2), (2, 3)):
            end = (shift + len(data)) * 8 // 6
            aligned = base64.b64encode(bytes(shift) + data, alphabet).decode()[start:end]
            if len(aligned) >= MIN_PIECE_LENGTH:
                yield aligned
