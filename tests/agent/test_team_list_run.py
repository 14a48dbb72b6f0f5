"""`veilleur run` with a pinned root: what status says of the team's list, and the alert when it has expired."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from agent.settings_file import read_settings
from agent.team_state import team_state
from exchange import key_file
from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.team_list import TeamList, sign_team_list
from simulators.processes import command
from tests.agent.box_kit import running
from tests.agent.test_run import config as _config

pytestmark = pytest.mark.process

DAY = 86_400_000
config = _config


def status(config: Path, *options: str) -> str:
    line = [command("veilleur"), *options, "status", "--config", str(config)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout


def state(config: Path) -> dict[str, Any]:
    line = [command("veilleur"), "status", "--config", str(config), "--json"]
    loaded = json.loads(subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert isinstance(loaded, dict)
    return loaded


def test_an_expired_list_is_used_and_told_and_a_newer_one_is_taken_up(config: Path) -> None:
    root, key, now = SigningKey.generate(), OpeningKey.generate(hybrid=True), time.time_ns() // 1_000_000
    file = config.parent / "keys" / "team.json"

    def given(version: int, ends: int) -> None:
        team = TeamList(
            version=version,
            issued_at=now - 90 * DAY,
            expires_at=ends,
            recipients=(Recipient.of(key, RecipientRole.TEAM),),
            receipt_signers=(ReceiptSigner.of(SigningKey.generate()),),
        )
        key_file.replace(file, sign_team_list(team, root), mode=0o644)

    text = config.read_text(encoding="utf-8")
    pinned = f'team_keys = "keys/team.json"\nteam_roots = ["{root.public.hex()}"]'
    config.write_text(text.replace('team_keys = "keys/team.json"', pinned, 1), encoding="utf-8")
    given(3, now - 1)
    with running(config):
        deadline = time.monotonic() + 60
        while not (told := [alert for alert in state(config)["alerts"] if alert["rule"] == "team_list_expired"]):
            assert time.monotonic() < deadline, "the alert never came"
    assert [alert["owner"] for alert in told] == ["team"]
    before = state(config)["team_list"]
    assert (before["signed"], before["version"], before["expired"], before["hybrid"]) == (True, 3, True, True)
    assert "liste 3 EXPIRÉE" in status(config, "--lang", "fr")
    given(4, now + DAY)
    with running(config):
        after = state(config)["team_list"]
    assert (after["version"], after["expired"], after["recipients"]) == (4, False, {key.id: "team"})
    given(3, now + DAY)
    assert state(config)["team_list"]["version"] == 4


def test_a_box_that_believes_any_list_or_has_none_says_so(config: Path) -> None:
    settings = read_settings(config)
    said = team_state(settings, now_ms=0)
    assert "NON SIGNÉES" in said.words().fr
    assert "NOT SIGNED" in said.words().en
    assert said.as_json()["signed"] is False
    settings.identity.team_keys.unlink()
    missing = team_state(settings, now_ms=0)
    assert "no team list that may be believed" in missing.words().en
    assert missing.as_json()["fault"] == {"fr": missing.words().fr, "en": missing.words().en}
