"""Credentials of all known formats are hidden, and what resembles them stays."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident.model import Json
from incident.redaction.credential_formats import (
    FORMATS,
    NAMED_FORMATS,
    CredentialFormat,
    Piece,
)
from incident.redaction.redactor import Redactor
from tests.support.model import repeatable

redactor = Redactor(b"key of the tests")
WINDOW = 10  # as many characters of a credential in a row are a leak
LETTERS = string.ascii_letters + string.digits
CHARACTERS = {
    "digits": string.digits,
    "hex": "0123456789abcdef",
    "upper": string.ascii_uppercase + string.digits,
    "lower": string.ascii_lowercase + string.digits,
    "alnum": LETTERS,
    "word": LETTERS + "_",
    "token": LETTERS + "_-",
    "dotted": LETTERS + "_-.",
    "base64": LETTERS + "+/",
    "url": LETTERS + "-._~",
}


def credential(format_: CredentialFormat, seed: int = 0) -> str:
    """A credential made from nothing but the table's facts; the same on every run.

    Like at least 97 in 100 of those that vendors make, it has a digit.
    """
    rng = random.Random(f"{format_.name} {seed}")  # noqa: S311 - repeatable
    while True:
        parts = [
            "".join(rng.choices(CHARACTERS[part.alphabet], k=part.length))
            if isinstance(part, Piece)
            else part
            for part in format_.parts
        ]
        if any(character.isdigit() for character in "".join(parts)[3:]):
            return "".join(parts)


def leaks(secret: str, shown: str) -> bool:
    """Whether any ten characters of a secret in a row show."""
    return any(secret[at : at + WINDOW] in shown for at in range(len(secret) - WINDOW + 1))


def leaking_places(secret: str) -> list[str]:
    """The contexts in which a credential is not hidden."""
    sentence = f"login with {secret} worked"
    shown: dict[str, Json] = {
        "log line": redactor.text(sentence),
        "quoted": redactor.text(f"value '{secret}', again"),
        "assigned": redactor.text(f"x={secret}"),
        "JSON text": redactor.text(json.dumps({"note": f"first line\n{secret}\n"})),
        "path": redactor.text(f"/srv/{secret}/file"),
        "JSON": redactor.json({"jsonPayload": {"message": sentence, "deep": [[secret]]}}),
        "arguments": redactor.json({"args": ["run", secret, f"--x={secret}", sentence]}),
        "audit payload": redactor.json(
            {
                "protoPayload": {
                    "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
                    "status": {"message": sentence},
                    "metadata": {"note": secret},
                    "request": {"note": secret},
                }
            }
        ),
    }
    return [place for place, value in shown.items() if leaks(secret, json.dumps(value))]


def test_the_table_holds_facts_only() -> None:
    """Well over two hundred formats, each under a name of its own, with its source."""
    rows = FORMATS + NAMED_FORMATS
    assert len(FORMATS) > 250
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.source for row in rows)
    for row in FORMATS:
        assert any(isinstance(part, str) for part in row.parts), row.name
        assert all(part.alphabet in CHARACTERS for part in row.parts if isinstance(part, Piece))


@pytest.mark.parametrize("format_", FORMATS, ids=lambda row: row.name)
def test_a_credential_of_each_format_is_hidden(format_: CredentialFormat) -> None:
    """In logs, JSON, arguments and audit payloads, without any name before it."""
    for seed in range(3):
        secret = credential(format_, seed)
        assert leaking_places(secret) == [], secret


@pytest.mark.parametrize("format_", NAMED_FORMATS, ids=lambda row: row.name)
def test_a_credential_without_a_form_is_hidden_behind_its_name(format_: CredentialFormat) -> None:
    """As a shell, a YAML file, JSON and a command line have it."""
    name, secret = format_.name, credential(format_)
    for text in (
        f"export {name}={secret}",
        f"{name.lower()}: {secret}",
        json.dumps({name: secret}),
        f"run --{name.lower().replace('_', '-')} {secret} -v",
        f'{{\\"{name}\\": \\"{secret}\\"}}',
    ):
        assert not leaks(secret, redactor.text(text)), text
    assert not leaks(secret, json.dumps(redactor.json({name: secret})))


def test_the_check_can_fail() -> None:
    """The generator's random text without its prefix is not hidden, so the search is sound."""
    shown = [
        row.name
        for row in FORMATS
        if isinstance(row.parts[0], str) and leaking_places(credential(row)[len(row.parts[0]) :])
    ]
    assert len(shown) > len(FORMATS) // 2


RANDOM = "q7Zk" + "R2w9" + "Lm4x" + "T8vB"


