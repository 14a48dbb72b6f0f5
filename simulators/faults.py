"""What can be made to go wrong with a virtual device, as data.

A fault names its device by its name in the home, by kind ("cgm", "blood_pressure", "weight_scale") or by address;
"adapter" is the Bluetooth adapter of the box. It happens at `at` (ms UTC of the simulated clock), or at once. Faults
of single frames count the measurement frames that the device sends from then on: frame 1 is the next one.

    {"kind": "cut_link", "device": "cgm", "after_frames": 40}

Some are no faults of the device at all, but ways of its maker (it hangs up, it talks to one box only, it wants a
passkey) or of the people around it (they carry it away, they change its battery): they are given the same way.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from simulators.errors import FaultError

Frame = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class _Fault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    device: str
    at: int | None = None


class CutLink(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="cut_link"):
    """The link is lost at once, or in a transfer.

    Attributes:
        after_frames: lost right after so many more frames, before the last one is confirmed; 0: when the device is
            about to send its next frame, which does not go out. None: at once.
        confirmed: lost just after the last of these frames was confirmed instead.
    """

    after_frames: Annotated[int, Meta(ge=0)] | None = None
    confirmed: bool = False


class RefuseConnections(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="refuse_connections"):
    """The device advertises but no connection comes about for so many real seconds."""

    seconds: Seconds


class DuplicateFrames(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="duplicate_frames"):
    """Each of the next `frames` frames is sent twice."""

    frames: Frame = 1


class WrongCrc(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="wrong_crc"):
    """One frame goes out with a wrong E2E-CRC; the record in the device's memory stays right."""

    frame: Frame = 1


class Truncate(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="truncate"):
    """One frame goes out cut in half. A device that forgets what was confirmed has then lost that record."""

    frame: Frame = 1


class LoseBond(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="lose_bond"):
    """The device forgets its bonds, as some do when their battery is changed, and drops the link."""


class SkewClock(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="skew_clock"):
    """The device's wall clock jumps by so many seconds, forward when positive."""

    seconds: int


class SetClock(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="set_clock"):
    """The device's wall clock shows this local time from now on, such as 1970-01-01T00:00:00, and runs."""

    shows: Annotated[datetime, Meta(tz=False)]


class UnsetClock(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="unset_clock"):
    """The device's wall clock was never set: it shows year 0, and so do its records, until a box sets it."""


class KeepClock(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="keep_clock"):
    """The device accepts a new time, says that all went well, and keeps its own."""


class SilentRacp(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="silent_racp"):
    """The next `requests` record access requests are accepted and never answered, until they are aborted."""

    requests: Annotated[int, Meta(ge=1)] = 1


class SlowRacp(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="slow_racp"):
    """The device pauses for so many real seconds before each stored record that it is asked for."""

    seconds: Seconds


class RecordOrder(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="record_order"):
    """The device sends stored records newest first, or oldest first again."""

    newest_first: bool = True


class ReplayMemory(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="replay_memory"):
    """The next `times` that it can, the device sends its whole memory, also what it sent before."""

    times: Annotated[int, Meta(ge=1)] = 1


class HangUp(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="hang_up"):
    """The device disconnects right after its last record was confirmed, or does not any more."""

    hangs_up: bool = True


class RequirePasskey(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="require_passkey"):
    """The device shows six digits when somebody pairs, and bonds only with who types them in."""

    # Bumble's Security Manager takes a passkey of 0 for none at all.
    passkey: Annotated[int, Meta(ge=1, le=999_999)]


class RememberPeer(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="remember_peer"):
    """The device lets in only the box that it bonded with last, as A&D's do, as long as it has that bond."""


class SetBattery(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="set_battery"):
    """The battery has so many percent left; a device that says in its records that it is low does so."""

    percent: Annotated[int, Meta(ge=0, le=100)]


class ChangeBattery(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="change_battery"):
    """Somebody changes the battery: the link drops, and what the device kept in its memory may be gone.

    Attributes:
        keeps_bond: whether it still knows the box.
        keeps_records: whether what it has not sent yet is still there.
        clock: what its wall clock shows then, local time; None: it has to be set first.
    """

    keeps_bond: bool = True
    keeps_records: bool = True
    clock: Annotated[datetime, Meta(tz=False)] | None = datetime(1970, 1, 1)  # noqa: DTZ001 a wall clock has no zone


class OutOfReach(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="out_of_reach"):
    """The device is carried away for so many real seconds: its link drops and nobody hears it."""

    seconds: Seconds


class Ailment(StrEnum):
    """What is the matter with an adapter."""

    DEAF = "deaf"
    """It answers every command and hears nothing any more; its links are lost."""
    SILENT = "silent"
    """It does not even answer commands."""
    GONE = "gone"
    """It is unplugged: the box's host is told at once. Only with a home in a process of its own."""


class Cure(StrEnum):
    """What brings an adapter back."""

    RESET = "reset"
    """Switching it off and on."""
    RESTART = "restart"
    """Opening it anew, as a restart of the Bluetooth service does."""


