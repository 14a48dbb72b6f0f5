"""A box with a shadow, over a real store: what its tests give it, and what they read of it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.counts import Counts
from agent.daemon import attempted
from agent.judging import Judging
from agent.pipeline import Pipeline
from agent.settings import Assignment, Device, Patient
from agent.shadow import Shadows
from agent.shadow_store import KeptAlert
from agent.store_reader import StoreReader
from agent.store_thread import StoreThread
from agent.vault import Vault
from alerting.alert import ChangeKind
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import read_protocol
from devices.drivers import driver_named
from devices.reading import Reading
from devices.source import Batch
from tests.agent.kit import BOX, PATIENT, START, Desk, open_store

CGM = "C4:B0:00:00:00:01"
HOUR = 3_600_000
ZONE = ZoneInfo("Europe/Paris")
TEXT = """
schema = 1
name = "low_watch"
version = {version}
title = {{ fr = "Veille des valeurs basses", en = "Watch for lows" }}

[transmission]
not_transmitted_after = "6 h"

[quantities.glucose_interstitial]
cadence = "5 min"
gap = "45 min"

[[rules]]
id = "low"
kind = "level"
quantity = "glucose_interstitial"
side = "below"
threshold = "{low} mg/dL"
end_threshold = "{low} mg/dL"
persist = "10 min"
end_persist = "10 min"
priority = "medium"
audience = "nurse"
title = {{ fr = "Glucose bas", en = "Low glucose" }}
check = {{ fr = "confirmer au doigt", en = "confirm with a fingerstick" }}
sources = ["made"]

[[rules]]
id = "very_low"
kind = "level"
quantity = "glucose_interstitial"
side = "below"
threshold = "54 mg/dL"
end_threshold = "54 mg/dL"
persist = "10 min"
end_persist = "10 min"
priority = "high"
audience = "{audience}"
absorbs = ["low"]
title = {{ fr = "Glucose très bas", en = "Very low glucose" }}
check = {{ fr = "confirmer au doigt", en = "confirm with a fingerstick" }}
sources = ["made"]

[[rules]]
id = "no_glucose"
kind = "missing"
quantity = "glucose_interstitial"
expected = "2 h"
priority = "low"
audience = "nurse"
title = {{ fr = "Glucose non reçu", en = "No glucose received" }}
check = {{ fr = "appeler la personne", en = "call the person" }}
sources = ["made"]

[sources]
made = "Made here, for tests"
"""


def protocol_text(*, version: int = 1, low: int = 70, audience: str = "nurse") -> str:
    return TEXT.format(version=version, low=low, audience=audience)


def protocol(*, version: int = 1, low: int = 70, audience: str = "nurse") -> CareProtocol:
    return read_protocol(protocol_text(version=version, low=low, audience=audience).encode(), name_hint="low_watch")


ACTIVE = protocol()
CANDIDATE = protocol(version=2, low=80, audience="patient_now")


def one_patient(shadow: CareProtocol | None = CANDIDATE, *, active: CareProtocol = ACTIVE) -> Patient:
    return Patient(pseudonym=PATIENT, protocol=active, zone=ZONE, shadow=shadow)


class ManualClock:
    """Shows what it is told to."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return max(0.0, (at_ms - self.now) / 1000)


async def tolerant(work: Callable[[], Awaitable[None]]) -> bool:
    """What the daemon's guard does, without the pause."""
    try:
        await work()
    except RuntimeError:
        return False
    return True


@dataclass(kw_only=True)
class ShadowBox:
    """A box whose tasks run."""

    pipeline: Pipeline
    judging: Judging
    shadows: Shadows
    shadow_task: "asyncio.Task[None]"
    store: StoreThread
    device: Device
    clock: ManualClock
    received: ManualClock
    """What time it is at the door: no earlier than what has come through it."""

    async def give(self, *readings: Reading) -> None:
        """Return when the readings were kept and the protocol that is applied has judged them; of a shadow later."""
        self.received.now = max([self.received.now, *(reading.received_at for reading in readings)])
        await self.pipeline.ingest(self.device, Batch(readings=readings))
        # The hand-over comes after what was waited for.
        await self.pipeline.ingest(self.device, Batch())
        await self.judging.settled()

    async def tick(self, now: int) -> None:
        self.judging.tick(now)
        await self.judging.settled()

    async def settle(self) -> None:
        """Return when the shadows have judged as far as the protocols that are applied."""
        await self.judging.settled()
        await self.shadows.settled()

    async def kill_shadows(self) -> None:
        self.shadow_task.cancel()
        await asyncio.wait([self.shadow_task])


