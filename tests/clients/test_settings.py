"""The environment: what each setting may be, and what is said when it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.settings import SettingsError, read_settings
from incident.model import GiveUp, Mode

EMULATOR = '{"grpc": "127.0.0.1:8085", "http": "127.0.0.1:8086"}'


def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Set some variables, by their names without the prefix."""
    for name, value in variables.items():
        bare = name.startswith(("K_SERVICE", "VIRUSTOTAL_"))
        monkeypatch.setenv(name if bare else f"RESPONDER_{name}", value)


def test_an_empty_environment_never_acts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No policy, a dry run, and a folder beside the process."""
    monkeypatch.chdir(tmp_path)
    found = read_settings()
    assert (found.mode, found.policy, found.topic) == (Mode.DRY_RUN, "", "")
    assert found.store == (tmp_path / "case-files").as_uri()
    assert (found.emulator, found.now, found.redaction_key) == (None, None, None)
    assert found.verify_timeout == timedelta(seconds=60)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_the_same_with_the_line_break_that_its_secret_ends_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cloud Run hands it on, a shell does not: hashes of people and functions must be equal."""
    environment(monkeypatch, REDACTION_KEY="planted-key\n")
    found = read_settings()
    assert found.redaction_key
    assert found.redaction_key.get_secret_value() == "planted-key"
    environment(monkeypatch, REDACTION_KEY=" \n")
    assert read_settings().redaction_key is None


def test_every_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each from its own variable."""
    environment(
        monkeypatch,
        POLICY="gs://config/policy.yaml",
        STORE="gs://case-files/responder/",
        MODE="enforce",
        TOPIC="projects/p/topics/outcomes",
        PROJECT="security-tools",
        REDACTION_KEY="planted-key",
        VERIFY_TIMEOUT="2m",
        PEER_WAIT="7s",
        EMULATOR=EMULATOR,
        NOW="2026-10-02T08:14:12Z",
        K_SERVICE="responder",
    )
    found = read_settings()
    assert found.policy == "gs://config/policy.yaml"
    assert found.store == "gs://case-files/responder"
    assert found.mode is Mode.ENFORCE
    assert (found.topic, found.project) == ("projects/p/topics/outcomes", "security-tools")
    assert found.redaction_key
    assert found.redaction_key.get_secret_value() == "planted-key"
    assert (found.verify_timeout, found.peer_wait) == (
        timedelta(minutes=2),
        timedelta(seconds=7),
    )
    assert found.emulator
    assert (found.emulator.grpc, found.emulator.http) == ("127.0.0.1:8085", "127.0.0.1:8086")
    assert found.now == datetime(2026, 10, 2, 8, 14, 12, tzinfo=UTC)
    assert (found.k_service, found.on_cloud_run) == ("responder", True)
    assert "planted-key" not in repr(found)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployment tools leave empty ones behind."""
    environment(monkeypatch, MODE="", STORE="", NOW="", EMULATOR="", TOPIC="", VERIFY_TIMEOUT="")
    assert read_settings().mode is Mode.DRY_RUN


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("MODE", "enforced", "'dry-run', 'approve' or 'enforce'"),
        ("MODE", "ENFORCE", "'dry-run', 'approve' or 'enforce'"),
        ("STORE", "s3://bucket", "expected a folder, a file:///absolute/folder or a gs://"),
        ("STORE", "file://relative/folder", "expected a folder, a file:///absolute/folder"),
        ("STORE", "http://127.0.0.1/x", "expected a folder"),
        ("TOPIC", "outcomes", "pattern"),
        ("TOPIC", "projects/p/topics/", "pattern"),
        ("TOPIC", "projects/p/topics/a/b", "pattern"),
        ("VERIFY_TIMEOUT", "60", "a number and one of s, m, h, d"),
        ("VERIFY_TIMEOUT", "-1s", "a number and one of s, m, h, d"),
        ("VERIFY_TIMEOUT", "1 s", "a number and one of s, m, h, d"),
        ("PEER_WAIT", "PT5S", "a number and one of s, m, h, d"),
        ("NOW", "yesterday", "datetime"),
        ("NOW", "2026-10-02T08:14:12Z", "RESPONDER_NOW is refused unless RESPONDER_EMULATOR"),
        ("EMULATOR", "{}", "RESPONDER_EMULATOR.GRPC: Field required"),
        ("EMULATOR", '{"grpc": "127.0.0.1:1"}', "RESPONDER_EMULATOR.HTTP: Field required"),
    ],
)
def test_a_wrong_value_is_refused_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    """The deployment that brings it stops, and says what to correct."""
    environment(monkeypatch, **{variable: value})
    with pytest.raises(SettingsError) as raised:
        read_settings()
    message = str(raised.value)
    assert message.startswith("cannot start: invalid environment; correct it")
    assert f"RESPONDER_{variable}" in message
    assert reason in message
    assert "\n" not in message
    assert isinstance(raised.value, GiveUp)


