"""Four patients of a team, with their boxes: bodies of the simulated world, judged by the box's own engine.

What a box would have sent is made here, record by record; who stores it is the inbox's own database (world).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from zoneinfo import ZoneInfo

from alerting.alert import AlertChange
from alerting.care_protocol import CareProtocol
from alerting.engine import Engine
from alerting.protocol_file import read_protocol
from alerting.reading_order import canonical
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Validity, facts, to_value
from exchange.messages import Record, alert, observation
from simulators.daily_life import daily_life
from simulators.patients import DEFAULT_RECORDING, decompensation, glucose_trace
from tests.coordination.kit import HOUR, MINUTE

DAY = 24 * HOUR
ZONE = ZoneInfo("Europe/Paris")
DIABETES, HEART, CHEMOTHERAPY, NEW = "cedre-417", "saule-052", "tilleul-230", "orme-108"
BOX_OF = {DIABETES: "box-0417", HEART: "box-0052", CHEMOTHERAPY: "box-0230", NEW: "box-0108"}
PROTOCOL_OF = {
    DIABETES: "diabetes_cgm",
    HEART: "heart_failure",
    CHEMOTHERAPY: "oral_chemotherapy",
    NEW: "heart_failure",
}
_SENSOR, _SCALE, _CUFF = "C4:B0:00:00:04:17", "C4:B0:00:00:00:52", "C4:B0:00:00:01:52"
_THERMOMETER, _OXIMETER = "C4:B0:00:00:02:30", "C4:B0:00:00:03:30"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What one box knows: its patient's readings in their order, and what its engine made of them."""

    patient: str
    protocol: CareProtocol
    readings: tuple[Reading, ...]
    changes: tuple[AlertChange, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """In the order in which the box numbered them."""
        return (*(observation(self.patient, one) for one in self.readings), *map(alert, self.changes))


def protocol(name: str) -> CareProtocol:
    """A packaged care protocol."""
    text = files("configs").joinpath("protocols").joinpath(f"{name}.toml").read_bytes()
    return read_protocol(text, name_hint=name)


def reading(quantity: Quantity, count: int, at: int, device: str) -> Reading:
    """One sound reading of a device whose clock is right."""
    unit = facts(quantity).unit
    return Reading(
        quantity=quantity,
        count=count,
        validity=Validity.VALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at + 800,
        device=device,
        key=f"{at}:{quantity.value}",
        provenance=Provenance(
            source="device", value=str(to_value(quantity, count)), unit=unit, frame=b"", device_time=None
        ),
    )


def _diabetes(now: int) -> Iterable[Reading]:
    """Fourteen days of a sensor: the recorded person again and again, with a night that the sensor did not send."""
    trace = glucose_trace(DEFAULT_RECORDING, start_ms=0)
    begin, length = now - 14 * DAY, trace[-1].at + 5 * MINUTE
    for turn in range(14 * DAY // length + 1):
        for one in trace:
            at = begin + turn * length + one.at
            if at < now - 3 * MINUTE and not now - 3 * DAY < at < now - 3 * DAY + 7 * HOUR:
                yield reading(Quantity.GLUCOSE_INTERSTITIAL, one.count, at, _SENSOR)


def _heart(now: int) -> Iterable[Reading]:
    body = decompensation(seed=52, start_ms=now - 40 * HOUR, zone=ZONE, stable_days=12)
    for one in body.weighings:
        if one.at < now:
            yield reading(Quantity.BODY_WEIGHT, one.count, one.at, _SCALE)
    for cuff in body.pressures:
        if cuff.at < now:
            yield reading(Quantity.BLOOD_PRESSURE_SYSTOLIC, cuff.systolic, cuff.at, _CUFF)
            yield reading(Quantity.BLOOD_PRESSURE_DIASTOLIC, cuff.diastolic, cuff.at, _CUFF)
            yield reading(Quantity.PULSE_RATE, cuff.pulse, cuff.at, _CUFF)


def _chemotherapy(now: int) -> Iterable[Reading]:
    for kind, device in (("thermometer", _THERMOMETER), ("pulse_oximeter", _OXIMETER)):
        for sample in daily_life(kind, seed=230, start_ms=now - 10 * DAY, zone=ZONE, days=10):
            if sample.at < now - 4 * HOUR:
                for quantity, count in sample.counts.items():
                    yield reading(quantity, count, sample.at, device)
    for minutes, tenths in ((170, 380), (95, 384), (25, 386)):
        yield reading(Quantity.BODY_TEMPERATURE, tenths * 10, now - minutes * MINUTE, _THERMOMETER)


def homes(now: int) -> Mapping[str, Home]:
    """Every patient's home, up to `now` (ms UTC)."""
    bodies = {DIABETES: _diabetes(now), HEART: _heart(now), CHEMOTHERAPY: _chemotherapy(now), NEW: ()}
    found = {}
    for patient, readings in bodies.items():
        judged = protocol(PROTOCOL_OF[patient])
        ordered = tuple(canonical(tuple(readings)))
        changes: tuple[AlertChange, ...] = ()
        if ordered:
            engine = Engine(judged, patient=patient, zone=ZONE, since=ordered[0].measured_at)
            changes = (*engine.feed(ordered), *engine.tick(now))
        found[patient] = Home(patient=patient, protocol=judged, readings=ordered, changes=changes)
    return found
