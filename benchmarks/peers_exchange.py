"""Our buffer beside others: what a producer was told is safe, and is lost or doubled, when the process is killed or the
disk fills; what a record costs the disk; how many a second are taken.

Measured are mosquitto as a local broker that bridges to the team's, paho's own queue, the three storages of
ThingsBoard's IoT gateway, and the box's store with its forwarder and link. Each is one process that a producer on the
same machine gives records to; each has a team at the other end, behind a gate that opens and shuts. The others keep
and send plain text; ours is sealed to three recipients, over mutual TLS, into a database, before it is let go.

    make bench ARGS=peers_exchange
    PEERS=box,thingsboard-sqlite PEERS_KILLS=4 PEERS_FULL_S=20 make bench ARGS=peers_exchange    # some, and shorter

Disk full and bytes on the device need a file system of their own, and so root: elsewhere they are left out.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.figure import machine
from benchmarks.peers_buffers import ROOT, Box, Buffer, MosquittoBridge, Program, ThingsBoard
from benchmarks.peers_treatment import dice, filled, killed, undisturbed
from benchmarks.peers_uplink import PlainTeam, Uplink, VeilleurTeam
from benchmarks.wear_disk import Disk, disk

KILLS = int(os.environ.get("PEERS_KILLS", "10"))
RATE = float(os.environ.get("PEERS_RATE", "500"))
FULL_S = float(os.environ.get("PEERS_FULL_S", "60"))
SEED = int(os.environ.get("PEERS_SEED", "1"))
CHOSEN = tuple(name for name in os.environ.get("PEERS", "").split(",") if name)
LEAVE = 10 << 20
"""Bytes that the disk still has when it is about to be full."""
FULL_RATE = 1000.0
COST_S = 5.0
VENV = ROOT / "build" / "peers_exchange"
LOCKED = ROOT / "requirements" / "peers_exchange.txt"

# mosquitto.conf(5): persistence is written every autosave_interval seconds, 1800 by default; with autosave_on_changes
# the interval counts changes. Of what waits for a bridge 1000 messages are kept by default, 0: all.
AS_IT_COMES = ""
EACH_SECOND = "autosave_interval 1\nmax_queued_messages 0\n"
EACH_CHANGE = "autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n"

# As in the tb_gateway.json that the package ships, by default.
SHIPPED: dict[str, object] = {
    "read_records_count": 100,
    "max_records_count": 100_000,
    "max_file_count": 10,
    "max_read_records_count": 10,
    "max_records_per_file": 10_000,
    "messages_ttl_check_in_hours": 1,
    "messages_ttl_in_days": 7,
}
# sqlite: a transaction a record. file: a flush a record, as shipped; all in one file, since 3.8.5 goes on to the next
# file, and deletes the one before, after the first pack that it reads of it; larger packs.
CAREFUL: dict[str, object] = {
    **SHIPPED,
    "writing_batch_size": 1,
    "max_records_between_fsync": 1,
    "max_records_per_file": 1_000_000,
    "max_read_records_count": 1000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One who is measured, under one set of settings.

    Attributes:
        name: `PEERS` names it so.
        of: what it is, with its version.
        told: what the producer takes for safe.
        make: its process, keeping what it keeps in the folder and sending to the port of the gate.
        on_disk: whether it keeps anything on the disk.
        ours: whether it sends to a team of ours.
    """

    name: str
    of: str
    settings: str
    told: str
    make: Callable[[Path, Uplink], Buffer]
    on_disk: bool = True
    ours: bool = False


def _ours(folder: Path, uplink: Uplink) -> Buffer:
    if not isinstance(uplink, VeilleurTeam):
        raise TypeError("our box sends to a team of ours")
    return Box(folder, uplink)


def _mosquitto(name: str, settings: str, lines: str) -> Peer:
    return Peer(
        name=name,
        of="mosquitto bridge",
        settings=settings,
        told="PUBACK",
        make=lambda folder, uplink: MosquittoBridge(folder, uplink.gate.port, lines),
    )


def _thingsboard(name: str, kind: str, settings: str, config: dict[str, object]) -> Peer:
    return Peer(
        name=name,
        of=f"ThingsBoard IoT gateway {_locked('thingsboard-gateway')}, {kind} storage",
        settings=settings,
        told="put() returned True",
        make=lambda folder, uplink: ThingsBoard(kind, folder, uplink.gate.port, config, VENV / "bin" / "python"),
        on_disk=kind != "memory",
    )


def _locked(name: str) -> str:
    """Return the version that is locked."""
    lines = LOCKED.read_text(encoding="utf-8").splitlines()
    return next(line.split("==")[1].split(" ")[0] for line in lines if line.startswith(f"{name}=="))