@pytest.mark.parametrize(
    "text",
    [
        "pass={}",
        "dbpass: {}",
        "smtp_pass={}",
        "userpass={}",
        "PHPSESSID={}; path=/",
        "JSESSIONID={}",
        "set session connect.sid=s%3A{}",
        "laravel_session={}",
        "got ASP.NET_SessionId={} back",
        "sid={}",
        "redirect to https%3A%2F%2Fapp%3A{}%40db.example.net%2Fshop now",
        "redirect to https%3A%2F%2Fwww.example.net%2Fa%3Fanything%3D{} now",
        "redirect to https%253A%252F%252Fapp%253A{}%2540db.example.net%252Fshop now",
        "body token%3D{}",
        "password: |\n  {}\n",
        "client_secret: >-\n    first line\n    {}\nnext: 1",
        '"data: password: |\\n  {}\\nnext: 1"',
        "contraseña: {}",
        "senha={}",
        "mot de passe : {}",
        "motdepasse={}",
        "Passwort: {}",
        "db_kennwort = {}",
        "wachtwoord={}",
        "hasło: {}",
        "lösenord: {}",
        "salasana={}",
        "şifre={}",
        "kata sandi: {}",
        "mật khẩu: {}",
        "пароль: {}",
        "секрет={}",
        "κωδικός: {}",
        "סיסמה: {}",
        "كلمة المرور: {}",
        "पासवर्ड: {}",
        "รหัสผ่าน: {}",
        "数据库密码\uff1a{}",
        "密碼={}",
        "パスワード: {}",
        "비밀번호: {}",
        "https://shop.webhook.office.com/webhookb2/{}/IncomingWebhook/a/b",
    ],
)
def test_what_announces_a_secret_hides_it(text: str) -> None:
    """Names in several languages, session cookies, encoded URLs and blocks of YAML."""
    assert not leaks(RANDOM, redactor.text(text.replace("{}", RANDOM)))


@pytest.mark.parametrize(
    "text",
    [
        "bypass=everything compass: north",
        "pass=12 fail=3 skip=0",
        "2 pass, 1 fail: all",
        "session: closed by peer; auth: ok; sig: 9",
        "signature=sha256:" + "0a1b" * 16,
        "next: |\n  first\n  second",
        "see https%3A%2F%2Fwww.example.net%2Fshop%2Fitems now",
        "sk-is-the-code-of-a-language-and-a-country npm_config_cache hf_transformers_cache_dir",
        "test_of_a_function_with_a_very_long_name live_streaming_of_the_event",
        "client-library api-gateway-service sdk-python glpat-example xoxo-forever",
        "SKU ACCESS MAC OAuth New-York-us-west1 europe-west1-docker.pkg.dev",
        "2026-10-02T08:14:07.123456Z s.example.com b_tree 1/2 2/3 pat.example.org",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
        "4111-a 10.0.0.1 2001:db8::8a2e:370:7334 00:1b:44:11:3a:b7",
        "user:alice@example.com +491701234567 4/10 1//2 ya29.5",
    ],
)
def test_what_resembles_a_credential_stays(text: str) -> None:
    """Words, counts, addresses and code that begin as a credential may."""
    assert redactor.text(text) == text


_HEX = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
_NAME = st.from_regex(r"[a-z]{2,8}(?:-[a-z0-9]{2,8}){0,3}", fullmatch=True)


@given(st.uuids(), _HEX, _NAME, st.integers(0, 99999), st.ip_addresses())
@repeatable
def test_evidence_of_the_kinds_that_matter_stays(
    uuid: object, digest: str, name: str, number: int, address: object
) -> None:
    """Digests, UUIDs, resource names, revisions and addresses."""
    project = "projects/example-shop-prod/locations/europe-west1"
    for text in (
        f"uuid {uuid} of {uuid}.",
        f"sha256:{digest} {digest} md5 {digest[:32]} sha1 {digest[:40]}",
        f"europe-west1-docker.pkg.dev/example-shop-prod/web/{name}@sha256:{digest}",
        f"{project}/services/{name}/revisions/{name}-{number:05d}-{digest[:3]}",
        f"//run.googleapis.com/{project}/jobs/{name}/executions/{name}-{digest[:5]}",
        f"serviceAccount:{name}@example-shop-prod.iam.gserviceaccount.com",
        f"connect to {address} port {number % 65536}",
        f"https://{name}-{digest[:10]}-ew.a.run.app/{name}",
        f"incidents/20261130-{digest[:12]}/evidence/finding.json",
    ):
        assert redactor.text(text) == text


def test_the_value_of_an_encoded_url_keeps_its_host() -> None:
    """Where a request went is evidence also in a URL that is percent-encoded as a whole."""
    url = quote("https://app:" + RANDOM + "@db.example.net/shop?k=" + RANDOM, safe="")
    shown = redactor.text(f"to {url} now")

    assert "db.example.net%2Fshop%3Fk%3D[redacted:" in shown
    assert not leaks(RANDOM, shown)


def test_base64_of_no_credential_stays() -> None:
    """A dropper's script in base64 is evidence."""
    script = base64.b64encode(b"#!/bin/sh\necho hello world\n" * 3).decode()

    assert redactor.text(f"echo {script} | base64 -d | sh") == f"echo {script} | base64 -d | sh"
