"""The whole box as a process, over the virtual radio, with broker and inbox: what a glucose reading costs its card.

Its state folder lies on the disk that is counted, the rest of its world elsewhere. Commits are told apart by the trees
that they touch. Durations of the box itself, such as the pause between two proofs, are real seconds: they are not
hastened with the sensor, so the proofs of five minutes are not in this figure.
"""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks import log_pages
from benchmarks.figure import say
from benchmarks.wear_disk import Disk, checkpoint, lengthen_log, written_by
from simulators.clock import AcceleratedClock
from simulators.hci_socket import serve_hci
from simulators.home import CGM
from simulators.link import Air
from simulators.patients import Glucose
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.peripheral import Circumstances, Taken
from simulators.world import World, WorldSettings

START = 1_763_800_000_000
SPEED = 300.0
BOX_READINGS = 36
"""Three hours of a glucose sensor, in 36 s."""


async def whole_box(folder: Path, place: Disk) -> None:
    """Run a box with one sensor, its state on the disk that is counted, and say what a reading costs it."""
    clock = AcceleratedClock.starting_now(start_ms=START, speed=SPEED)
    world = World(WorldSettings(folder=folder, clock=clock), on_event=lambda _name, _event: None)
    state = place.folder / "box"
    text = world.agent_settings.read_text(encoding="utf-8")
    text = text.replace('"box/kek"', f'"{state}/kek"').replace('state = "box"', f'state = "{state}"')
    text += f'\n[fleet]\nmetrics = "{folder}/metrics.prom"\n'
    world.agent_settings.write_text(text, encoding="utf-8")
    air = Air()
    where = Circumstances(air=air, clock=clock, zone=ZoneInfo("Europe/Paris"), witness=Nobody())
    sensor = GlucoseSensor(CGM, where, name="Veilleur CGM", session_start=START)
    async with world, serve_hci(folder / "hci.sock", air, lambda _here: None):
        await asyncio.to_thread(world.broker.start)
        for inbox in world.inboxes:
            await inbox.start()
            await inbox.ready(within=90)
        await sensor.start()
        living = asyncio.create_task(sensor.run())
        await world.box.start()
        await world.box.ready(within=90)
        database = state / "veilleur.db"
        await _give(sensor, clock, database, readings=3)
        # Past its start: its log is as long as it gets, and empty.
        await asyncio.to_thread(lengthen_log, database)
        begun, io = place.written(), written_by(world.box.pid)
        began = time.monotonic()
        await _give(sensor, clock, database, readings=BOX_READINGS)
        seconds = round(time.monotonic() - began)
        found = log_pages.commits(database)
        of = log_pages.trees(database)
        await asyncio.to_thread(checkpoint, database)
        device = (place.written() - begun) / BOX_READINGS
        process = (written_by(world.box.pid) - io) / BOX_READINGS
        living.cancel()
        await asyncio.wait([living])
    kinds = Counter(_kind_of({of.get(page, log_pages.FREED) for page in commit}) for commit in found)
    more = {
        "by_process": round(process),
        "commits": {name: round(count / BOX_READINGS, 2) for name, count in kinds.most_common()},
        "pages": log_pages.shares(found, of, steps=BOX_READINGS),
        "seconds": seconds,
        "counted": place.counted,
    }
    say("wear.box", "bytes/reading", [device], **more)


async def _give(sensor: GlucoseSensor, clock: AcceleratedClock, database: Path, *, readings: int) -> None:
    """Have the sensor measure so often, a simulated five minutes apart, and return when the team has all of it."""
    rows = _number(database, "select count(*) from reading")
    for number in range(readings):
        await asyncio.sleep(300 / SPEED)
        sensor.take(Glucose(at=clock.now_ms(), count=1000 + number % 100))
    async with asyncio.timeout(60):
        while (  # noqa: ASYNC110 - another process writes it
            _number(database, "select count(*) from reading") < rows + readings
            or _number(database, "select count(*) from outbox where receipted_at is null") > 0
        ):
            await asyncio.sleep(0.2)


def _number(database: Path, query: str) -> int:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def _kind_of(trees: set[str]) -> str:
    """Say what a commit was for, by what it touched."""
    kinds = {
        "reading": "kept",
        "stream": "judged",
        "outbox": "outbox",
        "device_facts": "facts",
        "meta": "proof or time",
    }
    return next((kind for tree, kind in kinds.items() if tree in trees), "other")


class Nobody:
    """Looks on, and takes note of nothing."""

    def taken(self, readings: Sequence[Taken]) -> None:
        """Hear what was measured."""

    def happened(self, event: str, device: str, detail: str = "") -> None:
        """Hear what happened."""
