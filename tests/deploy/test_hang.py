"""A box that hangs gives no sign of life, and is ended: real processes, with a service manager of our own."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.agent.box_kit import running, write_settings

OFTEN = {"WATCHDOG_USEC": "1000000"}
"""systemd would wait for a second: a sign of life each half second."""
SILENCE_S = 5.0
"""Ten signs that do not come."""

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Another process holds the database, as one that hangs in a write would."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.kill()
        holder.communicate()


def fall_silent(ears: socket.socket) -> bool:
    """Whether signs of life stop; the few that were on their way are passed over."""
    ears.settimeout(SILENCE_S)
    try:
        for _ in range(3):
            ears.recv(64)
    except TimeoutError:
        return True
    return False


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path)


@pytest.mark.process
def test_a_database_that_another_process_holds_stops_the_signs_of_life(config: Path) -> None:
    database = config.parent / "state" / "veilleur.db"
    with running(config, environment=OFTEN, output=subprocess.DEVNULL) as (box, ears):
        assert ears.recv(64) == b"WATCHDOG=1"
        with held(database):
            assert fall_silent(ears)
            assert box.poll() is None
            # What systemd does then.
            box.send_signal(signal.SIGKILL)
            box.wait(10)
    with running(config, environment=OFTEN, output=subprocess.DEVNULL) as (_, ears):
        assert ears.recv(64) == b"WATCHDOG=1"


@pytest.mark.process
def test_a_full_disk_stops_the_signs_of_life_and_room_brings_them_back(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        config = write_settings(tmp_path)
        config.write_text(config.read_text().replace('state = "state"', f'state = "{disk}/state"'))
        config.write_text(config.read_text().replace('key_file = "state/kek"', f'key_file = "{disk}/state/kek"'))
        with running(config, environment=OFTEN, output=subprocess.DEVNULL) as (box, ears):
            assert ears.recv(64) == b"WATCHDOG=1"
            fill(disk / "filler")
            assert fall_silent(ears)
            assert box.poll() is None
            (disk / "filler").unlink()
            ears.settimeout(60)
            assert ears.recv(64) == b"WATCHDOG=1"
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(path: Path) -> None:
    """Leave no block free; what is written grows into the last holes."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@pytest.mark.process
def test_a_box_that_is_stopped_in_its_tracks_gives_no_sign(config: Path) -> None:
    with running(config, environment=OFTEN, output=subprocess.DEVNULL) as (box, ears):
        assert ears.recv(64) == b"WATCHDOG=1"
        box.send_signal(signal.SIGSTOP)
        assert fall_silent(ears)