def test_all_mistakes_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One deployment is enough to find them."""
    environment(monkeypatch, MODE="x", STORE="s3://y", VERIFY_TIMEOUT="soon")
    with pytest.raises(SettingsError) as raised:
        read_settings()
    for variable in ("MODE", "STORE", "VERIFY_TIMEOUT"):
        assert f"RESPONDER_{variable}: " in str(raised.value)


def test_no_mistake_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is wrong without showing any value."""
    environment(monkeypatch, REDACTION_KEY="planted-key", MODE="planted-mode")
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert "planted" not in str(raised.value)


@pytest.mark.parametrize("address", ["127.0.0.1:8085", "127.8.8.8:1", "[::1]:8085"])
def test_the_emulator_is_on_loopback(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Every loopback address will do."""
    environment(monkeypatch, EMULATOR=f'{{"grpc": "{address}", "http": "{address}"}}')
    found = read_settings().emulator
    assert found
    assert found.grpc == address


@pytest.mark.parametrize(
    "address",
    [
        "run.googleapis.com:443",
        "localhost:8085",
        "localhost.example.net:8085",
        "127.0.0.1.example.net:8085",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:port",
        "0.0.0.0:8085",
        "10.0.0.1:8085",
        "169.254.169.254:80",
        "user@127.0.0.1:80",
        "127.0.0.1:80/x",
        "http://127.0.0.1:80",
        "2130706433:80",
        ":8085",
        "",
    ],
)
@pytest.mark.parametrize("which", ["grpc", "http"])
def test_an_emulator_address_off_loopback_is_refused(
    monkeypatch: pytest.MonkeyPatch, which: str, address: str
) -> None:
    """A name may lead anywhere, and so may any address that is not loopback."""
    other = "http" if which == "grpc" else "grpc"
    environment(monkeypatch, EMULATOR=f'{{"{which}": "{address}", "{other}": "127.0.0.1:1"}}')
    with pytest.raises(SettingsError, match="expected a loopback address"):
        read_settings()


@pytest.mark.parametrize(
    ("address", "emulated"),
    [
        ("https://hooks.chat.example/services/planted", False),
        ("https://chat.example/v1/spaces/A/messages?key=planted&token=planted", False),
        ("http://127.0.0.1:8086/planted", True),
        ("https://[::1]:8086/planted", True),
    ],
)
def test_a_webhook_is_a_secret_address(
    monkeypatch: pytest.MonkeyPatch, address: str, *, emulated: bool
) -> None:
    """HTTPS, and on loopback when everything else is."""
    environment(monkeypatch, WEBHOOK=address, EMULATOR=EMULATOR if emulated else "")
    found = read_settings()
    assert found.webhook
    assert found.webhook.get_secret_value() == address
    assert "planted" not in repr(found)


@pytest.mark.parametrize(
    ("address", "emulated"),
    [
        ("http://chat.example/planted", False),
        ("http://127.0.0.1:8086/planted", False),
        ("https://planted:planted@chat.example/", False),
        ("https://chat.example\\@planted.example/", False),
        ("https://chat.example/planted\n", False),
        ("https:///planted", False),
        ("https://chat.example:port/planted", False),
        ("planted", False),
        ("ftp://127.0.0.1/planted", True),
        ("https://chat.example/planted", True),
        ("http://localhost:8086/planted", True),
        ("http://127.0.0.1@planted.example/", True),
        ("http://127.0.0.1.planted.example/", True),
    ],
)
def test_a_refused_webhook_is_not_quoted_in_the_error(
    monkeypatch: pytest.MonkeyPatch, address: str, *, emulated: bool
) -> None:
    """What was wrong with it may be that it is the whole secret."""
    environment(monkeypatch, WEBHOOK=address, EMULATOR=EMULATOR if emulated else "")
    with pytest.raises(SettingsError, match="RESPONDER_WEBHOOK: expected an address") as raised:
        read_settings()
    assert "planted" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"WEBHOOK_FORMAT": "teams"},
        {"RUNBOOKS": "http://git.example/runbooks"},
        {"RUNBOOKS": "https://git.example/run books"},
    ],
)
def test_a_wrong_setting_of_the_chat_room_is_named(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    """It stops the start, not the first message."""
    environment(monkeypatch, **wrong)
    with pytest.raises(SettingsError, match=f"RESPONDER_{next(iter(wrong))}"):
        read_settings()


def test_a_clock_of_the_emulators_needs_a_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without one could be any."""
    environment(monkeypatch, EMULATOR=EMULATOR, NOW="2026-10-02T08:14:12")
    with pytest.raises(SettingsError, match="RESPONDER_NOW needs a time zone"):
        read_settings()


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("gs://bucket", "gs://bucket"),
        ("gs://bucket/a/b/", "gs://bucket/a/b"),
        ("file:///srv/cases/", "file:///srv/cases"),
        ("/srv/my cases", "file:///srv/my%20cases"),
        ("/srv/../srv/cases", "file:///srv/cases"),
    ],
)
def test_the_store_is_a_url(monkeypatch: pytest.MonkeyPatch, store: str, url: str) -> None:
    """A path is made absolute, a URL is kept without a slash at its end."""
    environment(monkeypatch, STORE=store)
    assert read_settings().store == url


