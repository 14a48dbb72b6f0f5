"""Xiaomi scales that say their result in their advertisements: Mi Scale 1 and 2, Mi Body Composition Scale 1 and 2.

Service data under the number of the Weight Scale service (0x181D, 10 bytes) or of Body Composition (0x181B, 13
bytes), in a format of the maker's own: unlike those services in everything but their number. No link, no bond.

While somebody stands on it the scale advertises what it weighs just now, then the settled result, and after the
person has stepped off the same result with the "removed" bit for minutes more. Quirks:

- The settled result counts, with or without the "removed" bit: the state in between lasts for a moment only and is
  often not heard (1technophile/OpenMQTTGateway #1166). Weight and time stamp stay the same, so does the record key;
  the impedance, which comes later than the weight, is left out of it.
- Settled results of a few kilograms follow real ones (home-assistant/core #104300): they are no person's, and are
  never judged.
- The clock is set by the maker's app only, to local time or to UTC, and is of 1970 otherwise. A time is believed when
  it is close to that of arrival in one of the two.
- Body fat is computed by the maker's app, not by the scale: there is none here.

Sources: the maker publishes nothing. custom-components/ble_monitor #292 and #617 (recorded advertisements),
KristianP26/ble-scale-sync #353 (pounds, frame by frame), and the package xiaomi-ble, which tests compare with.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import Enum, IntFlag
from typing import Final, Self
from zoneinfo import ZoneInfo

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import FrameContext
from devices.gatt import FrameReader, uint_bytes
from devices.radio import Advertisement
from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit, Validity
from devices.wall_clock import FUTURE_TOLERANCE_MS, DateTime, Moment, moment_of

_WEIGHT_LENGTH: Final = 10
_COMPOSITION_LENGTH: Final = 13
_LINGERS_MS: Final = 30 * 60_000
"""How long before its arrival a result may have been taken, inclusive, so that its time is believed. Zones differ by
half an hour at least, so a local time and a UTC one cannot both be so close."""
_HOUR_MS: Final = 3_600_000
_LIGHTEST_KG: Final = Decimal(10)
"""Below, exclusive, it is a thing on the scale or the remains of a weighing. A limit of the house."""
_JIN_KG: Final = Decimal("0.5")
_UTC: Final = ZoneInfo("UTC")


class ScaleUnit(Enum):
    """What the scale's display is set to."""

    KILOGRAM = "kg"
    POUND = "lb"
    JIN = "jin"
    """Half a kilogram, also called catty."""


_STEP: Final = {
    ScaleUnit.KILOGRAM: Decimal("0.005"),
    ScaleUnit.POUND: Decimal("0.01"),
    ScaleUnit.JIN: Decimal("0.01"),
}


class WeightControl(IntFlag):
    """Control byte of a scale without electrodes."""

    POUND = 0x01
    JIN = 0x10
    SETTLED = 0x20
    REMOVED = 0x80


class CompositionControl(IntFlag):
    """Control bytes of a scale with electrodes, the first one lower."""

    POUND = 0x0001
    IMPEDANCE = 0x0200
    SETTLED = 0x2000
    JIN = 0x4000
    REMOVED = 0x8000


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightBroadcast:
    """Service data 0x181D.

    Attributes:
        weight: in `unit`, in steps of 0.005 kg, 0.01 lb or 0.01 jin.
        unit: what the display is set to.
        time_stamp: the scale's wall clock.
        settled: whether the weight does not move any more.
        removed: whether nobody stands on the scale any more.
        unexplained: the control bits that nobody has explained, as they came.
    """

    weight: Decimal
    unit: ScaleUnit = ScaleUnit.KILOGRAM
    time_stamp: DateTime
    settled: bool = False
    removed: bool = False
    unexplained: int = 0

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read service data.

        Raises:
            FrameError: not ten bytes, or pounds and jin at once.
        """
        reader = FrameReader(gatt.WEIGHT_SCALE_SERVICE, payload)
        control = reader.uint(1, "the control byte")
        unit = _unit(reader, pound=control & WeightControl.POUND, jin=control & WeightControl.JIN)
        said = cls(
            weight=reader.uint(2, "the weight") * _STEP[unit],
            unit=unit,
            time_stamp=DateTime.read(reader),
            settled=bool(control & WeightControl.SETTLED),
            removed=bool(control & WeightControl.REMOVED),
            unexplained=control & ~sum(WeightControl),
        )
        _demand_end(reader)
        return said

    def __bytes__(self) -> bytes:
        """Return service data; the weight is rounded half to even to its step.

        Raises:
            OverflowError: a value does not fit its field.
        """
        control = self.unexplained | _control(self, WeightControl)
        return uint_bytes(control, 1) + uint_bytes(_steps(self), 2) + bytes(self.time_stamp)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositionBroadcast:
    """Service data 0x181B.

    Attributes:
        weight: as in `WeightBroadcast`.
        unit: what the display is set to.
        time_stamp: the scale's wall clock.
        settled: whether the weight does not move any more.
        removed: whether nobody stands on the scale any more.
        has_impedance: whether `impedance` was measured.
        impedance: ohm, 0 to 65535.
        unexplained: the control bits that nobody has explained, as they came.
    """

    weight: Decimal
    unit: ScaleUnit = ScaleUnit.KILOGRAM
    time_stamp: DateTime
    settled: bool = False
    removed: bool = False
    has_impedance: bool = False
    impedance: int = 0
    unexplained: int = 0

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Read service data.

        Raises:
            FrameError: not thirteen bytes, or pounds and jin at once.
        """
        reader = FrameReader(gatt.BODY_COMPOSITION_SERVICE, payload)
        control = reader.uint(2, "the control bytes")
        unit = _unit(reader, pound=control & CompositionControl.POUND, jin=control & CompositionControl.JIN)
        time_stamp = DateTime.read(reader)
        impedance = reader.uint(2, "the impedance")
        said = cls(
            weight=reader.uint(2, "the weight") * _STEP[unit],
            unit=unit,
            time_stamp=time_stamp,
            settled=bool(control & CompositionControl.SETTLED),
            removed=bool(control & CompositionControl.REMOVED),
            has_impedance=bool(control & CompositionControl.IMPEDANCE),
            impedance=impedance,
            unexplained=control & ~sum(CompositionControl),
        )
        _demand_end(reader)
        return said

    def __bytes__(self) -> bytes:
        """Return service data; the weight is rounded half to even to its step.

        Raises:
            OverflowError: a value does not fit its field.
        """
        control = self.unexplained | _control(self, CompositionControl)
        if self.has_impedance:
            control |= CompositionControl.IMPEDANCE
        return (
            uint_bytes(control, 2)
            + bytes(self.time_stamp)
            + uint_bytes(self.impedance, 2)
            + uint_bytes(_steps(self), 2)
        )


