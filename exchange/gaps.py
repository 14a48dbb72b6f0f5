"""A declared gap: what a box no longer has, or never kept, said by the box itself.

Missing sequence numbers alone look like something that is still on its way. A gap says that they will not come, of
whom and of when they were, and why. It travels like a record, in the lane of alerts, and is never dropped.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

_Time = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_Number = Annotated[int, Meta(ge=0, le=2**53)]

MOST_RANGES = 1000


class GapReason(StrEnum):
    """Why something is missing."""

    EVICTED = "evicted"
    """Kept, never receipted, and dropped to make room for what is newer."""
    REFUSED = "refused"
    """Never kept, because there was no room for it: it never had sequence numbers."""
    ALTERED = "altered"
    """Kept, and no longer what was sealed when it was to leave."""
    WITHDRAWN = "withdrawn"
    """Sealed under a key of the box that its team no longer believes."""


class GapRecord(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag="gap"):
    """Values of one patient that the team will not receive; times in ms UTC.

    Attributes:
        patient: whose, or `messages.UNATTRIBUTED`.
        lane: of what is missing.
        epoch: that the ranges count in, 32 hexadecimal digits.
        ranges: (first, last) sequence numbers, both included, in ascending order, none twice; empty for what was
            never numbered.
        measured_from: when the oldest of them was measured; where only their seal is left, when they were sealed.
        measured_to: when the newest of them was measured, included; likewise.
        readings: how many are missing.
        reason: why.
        by_arrival: all of them were dated by when the box received them, so that a correction of its time moves them.

    Raises:
        ValueError: a range or the times end before they begin, or a range does not come after the one before it.
    """

    patient: Annotated[str, Meta(min_length=1, max_length=64)]
    lane: Annotated[int, Meta(ge=0, le=2)]
    epoch: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    ranges: Annotated[tuple[tuple[_Number, _Number], ...], Meta(max_length=MOST_RANGES)]
    measured_from: _Time
    measured_to: _Time
    readings: Annotated[int, Meta(ge=1, le=2**53)]
    reason: GapReason
    by_arrival: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; msgspec makes it an error of decoding."""
        if self.measured_to < self.measured_from:
            raise ValueError("a gap ends before it begins")
        before = -1
        for first, last in self.ranges:
            if not before < first <= last:
                raise ValueError("the ranges of a gap are out of order")
            before = last
