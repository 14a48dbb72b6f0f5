"""What the box costs its card: bytes that reach the device, by lane and layout, and in a week.

A file system of its own (ext4 with its journal, as on the card, over a loop device) where root may mount one: the
kernel then counts what was written to it, journal and metadata included. Elsewhere what this process had written,
which leaves the file system's part out; each figure says which.

What a card writes to its flash besides (its own write amplification) no file system shows.

Counted once the log is as long as it gets, as in a box that has run for a day. Beside each figure stands how many pages
a step writes to the log, and of which trees (`log_pages`). A week is what a box does in one: keeping, receipts, the
cursor, what the device said of itself, and the commits that prove that the box works.

`wear.box` is the whole box as a process, over the virtual radio, with broker and inbox: what its state folder's disk is
given for one glucose reading, and in which commits.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.alive import COMMIT_S
from agent.database import LOG_BYTES
from agent.room import Limits
from agent.store import Arrival, Judgement, Store
from agent.vault import Vault
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from benchmarks import log_pages
from benchmarks.figure import say
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity, to_counts
from devices.source import DeviceFacts
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import Range
from exchange.receipts import Received
from exchange.sealing import Sealer
from simulators.clock import AcceleratedClock
from simulators.hci_socket import serve_hci
from simulators.home import CGM
from simulators.link import Air
from simulators.patients import Glucose
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.peripheral import Circumstances, Taken
from simulators.world import World, WorldSettings

ROUNDS = 3
START = 1_763_800_000_000
PATIENT = "patient-7f3a"
DEVICE = "C4:B0:00:00:00:01"
MOUNTED_BYTES = 512 << 20
SECTOR = 512
"""Of which /sys/block/*/stat counts, whatever the device (Documentation/block/stat.rst)."""
CGM_WEEK = 7 * 288
STREAM_WEEK = 7 * 86_400
CURSOR_EVERY = 64
"""A judgement without consequence is kept after so many readings or segments (`agent.judging.CURSOR_LAG`)."""
WEEK_S = 7 * 86_400
FACTS_S = 60
"""What a device that is only seen again costs is kept this often at most (`agent.device_facts.SEEN_MS`)."""
SPEED = 300.0
BOX_READINGS = 36
"""Three hours of a glucose sensor, in 36 s."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder, and what counts the bytes written to where it lies."""

    folder: Path
    counted: str
    written: Callable[[], int]


@contextmanager
def disk() -> Iterator[Disk]:
    """Give a disk of its own, or this one."""
    with tempfile.TemporaryDirectory(prefix="veilleur-wear-") as name:
        image, place = Path(name, "card.img"), Path(name, "card")
        place.mkdir()
        device = _mount(image, place) if os.geteuid() == 0 else None
        if device is None:
            yield Disk(place, "by this process", _of_process)
            return
        try:
            yield Disk(place, "on the device, ext4", lambda: _of_device(device))
        finally:
            subprocess.run(["umount", str(place)], check=True)


def _mount(image: Path, place: Path) -> str | None:
    """Return the name of the loop device that is mounted at `place`, None where that is not allowed."""
    if shutil.which("mkfs.ext4") is None or shutil.which("mount") is None:
        return None
    with image.open("wb") as file:
        file.truncate(MOUNTED_BYTES)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop,noatime", str(image), str(place)]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return next(line.split()[0].rsplit("/", 1)[1] for line in mounts if line.split()[1] == str(place))


def _of_device(device: str) -> int:
    os.sync()
    fields = Path("/sys/block", device, "stat").read_text(encoding="utf-8").split()
    return int(fields[6]) * SECTOR


def _of_process() -> int:
    return _io_of(os.getpid())


def _reading(number: int, *, quantity: Quantity, step_ms: int, value: str) -> Reading:
    at = START + number * step_ms
    unit = Unit.PERCENT if quantity is Quantity.SPO2 else Unit.MG_PER_DL
    return Reading(
        quantity=quantity,
        count=to_counts(quantity, Decimal(value), unit),
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at,
        device=DEVICE,
        key=f"{at}:{number * 37 % 65_536:04x}",
        provenance=Provenance(
            source="device", value=value, unit=unit, frame=(number * 40_503 % 2**40).to_bytes(9, "big")
        ),
    )


def _glucose(number: int) -> Arrival:
    value = f"{80 + number * 37 % 120}"
    reading = _reading(number, quantity=Quantity.GLUCOSE_INTERSTITIAL, step_ms=300_000, value=value)
    return Arrival(patient=PATIENT, reading=reading)


def _saturation(number: int) -> Arrival:
    reading = _reading(number, quantity=Quantity.SPO2, step_ms=1000, value=f"{93 + number * 7 % 6}")
    return Arrival(patient=PATIENT, reading=reading)


def _alert(number: int) -> AlertChange:
    words = "Glucose à 62 mg/dL depuis 15 minutes, sous le seuil de 70 mg/dL : confirmer au doigt, puis resucrer."
    return AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=f"{number:032x}",
        patient=PATIENT,
        rule="hypo_level_1",
        priority=Priority.MEDIUM,
        category=Category.CLINICAL,
        onset=START,
        raised_at=START,
        resolved_at=None,
        evidence=(),
        why=Sentence(fr=words, en=words),
        late=False,
        supersedes=None,
        protocol="diabetes_cgm",
        protocol_version=1,
        protocol_hash="0" * 64,
        engine_version="1",
    )


Step = Callable[[Store, Sealer, int], None]


def _sparse(batch: int) -> Step:
    def step(store: Store, sealer: Sealer, number: int) -> None:
        store.accept([_glucose(number * batch + one) for one in range(batch)], sealer, now_ms=START)

    return step


def _rows_of_stream(store: Store, sealer: Sealer, number: int) -> None:
    store.accept([_saturation(number)], sealer, now_ms=START)


def _segment(values: int) -> Step:
    def step(store: Store, sealer: Sealer, number: int) -> None:
        arrivals = [_saturation(number * values + one) for one in range(values)]
        store.accept_streamed(arrivals, {}, sealer, now_ms=START)

    return step


def _judged(store: Store, sealer: Sealer, number: int) -> None:
    judgement = Judgement(patient=PATIENT, cursor=number, snapshot=os.urandom(3000), changes=(_alert(number),))
    store.keep_judgement(judgement, sealer, now_ms=START)


def _cursor(store: Store, sealer: Sealer, number: int) -> None:
    store.keep_judgement(Judgement(patient=PATIENT, cursor=number, snapshot=os.urandom(3000)), sealer, now_ms=START)


def _received(batch: int) -> Step:
    """Receive, one receipt for so many entries; the entries are there before, see `figures`."""

    def step(store: Store, _sealer: Sealer, number: int) -> None:
        last = (number + 1) * batch - 1
        part = Received(epoch=store.epoch, ranges=(Range(number * batch, last),), high=last)
        store.receipted(part, now_ms=START)

    return step


def _facts(store: Store, _sealer: Sealer, number: int) -> None:
    store.keep_device_facts({DEVICE: DeviceFacts(seen_at=START + number * 60_000, battery=80)}, now_ms=START)


def _proof(store: Store, _sealer: Sealer, _number: int) -> None:
    store.prove()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a layout costs: bytes a record in each round; and in the last one pages a step, in all and by tree."""

    rounds: Sequence[float]
    pages: float
    of: dict[str, float]

    @property
    def median(self) -> float:
        """Bytes a record."""
        return sorted(self.rounds)[len(self.rounds) // 2]


def cost_of(place: Disk, step: Step, *, steps: int, records: int = 1, before: Sequence[tuple[Step, int]] = ()) -> Cost:
    """Return what a record costs when `steps` steps keep `records` records each.

    Args:
        place: where.
        step: what is counted.
        steps: how often.
        records: how many records one step keeps.
        before: what is done first and not counted, and how often.
    """
    keys = [Recipient.of(OpeningKey.generate(), role) for role in RecipientRole]
    sealer = Sealer(box="box-0001", signing_key=SigningKey.generate(), recipients=keys)
    rounds: list[float] = []
    for number in range(ROUNDS):
        folder = place.folder / str(number)
        path = folder / "veilleur.db"
        store = Store(path, Vault(bytes(32), box="box-0001"), now_ms=START, limits=Limits(cap=MOUNTED_BYTES // 2))
        for first, times in before:
            for one in range(times):
                first(store, sealer, one)
        _lengthen_log(path)
        begun = place.written()
        for one in range(steps):
            step(store, sealer, one)
        _checkpoint(path)
        rounds.append((place.written() - begun) / (steps * records))
        if number == ROUNDS - 1:
            # Not counted, and few enough for one log.
            few = min(steps, 20)
            for one in range(steps, steps + few):
                step(store, sealer, one)
            found = log_pages.commits(path)
            of = log_pages.shares(found, log_pages.trees(path), steps=few)
            pages = sum(len(commit) for commit in found) / few
        store.close()
        shutil.rmtree(folder)
    return Cost(rounds=rounds, pages=pages, of=of)


def _lengthen_log(path: Path) -> None:
    """Have the log as long as it gets before it is played into the file, and begin it anew."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma wal_autocheckpoint = 0").fetchall()
    connection.execute("create table filling(body blob)")
    while path.with_name(f"{path.name}-wal").stat().st_size < LOG_BYTES:
        connection.execute("insert into filling values (zeroblob(65536))")
        connection.execute("delete from filling")
    connection.execute("drop table filling")
    connection.close()
    _checkpoint(path)


def _checkpoint(path: Path) -> None:
    """Have all that is in the log written to where it belongs, so that it is counted; the log stays as long."""
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(restart)").fetchall()
    connection.close()


def figures() -> None:
    with disk() as place:

        def cost(what: str, layout: str, step: Step, steps: int, records: int = 1, **more: object) -> float:
            before = more.pop("before", ())
            found = cost_of(place, step, steps=steps, records=records, before=before)  # type: ignore[arg-type]
            facts = {"lane": what, "layout": layout, "pages_a_commit": round(found.pages, 2), "of": found.of}
            say("wear.device", "bytes/record", found.rounds, **facts, counted=place.counted)
            return found.median

        cost("alerts", "one a commit, with the engine's snapshot", _judged, 200)
        cursor = cost("-", "the cursor and the snapshot alone", _cursor, 300)
        facts = cost("-", "what a device said of itself", _facts, 300)
        proof = cost("-", "a commit that proves that the box works", _proof, 1000)
        sparse = cost("sparse", "row, one a commit", _sparse(1), 500)
        cost("sparse", "rows, 60 a commit (a device's history)", _sparse(60), 60, 60)
        rows = cost("dense", "row, one a commit (not used)", _rows_of_stream, 500)
        receipt = cost("-", "a receipt of one reading", _received(1), 300, before=[(_sparse(1), 320)])
        proofs = WEEK_S / COMMIT_S * proof
        parts = {
            "kept": CGM_WEEK * sparse,
            "receipts": CGM_WEEK * receipt,
            "facts": CGM_WEEK * facts,
            "judged": CGM_WEEK / CURSOR_EVERY * cursor,
            "proofs": proofs,
        }
        _say_week("CGM, 2 016 readings, received one by one", parts, place)
        for values, steps in ((10, 300), (30, 200), (60, 150), (300, 40), (600, 30)):
            each = cost("dense", f"segment of {values}", _segment(values), steps, values)
            before = [(_segment(values), steps + 20)]
            received = cost("-", f"a receipt of a segment of {values}", _received(values), steps, before=before)
            segments = STREAM_WEEK / values
            parts = {
                "kept": STREAM_WEEK * each,
                "receipts": segments * received,
                "facts": WEEK_S / max(FACTS_S, values) * facts,
                "judged": segments / CURSOR_EVERY * cursor,
                "proofs": proofs,
            }
            _say_week("1 Hz, not thinned", parts, place, group_commit_s=values)
        _say_week("1 Hz, row by row (not used)", {"kept": STREAM_WEEK * rows}, place)
        with tempfile.TemporaryDirectory(prefix="veilleur-") as name:
            asyncio.run(_whole_box(Path(name), place))


def _say_week(stream: str, parts: dict[str, float], place: Disk, **more: object) -> None:
    shown = {name: round(part / 1e6, 1) for name, part in parts.items()}
    say("wear.week", "MB", [sum(parts.values()) / 1e6], stream=stream, **more, of=shown, counted=place.counted)


# --- the whole box --------------------------------------------------------------------------------------------


async def _whole_box(folder: Path, place: Disk) -> None:
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
        await asyncio.to_thread(_lengthen_log, database)
        begun, io = place.written(), _io_of(world.box.pid)
        began = time.monotonic()
        await _give(sensor, clock, database, readings=BOX_READINGS)
        seconds = round(time.monotonic() - began)
        found = log_pages.commits(database)
        of = log_pages.trees(database)
        await asyncio.to_thread(_checkpoint, database)
        device = (place.written() - begun) / BOX_READINGS
        process = (_io_of(world.box.pid) - io) / BOX_READINGS
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


def _io_of(pid: int | None) -> int:
    lines = Path("/proc", str(pid), "io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


class Nobody:
    """Looks on, and takes note of nothing."""

    def taken(self, readings: Sequence[Taken]) -> None:
        """Hear what was measured."""

    def happened(self, event: str, device: str, detail: str = "") -> None:
        """Hear what happened."""