Broadcast = WeightBroadcast | CompositionBroadcast


def _unit(reader: FrameReader, *, pound: int, jin: int) -> ScaleUnit:
    if pound and jin:
        raise reader.error("pounds and jin at once")
    if pound:
        return ScaleUnit.POUND
    return ScaleUnit.JIN if jin else ScaleUnit.KILOGRAM


def _control(said: Broadcast, bits: type[WeightControl] | type[CompositionControl]) -> int:
    """Return the control bits that both kinds of scale have."""
    chosen = (
        (said.unit is ScaleUnit.POUND, bits.POUND),
        (said.unit is ScaleUnit.JIN, bits.JIN),
        (said.settled, bits.SETTLED),
        (said.removed, bits.REMOVED),
    )
    return sum(int(bit) for is_set, bit in chosen if is_set)


def _steps(said: Broadcast) -> int:
    return int((said.weight / _STEP[said.unit]).to_integral_value(rounding=ROUND_HALF_EVEN))


def _demand_end(reader: FrameReader) -> None:
    if reader.left:
        raise reader.error(f"{reader.left} bytes too many")


def is_broadcast(advertisement: Advertisement) -> bool:
    """Return whether service data has the length of a Xiaomi scale's; other scales put one byte there."""
    return (
        len(advertisement.service_data.get(gatt.WEIGHT_SCALE_SERVICE, b"")) == _WEIGHT_LENGTH
        or len(advertisement.service_data.get(gatt.BODY_COMPOSITION_SERVICE, b"")) == _COMPOSITION_LENGTH
    )


@dataclass(frozen=True, slots=True)
class XiaomiScaleDriver:
    """Reads a scale without connecting to it."""

    name: str = "xiaomi_scale"

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the advertisement carries a result, settled or not."""
        return is_broadcast(advertisement)

    def decode_advertisement(self, advertisement: Advertisement, context: FrameContext) -> tuple[Reading, ...]:
        """Return the body weight, once it has settled; nothing before, nor when the scale is empty.

        Raises:
            FrameError: the service data is not of the maker's format.
        """
        payload = advertisement.service_data.get(gatt.BODY_COMPOSITION_SERVICE)
        said: Broadcast
        if payload is not None:
            said = CompositionBroadcast.from_bytes(payload)
        elif (payload := advertisement.service_data.get(gatt.WEIGHT_SCALE_SERVICE)) is not None:
            said = WeightBroadcast.from_bytes(payload)
        else:
            return ()
        if not said.settled or not said.weight:
            return ()
        moment = _moment(said.time_stamp, context)
        result = said.unit.value.encode() + uint_bytes(_steps(said), 2) + bytes(said.time_stamp)
        origin = Origin(context=context, moment=moment, key=dated_key(result, moment.key_ms), frame=payload)
        weight, unit = _canonical(said)
        grams = reading_of(Quantity.BODY_WEIGHT, weight, unit, origin)
        validity = Validity.VALID if grams.value >= _LIGHTEST_KG else Validity.QUESTIONABLE
        return (reading_of(Quantity.BODY_WEIGHT, weight, unit, origin, validity=validity),)


def _canonical(said: Broadcast) -> tuple[Decimal, Unit]:
    """Return the weight in a unit of the house: a jin is half a kilogram, exactly."""
    if said.unit is ScaleUnit.JIN:
        return said.weight * _JIN_KG, Unit.KILOGRAM
    return said.weight, Unit.POUND if said.unit is ScaleUnit.POUND else Unit.KILOGRAM


def _moment(claimed: DateTime, context: FrameContext) -> Moment:
    """Return when a result was taken: as its clock says in the patient's zone or in UTC, if that was just now."""
    arrival = context.received_at
    local = moment_of(claimed, arrival, context.zone)
    universal = moment_of(claimed, arrival, _UTC)
    # What the clock shows, in no zone: the same whenever the same result is heard.
    key_ms = universal.key_ms if claimed.local is not None else arrival // _HOUR_MS * _HOUR_MS
    for moment, clock in ((local, local.clock), (universal, ClockTrust.CORRECTED)):
        is_close = arrival - _LINGERS_MS <= moment.measured_at <= arrival + FUTURE_TOLERANCE_MS
        if moment.clock is not ClockTrust.UNKNOWN and is_close:
            return Moment(
                measured_at=moment.measured_at,
                clock=clock,
                quality=moment.quality,
                claimed=moment.claimed,
                key_ms=key_ms,
            )
    return Moment(
        measured_at=arrival, clock=ClockTrust.UNKNOWN, quality=Quality.NONE, claimed=local.claimed, key_ms=key_ms
    )
