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
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agent.alive import COMMIT_S
from agent.room import Limits
from agent.store import Arrival, Judgement, Store
from agent.vault import Vault
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from benchmarks import log_pages
from benchmarks.figure import say
from benchmarks.wear_box import whole_box
from benchmarks.wear_disk import MOUNTED_BYTES, Disk, checkpoint, disk, lengthen_log
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Unit, Validity, to_counts
from devices.source import DeviceFacts
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import Range
from exchange.receipts import Received
from exchange.sealing import Sealer

ROUNDS = 3
START = 1_763_800_000_000
PATIENT = "patient-7f3a"
DEVICE = "C4:B0:00:00:00:01"
CGM_WEEK = 7 * 288
STREAM_WEEK = 7 * 86_400
CURSOR_EVERY = 64
"""A judgement without consequence is kept after so many readings or segments (`agent.judging.CURSOR_LAG`)."""
WEEK_S = 7 * 86_400
FACTS_S = 60
"""What a device that is only seen again costs is kept this often at most (`agent.device_facts.SEEN_MS`)."""


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
    found: list[log_pages.Commit] = []
    of: dict[int, str] = {}
    few = min(steps, 20 if records == 1 else 5)
    for number in range(ROUNDS):
        folder = place.folder / str(number)
        path = folder / "veilleur.db"
        store = Store(path, Vault(bytes(32), box="box-0001"), now_ms=START, limits=Limits(cap=MOUNTED_BYTES // 2))
        for first, times in before:
            for one in range(times):
                first(store, sealer, one)
        lengthen_log(path)
        begun = place.written()
        for one in range(steps):
            step(store, sealer, one)
        checkpoint(path)
        rounds.append((place.written() - begun) / (steps * records))
        # Not counted in bytes, and few enough for one log.
        for one in range(steps, steps + few):
            step(store, sealer, one)
        found, of = log_pages.commits(path), log_pages.trees(path)
        store.close()
        shutil.rmtree(folder)
    pages = sum(len(commit) for commit in found) / few
    return Cost(rounds=rounds, pages=pages, of=log_pages.shares(found, of, steps=few))


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
            asyncio.run(whole_box(Path(name), place))


def _say_week(stream: str, parts: dict[str, float], place: Disk, **more: object) -> None:
    shown = {name: round(part / 1e6, 1) for name, part in parts.items()}
    say("wear.week", "MB", [sum(parts.values()) / 1e6], stream=stream, **more, of=shown, counted=place.counted)
