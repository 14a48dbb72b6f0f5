"""From a notification on the virtual radio to the alert it causes, decrypted and stored in the team's inbox.

The box is a process of its own, as is the broker; the virtual sensor and the inbox share this one, so that both ends
are read off one monotonic clock. Each reading crosses a threshold, so each causes an alert change.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.figure import say
from coordination.database import Arrival, Moment, SignedReceipt
from coordination.inbox import run
from coordination.settings import read_settings
from coordination.sql_database import SqlDatabase
from exchange.messages import AlertRecord, ObservationRecord
from exchange.receipts import Credit, Receipt
from exchange.sealing import Opened
from simulators.clock import AcceleratedClock
from simulators.hci_socket import serve_hci
from simulators.home import CGM
from simulators.link import Air
from simulators.patients import Glucose
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.peripheral import Circumstances, Taken
from simulators.world import World, WorldSettings

READINGS = int(os.environ.get("LATENCY_READINGS", "400"))
SPEED = 600.0
MINUTE = 60_000
START = 1_772_431_200_000
PROTOCOL = """
schema = 1
name = "latency"
version = 1
title = { fr = "Mesure du délai", en = "Latency" }
[transmission]
not_transmitted_after = "30 days"
[quantities.glucose_interstitial]
cadence = "1 min"
gap = "1 day"
[[rules]]
id = "below"
kind = "level"
quantity = "glucose_interstitial"
side = "below"
threshold = "70 mg/dL"
end_threshold = "70 mg/dL"
persist = "0 min"
end_persist = "0 min"
priority = "low"
audience = "nurse"
title = { fr = "Sous le seuil", en = "Below" }
check = { fr = "rien", en = "nothing" }
sources = ["none"]
[[rules]]
id = "absent"
kind = "missing"
quantity = "glucose_interstitial"
expected = "10 days"
grace = "10 days"
priority = "low"
audience = "nurse"
title = { fr = "Absente", en = "Absent" }
check = { fr = "rien", en = "nothing" }
sources = ["none"]
[sources]
none = "a benchmark, not a care protocol"
"""


class Times:
    """When each reading was notified and when what it caused was stored, by its event time."""

    def __init__(self) -> None:
        self.notified: dict[int, int] = {}
        self.observed: dict[int, int] = {}
        self.alerted: dict[int, int] = {}
        self.changed = asyncio.Event()
        self.linked = asyncio.Event()

    def taken(self, readings: Sequence[Taken]) -> None:
        for reading in readings:
            self.notified[reading.measured_at] = time.monotonic_ns()

    def happened(self, event: str, device: str, detail: str = "") -> None:
        del device, detail
        if event == "connected":
            self.linked.set()


def timed(times: Times, loop: asyncio.AbstractEventLoop) -> type[SqlDatabase]:
    """Return a database that notes when a record was committed."""

    class TimedDatabase(SqlDatabase):
        def store(
            self,
            arrivals: Sequence[Arrival],
            *,
            moment: Moment,
            receipt_at: int,
            sign: Callable[[Receipt], bytes],
            credit: Credit | None = None,
        ) -> tuple[SignedReceipt, ...]:
            done = super().store(arrivals, moment=moment, receipt_at=receipt_at, sign=sign, credit=credit)
            now = time.monotonic_ns()
            for record in (record for item in arrivals if isinstance(item, Opened) for record in item.records):
                if isinstance(record, AlertRecord):
                    times.alerted.setdefault(record.resolved_at or record.raised_at, now)
                elif isinstance(record, ObservationRecord):
                    times.observed.setdefault(record.measured_at, now)
            loop.call_soon_threadsafe(times.changed.set)
            return done

    return TimedDatabase


async def measure(folder: Path) -> Times:
    clock = AcceleratedClock.starting_now(start_ms=START, speed=SPEED)
    world = World(WorldSettings(folder=folder, clock=clock), on_event=lambda _name, _event: None)
    (folder / "latency.toml").write_text(PROTOCOL, encoding="utf-8")
    for file in (world.agent_settings, world.desk_settings):
        file.write_text(file.read_text(encoding="utf-8").replace('"diabetes_cgm"', '"latency.toml"'), encoding="utf-8")
    times = Times()
    air = Air()
    where = Circumstances(air=air, clock=clock, zone=ZoneInfo("Europe/Paris"), witness=times)
    sensor = GlucoseSensor(CGM, where, name="Veilleur CGM", session_start=START)
    async with world, serve_hci(folder / "hci.sock", air, lambda _here: None):
        await asyncio.to_thread(world.broker.start)
        database = timed(times, asyncio.get_running_loop())
        inbox = asyncio.create_task(run(read_settings(world.desk_settings), clock, database=database))
        await sensor.start()
        living = asyncio.create_task(sensor.run())
        await world.box.start()
        await world.box.ready(within=90)
        await times.linked.wait()
        for number in range(READINGS):
            # One reading a simulated minute, the finest a sensor can date: 100 ms.
            await asyncio.sleep(MINUTE / SPEED / 1000)
            sensor.take(Glucose(at=clock.now_ms(), count=500 if number % 2 else 1000))
        async with asyncio.timeout(30):
            last = max(times.notified)
            while last not in times.alerted or len(times.observed) < len(times.notified):
                times.changed.clear()
                await times.changed.wait()
        for task in (inbox, living):
            task.cancel()
        await asyncio.wait([inbox, living])
    return times


def figures() -> None:
    with tempfile.TemporaryDirectory(prefix="veilleur-") as name:
        times = asyncio.run(measure(Path(name)))
    # The first seconds are history fetched at connection, not notifications.
    notified = list(times.notified.items())[20:]
    for what, stored in (("reading", times.observed), ("alert", times.alerted)):
        delays = [(stored[at] - sent) / 1e6 for at, sent in notified if at in stored]
        say(f"latency.{what}", "ms", delays, aim="20 / 80", notified=len(notified))