def test_a_relative_folder_does_not_move_with_the_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is where it was when the process started."""
    monkeypatch.chdir(tmp_path)
    environment(monkeypatch, STORE="cases")
    assert read_settings().store == (tmp_path / "cases").as_uri()


@pytest.mark.parametrize(
    ("store", "service", "lasts"),
    [
        ("/srv/cases", "", True),
        ("gs://bucket", "", True),
        ("gs://bucket", "responder", True),
        ("/srv/cases", "responder", False),
        ("file:///srv/cases", "responder", False),
    ],
)
def test_on_cloud_run_only_a_bucket_lasts(
    monkeypatch: pytest.MonkeyPatch, store: str, service: str, *, lasts: bool
) -> None:
    """A folder is lost with its instance, and no other instance sees it."""
    environment(monkeypatch, STORE=store, K_SERVICE=service)
    assert read_settings().store_is_durable is lasts


def test_without_a_key_virustotal_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, or one of blanks, is no key."""
    for key in ("", " \n"):
        environment(monkeypatch, VIRUSTOTAL_API_KEY=key)
        assert read_settings().virustotal_api_key is None


def test_a_key_is_kept_without_its_line_break(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets are often stored with one; and no print of the settings shows it."""
    environment(monkeypatch, VIRUSTOTAL_API_KEY="planted-key\n")
    found = read_settings()
    assert found.virustotal_api_key
    assert found.virustotal_api_key.get_secret_value() == "planted-key"
    assert found.virustotal_origin == "https://www.virustotal.com"
    assert "planted" not in f"{found!r} {found}"


@pytest.mark.parametrize("key", ["planted key", "planted\nkey", "pl\u00e4nted", "planted" * 99])
def test_a_key_that_fits_into_no_header_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """And not shown."""
    environment(monkeypatch, VIRUSTOTAL_API_KEY=key)
    with pytest.raises(SettingsError, match="VIRUSTOTAL_API_KEY: ") as raised:
        read_settings()
    assert "RESPONDER_VIRUSTOTAL" not in str(raised.value)
    assert key not in str(raised.value)


@pytest.mark.parametrize("host", ["https://vt.example", "https://vt.example:8443/"])
def test_another_virustotal_is_asked_over_tls(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """A proxy of one's own, for example."""
    environment(monkeypatch, VIRUSTOTAL_HOST=host)
    assert read_settings().virustotal_origin == host.rstrip("/")


@pytest.mark.parametrize(
    "host",
    [
        "http://www.virustotal.com",
        "http://127.0.0.1:80",
        "www.virustotal.com",
        "https://",
        "https://user@vt.example",
        "https://vt.example/api",
        "https://vt.example?x",
        "https://vt.example\n",
    ],
)
def test_a_key_is_never_sent_without_tls(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """In the clear least of all."""
    environment(monkeypatch, VIRUSTOTAL_HOST=host)
    with pytest.raises(SettingsError, match="VIRUSTOTAL_HOST: expected https:// and a host"):
        read_settings()


def test_with_the_emulator_virustotal_is_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the default is."""
    environment(monkeypatch, EMULATOR=EMULATOR, VIRUSTOTAL_API_KEY="planted")
    assert read_settings().virustotal_origin == "http://127.0.0.1:8086"
    environment(monkeypatch, VIRUSTOTAL_HOST="http://127.0.0.1:8086/")
    assert read_settings().virustotal_origin == "http://127.0.0.1:8086"


@pytest.mark.parametrize(
    "host", ["https://www.virustotal.com", "http://127.0.0.1:8085", "http://127.0.0.1:8086.x"]
)
def test_with_the_emulator_no_other_virustotal_is_spoken_to(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """It is refused at the start, not passed over in silence."""
    environment(monkeypatch, EMULATOR=EMULATOR, VIRUSTOTAL_HOST=host)
    with pytest.raises(SettingsError, match="VIRUSTOTAL_HOST is refused while RESPONDER_EMULATOR"):
        read_settings()
