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
from pydantic.fields import FieldInfo

from incident.model import ChatFormat, GiveUp, Mode, TopicFormat

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
    """The settings of the process; each field's description says what it means.

    Variables begin with ``RESPONDER_``, except ``K_SERVICE`` and those of VirusTotal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    policy: str = Field(
        default="",
        description="The policy file: a path, file:// or gs:// URL. Without one every finding is"
        " held.",
    )
    store: str = Field(
        default=_DEFAULT_STORE,
        description="Where case files are: a folder, a file:// URL or gs://bucket/prefix. On Cloud"
        " Run only a bucket allows more than a dry run.",
    )
    mode: Mode = Field(
        default=Mode.DRY_RUN,
        description="The ceiling of the mode: dry-run, approve or enforce. The policy may only"
        " lower it.",
    )
    topic: str = Field(
        default="",
        pattern=r"^(projects/[^/\s]+/topics/[^/\s]+)?$",
        description="projects/P/topics/T that outcomes are published to.",
    )
    topic_format: TopicFormat = Field(
        default=TopicFormat.OUTCOME,
        description="Format of the messages on the topic: outcome, or ocsf (an OCSF Detection"
        " Finding).",
    )
    webhook: SecretStr | None = Field(
        default=None,
        description="https:// URL of an incoming webhook of Slack or Google Chat, which gets a"
        " short message. A secret: mount it from Secret Manager.",
    )
    webhook_format: ChatFormat | None = Field(
        default=None,
        description="Format of the chat messages: slack (blocks), google-chat (cards) or text. By"
        " default the webhook's host tells.",
    )
    runbooks: str = Field(
        default="",
        pattern=r"^(https://[A-Za-z0-9._~:/%-]{1,1000})?$",
        description="https:// URL of the folder with the runbooks, for a button of chat messages.",
    )
    project: str = Field(
        default="",
        description="Project that the responder itself runs in, so that it never contains itself;"
        " its id also links log lines to traces. Without it any service of its name counts.",
    )
    service_accounts: str = Field(
        default="",
        pattern=r"^([^@\s,]+@[^@\s,]+(,[^@\s,]+@[^@\s,]+)*)?$",
        description="E-mail addresses of the service accounts that the responder's own functions"
        " run as, separated by commas, so that it never disables one of them. On Cloud Run no"
        " account is disabled without it.",
    )
    inventory_scope: str = Field(
        default="",
        pattern=r"^(projects/[^/\s]+|(folders|organizations)/[0-9]+)?$",
        description="Where Cloud Asset Inventory is searched for workloads that share a finding's"
        " image or service account: projects/P, folders/N or organizations/N. By default the"
        " finding's project.",
    )
    redaction_key: SecretStr | None = Field(
        default=None,
        description="Key of the hashes that replace redacted values. Without one each process makes"
        " its own, and equal values have equal hashes within it only. A secret.",
    )
    verify_timeout: Duration = Field(
        default=timedelta(seconds=60),
        description="How long to wait until a write is in effect.",
    )
    peer_wait: Duration = Field(
        default=timedelta(seconds=5),
        description="How long another process may be silent about work that it has begun before"
        " this one continues it.",
    )
    emulator: Annotated[EmulatorAddresses | None, BeforeValidator(_json)] = Field(
        default=None,
        description="Addresses of the emulator, as `emulator serve` and `demo` print them. With it"
        " only loopback is contacted.",
    )
    now: datetime | None = Field(
        default=None,
        description="The time that it is at the start; only with the emulator.",
    )
    k_service: str = Field(
        default="",
        validation_alias="K_SERVICE",
        description="Name of the Cloud Run service that this process runs in. Set by Cloud Run.",
    )
    virustotal_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="VIRUSTOTAL_API_KEY",
        description="With it the suspected file's SHA-256 is looked up at VirusTotal; no file is"
        " ever sent. Without it the outcome has the link only. A secret.",
    )
    virustotal_host: str = Field(
        default="",
        validation_alias="VIRUSTOTAL_HOST",
        description="https:// and the host of VirusTotal, by default www.virustotal.com. With the"
        " emulator it is the emulator, and another is refused.",
    )

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
        if value := os.environ.get(environment_variable(name, field)):
            found[alias if isinstance(alias, str) else name] = value
    return found


def environment_variable(name: str, field: FieldInfo) -> str:
    """Name of the variable that a setting is read from."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else f"{_PREFIX}{name.upper()}"


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in problem["loc"])
        prefixed = not field.startswith(("K_", "VIRUSTOTAL_"))
        variable = f"{_PREFIX}{field.upper()}" if prefixed else field
        problems.append(f"{variable}: {problem['msg']}" if field else problem["msg"])
    return "cannot start: invalid environment; correct it and start again. " + "; ".join(problems)
