"""What is missing of one patient, gathered until it is declared as a gap."""

from dataclasses import dataclass, field

from exchange.gaps import GapReason, GapRecord
from exchange.messages import Range
from exchange.sealing import LANE_DENSE

_LATEST = 2**53


@dataclass(slots=True)
class Missing:
    """Dense readings of one patient that the team will not receive; times in ms UTC, both ends included.

    Attributes:
        ranges: their sequence numbers in ascending order, none for those that were never numbered.
        begin: when the oldest was measured.
        end: when the newest was measured.
        readings: how many.
        by_arrival: all of them were dated by when the box received them.
    """

    ranges: list[tuple[int, int]] = field(default_factory=list)
    begin: int = _LATEST
    end: int = -_LATEST
    readings: int = 0
    by_arrival: bool = True

    def add(self, begin: int, end: int, readings: int, *, by_arrival: bool) -> None:
        """Count readings measured from `begin` to `end`; `by_arrival`: as the box received them."""
        self.by_arrival &= by_arrival
        self.begin, self.end = min(self.begin, begin), max(self.end, end)
        self.readings += readings

    def number(self, part: Range) -> None:
        """Add the sequence numbers of some of them, higher than all before."""
        if self.ranges and self.ranges[-1][1] == part.first - 1:
            self.ranges[-1] = self.ranges[-1][0], part.last
        else:
            self.ranges.append((part.first, part.last))

    def record(self, patient: str, *, epoch: str, reason: GapReason) -> GapRecord:
        """Return it as it travels; `epoch` is the one that its ranges count in."""
        return GapRecord(
            patient=patient,
            lane=LANE_DENSE,
            epoch=epoch,
            ranges=tuple(self.ranges),
            measured_from=self.begin,
            measured_to=self.end,
            readings=self.readings,
            reason=reason,
            by_arrival=self.by_arrival and self.readings > 0,
        )
