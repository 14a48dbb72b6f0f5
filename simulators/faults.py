"""What can be made to go wrong with a virtual device, as data.

A fault names its device by kind ("cgm", "blood_pressure", "weight_scale") or by address. It happens at `at` (ms UTC
of the simulated clock), or at once. Faults of single frames count the measurement frames that the device sends
from then on: frame 1 is the next one.

    {"kind": "cut_link", "device": "cgm", "after_frames": 40}
"""

from dataclasses import dataclass, field
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
    """The link is lost at once, or right after `after_frames` more frames, before the last one is confirmed."""

    after_frames: Frame | None = None


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


class SilentRacp(_Fault, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="silent_racp"):
    """The next `requests` record access requests are accepted and never answered, until they are aborted."""

    requests: Annotated[int, Meta(ge=1)] = 1


FrameFault = DuplicateFrames | WrongCrc | Truncate
Fault = CutLink | RefuseConnections | DuplicateFrames | WrongCrc | Truncate | LoseBond | SkewClock | SilentRacp


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
    """What becomes of one frame: what is sent in its place, and whether the link is lost right after."""

    frames: tuple[bytes, ...]
    cut: bool


@dataclass(slots=True)
class Interference:
    """Spoils the frames that a device sends, as its armed faults say."""

    _pending: list[tuple[int, CutLink | FrameFault]] = field(default_factory=list)
    _sent: int = 0

    def arm(self, fault: CutLink | FrameFault) -> None:
        """Let a fault happen: its frames are counted from here."""
        self._pending.append((self._sent, fault))

    def send(self, frame: bytes) -> Transmission:
        """Return what is really sent for one frame, and count it."""
        self._sent += 1
        copies, cut = 1, False
        for armed_at, fault in tuple(self._pending):
            number = self._sent - armed_at
            last = _last_frame(fault)
            if isinstance(fault, DuplicateFrames):
                copies = 2
            elif number == last:
                frame, cut = _spoilt(frame, fault), cut or isinstance(fault, CutLink)
            if number == last:
                self._pending.remove((armed_at, fault))
        return Transmission(frames=(frame,) * copies, cut=cut)


def _last_frame(fault: CutLink | FrameFault) -> int:
    """Return the number of the frame after which a fault is over."""
    match fault:
        case CutLink(after_frames=after):
            return after or 1
        case DuplicateFrames(frames=number) | WrongCrc(frame=number) | Truncate(frame=number):
            return number


def _spoilt(frame: bytes, fault: CutLink | FrameFault) -> bytes:
    match fault:
        case WrongCrc():
            return frame[:-1] + bytes((frame[-1] ^ 0xFF,))
        case Truncate():
            return frame[: len(frame) // 2]
        case _:
            return frame
