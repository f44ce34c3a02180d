"""What is printed for people can be used as it stands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clients import Settings, read_settings
from tests.deploy.terraform import evaluated, module

SECRETS: dict[str, Any] = {
    "redaction_key_secret": {"secret": "redaction-key", "version": "3"},
    "virustotal_secret": {"secret": "virustotal", "project": "shared-secrets"},
    "webhook_secret": {"secret": "webhook"},
}
CHAT: dict[str, Any] = {
    "webhook_format": "slack",
    "runbooks_url": "https://git.example/responder/deploy/runbooks",
}
FILES = ("outputs.tf", "functions.tf", "names.tf")
#: What the settings are for that no person's command needs: of the function's own surroundings,
#: of the emulator, and what has a default that Terraform leaves alone.
NOT_PRINTED = {"verify_timeout", "peer_wait", "emulator", "now", "k_service", "virustotal_host"}


def sourced(folder: Path, text: str) -> dict[str, str]:
    """The variables that a shell has after it has read some text; gcloud only says its part."""
    tool = folder / "gcloud"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "https://chat.example/$3-$4-$5-$6"\n')
    tool.chmod(0o755)
    file = folder / "operator.env"
    file.write_text(text)
    answer = subprocess.run(
        ("sh", "-euc", f". {file}; env -0"),
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
    )
    assert not answer.stderr
    return dict(pair.split("=", 1) for pair in answer.stdout.split("\0") if pair)


def test_one_output_is_all_that_the_commands_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sourced, it makes the settings that the functions have; of secrets it has no value."""
    given = {**SECRETS, **CHAT, "inventory_scope": "folders/7"}
    text = evaluated(tmp_path, "local.operator_environment", *FILES, **given)
    for name, value in sourced(tmp_path, text).items():
        if name.startswith(("RESPONDER_", "VIRUSTOTAL_", "GOOGLE_")):
            monkeypatch.setenv(name, value)
    found = read_settings()
    assert found.store == "gs://sec-responder-threat-responder-evidence"
    assert found.policy == "gs://sec-responder-threat-responder-policy/policy.yaml"
    assert found.topic == "projects/sec-responder/topics/threat-responder-outcomes"
    assert found.inventory_scope == "folders/7"
    assert (found.project, found.mode) == ("sec-responder", "dry-run")
    assert os.environ["GOOGLE_CLOUD_QUOTA_PROJECT"] == "sec-responder"
    assert found.redaction_key
    assert found.redaction_key.get_secret_value() == (
        "https://chat.example/access-3---secret=redaction-key---project=sec-responder"
    )
    assert found.virustotal_api_key
    assert "project=shared-secrets" in found.virustotal_api_key.get_secret_value()
    assert found.webhook
    assert found.topic_format == "outcome"
    assert (found.webhook_format, found.runbooks) == tuple(CHAT.values())
    assert set(Settings.model_fields) - found.model_fields_set == NOT_PRINTED


def test_without_secrets_no_command_is_run(tmp_path: Path) -> None:
    """And a shell that reads it needs no Cloud SDK."""
    text = evaluated(tmp_path, "local.operator_environment", *FILES)
    assert "gcloud" not in text
    assert sourced(tmp_path, text)["RESPONDER_MODE"] == "dry-run"


def test_approvers_may_read_what_their_commands_read() -> None:
    """The secrets one by one, and nobody but them and the functions."""
    grants = module().all("google_secret_manager_secret_iam_member")
    assert set(grants) == {"read", "read_by_approvers"}
    for grant in grants.values():
        assert grant["secret_id"] == "${each.value.secret}"
    assert "var.approvers" in grants["read_by_approvers"]["for_each"]
