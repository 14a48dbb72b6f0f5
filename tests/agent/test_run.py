"""`veilleur run` as systemd runs it: ready, alive, listening nowhere, stopped in order, started again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from exchange.messages import lineage
from simulators.broker import Broker
from simulators.processes import command
from tests.agent.box_kit import running, write_settings

pytestmark = [pytest.mark.process, pytest.mark.long]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path)


def listening(pid: int) -> list[str]:
    """The sockets on which a process waits to be spoken to: TCP, UDP, raw and SCTP-like over IP, and local ones."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # One that was closed meanwhile listens to nobody.
        with suppress(FileNotFoundError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
                inodes.add(found[1])
    waiting = []
    # Which state of a socket is one in which anybody may begin to speak to it (Linux, tcp_states.h; proc(5)).
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07"), ("raw", "07"), ("raw6", "07")):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == state and fields[9] in inodes:
                waiting.append(f"{table} {fields[1]}")
    for line in Path(f"/proc/{pid}/net/unix").read_text(encoding="utf-8").splitlines()[1:]:
        _, _, _, flags, _, _, inode, *name = line.split()
        # __SO_ACCEPTCON: it accepts connections; a bound datagram socket has a name, and can be written to.
        if inode in inodes and (int(flags, 16) & 0x10000 or name):
            waiting.append(f"unix {' '.join(name)}")
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


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_whoever_listens_is_seen(family: int, kind: int, tmp_path: Path) -> None:
    with socket.socket(family, kind) as ears:
        ears.bind(str(tmp_path / "ears") if family == socket.AF_UNIX else ("", 0))
        if kind == socket.SOCK_STREAM:
            ears.listen()
        assert len(listening(os.getpid())) == 1


@pytest.mark.broker
def test_a_box_that_speaks_to_its_broker_listens_nowhere_either(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        (tmp_path / "box").mkdir()
        config = write_settings(tmp_path / "box", files=broker.certificates.client("box-0001"), port=broker.port)
        often = {"WATCHDOG_USEC": "100000"}
        with running(config, environment=often) as (box, ears):
            while "New client connected" not in broker.log.read_text(encoding="utf-8", errors="replace"):
                ears.recv(64)
            assert listening(box.pid) == []
            assert "as box-0001" in broker.log.read_text(encoding="utf-8", errors="replace")


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
