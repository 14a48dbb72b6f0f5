"""Source: whatever yields Readings (a device's session, later a relay or a questionnaire).

The contract that keeps readings from being lost: a source resumes after a `yield` only when its consumer has
*persisted* the batch. So whatever a source does next (telling a device that it may forget, setting its clock)
happens after the batch is safe. The values of a stream are the exception: their device has forgotten them already, so
that there is nothing to hold back, and they are persisted some seconds at a time (`Batch.streamed`).
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from devices.reading import Reading


class DeviceEventKind(StrEnum):
    """What a source noticed about its device besides readings."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    BOND_LOST = "bond_lost"
    FRAME_REJECTED = "frame_rejected"
    VALUE_IMPLAUSIBLE = "value_implausible"
    BATTERY_LOW = "battery_low"
    SENSOR_EXPIRED = "sensor_expired"
    CLOCK_SET = "clock_set"
    CLOCK_WRONG = "clock_wrong"
    CLOCK_UNKNOWN = "clock_unknown"
    """Said by the box: it does not know what time it is, and that has begun to matter."""
    DATABASE_QUARANTINED = "database_quarantined"
    """Said by the box, as the two that follow: its database was damaged, and is set aside."""
    DATABASE_SET_BACK = "database_set_back"
    ROWS_ALTERED = "rows_altered"
    HISTORY_FAILED = "history_failed"
    DRIVER_REFUSED = "driver_refused"
    CONSENT_REFUSED = "consent_refused"
    SENSOR_WARMING_UP = "sensor_warming_up"
    ADAPTER_DEAD = "adapter_dead"
    ADAPTER_RECOVERED = "adapter_recovered"
    BLUETOOTH_GONE = "bluetooth_gone"
    RELAY_UNREACHABLE = "relay_unreachable"
    RELAY_REFUSED = "relay_refused"
    TO_BE_ATTRIBUTED = "to_be_attributed"
    """Said by the box: it cannot say whose a record is."""
    WEIGHT_OUT_OF_RANGE = "weight_out_of_range"
    """Said by the box: a weight lies outside the ranges of everybody who has the device."""
    TEAM_LIST_EXPIRED = "team_list_expired"
    """Said by the box: the list of its team's keys has expired; it goes on with it."""
    TEAM_LIST_REFUSED = "team_list_refused"
    """Said by the box: it was offered a list of its team's keys that it must not take in."""
    BUFFER_FULL = "buffer_full"
    """Said by the box: there is no room for new readings, and nothing that may give way."""
    BUFFER_ROOM = "buffer_room"
    """Said by the box: new readings have been kept again for a while."""
    NOTIFIER_FAILED = "notifier_failed"
    """Said by the box: none of the channels worked by which it tells the patient or a carer in the home."""
    CERTIFICATE_LATE = "certificate_late"
    """Said by the box, as the two that follow: its certificate has not been renewed for long though it was tried."""
    CERTIFICATE_ENDING = "certificate_ending"
    CERTIFICATE_RENEWED = "certificate_renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvent:
    """One fact about a device. `detail` is a plain English clause without any measured value."""

    kind: DeviceEventKind
    device: str
    at: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What a device said about itself, or what was seen of it; None: nothing new about that.

    Attributes:
        seen_at: ms UTC at which it was last heard, connected or not.
        battery: percent, 0 to 100.
        clock_error_s: seconds by which its wall clock was ahead of the box's, before it was set.
        manufacturer: as it names itself.
        model: as it names itself.
        firmware: as it names itself.
        bonded_at: ms UTC at which a bonded link was last opened.
        key_kept: True: the box keeps, or once kept, a key of it.
    """

    seen_at: int | None = None
    battery: int | None = None
    clock_error_s: int | None = None
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    bonded_at: int | None = None
    key_kept: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a source yields: readings of one device in the order received, events and facts; each may be empty.

    Attributes:
        readings: in the order received.
        events: what was noticed.
        facts: what the device said about itself.
        streamed: the readings are values of a continuous stream, one a second or so, that the device does not store;
            its source goes on before they are persisted.
    """

    readings: tuple[Reading, ...] = ()
    events: tuple[DeviceEvent, ...] = ()
    facts: DeviceFacts | None = None
    streamed: bool = False


class Source(Protocol):
    """Yields batches until cancelled; never raises for what a radio or a device does."""

    @property
    def device(self) -> str:
        """Stable identity of the device, as in `Reading.device`."""
        ...

    def batches(self) -> AsyncGenerator[Batch]:
        """Yield batches for ever; the consumer persists each before asking for the next."""
        ...
