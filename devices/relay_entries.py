"""A relay's values to Readings: what xDrip+ and Nightscout call an entry of type `sgv`.

Rules of this room:

- `sgv` is in mg/dL, whatever the person's own unit is: xDrip+ says so of its `units_hint`, which only tells what its
  screen shows. An entry that names a unit of its own (`units`) is converted; an unknown one is refused.
- Up to 12 `sgv` is no glucose but a Dexcom sensor's code, which Nightscout lists; so is 38 from xDrip+, its mark of a
  value that it could not compute: INVALID. From 13 to 39 a sensor says that glucose is lower than it can measure:
  UNDERFLOW, whether as 39 ("LOW") or as the number that some apps pass on. 401 is "HIGH": OVERFLOW; above, some
  sensors measure on.
- The record key is the entry's own time and identity, so that it is the same however often it is asked for.
- A foreign format: unknown fields are let pass, those that matter are checked one entry at a time.

Entries of other types (finger-stick values, calibrations) are passed over: how they were taken is not said.

Sources: xDrip+ documentation, "Local Web Services", its `WebServiceSgv` and `BgReading`; Nightscout's OpenAPI
description of `/api/v1` (Entry), its `errorcodes` plugin and pull request 7207 (39 and 401); AndroidAPS issue 2586
(a Dexcom app that shows "low" passes on 37).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext
from devices.errors import DeviceError
from devices.medfloat import MedFloat, Special
from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit
from devices.relay_address import RelayForm
from devices.wall_clock import FUTURE_TOLERANCE_MS, Moment

_LAST_CODE: Final = 12
_XDRIP_ERROR: Final = 38
_LOW: Final = 39
_HIGH: Final = 401
_HEAVY_NOISE: Final = 4
"""1 clean, 2 light, 3 medium, 4 heavy (Nightscout's OpenAPI description)."""

_LARGEST: Final = 100_000
"""No `sgv` lies beyond, whatever its unit: larger ones are refused."""

_EARLIEST_MS: Final = 1_262_304_000_000
"""2010-01-01: an entry dated before was dated by a clock that had lost its time."""

_LATEST_MS: Final = 253_402_300_800_000
"""Year 10000, exclusive: what can be written as a date."""

_FRAME: Final = 512
"""Bytes of an entry that are kept as it came; of a longer one none."""

_NAME: Final = 64

_UNITS: Final = {
    "mg/dl": Unit.MG_PER_DL,
    "mgdl": Unit.MG_PER_DL,
    "mmol/l": Unit.MMOL_PER_L,
    "mmol": Unit.MMOL_PER_L,
}


class RelayFormatError(DeviceError):
    """What a relay answers is not what its format says."""


class _Kind(Struct):
    type: Any = None


class _Sgv(Struct):
    """Fields that no reading depends on may be of any shape."""

    sgv: int | float
    id: Any = msgspec.field(name="_id", default=None)
    date: int | float | None = None
    dateString: Any = None  # noqa: N815 the format's own name
    device: Any = None
    noise: Any = None
    units: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayEntry:
    """One entry as it came.

    Attributes:
        raw: its JSON.
        at: ms UTC at which it is dated; None when it has no date.
        sgv: what it says; None when it is of another type, or unreadable.
        fault: why it is unreadable, one clause in plain English; None when it is not.
    """

    raw: bytes
    at: int | None = None
    sgv: _Sgv | None = None
    fault: str | None = None

    @property
    def identity(self) -> bytes:
        """What tells it from another of the same time: its id, else what was measured by what."""
        if self.sgv is None:
            return self.raw
        said = self.sgv.id if isinstance(self.sgv.id, str) else f"{self.sgv.sgv}|{self.sgv.device}"
        return said.encode()

    @property
    def key(self) -> str:
        """What tells whether it is the same entry: the record key of its reading."""
        return dated_key(self.identity, self.at if self.at is not None else 0)

    @property
    def model(self) -> str | None:
        """The name that the relay gives the sensor or what receives it; None when it gives none."""
        name = None if self.sgv is None else self.sgv.device
        return name[:_NAME] if isinstance(name, str) and name.isprintable() and name else None


def entries_of(body: bytes, *, most: int) -> tuple[RelayEntry, ...]:
    """Return the entries of an answer, in the order in which they came.

    Args:
        body: the answer.
        most: largest number of entries.

    Raises:
        RelayFormatError: it is no JSON array, or holds too many.
    """
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (ValueError, RecursionError):
        raise RelayFormatError("the relay's answer is not a list of entries") from None
    if len(items) > most:
        raise RelayFormatError(f"the relay's answer holds more than {most} entries")
    return tuple(_entry(bytes(item)) for item in items)


def reading_of_entry(
    entry: RelayEntry, *, form: RelayForm, device: str, received_at: int, zone: ZoneInfo
) -> Reading | None:
    """Return what an entry says; None for one of another type.

    Args:
        entry: what came.
        form: the format that the relay speaks.
        device: identity of the relay.
        received_at: ms UTC.
        zone: the patient's time zone, in which the entry's own time is kept as provenance.

    Raises:
        RelayFormatError: the entry is unreadable.
    """
    if entry.fault is not None:
        raise RelayFormatError(entry.fault)
    if entry.sgv is None:
        return None
    unit = _unit(entry.sgv.units)
    number = Decimal(str(entry.sgv.sgv))
    by_xdrip = form is RelayForm.XDRIP or str(entry.sgv.device).startswith("xDrip")
    context = FrameContext(device=device, received_at=received_at, zone=zone)
    reading = reading_of(
        Quantity.GLUCOSE_INTERSTITIAL,
        _said(number, unit, by_xdrip=by_xdrip),
        unit,
        Origin(
            context=context,
            moment=_moment(entry.at, received_at, zone),
            key=entry.key,
            frame=entry.raw if len(entry.raw) <= _FRAME else b"",
        ),
        quality=_quality(number, unit, entry.sgv.noise),
    )
    return replace(reading, provenance=replace(reading.provenance, source="relay", value=str(entry.sgv.sgv)))


def ascending(entries: Sequence[RelayEntry]) -> list[RelayEntry]:
    """Return entries in the order of their dates, those without one last."""
    return sorted(entries, key=lambda entry: (entry.at is None, entry.at or 0, entry.identity))


def _entry(raw: bytes) -> RelayEntry:
    try:
        kind = msgspec.json.decode(raw, type=_Kind).type
        if kind not in {None, "sgv"} if isinstance(kind, str | None) else True:
            return RelayEntry(raw=raw)
        said = msgspec.json.decode(raw, type=_Sgv)
    except (ValueError, RecursionError):
        return RelayEntry(raw=raw, fault="an entry of the relay cannot be read")
    if not abs(said.sgv) <= _LARGEST:
        return RelayEntry(raw=raw, fault="an entry of the relay says what no sensor can")
    return RelayEntry(raw=raw, at=_dated(said), sgv=said)


def _dated(said: _Sgv) -> int | None:
    if said.date is not None:
        return int(said.date) if abs(said.date) < _LATEST_MS else None
    if not isinstance(said.dateString, str):
        return None
    try:
        at = datetime.fromisoformat(said.dateString[:_NAME])
        return None if at.tzinfo is None else round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    except (ValueError, OverflowError):
        return None


def _moment(at: int | None, received_at: int, zone: ZoneInfo) -> Moment:
    if at is None:
        return Moment(measured_at=received_at, clock=ClockTrust.UNKNOWN, key_ms=0)
    claimed = None
    if 0 <= at < _LATEST_MS - 86_400_000:
        claimed = datetime.fromtimestamp(at / 1000, tz=zone).replace(tzinfo=None).isoformat(timespec="milliseconds")
    if not _EARLIEST_MS <= at <= received_at + FUTURE_TOLERANCE_MS:
        return Moment(measured_at=received_at, clock=ClockTrust.UNKNOWN, claimed=claimed, key_ms=at)
    return Moment(measured_at=at, clock=ClockTrust.TRUSTED, claimed=claimed, key_ms=at)


def _unit(said: object) -> Unit:
    if said is None:
        return Unit.MG_PER_DL
    unit = _UNITS.get(said.lower()) if isinstance(said, str) else None
    if unit is None:
        raise RelayFormatError("an entry of the relay names an unknown unit")
    return unit


def _said(number: Decimal, unit: Unit, *, by_xdrip: bool) -> MedFloat:
    """Return the number, or what it stands for when it is no glucose."""
    if unit is not Unit.MG_PER_DL:
        return number
    if number <= _LAST_CODE or (by_xdrip and number == _XDRIP_ERROR):
        return Special.NAN
    if number <= _LOW:
        return Special.NEGATIVE_INFINITY
    return Special.POSITIVE_INFINITY if number == _HIGH else number


def _quality(number: Decimal, unit: Unit, noise: object) -> Quality:
    heavy = isinstance(noise, int | float) and noise >= _HEAVY_NOISE
    # Codes are whole: such a number is rather a value in mmol/L, which the format does not have.
    broken = unit is Unit.MG_PER_DL and number <= _LAST_CODE and number != number.to_integral_value()
    return (Quality.POOR_SIGNAL if heavy else Quality.NONE) | (Quality.IMPLAUSIBLE if broken else Quality.NONE)