def peers() -> list[Peer]:
    return [
        Peer(name="box", of="our box", settings="as shipped", told="its transaction returned", make=_ours, ours=True),
        _mosquitto("mosquitto", "as it comes, persistence on", AS_IT_COMES),
        _mosquitto("mosquitto-second", "saved every second, queue unlimited", EACH_SECOND),
        _mosquitto("mosquitto-change", "saved at each change, queue unlimited", EACH_CHANGE),
        Peer(
            name="paho",
            of=f"paho-mqtt {version('paho-mqtt')}, its own queue",
            settings="QoS 1, queue unlimited; it has none that keep",
            told="publish() returned, sent or queued",
            make=lambda _, uplink: Program("paho_queue", str(uplink.gate.port)),
            on_disk=False,
        ),
        _thingsboard("thingsboard-sqlite", "sqlite", "as shipped", SHIPPED),
        _thingsboard("thingsboard-sqlite-careful", "sqlite", "writing_batch_size 1", CAREFUL),
        _thingsboard("thingsboard-file", "file", "as shipped", SHIPPED),
        _thingsboard("thingsboard-file-careful", "file", "one file, read 1000 at a time", CAREFUL),
        _thingsboard("thingsboard-memory", "memory", "as shipped", SHIPPED),
    ]


def thingsboard_fault() -> str | None:
    """Make the environment of ThingsBoard's gateway if it is not there; return why that failed."""
    stamp, wanted = VENV / "installed", hashlib.sha256(LOCKED.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return None
    try:
        venv.create(VENV, clear=True, with_pip=True)
    except subprocess.CalledProcessError as error:
        return str(error)
    install = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "--require-hashes", "-r", str(LOCKED)],
        capture_output=True,
        text=True,
        check=False,
        env=_without_paths(),
    )
    if done.returncode:
        return (done.stderr.strip() or "pip failed").splitlines()[-1]
    stamp.write_text(wanted, encoding="utf-8")
    return None


def _without_paths() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@asynccontextmanager
async def _place(peer: Peer, folder: Path) -> AsyncIterator[tuple[Buffer, Uplink]]:
    """Give a peer's buffer, whose files are in `folder`, and its team, whose files are elsewhere."""
    await asyncio.to_thread(folder.mkdir)
    with tempfile.TemporaryDirectory(prefix="veilleur-team-") as name:
        team = VeilleurTeam(Path(name)) if peer.ours else PlainTeam(Path(name))
        async with team as uplink:
            buffer = peer.make(folder, uplink)
            try:
                yield buffer, uplink
            finally:
                if buffer.alive:
                    await buffer.kill()
    shutil.rmtree(folder)


def _say(figure: str, peer: Peer, buffer: Buffer, facts: dict[str, object]) -> None:
    of = f"{peer.of} {buffer.version}" if isinstance(buffer, MosquittoBridge) else peer.of
    line = {"figure": figure, "peer": peer.name, "of": of, "settings": peer.settings, "told_safe_by": peer.told}
    print(json.dumps({**line, **facts, "machine": machine()}, ensure_ascii=False), flush=True)


async def measure(peer: Peer, place: Disk, *, own_disk: bool) -> None:
    """Print the figures of one."""
    async with _place(peer, place.folder / "kill") as (buffer, uplink):
        facts = await killed(buffer, uplink, kills=KILLS, rate=RATE, dice=dice(SEED, "kill"))
        _say("peers.kill", peer, buffer, facts)
    if not own_disk:
        return
    async with _place(peer, place.folder / "cost") as (buffer, uplink):
        facts = await undisturbed(buffer, uplink, place, rate=RATE, seconds=COST_S)
        _say("peers.outage", peer, buffer, {**facts, "counted": place.counted})
    if not peer.on_disk:
        return
    async with _place(peer, place.folder / "full") as (buffer, uplink):
        facts = await filled(buffer, uplink, place, rate=FULL_RATE, seconds=FULL_S, leave=LEAVE)
        _say("peers.disk_full", peer, buffer, facts)


def _is_own(place: Disk) -> bool:
    """Return whether the place is a file system of its own, and let nobody have more of it than others.

    ext4 keeps a twentieth for root, who would go on writing where our box sees a full disk.
    """
    if not os.path.ismount(place.folder):
        return False
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    device = next(line.split()[0] for line in mounts if line.split()[1] == str(place.folder))
    subprocess.run(["tune2fs", "-m", "0", device], check=True, capture_output=True)
    return True


def figures() -> None:
    wanted = [peer for peer in peers() if not CHOSEN or peer.name in CHOSEN]
    if any(peer.name.startswith("thingsboard") for peer in wanted) and (fault := thingsboard_fault()):
        print(f"peers_exchange: ThingsBoard's gateway is left out, it cannot be installed: {fault}", file=sys.stderr)
        wanted = [peer for peer in wanted if not peer.name.startswith("thingsboard")]
    for peer in wanted:
        with disk() as place:
            own = _is_own(place)
            if not own:
                print("peers_exchange: no disk of its own here, so none is filled: that takes root", file=sys.stderr)
            asyncio.run(measure(peer, place, own_disk=own))
