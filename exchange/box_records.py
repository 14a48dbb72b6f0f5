"""What a box says of itself among its records: that its time was wrong, and that its chain holds.

Each travels as a reading does, sealed and numbered (`messages.Record`), and is nobody's.
"""

from typing import Annotated

from msgspec import Meta, Struct

_Milliseconds = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_Number = Annotated[int, Meta(ge=0, le=2**53)]
_Digits = Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]


class ClockCorrection(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag="clock_correction"
):
    """What the box's time lacked for a while, found out once the time was known. Nothing sealed is altered by it.

    Attributes:
        boot: of the machine, 32 hexadecimal digits.
        mono_from: monotonic ms of that boot from which on the time was wrong, inclusive.
        mono_to: up to which it was wrong, exclusive.
        offset: ms to add to the times by which records of these sequence numbers were received.
        epoch: 32 hexadecimal digits.
        first: sequence number of the first record of that while, in that epoch.
        last: of the last one, included.
        at: ms UTC at which it was found out, by the time that is right.
    """

    boot: _Digits
    mono_from: _Number
    mono_to: _Number
    offset: _Milliseconds
    epoch: _Digits
    first: _Number
    last: _Number
    at: _Milliseconds


class CanaryRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag="canary"):
    """A reading of nobody's, made by the box to show that what it keeps reaches the team. Never shown as a patient's.

    Attributes:
        at: ms UTC at which it was made.
        count: a number drawn at random, in place of a value.
        asked: who asked for it: the command's id; "" when the day did.
    """

    at: _Milliseconds
    count: _Number
    asked: Annotated[str, Meta(max_length=64)] = ""
