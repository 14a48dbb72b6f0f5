"""Continuous glucose monitors that speak the standard CGM service (0x181F).

A CGM dates its records by minutes since the session's start, keeps them, and sends them again when asked through
the Record Access Control Point. Where it promises an E2E-CRC, a record without a right one is refused.

What the sensor says about its session is `cgm_session`, what it says about its state `cgm_status`, and what it can
be asked to do `cgm_ops`. This driver only reads: a session is started, stopped and calibrated by a person.

Quirks: an octet of the annunciation may be present and zero. A sensor whose clock was never set has no session
start until a collector writes the time. "Calibration not allowed" says nothing about the value. Some peripherals
built on old examples send the annunciation octets in the reverse order; the specification's order is kept here.

The specification has no word for warming up. A sensor that gives no number, reports no fault, and says that it
cannot be calibrated yet or must be first, is taken to be warming up.

A vendor's device may show this UUID and speak its own cipher or CRC: this driver does not read it. Its feature, its
records or their CRCs are not what the specification allows, and are refused.

Source: Continuous Glucose Monitoring Service 1.0.2 (CGMS); field layouts in the GATT Specification Supplement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Final, Protocol, Self

from devices import gatt
from devices.conversion import Origin, dated_key, reading_of
from devices.driver import ClockSetting, FrameContext, Resume, StoredRecords
from devices.drivers.cgm_ops import SpecificOps
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.drivers.cgm_status import KNOWN_ANNUNCIATION, Annunciation, CgmStatus
from devices.gatt import FrameReader, sfloat_bytes, uint_bytes, with_e2e_crc
from devices.medfloat import MedFloat, Special
from devices.radio import Advertisement
from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit, Validity
from devices.wall_clock import FUTURE_TOLERANCE_MS, DateTime, Moment

_MINUTE_MS = 60_000


_FAULT = Annunciation.SENSOR_TYPE_INCORRECT | Annunciation.SENSOR_MALFUNCTION | Annunciation.GENERAL_FAULT
_NO_RESULT = (
    Annunciation.SESSION_STOPPED | Annunciation.TEMPERATURE_TOO_HIGH | Annunciation.TEMPERATURE_TOO_LOW | _FAULT
)
_NOT_CALIBRATED = Annunciation.CALIBRATION_NOT_ALLOWED | Annunciation.CALIBRATION_REQUIRED
_NO_NUMBER = frozenset({Special.NAN, Special.NRES, Special.RESERVED})


class MeasurementFlags(IntFlag):
    """Which optional fields follow (CGMS 3.1.1.2); bits 2 to 4 are reserved and ignored."""

    TREND = 0x01
    QUALITY = 0x02
    WARNING_OCTET = 0x20
    CALIBRATION_OCTET = 0x40
    STATUS_OCTET = 0x80


_OCTETS = (
    (MeasurementFlags.STATUS_OCTET, 0),
    (MeasurementFlags.CALIBRATION_OCTET, 8),
    (MeasurementFlags.WARNING_OCTET, 16),
)
"""In the order in which they are sent, each with its first bit in `Annunciation` (CGMS 3.1.1.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CgmMeasurement:
    """One record of CGM Measurement (0x2AA7), CGMS 3.1.

    Attributes:
        glucose: mg/dL (3.1.1.3).
        time_offset: minutes since the session's start, 0 to 65535 (3.1.1.4).
        annunciation: what the sensor says about itself; reserved bits are dropped (3.1.1.5).
        trend: mg/dL per minute (3.1.1.6); None when absent.
        quality: percent, as the sensor judges its own value (3.1.1.7); None when absent.
        crc: whether the record ends with an E2E-CRC (3.1.1.8).
        trailing: bytes within the record's size that no flag announces.
    """

    glucose: MedFloat
    time_offset: int
    annunciation: Annunciation = Annunciation.NONE
    trend: MedFloat | None = None
    quality: MedFloat | None = None
    crc: bool = False
    trailing: bytes = b""

    @classmethod
    def from_bytes(cls, record: bytes, *, crc: bool | None = None) -> Self:
        """Read one record, without others after it.

        Args:
            record: exactly the bytes that its size field counts.
            crc: whether the device promises an E2E-CRC; None: the size says whether there is room for one.

        Raises:
            FrameError: too short for its flags, no CRC although promised, or a wrong one.
        """
        reader = FrameReader(gatt.CGM_MEASUREMENT, record)
        if reader.uint(1, "the size") != len(record):
            raise reader.error("the size field does not agree with the record")
        flags = MeasurementFlags(reader.uint(1, "the flags") & ~0x1C)
        glucose = reader.sfloat("the glucose concentration")
        time_offset = reader.uint(2, "the time offset")
        annunciation = 0
        for flag, shift in _OCTETS:
            if flag in flags:
                annunciation |= reader.uint(1, "the sensor status annunciation") << shift
        trend = reader.sfloat("the trend") if MeasurementFlags.TREND in flags else None
        quality = reader.sfloat("the quality") if MeasurementFlags.QUALITY in flags else None
        protected = reader.left >= 2 if crc is None else crc
        trailing = reader.rest_before_crc() if protected else reader.rest()
        return cls(
            glucose=glucose,
            time_offset=time_offset,
            annunciation=Annunciation(annunciation & KNOWN_ANNUNCIATION),
            trend=trend,
            quality=quality,
            crc=protected,
            trailing=trailing,
        )

    def __bytes__(self) -> bytes:
        flags = MeasurementFlags(0)
        tail = b""
        for flag, shift in _OCTETS:
            octet = self.annunciation >> shift & 0xFF
            if octet:
                flags |= flag
                tail += bytes((octet,))
        if self.trend is not None:
            flags |= MeasurementFlags.TREND
            tail += sfloat_bytes(self.trend)
        if self.quality is not None:
            flags |= MeasurementFlags.QUALITY
            tail += sfloat_bytes(self.quality)
        body = bytes((flags,)) + sfloat_bytes(self.glucose) + uint_bytes(self.time_offset, 2) + tail + self.trailing
        record = bytes((1 + len(body) + 2 * self.crc,)) + body
        return with_e2e_crc(record) if self.crc else record


def records_of(frame: bytes) -> tuple[bytes, ...]:
    """Return the records that one notification carries, each with its size field (CGMS 3.1).

    Raises:
        FrameError: no record, one shorter than the smallest, or one that the frame cuts short.
    """
    reader = FrameReader(gatt.CGM_MEASUREMENT, frame)
    records: list[bytes] = []
    while reader.left or not records:
        size = reader.uint(1, "the size")
        if size < 6:
            raise reader.error(f"the size field says {size}, a record has at least 6 bytes")
        records.append(bytes((size,)) + reader.take(size - 1, "the record"))
    return tuple(records)


class _Reader(Protocol):
    def __call__(self, frame: bytes, *, crc: bool | None) -> object: ...


_PROTECTED: Final[dict[int, _Reader]] = {
    gatt.CGM_STATUS: CgmStatus.from_bytes,
    gatt.CGM_SESSION_START_TIME: SessionStart.from_bytes,
    gatt.CGM_SESSION_RUN_TIME: SessionRunTime.from_bytes,
    gatt.CGM_SPECIFIC_OPS_CONTROL_POINT: SpecificOps.from_bytes,
}
"""What ends with an E2E-CRC where the feature promises one."""


@dataclass(frozen=True, slots=True)
class CgmDriver:
    """Reads a standard CGM: glucose in interstitial fluid, every few minutes, with history."""

    name: str = "cgm"
    service: int = gatt.CGM_SERVICE
    measurements: tuple[int, ...] = (gatt.CGM_MEASUREMENT,)
    stored_records: StoredRecords = StoredRecords.REQUIRED
    always_on: bool = True
    described_by: tuple[int, ...] = (
        gatt.CGM_FEATURE,
        gatt.CGM_SESSION_START_TIME,
        gatt.CGM_SESSION_RUN_TIME,
        gatt.CGM_STATUS,
    )
    clock_setting: ClockSetting = ClockSetting.NONE

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether the device advertises the CGM service."""
        return self.service in advertisement.services

    def describe(self, values: Mapping[int, bytes], context: FrameContext) -> FrameContext:
        """Return the context with the session's start and end, and whether records carry a CRC.

        Raises:
            FrameError: a value is cut short or its CRC is wrong.
        """
        crc, start, end = context.crc, None, None
        if gatt.CGM_FEATURE in values:
            crc = Features.E2E_CRC in CgmFeature.from_bytes(values[gatt.CGM_FEATURE]).features
        if gatt.CGM_SESSION_START_TIME in values:
            session = SessionStart.from_bytes(values[gatt.CGM_SESSION_START_TIME], crc=crc)
            start = session.start_ms(context.received_at, context.zone)
        if start is not None and gatt.CGM_SESSION_RUN_TIME in values:
            hours = SessionRunTime.from_bytes(values[gatt.CGM_SESSION_RUN_TIME], crc=crc).hours
            end = start + hours * 60 * _MINUTE_MS
        if gatt.CGM_STATUS in values:
            status = CgmStatus.from_bytes(values[gatt.CGM_STATUS], crc=crc)
            if start is not None and Annunciation.SESSION_STOPPED in status.annunciation:
                # Nothing more comes that could say so.
                end = min(start + status.time_offset * _MINUTE_MS, context.received_at)
        return replace(context, crc=crc, session_start=start, session_end=end)

    def first_writes(self, context: FrameContext) -> tuple[tuple[int, bytes], ...]:
        """Return the present time for a sensor that has no session start; it subtracts its own offset (CGMS 3.4)."""
        if context.session_start is not None:
            return ()
        now = SessionStart.of(context.received_at, context.zone, crc=bool(context.crc))
        return ((gatt.CGM_SESSION_START_TIME, bytes(now)),)

    def sequence(self, reading: Reading, context: FrameContext) -> int | None:
        """Return the record's time offset in minutes; None when the session's start is unknown."""
        if context.session_start is None or not reading.key.startswith(f"{context.session_start}:"):
            return None
        return int(reading.key.partition(":")[2])

    def resume_after(self, key: str) -> Resume:
        """Return the session and time offset in the key; from the beginning when it has none."""
        start, _, offset = key.partition(":")
        try:
            return Resume(session_start=int(start), sequence=int(offset))
        except ValueError:
            return Resume()

    @property
    def reads(self) -> tuple[int, ...]:
        """The measurement, what describes the session, the status, and the specific operations."""
        return (gatt.CGM_MEASUREMENT, gatt.CGM_FEATURE, *_PROTECTED)

    def value(self, characteristic: int, frame: bytes, context: FrameContext) -> object:
        """Return the value class of a characteristic; of a measurement, all its records.

        Raises:
            FrameError: cut short or its CRC is wrong.
        """
        if characteristic == gatt.CGM_MEASUREMENT:
            return tuple(CgmMeasurement.from_bytes(record, crc=context.crc) for record in records_of(frame))
        if characteristic == gatt.CGM_FEATURE:
            return CgmFeature.from_bytes(frame)
        return _PROTECTED[characteristic](frame, crc=context.crc)

    def awaits(self, characteristic: int, frame: bytes) -> int | None:
        """Return None: every record says all there is."""
        return None

    def decode(
        self,
        characteristic: int,
        frame: bytes,
        context: FrameContext,
        *,
        rest: bytes = b"",
    ) -> tuple[Reading, ...]:
        """Return one Reading a record.

        Raises:
            FrameError: any record is malformed or fails its CRC; then none of the frame is used.
        """
        return tuple(
            _reading(CgmMeasurement.from_bytes(record, crc=context.crc), record, context)
            for record in records_of(frame)
        )


def _is_warming_up(record: CgmMeasurement) -> bool:
    said = record.annunciation
    return record.glucose in _NO_NUMBER and bool(said & _NOT_CALIBRATED) and not said & _NO_RESULT


def _reading(record: CgmMeasurement, raw: bytes, context: FrameContext) -> Reading:
    said = record.annunciation
    validity = Validity.VALID
    if said & _NO_RESULT:
        validity = Validity.INVALID
    elif Annunciation.CALIBRATION_REQUIRED in said:
        validity = Validity.CALIBRATING
    elif Annunciation.BELOW_DEVICE_RANGE in said:
        validity = Validity.UNDERFLOW
    elif Annunciation.ABOVE_DEVICE_RANGE in said:
        validity = Validity.OVERFLOW
    quality = Quality.NONE
    for flag, meaning in (
        (_FAULT, Quality.SENSOR_FAULT),
        (Annunciation.BATTERY_LOW, Quality.BATTERY_LOW),
        (Annunciation.SESSION_STOPPED, Quality.SESSION_STOPPED),
        (Annunciation.CALIBRATION_RECOMMENDED, Quality.CALIBRATION_RECOMMENDED),
        (Annunciation.CALIBRATION_REQUIRED, Quality.CALIBRATION_RECOMMENDED),
    ):
        if said & flag:
            quality |= meaning
    if _is_warming_up(record):
        quality |= Quality.WARMING_UP
    origin = Origin(
        context=context,
        moment=_moment(record.time_offset, context),
        key=_key(record.time_offset, raw, context),
        frame=raw,
    )
    return reading_of(
        Quantity.GLUCOSE_INTERSTITIAL, record.glucose, Unit.MG_PER_DL, origin, validity=validity, quality=quality
    )


def _moment(time_offset: int, context: FrameContext) -> Moment:
    unknown = Moment(measured_at=context.received_at, clock=ClockTrust.UNKNOWN, key_ms=context.received_at)
    if context.session_start is None:
        return unknown
    measured_at = context.session_start + time_offset * _MINUTE_MS
    if measured_at > context.received_at + FUTURE_TOLERANCE_MS:
        return replace(unknown, claimed=str(DateTime.of(measured_at, context.zone)))
    return Moment(measured_at=measured_at, clock=ClockTrust.TRUSTED, key_ms=measured_at)


def _key(time_offset: int, raw: bytes, context: FrameContext) -> str:
    if context.session_start is None:
        # Offsets of two sessions would collide, and a reading taken for a repeat would be lost.
        return dated_key(raw, context.received_at)
    return f"{context.session_start}:{time_offset}"
