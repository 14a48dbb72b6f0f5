"""What several tests of the box are made of: readings, a store on a disk, and the team's keys."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agent.room import Limits
from agent.store import Arrival, Store
from agent.vault import Vault
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Validity, facts, to_counts
from exchange.messages import Range, Record
from exchange.receipts import Received
from exchange.sealing import Opener, Sealer

START = 1_763_800_000_000
MINUTE = 60_000
BOX = "box-0001"
PATIENT = "patient-7f3a"
OXIMETER = "C4:B0:00:00:00:05"


def make_reading(
    quantity: Quantity, value: str, measured_at: int, *, device: str = "C4:B0:00:00:00:01", key: str | None = None
) -> Reading:
    unit = facts(quantity).unit
    return Reading(
        quantity=quantity,
        count=to_counts(quantity, Decimal(value), unit),
        validity=Validity.VALID,
        measured_at=measured_at,
        clock=ClockTrust.TRUSTED,
        received_at=measured_at,
        device=device,
        key=key or f"{START}:{(measured_at - START) // MINUTE}",
        provenance=Provenance(source="device", value=value, unit=unit, frame=bytes.fromhex("0a0b0c")),
    )


def glucose(value: str, minute: int) -> Reading:
    return make_reading(Quantity.GLUCOSE_INTERSTITIAL, value, START + minute * MINUTE)


def weight(value: str, minute: int) -> Reading:
    at = START + minute * MINUTE
    return make_reading(Quantity.BODY_WEIGHT, value, at, device="C4:B0:00:00:00:03", key=f"{at}:00")


def spo2(value: str, second: int, *, device: str = OXIMETER) -> Reading:
    """One value of a stream."""
    at = START + second * 1000
    return make_reading(Quantity.SPO2, value, at, device=device, key=f"{at}:5f")


def raised(number: int = 1) -> AlertChange:
    """An alert that begins to stand."""
    return AlertChange(
        kind=ChangeKind.RAISED,
        alert_id=f"{number:032x}",
        patient=PATIENT,
        rule="hypo_level_1",
        priority=Priority.MEDIUM,
        category=Category.CLINICAL,
        onset=START,
        raised_at=START + 10 * MINUTE,
        resolved_at=None,
        evidence=(),
        why=Sentence(fr="Glucose à 62 mg/dL.", en="Glucose at 62 mg/dL."),
        late=False,
        supersedes=None,
        protocol="diabetes_cgm",
        protocol_version=1,
        protocol_hash="0" * 64,
        engine_version="1",
    )


@dataclass
class Desk:
    """The team's side, as far as a box's test needs it: opens what was sealed."""

    sealer: Sealer
    opener: Opener

    def records(self, envelope: bytes) -> tuple[Record, ...]:
        return self.opener.open(envelope, box=BOX).records

    def waiting(self, store: Store) -> list[Record]:
        """Everything in the outbox without receipt, in sequence order."""
        entries = sorted(store.waiting(limit=10_000), key=lambda entry: entry.first)
        return [record for entry in entries for record in self.records(entry.body)]


def open_store(path: Path, *, now_ms: int = START, limits: Limits | None = None) -> Store:
    return Store(path, Vault(bytes(range(32)), box=BOX), now_ms=now_ms, limits=limits)


def arrivals(*readings: Reading, patient: str = PATIENT) -> list[Arrival]:
    return [Arrival(patient=patient, reading=reading) for reading in readings]


def receipt(store: Store, *ranges: tuple[int, int], epoch: str | None = None, others: int = -1) -> Received:
    """What the team says of these numbers, both ends included, of the store's epoch or another one."""
    return Received(
        epoch=epoch or store.epoch,
        ranges=tuple(Range(first, last) for first, last in ranges),
        high=max(last for _, last in ranges),
        others=others,
    )
