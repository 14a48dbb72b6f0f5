"""What the box costs its card: bytes that reach the device, by lane and layout, and in a week.

A file system of its own (ext4 with its journal, as on the card, over a loop device) where root may mount one: the
kernel then counts what was written to it, journal and metadata included. Elsewhere what this process had written,
which leaves the file system's part out; each figure says which.

What a card writes to its flash besides (its own write amplification) no file system shows.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agent.room import Limits
from agent.store import Arrival, Judgement, Store
from agent.vault import Vault
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from benchmarks.figure import say
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity, to_counts
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import Range
from exchange.receipts import Received
from exchange.sealing import Sealer

ROUNDS = 3
START = 1_763_800_000_000
PATIENT = "patient-7f3a"
MOUNTED_BYTES = 512 << 20
SECTOR = 512
"""Of which /sys/block/*/stat counts, whatever the device (Documentation/block/stat.rst)."""
CGM_WEEK = 7 * 288
STREAM_WEEK = 7 * 86_400
CURSOR_EVERY = 64
"""A judgement without consequence is kept after so many readings or segments (`agent.judging.CURSOR_LAG`)."""


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
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


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
        device="C4:B0:00:00:00:01",
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


def bytes_a_record(
    place: Disk, step: Step, *, steps: int, records: int, before: Sequence[tuple[Step, int]] = ()
) -> list[float]:
    """Return, for each round, what a record costs when `steps` steps keep `records` records each.

    Args:
        place: where.
        step: what is counted.
        steps: how often.
        records: how many records one step keeps.
        before: what is done first and not counted, and how often.
    """
    keys = [Recipient.of(OpeningKey.generate(), role) for role in RecipientRole]
    sealer = Sealer(box="box-0001", signing_key=SigningKey.generate(), recipients=keys)
    found: list[float] = []
    for number in range(ROUNDS):
        folder = place.folder / str(number)
        path = folder / "veilleur.db"
        store = Store(path, Vault(bytes(32), box="box-0001"), now_ms=START, limits=Limits(cap=MOUNTED_BYTES // 2))
        for first, times in before:
            for one in range(times):
                first(store, sealer, one)
        _checkpoint(path)
        begun = place.written()
        for one in range(steps):
            step(store, sealer, one)
        _checkpoint(path)
        found.append((place.written() - begun) / (steps * records))
        store.close()
        shutil.rmtree(folder)
    return found


def _checkpoint(path: Path) -> None:
    """Have all that is in the log written to where it belongs, so that it is counted."""
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    connection.close()


def figures() -> None:
    with disk() as place:

        def cost(lane: str, layout: str, step: Step, steps: int, records: int, **facts: object) -> float:
            found = bytes_a_record(place, step, steps=steps, records=records)
            say("wear.device", "bytes/record", found, lane=lane, layout=layout, counted=place.counted, **facts)
            return sorted(found)[len(found) // 2]

        cost("alerts", "one a commit, with the engine's snapshot", _judged, 200, 1)
        cursor = cost("-", "the cursor and the snapshot alone", _cursor, 300, 1)
        sparse = cost("sparse", "row, one a commit", _sparse(1), 500, 1)
        cost("sparse", "rows, 60 a commit (a device's history)", _sparse(60), 60, 60)
        rows = cost("dense", "row, one a commit (not used)", _rows_of_stream, 500, 1)
        dense = {
            values: cost("dense", f"segment of {values}", _segment(values), steps, values)
            for values, steps in ((10, 300), (30, 200), (60, 150), (300, 40), (600, 30))
        }
        receipts = bytes_a_record(place, _received(1), steps=300, records=1, before=[(_sparse(1), 300)])
        say("wear.device", "bytes/receipt", receipts, layout="a receipt of one entry", counted=place.counted)
        receipt = sorted(receipts)[len(receipts) // 2]
        week = CGM_WEEK * (sparse + receipt + cursor / CURSOR_EVERY)
        say("wear.week", "MB", [week / 1e6], stream="CGM, 2 016 readings, received one by one", counted=place.counted)
        for seconds, each in dense.items():
            segments = STREAM_WEEK / seconds
            week = STREAM_WEEK * each + segments * (receipt + cursor / CURSOR_EVERY)
            facts = {"stream": "1 Hz, not thinned", "group_commit_s": seconds, "counted": place.counted}
            say("wear.week", "MB", [week / 1e6], **facts)
        say("wear.week", "MB", [STREAM_WEEK * rows / 1e6], stream="1 Hz, row by row (not used)", counted=place.counted)
