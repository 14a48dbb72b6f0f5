"""`veilleur run` as systemd runs it: ready, alive, listening nowhere, stopped in order, started again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from exchange.identity import OpeningKey, ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from exchange.messages import lineage
from simulators.broker import Certificates
from simulators.processes import command

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped settings, with real keys beside them and a broker that is not there."""
    keys = tmp_path / "keys"
    keys.mkdir()
    SigningKey.generate().save(keys / "signing.key")
    team = TeamKeys(
        recipients=(Recipient.of(OpeningKey.generate(), RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(SigningKey.generate()),),
    )
    write_team_keys(keys / "team.json", team)
    files = Certificates(tmp_path / "certificates").client("box-0001")
    for source, name in ((files.ca, "ca.pem"), (files.certificate, "box-0001.pem"), (files.key, "box-0001.key")):
        shutil.copy(source, keys / name)
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8")
    text = text.replace("broker.example.org", "127.0.0.1").replace("/var/lib/veilleur", "state")
    path = tmp_path / "agent.toml"
    path.write_text(text.replace("settle = 60.0", "settle = 0.05"), encoding="utf-8")
    return path


@contextmanager
def running(config: Path) -> Iterator[tuple["subprocess.Popen[str]", socket.socket]]:
    """A box that said READY=1, and the ears of its service manager."""
    address = str(config.parent / "notify")
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(address)
        ears.settimeout(60)
        box = subprocess.Popen(
            [command("veilleur"), "run", "--config", str(config)],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while ears.recv(64) != b"READY=1":
                pass
            yield box, ears
        finally:
            box.kill()
            box.communicate()


def listening(pid: int) -> list[str]:
    """The TCP and UDP sockets on which a process waits to be spoken to."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # One that was closed meanwhile listens to nobody.
        with suppress(FileNotFoundError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
                inodes.add(found[1])
    waiting = []
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == state and fields[9] in inodes:
                waiting.append(f"{table} {fields[1]}")
    return waiting


def test_it_is_ready_without_broker_or_bluetooth_and_listens_nowhere(config: Path) -> None:
    with running(config) as (box, ears):
        assert ears.recv(64) == b"WATCHDOG=1"
        assert listening(box.pid) == []
        box.send_signal(signal.SIGTERM)
        _, said = box.communicate(timeout=30)
        assert box.returncode == 0
    assert "Traceback" not in said
    assert re.search(r"ready event=ready .*kernel=(ahead of time|compiled at start)", said)


def test_a_box_that_was_killed_starts_again_on_what_it_had(config: Path) -> None:
    with running(config) as (box, _):
        before = state(config)
        box.kill()
        box.wait(timeout=10)
    after = state(config)
    with running(config):
        again = state(config)
    assert before["epoch"] == after["epoch"] != again["epoch"]
    assert lineage(str(before["epoch"])) == lineage(str(again["epoch"]))
    assert before["watched_since"] == again["watched_since"]
    assert before["protocols"].keys() == {"patient-7f3a", "patient-21c8"}
    assert before["tells_now"]


def test_two_boxes_installed_alike_share_no_secret(config: Path, tmp_path: Path) -> None:
    with running(config):
        first = (config.parent / "state" / "kek").read_bytes()
    shutil.rmtree(tmp_path / "state")
    with running(config):
        second = (config.parent / "state" / "kek").read_bytes()
    assert first != second


def test_a_key_that_others_can_read_stops_it_with_the_next_step(config: Path) -> None:
    with running(config):
        pass
    (config.parent / "state" / "kek").chmod(0o644)
    line = [command("veilleur"), "--lang", "fr", "run", "--config", str(config)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_box_on_the_same_state_is_refused(config: Path) -> None:
    line = [command("veilleur"), "--lang", "fr", "run", "--config", str(config)]
    with running(config):
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Un autre boîtier tourne déjà" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_certificate_is_told_and_nothing_is_lost(config: Path) -> None:
    (config.parent / "keys" / "box-0001.key").write_text("no key", encoding="utf-8")
    (config.parent / "keys" / "box-0001.key").chmod(0o600)
    with running(config) as (box, _):
        box.send_signal(signal.SIGTERM)
        _, said = box.communicate(timeout=30)
    assert "no link to 127.0.0.1" in said
    assert "Traceback" not in said


def state(config: Path) -> dict[str, dict[str, str]]:
    """What `veilleur status --json` says."""
    line = [command("veilleur"), "status", "--config", str(config), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    shown: dict[str, dict[str, str]] = json.loads(done.stdout)
    return shown
