"""What a driver promises.

A driver is one page about one GATT service or one broadcast: the value classes with `from_bytes` and `__bytes__`,
and a small object that says which devices it claims, how its session goes, and how a frame becomes Readings. Drivers
know no radio, no clock and no logging: times and identities are arguments.

Two kinds: a `Driver` reads a device over a link, a `BroadcastDriver` one that says everything in its advertisements.

Adding a device: CONTRIBUTING.md, "Add a device".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from zoneinfo import ZoneInfo

from devices.radio import Advertisement
from devices.reading import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameContext:
    """What a driver needs besides the bytes to make Readings.

    Attributes:
        device: stable identity.
        received_at: ms UTC at which the box had the frame.
        zone: the patient's time zone; devices with a wall clock show local time.
        session_start: ms UTC at which a CGM session started; None when unknown.
        session_end: ms UTC at which the sensor stops measuring; None when unknown.
        crc: whether the device ends its records with an E2E-CRC; None when it was not asked.
    """

    device: str
    received_at: int
    zone: ZoneInfo
    session_start: int | None = None
    session_end: int | None = None
    crc: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """The last record of a device that is safe in the box: history is fetched from after it.

    Attributes:
        session_start: ms UTC, CGM only.
        sequence: CGM time offset in minutes, or a meter's sequence number.
        key: its record key, for a device whose numbers may begin again: the record with this number is asked for too,
            to see whether it still is the same one. None: the number alone says which record it is.
    """

    session_start: int | None = None
    sequence: int | None = None
    key: str | None = None


class ClockSetting(Enum):
    """How a device's clock is set, after its records are safe."""

    NONE = "none"
    CURRENT_TIME = "current_time"  # 0x2A2B
    DATE_TIME = "date_time"  # 0x2A08


class StoredRecords(Enum):
    """Whether a device's stored records are asked for through the Record Access Control Point (0x2A52)."""

    NONE = "none"
    WHERE_OFFERED = "where_offered"
    """Asked for when the device has the control point."""
    REQUIRED = "required"
    """A device without the control point is refused."""


class Driver(Protocol):
    """One kind of device that is read over a link."""

    @property
    def name(self) -> str:
        """The file's name, such as "blood_pressure"."""
        ...

    @property
    def service(self) -> int:
        """The 16-bit GATT service."""
        ...

    @property
    def measurements(self) -> tuple[int, ...]:
        """The characteristics that carry measurements: those that a device offers are listened to, one at least."""
        ...

    @property
    def stored_records(self) -> StoredRecords:
        """Whether the device is asked for what it stored."""
        ...

    @property
    def always_on(self) -> bool:
        """Whether the device is there all the time, as a sensor on the skin is, and not only for a moment after use."""
        ...

    @property
    def described_by(self) -> tuple[int, ...]:
        """The characteristics to read once a connection, before anything is subscribed; absent ones are left out."""
        ...

    @property
    def clock_setting(self) -> ClockSetting:
        """How the device's clock is set."""
        ...

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether this driver reads the advertised device."""
        ...

    def describe(self, values: Mapping[int, bytes], context: FrameContext) -> FrameContext:
        """Return the context completed by what `described_by` said.

        Raises:
            FrameError: a value is not what the specification allows.
        """
        ...

    def first_writes(self, context: FrameContext) -> tuple[tuple[int, bytes], ...]:
        """Return (characteristic, value) that the device needs before it can date its records; mostly none."""
        ...

    def sequence(self, reading: Reading, context: FrameContext) -> int | None:
        """Return the record's place in the device's memory, as in `Resume`; None when the device numbers nothing."""
        ...

    def resume_after(self, key: str) -> Resume:
        """Return where history goes on after the record with this key, the newest one that is safe."""
        ...

    @property
    def reads(self) -> tuple[int, ...]:
        """Every characteristic of the service that `value` reads."""
        ...

    def value(self, characteristic: int, frame: bytes, context: FrameContext) -> object:
        """Return the value class of one of `reads`, for whoever wants to see every field.

        Raises:
            FrameError: the bytes are not what the specification allows.
        """
        ...

    def awaits(self, characteristic: int, frame: bytes) -> int | None:
        """Return the characteristic whose next frame completes this one, None when it says all there is.

        Any bytes are allowed: a frame that cannot be read awaits nothing.
        """
        ...

    def decode(
        self, characteristic: int, frame: bytes, context: FrameContext, *, rest: bytes = b""
    ) -> tuple[Reading, ...]:
        """Turn one measurement frame into Readings; a special value becomes an INVALID, OVERFLOW or UNDERFLOW one.

        Args:
            characteristic: one of `measurements`, which the frame came on.
            frame: its bytes.
            context: where it came from.
            rest: the frame that completes it when `awaits` said that one does, and it came; b"" otherwise.

        Raises:
            FrameError: the bytes are not what the specification allows.
        """
        ...


class BroadcastDriver(Protocol):
    """One kind of device that says everything in its advertisements: no link, no bond, no history, no clock."""

    @property
    def name(self) -> str:
        """The file's name, such as "xiaomi_scale"."""
        ...

    def claims(self, advertisement: Advertisement) -> bool:
        """Return whether this driver reads the advertised device."""
        ...

    def decode_advertisement(self, advertisement: Advertisement, context: FrameContext) -> tuple[Reading, ...]:
        """Turn one advertisement into Readings; nothing while the device is still measuring.

        The same result, advertised again and again, gives the same record key.

        Raises:
            FrameError: the bytes are not what the device's format allows.
        """
        ...


AnyDriver = Driver | BroadcastDriver
