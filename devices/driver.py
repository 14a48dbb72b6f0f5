"""What a driver promises.

A driver is one page about one GATT service: the value classes with `from_bytes` and `__bytes__`, and a small
object that says which devices it claims, how its session goes, and how a frame becomes Readings. Drivers know
no radio, no clock and no logging: times and identities are arguments.

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
    """

    session_start: int | None = None
    sequence: int | None = None


class ClockSetting(Enum):
    """How a device's clock is set, after its records are safe."""

    NONE = "none"
    CURRENT_TIME = "current_time"  # 0x2A2B
    DATE_TIME = "date_time"  # 0x2A08


class Driver(Protocol):
    """One kind of device."""

    @property
    def name(self) -> str:
        """The file's name, such as "blood_pressure"."""
        ...

    @property
    def service(self) -> int:
        """The 16-bit GATT service."""
        ...

    @property
    def measurement(self) -> int:
        """The characteristic that carries measurements."""
        ...

    @property
    def record_access(self) -> bool:
        """Whether stored records are asked for through the Record Access Control Point (0x2A52)."""
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

    def decode(self, frame: bytes, context: FrameContext) -> tuple[Reading, ...]:
        """Turn one measurement frame into Readings; a special value becomes an INVALID, OVERFLOW or UNDERFLOW one.

        Raises:
            FrameError: the bytes are not what the specification allows.
        """
        ...
