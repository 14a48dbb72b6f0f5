"""Readings of a few days as a box would have sent them, for tests of the patient's pages."""

from collections.abc import Iterable

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import read_protocol
from alerting.protocol_writer import write_protocol
from coordination.protocol_sources import protocol_with_packs
from devices.reading import Quantity, Unit
from exchange.messages import AlertRecord, ObservationRecord
from exchange.messages import alert as alert_record
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import BOX, HOUR, MINUTE, PATIENT, glucose

DAY = 24 * HOUR
SENSOR = "C4:B0:00:00:00:01"
SCALE = "C4:B0:00:00:00:02"


def reading(
    at: int, count: int, quantity: Quantity, unit: Unit, *, device: str, patient: str = PATIENT
) -> ObservationRecord:
    return glucose(
        0,
        patient=patient,
        quantity=quantity,
        unit=unit,
        count=count,
        measured_at=at,
        received_at=at + 800,
        device=device,
        key=f"{quantity}:{at}",
    )


def sensor(desk: Desk, *, begin: int, end: int, cadence: int = 5 * MINUTE, left_out: Iterable[int] = ()) -> None:
    """Let the glucose sensor send a value each cadence from `begin` to `end`, but for the times in `left_out`."""
    skipped = set(left_out)
    times = [at for at in range(begin, end, cadence) if at not in skipped]
    for first in range(0, len(times), 400):
        desk.receive(
            *(
                reading(
                    at, 1000 + 10 * (at // cadence % 60), Quantity.GLUCOSE_INTERSTITIAL, Unit.MG_PER_DL, device=SENSOR
                )
                for at in times[first : first + 400]
            )
        )


def weights(desk: Desk, *days: int, now: int, patient: str = PATIENT, box: str = BOX) -> None:
    """Let the scale send a weight so many days before now, each."""
    desk.receive(
        *(
            reading(
                now - day * DAY, 82_000 + 10 * day, Quantity.BODY_WEIGHT, Unit.KILOGRAM, device=SCALE, patient=patient
            )
            for day in days
        ),
        box=box,
    )


def technical(rule: str, device: str, *, at: int, patient: str = PATIENT) -> AlertRecord:
    """What a box tells of one of its devices."""
    return alert_record(
        AlertChange(
            kind=ChangeKind.RAISED,
            alert_id=alert_id(patient=patient, protocol="", rule=f"{rule}:{device}", onset=at),
            patient=patient,
            rule=rule,
            priority=Priority.LOW,
            category=Category.TECHNICAL,
            onset=at,
            raised_at=at,
            resolved_at=None,
            evidence=(),
            why=Sentence(fr=f"Fait technique {rule}.", en=f"Technical fact {rule}."),
            late=False,
            supersedes=None,
            protocol="",
            protocol_version=0,
            protocol_hash="",
            engine_version="1",
        )
    )


def packaged(name: str) -> CareProtocol:
    text, packs = protocol_with_packs(name)
    return read_protocol(text, name_hint=name, packs=packs)


def known(desk: Desk, name: str) -> str:
    """Let the team know a packaged protocol; return its hash."""
    protocol = packaged(name)
    desk.database.commands.keep_protocols({protocol.protocol_hash: write_protocol(protocol)}, at=desk.clock.now)
    return protocol.protocol_hash