class BreakAdapter(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="break_adapter"):
    """The Bluetooth adapter of the box fails.

    Attributes:
        device: "adapter".
        ailment: what is the matter with it.
        cure: what helps; an adapter that is gone comes back only by opening it anew.
    """

    ailment: Ailment = Ailment.DEAF
    cure: Cure = Cure.RESET


ADAPTER = "adapter"
"""Name under which a fault means the adapter of the box."""

FrameFault = CutLink | DuplicateFrames | WrongCrc | Truncate
ClockFault = SkewClock | SetClock | UnsetClock | KeepClock
RecordFault = SilentRacp | SlowRacp | RecordOrder | ReplayMemory
DoorFault = RefuseConnections | OutOfReach | LoseBond | RequirePasskey | RememberPeer
BatteryFault = SetBattery | ChangeBattery
Fault = FrameFault | ClockFault | RecordFault | DoorFault | BatteryFault | HangUp | BreakAdapter

CLOCK_KNOBS: tuple[type[Fault], ...] = (SkewClock, SetClock, UnsetClock, KeepClock)
"""Of every device with a wall clock."""

RECORD_ACCESS_KNOBS: tuple[type[Fault], ...] = (SilentRacp, SlowRacp, RecordOrder, ReplayMemory)
"""Of every device with a Record Access Control Point."""

COMMON_KNOBS: tuple[type[Fault], ...] = (OutOfReach, RequirePasskey, RememberPeer, SetBattery, ChangeBattery)
"""Of every device."""


def fault_name(fault: Fault) -> str:
    """Return a fault's `kind`, such as "cut_link"."""
    return str(type(fault).__struct_config__.tag)


def parse_faults(text: str | bytes) -> tuple[Fault, ...]:
    """Return the faults of a JSON list.

    Raises:
        FaultError: it is not a list of known faults.
    """
    try:
        return msgspec.json.decode(text, type=tuple[Fault, ...])
    except msgspec.DecodeError as error:
        raise FaultError(f"these are not faults: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Transmission:
    """What becomes of one frame.

    Attributes:
        frames: what is sent in its place; empty: nothing any more, the link is lost before.
        cut: whether the link is lost right after.
        confirmed: whether it is lost only when the last frame was confirmed.
    """

    frames: tuple[bytes, ...]
    cut: bool
    confirmed: bool = False


@dataclass(slots=True)
class Interference:
    """Spoils the frames that a device sends, as its armed faults say."""

    _pending: list[tuple[int, FrameFault]] = field(default_factory=list)
    _sent: int = 0

    def arm(self, fault: FrameFault) -> None:
        """Let a fault happen: its frames are counted from here."""
        self._pending.append((self._sent, fault))

    def send(self, frame: bytes) -> Transmission:
        """Return what is really sent for one frame, and count it unless it stays unsent."""
        for item in tuple(self._pending):
            armed_at, fault = item
            if isinstance(fault, CutLink) and fault.after_frames == 0 and armed_at == self._sent:
                self._pending.remove(item)
                return Transmission(frames=(), cut=True)
        self._sent += 1
        copies, cut, confirmed = 1, False, False
        for item in tuple(self._pending):
            armed_at, fault = item
            number = self._sent - armed_at
            last = _last_frame(fault)
            if isinstance(fault, DuplicateFrames):
                copies = 2
            elif number == last:
                frame = _spoilt(frame, fault)
                if isinstance(fault, CutLink):
                    cut, confirmed = True, fault.confirmed
            if number == last:
                self._pending.remove(item)
        return Transmission(frames=(frame,) * copies, cut=cut, confirmed=confirmed)


def _last_frame(fault: FrameFault) -> int:
    """Return the number of the frame after which a fault is over."""
    match fault:
        case CutLink(after_frames=after):
            return after or 1
        case DuplicateFrames(frames=number) | WrongCrc(frame=number) | Truncate(frame=number):
            return number


def _spoilt(frame: bytes, fault: FrameFault) -> bytes:
    match fault:
        case WrongCrc():
            return frame[:-1] + bytes((frame[-1] ^ 0xFF,))
        case Truncate():
            return frame[: len(frame) // 2]
        case _:
            return frame


@dataclass(slots=True)
class RecordManners:
    """How a device gives its stored records, as its armed faults want it.

    Attributes:
        silences: requests that are still to be left unanswered.
        pause: real seconds before each record.
        newest_first: in which order.
        replays: how often the whole memory is still to be sent, whatever was asked for or sent before.
    """

    silences: int = 0
    pause: float = 0.0
    newest_first: bool = False
    replays: int = 0

    def stays_silent(self) -> bool:
        """Return whether to leave this request unanswered, and count it."""
        self.silences, before = max(0, self.silences - 1), self.silences
        return before > 0

    def replays_all(self) -> bool:
        """Return whether to send the whole memory this time, and count it."""
        self.replays, before = max(0, self.replays - 1), self.replays
        return before > 0

    def take(self, fault: RecordFault) -> None:
        """Let a fault happen from now on."""
        match fault:
            case SilentRacp(requests=requests):
                self.silences += requests
            case SlowRacp(seconds=seconds):
                self.pause = seconds
            case RecordOrder(newest_first=newest_first):
                self.newest_first = newest_first
            case ReplayMemory(times=times):
                self.replays += times