@asynccontextmanager
async def running(
    path: Path,
    desk: Desk,
    *patients: Patient,
    clock: ManualClock | None = None,
) -> AsyncIterator[ShadowBox]:
    clock = clock or ManualClock()
    received = ManualClock(clock.now)
    people = tuple(Assignment(patient=patient, given_on=0) for patient in patients or (one_patient(),))
    device = Device(address=CGM, driver=driver_named("cgm"), people=people[:1])
    store = StoreThread()
    await store.open(lambda: open_store(path))
    everybody = [person.patient for person in people]
    shadows = Shadows(store=store, patients=everybody, clock=clock, attempt=attempted)
    judging = Judging(
        box=BOX,
        store=store,
        sealer=desk.sealer,
        patients=everybody,
        devices=[device],
        clock=clock,
        on_kept=lambda: None,
        guard=tolerant,
        shadows=shadows,
    )
    pipeline = Pipeline(
        store=store,
        sealer=desk.sealer,
        devices=[device],
        clock=received,
        judging=judging,
        counts=Counts(),
        on_kept=lambda: None,
    )
    await pipeline.start()
    work = (judging.run(), pipeline.run(), shadows.run())
    tasks = [asyncio.create_task(one) for one in work]
    await judging.started.wait()
    try:
        yield ShadowBox(
            pipeline=pipeline,
            judging=judging,
            shadows=shadows,
            shadow_task=tasks[-1],
            store=store,
            device=device,
            clock=clock,
            received=received,
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await store.close()


def reader(path: Path) -> StoreReader:
    return StoreReader.open(path, Vault(bytes(range(32)), box=BOX))


def shadow_alerts(path: Path, patient: str = PATIENT) -> list[KeptAlert]:
    store = reader(path)
    try:
        return store.shadows.alerts(patient)
    finally:
        store.close()


def kinds(alerts: Iterable[KeptAlert]) -> list[tuple[str, str]]:
    return [(one.record.rule, one.record.kind.value) for one in alerts]


def shadow_rows(path: Path) -> dict[str, int]:
    """How many rows there are of what shadows came to."""
    with sqlite3.connect(path) as connection:
        counts = {
            table: connection.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("shadow", "shadow_alert", "shadow_left_out")
        }
    connection.close()
    return counts


def active_side(path: Path, desk: Desk) -> dict[str, object]:
    """Everything that a box keeps for, tells and sends to people, as plain values: what no shadow may touch."""
    store = open_store(path)
    try:
        rows = store._connection.execute("select digest, stream, standing, told_at, body from alert").fetchall()
        # Digests are of a key that each database has for itself.
        alerts = sorted(
            (store._vault.open("alert", digest.hex(), body), stream, standing, told_at)
            for digest, stream, standing, told_at, body in rows
        )
        stream = store.stream(PATIENT)
        readings = store._connection.execute("select id, stream, measured_at, state from reading").fetchall()
        outbox = store._connection.execute("select first, last, lane, created from outbox order by first").fetchall()
        return {
            "alerts": alerts,
            "stream": (stream.number, stream.since, stream.cursor, stream.attempts, stream.snapshot),
            "readings": readings,
            "outbox": outbox,
            "sent": desk.waiting(store),
            "standing": store.standing_alerts(),
            "counters": store.counters(),
        }
    finally:
        store.close()


def not_taken_back(alerts: Iterable[KeptAlert]) -> list[KeptAlert]:
    return [one for one in alerts if one.record.kind is not ChangeKind.RETRACTED]


def judgeable(path: Path, patient: str = PATIENT) -> list[Reading]:
    store = open_store(path)
    try:
        return [kept.reading for kept in store.history(patient, since=0, until_row=2**40)]
    finally:
        store.close()
