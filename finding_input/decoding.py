"""File bytes to JSON values: byte order marks, UTF-16, several documents, base64."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from typing import Any

_MAX_BYTES = 100_000_000
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_FENCE = re.compile(r"```[a-z]*\s*\n(?P<inside>.*)\n```", re.DOTALL)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=_-]")
_SPACE = re.compile(r"\s*")
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_YAML = re.compile(r"^(---|- ?\w+:|\w+:)( .*)?$", re.MULTILINE)
_NEEDED = (
    "Needed is a Security Command Center finding as JSON: a notification, or what"
    " `gcloud scc findings list … --format=json` prints"
)


class UnusableInputError(Exception):
    """No finding can be read. The text says what the input looks like and what is needed."""


def unusable(looks_like: str, needed: str = _NEEDED) -> UnusableInputError:
    """The error for an input that looks like something else."""
    return UnusableInputError(f"This is {looks_like}. {needed}.")


def is_plain_object(data: bytes) -> bool:
    """Whether the bytes are a JSON object in UTF-8 without a byte order mark, and nothing else."""
    return data.lstrip().startswith(b"{") and json.detect_encoding(data) == "utf-8"


def json_values(data: bytes) -> list[Any]:
    """The JSON documents in a file, of which there is nearly always one.

    Raises:
        UnusableInputError: There is none.
    """
    if len(data) > _MAX_BYTES:
        raise unusable(f"a file of {len(data)} bytes, more than {_MAX_BYTES}")
    if data.startswith((_GZIP, _ZIP)):
        raise unusable("a compressed file", "Unpack it and give the JSON file inside")
    try:
        # Finds byte order marks and UTF-16, as Windows shells write it.
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise unusable("neither text in UTF-8 nor in UTF-16") from error
    return json_values_of_text(text)


def json_values_of_text(text: str) -> list[Any]:
    """The same for a text: JSON, JSON documents one after the other, or base64 of these.

    Raises:
        UnusableInputError: It is none of them.
    """
    stripped = text.strip("\ufeff \t\r\n")
    fenced = _FENCE.fullmatch(stripped)
    stripped = fenced["inside"].strip() if fenced else stripped
    if not stripped:
        raise unusable("empty")
    try:
        return _documents(stripped)
    except RecursionError as error:
        raise unusable("JSON that is nested too deeply") from error
    except ValueError as error:
        decoded = _base64_lines(stripped)
        if decoded is None:
            raise _not_json(stripped, error) from error
    return [value for data in decoded for value in json_values(data)]


def decode_base64(text: str) -> bytes | None:
    """The bytes that a text encodes, in the standard or the URL alphabet; None if it does not."""
    compact = "".join(text.splitlines()).strip()
    if not compact or _NOT_BASE64.search(compact):
        return None
    standard = compact.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        return None


def _documents(text: str) -> list[Any]:
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # matches nothing as well
    return found


def _base64_lines(text: str) -> list[bytes] | None:
    """One base64 text, wrapped or not, or one a line."""
    whole = decode_base64(text)
    if whole is not None and whole.strip().startswith((b"{", b"[", *_MARKS)):
        try:
            json_values(whole)
        except UnusableInputError:
            pass
        else:
            return [whole]
    lines = [decode_base64(line) for line in text.splitlines() if line.strip()]
    return [line for line in lines if line] if lines and all(lines) and len(lines) > 1 else None


def _not_json(text: str, error: ValueError) -> UnusableInputError:
    if text.startswith(("{", "[")):
        return unusable(f"JSON that is cut off or damaged ({error})", "Copy or export it again")
    if text.startswith("<"):
        return unusable("HTML or XML, such as a saved web page")
    if decode_base64(text) is not None:
        return unusable("one word, or base64 of something that is not JSON")
    if _YAML.search(text) and (":" in text.splitlines()[0] or text.startswith("---")):
        return unusable(
            "YAML, which gcloud prints by default", "Run the same command with --format=json"
        )
    return unusable(f"text that is neither JSON nor base64 ({error})")
