"""Settings of the process from environment variables.

Reading them has no side effect. They are read when the process starts, so that a wrong setting
fails the deployment, not the first incident after it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from incident.model import GiveUp, Mode

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
#: A URL that lacks a slash, such as gs:/bucket, must not become a folder of that name.
_URL_LIKE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/.*|gs:.*|file:.*")
_STORE_URL = re.compile(r"gs://[a-z0-9][a-z0-9._-]+(/[^/]+)*/*|file:///[^/].*")
# Printable ASCII without the characters that URL parsers disagree about.
_SAFE_URL = re.compile(r"https?://[!-\[\]-~]+")
_MAX_WAIT = timedelta(seconds=150)
_DEFAULT_STORE = "case-files"
_PREFIX = "RESPONDER_"
_VIRUSTOTAL = "https://www.virustotal.com"
_HOST = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?")
_KEY = re.compile(r"[!-~]{1,256}")


class SettingsError(GiveUp):
    """A setting of the process has an invalid value."""


def _duration(value: object) -> object:
    """Parse a number and one of ``s m h d``, as in the policy file."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value))
    if not match:
        raise ValueError("expected a number and one of s, m, h, d, such as 60s")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _json(value: object) -> object:
    """Parse a variable that holds a JSON object."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError('expected JSON such as {"grpc": "127.0.0.1:1", "http": …}') from error


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_allowed_webhook(url: str, *, emulated: bool) -> bool:
    """Whether posting to a webhook's address is allowed. The address is a secret."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or not _SAFE_URL.fullmatch(url) or "@" in parts.netloc:
        return False
    return _is_loopback(host) if emulated else parts.scheme == "https"


