"""The environment of one process: where the outside is, and how far we may go.

Reading it has no side effect, so it is read when the process starts: a wrong setting stops
the deployment that brings it, not the first incident after it.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from incident.model import GiveUp, Mode

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STORE_URL = re.compile(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?|file:///[^/].*")
# Printable, and nothing that two readers of addresses may take for two things.
_SAFE_URL = re.compile(r"https?://[!-\[\]-~]+")
_MAX_WAIT = timedelta(seconds=150)
_DEFAULT_STORE = "case-files"
_VIRUSTOTAL = "https://www.virustotal.com"
_HOST = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?")
_KEY = re.compile(r"[!-~]{1,256}")


class SettingsError(GiveUp):
    """A setting of the process has a value that it cannot have."""


def _duration(value: object) -> object:
    """A number and one of ``s m h d``, as in the policy file."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(str(value))
    if not match:
        raise ValueError("expected a number and one of s, m, h, d, such as 60s")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(_duration)]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_allowed_webhook(url: str, *, emulated: bool) -> bool:
    """Whether a webhook's address is one that we may post to. What it is, is told to nobody."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or not _SAFE_URL.fullmatch(url) or "@" in parts.netloc:
        return False
    return _is_loopback(host) if emulated else parts.scheme == "https"


class EmulatorAddresses(BaseModel):
    """Where the emulator listens; anything but loopback is refused."""

    grpc: str
    http: str

    @field_validator("grpc", "http")
    @classmethod
    def _loopback(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not _is_loopback(host.strip("[]")) or not port.isdigit():
            raise ValueError("expected a loopback address such as 127.0.0.1:8085")
        return address


class Settings(BaseSettings):
    """What the environment says.

    Every name begins with ``RESPONDER_``, but for ``K_SERVICE`` and VirusTotal's.

    Attributes:
        policy: Where the policy file is: a path, ``file://`` or ``gs://`` URL. Empty means
            that there is none, and that every finding is held.
        store: Where case files go: a path, ``file://`` or ``gs://`` URL.
        mode: The ceiling of the mode. Not set means ``dry-run``: a setting that is missing
            never makes the responder act.
        topic: ``projects/…/topics/…`` to announce outcomes on; empty for none.
        webhook: Address of a chat room's incoming webhook, which is a secret.
        project: Id or number of the project that the responder itself runs in. Its log lines are
            linked to traces by the id only.
        redaction_key: Key of the hashes that stand in for redacted values. Without one, each
            process makes its own, and equal values are recognisable within it only.
        verify_timeout: How long a write may take until it is seen in effect.
        peer_wait: How long another process may be silent about work that it began before
            this one carries on itself.
        emulator: Addresses of the emulator; with it, nothing outside loopback is spoken to.
        now: The time it is at the first event; only with the emulator.
        k_service: Name of the Cloud Run service that we are, as Cloud Run sets it.
        virustotal_api_key: Key for looking the suspected file's hash up; None for a link only.
        virustotal_host: Where VirusTotal is: ``https://`` and a host; with the emulator, the
            emulator's own HTTP address.
    """

    model_config = SettingsConfigDict(env_prefix="RESPONDER_", env_ignore_empty=True, frozen=True)

    policy: str = ""
    store: str = _DEFAULT_STORE
    mode: Mode = Mode.DRY_RUN
    topic: str = Field(default="", pattern=r"^(projects/[^/\s]+/topics/[^/\s]+)?$")
    webhook: SecretStr | None = None
    project: str = ""
    redaction_key: SecretStr | None = None
    verify_timeout: Duration = timedelta(seconds=60)
    peer_wait: Duration = timedelta(seconds=5)
    emulator: EmulatorAddresses | None = None
    now: datetime | None = None
    k_service: str = Field(default="", validation_alias=AliasChoices("K_SERVICE"))
    virustotal_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("VIRUSTOTAL_API_KEY")
    )
    virustotal_host: str = Field(default="", validation_alias=AliasChoices("VIRUSTOTAL_HOST"))

    @field_validator("store")
    @classmethod
    def _store_url(cls, value: str) -> str:
        """A folder is made absolute; what holds the case files must not move with the shell."""
        if _STORE_URL.fullmatch(value):
            return value.rstrip("/")
        if "://" in value:
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
        """Secrets often end in a line break, which a shell drops and Cloud Run does not.

        A person's hashes must be the function's.
        """
        return (value.strip() or None) if isinstance(value, str) else value

    @field_validator("virustotal_api_key", mode="before")
    @classmethod
    def _header(cls, value: object) -> object:
        """Secrets often end in a line break; what is left must fit into a header."""
        key = value.strip() if isinstance(value, str) else value
        if isinstance(key, str) and key and not _KEY.fullmatch(key):
            raise ValueError("expected printable ASCII characters without spaces")
        return key or None

    @model_validator(mode="after")
    def _one_virustotal(self) -> Settings:
        """A key leaves over TLS only, and with the emulator it does not leave the machine."""
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
        """Where hashes are looked up: scheme, host and port."""
        emulated = f"http://{self.emulator.http}" if self.emulator else ""
        return emulated or self.virustotal_host.rstrip("/") or _VIRUSTOTAL

    @property
    def on_cloud_run(self) -> bool:
        """Whether this is Cloud Run, where a local folder is lost with the instance."""
        return bool(self.k_service)

    @property
    def store_is_durable(self) -> bool:
        """Whether what is stored outlives the process and is seen by the others."""
        return self.store.startswith("gs://") or not self.on_cloud_run


def read_settings(**overrides: Any) -> Settings:
    """Read the environment.

    Args:
        overrides: Settings that count before the environment's.

    Raises:
        SettingsError: A variable has a value that it cannot have; names each of them.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in problem["loc"])
        prefixed = not field.startswith(("K_", "VIRUSTOTAL_"))
        variable = f"RESPONDER_{field.upper()}" if prefixed else field
        problems.append(f"{variable}: {problem['msg']}" if field else problem["msg"])
    return "cannot start: the environment is wrong; correct it and start again. " + "; ".join(
        problems
    )