class EmulatorAddresses(BaseModel):
    """The emulator's addresses; only loopback is allowed."""

    grpc: str
    http: str

    @field_validator("grpc", "http")
    @classmethod
    def _loopback(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not _is_loopback(host.strip("[]")) or not port.isdigit():
            raise ValueError("expected a loopback address such as 127.0.0.1:8085")
        return address


class Settings(BaseModel):
    """The settings of the process.

    Variables begin with ``RESPONDER_``, except ``K_SERVICE`` and those of VirusTotal.

    Attributes:
        policy: Policy file: a path, ``file://`` or ``gs://`` URL. Empty means no policy: every
            finding is held.
        store: Store of case files: a path, ``file://`` or ``gs://`` URL.
        mode: Ceiling of the mode. Not set means ``dry-run``: a missing setting never enables
            writes.
        topic: ``projects/…/topics/…`` to publish outcomes to; empty for none.
        webhook: URL of a chat room's incoming webhook, which is a secret.
        project: Id or number of the project that the responder itself runs in. Log lines are
            linked to traces by the id only.
        redaction_key: Key of the hashes that replace redacted values. Without one, each process
            creates its own, and equal values have equal hashes within the process only.
        verify_timeout: How long to wait until a write is in effect.
        peer_wait: How long another process may be silent about work that it has begun before
            this one continues the work.
        emulator: Addresses of the emulator; with it, only loopback is contacted.
        now: Time of the first event; only with the emulator.
        k_service: Name of the Cloud Run service that this process runs in, set by Cloud Run.
        virustotal_api_key: Key for looking up the suspected file's hash; None for a link only.
        virustotal_host: VirusTotal's origin: ``https://`` and a host; with the emulator, the
            emulator's own HTTP address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    policy: str = ""
    store: str = _DEFAULT_STORE
    mode: Mode = Mode.DRY_RUN
    topic: str = Field(default="", pattern=r"^(projects/[^/\s]+/topics/[^/\s]+)?$")
    webhook: SecretStr | None = None
    project: str = ""
    redaction_key: SecretStr | None = None
    verify_timeout: Duration = timedelta(seconds=60)
    peer_wait: Duration = timedelta(seconds=5)
    emulator: Annotated[EmulatorAddresses | None, BeforeValidator(_json)] = None
    now: datetime | None = None
    k_service: str = Field(default="", validation_alias="K_SERVICE")
    virustotal_api_key: SecretStr | None = Field(
        default=None, validation_alias="VIRUSTOTAL_API_KEY"
    )
    virustotal_host: str = Field(default="", validation_alias="VIRUSTOTAL_HOST")

    @field_validator("store")
    @classmethod
    def _store_url(cls, value: str) -> str:
        """A folder is made absolute, so that it does not depend on the working directory."""
        if _STORE_URL.fullmatch(value):
            return value.rstrip("/")
        if _URL_LIKE.fullmatch(value):
            raise ValueError("expected a folder, a file:///absolute/folder or a gs://bucket URL")
        return Path(value).resolve().as_uri()

    @field_validator("verify_timeout", "peer_wait")
    @classmethod
    def _within_budget(cls, value: timedelta) -> timedelta:
        if not timedelta(0) < value <= _MAX_WAIT:
            raise ValueError("expected more than 0s and at most 150s: an incident has 240 s in all")
        return value

    @field_validator("redaction_key", mode="before")
    @classmethod
    def _one_line(cls, value: object) -> object:
        """Strip a trailing line break, which a shell drops and Cloud Run does not.

        The same key must give the same hashes in a command and in the function.
        """
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("virustotal_api_key", mode="before")
    @classmethod
    def _header(cls, value: object) -> object:
        """Strip a trailing line break; the rest must be valid in an HTTP header."""
        key = value.strip() if isinstance(value, str) else value
        if isinstance(key, str) and key and not _KEY.fullmatch(key):
            raise ValueError("expected printable ASCII characters without spaces")
        return key or None

    @model_validator(mode="after")
    def _one_virustotal(self) -> Settings:
        """The key is sent over TLS only; with the emulator, to the emulator only."""
        host = self.virustotal_host.rstrip("/")
        if self.emulator and host not in ("", f"http://{self.emulator.http}"):
            raise ValueError(
                "VIRUSTOTAL_HOST is refused while RESPONDER_EMULATOR is set: VirusTotal is then"
                " the emulator"
            )
        if host and not self.emulator and not _HOST.fullmatch(host):
            raise ValueError("VIRUSTOTAL_HOST: expected https:// and a host, and no path")
        return self

    @model_validator(mode="after")
    def _clock_needs_emulator(self) -> Settings:
        if self.now and not self.emulator:
            raise ValueError("RESPONDER_NOW is refused unless RESPONDER_EMULATOR is set")
        if self.now and self.now.tzinfo is None:
            raise ValueError("RESPONDER_NOW needs a time zone, such as 2026-10-02T08:14:12Z")
        return self

    @model_validator(mode="after")
    def _webhook_address(self) -> Settings:
        if self.webhook and not _is_allowed_webhook(
            self.webhook.get_secret_value(), emulated=bool(self.emulator)
        ):
            raise ValueError(
                "RESPONDER_WEBHOOK: expected an address such as https://chat.example/…, without"
                " user and password; with RESPONDER_EMULATOR only a loopback one such as"
                " http://127.0.0.1:8086/…"
            )
        return self

    @property
    def virustotal_origin(self) -> str:
        """VirusTotal's origin: scheme, host and port."""
        emulated = f"http://{self.emulator.http}" if self.emulator else ""
        return emulated or self.virustotal_host.rstrip("/") or _VIRUSTOTAL

    @property
    def on_cloud_run(self) -> bool:
        """Whether it runs on Cloud Run, where a local folder is lost with the instance."""
        return bool(self.k_service)

    @property
    def store_is_durable(self) -> bool:
        """Whether the store outlives the process and is shared with other instances."""
        return self.store.startswith("gs://") or not self.on_cloud_run


def read_settings(**overrides: Any) -> Settings:
    """Read the environment.

    Args:
        overrides: Settings that take precedence over the environment.

    Raises:
        SettingsError: A variable has an invalid value; the message names each of them.
    """
    try:
        return Settings(**{**_environment(), **overrides})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _environment() -> dict[str, str]:
    """The variables of the settings, by field or alias; an empty one counts as not set.

    Plain variables are enough here: a settings library would bring a command-line parser along.
    """
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        key = alias if isinstance(alias, str) else name
        variable = key if key is alias else f"{_PREFIX}{name.upper()}"
        if value := os.environ.get(variable):
            found[key] = value
    return found


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in problem["loc"])
        prefixed = not field.startswith(("K_", "VIRUSTOTAL_"))
        variable = f"{_PREFIX}{field.upper()}" if prefixed else field
        problems.append(f"{variable}: {problem['msg']}" if field else problem["msg"])
    return "cannot start: invalid environment; correct it and start again. " + "; ".join(problems)
