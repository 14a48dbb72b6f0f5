"""How far a device's stored records have been followed, and records on their way into that order. No IO.

The one rule: a record counts as reached only when all before it are, as far as the device still has them. So a box
that is killed asks for what comes after its newest record, and nothing is skipped.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from devices.driver import Resume
from devices.frame_queue import Arrival
from devices.reading import Reading


@dataclass(slots=True)
class Anchor:
    """The newest record that is safe, asked for again to see whether its number still is its own.

    Attributes:
        number: its sequence.
        key: its record key; None: there is nothing to compare.
        met: whether it came as it was.
        lost: whether another record bears its number: the device has begun to number anew.
    """

    number: int | None = None
    key: str | None = None
    met: bool = False
    lost: bool = False

    def takes(self, sequence: int | None, key: str) -> bool:
        """Return whether a record bears the number, and note whether it is the one."""
        if self.key is None or sequence != self.number:
            return False
        self.met, self.lost = self.met or key == self.key, self.lost or key != self.key
        return True


@dataclass(slots=True)
class Course:
    """How far the records of one device are handed on; it outlives a connection.

    Attributes:
        session_start: ms UTC of the session that the sequences belong to; None for a meter.
        last: sequence of the newest record handed on; None: none yet.
        step: smallest distance seen between two records; None: not known yet.
        owed: sequence from which records are still to be fetched although later ones were handed on.
        failures: connections in a row in which the device did not give its stored records.
        key: record key of the last one, while it is the one that is safe in the store and its number may be given to
            another; None: nothing to compare with.
    """

    session_start: int | None = None
    last: int | None = None
    step: int | None = None
    owed: int | None = None
    failures: int = 0
    key: str | None = None

    def begin(self, session_start: int | None, resume: Resume) -> None:
        """Start from what is safe in the store; a session that the store does not know from its first record."""
        if session_start != self.session_start:
            self.step = self.owed = None
        self.session_start = session_start
        same = resume.session_start == session_start
        self.last, self.key = (resume.sequence, resume.key) if same else (None, None)

    def restart(self) -> None:
        """Follow a device from its first record on: its numbers have begun again."""
        self.last = self.key = None

    @property
    def next(self) -> int | None:
        """Sequence from which records are to be fetched; None: all of them."""
        if self.owed is not None:
            return self.owed
        return None if self.last is None else self.last + 1

    def anchor(self) -> Anchor:
        """Return what to compare when records are fetched from `next` on."""
        return Anchor(number=self.last, key=None if self.owed is not None else self.key)

    def is_late(self, sequence: int) -> bool:
        """Return whether a later record was handed on already."""
        return self.last is not None and sequence <= self.last

    def follows(self, sequence: int) -> bool:
        """Return whether no record can be missing between the last one and this."""
        return self.last is not None and self.step is not None and 0 < sequence - self.last <= self.step

    def reach(self, sequence: int) -> None:
        """Note that this record is handed on, after all before it."""
        if self.last is not None and sequence > self.last:
            self.key = None
            distance = sequence - self.last
            self.step = distance if self.step is None else min(self.step, distance)
        self.last = sequence if self.last is None else max(self.last, sequence)


class Collected:
    """Stored records of one fetch, put in order: most devices send them oldest first, others' are sorted at the end."""

    def __init__(self, *, tolerant: bool, anchor: Anchor) -> None:
        """Begin a fetch.

        Args:
            tolerant: go on past a record that cannot be read, instead of leaving all after it for another fetch.
            anchor: once it is lost, nothing is handed on: what came is the newer part of a memory that was begun
                anew, and would hide the older part.
        """
        self._tolerant = tolerant
        self._anchor = anchor
        self._records: list[tuple[int, Reading]] = []
        self._held: deque[tuple[Arrival, Sequence[tuple[int, Reading]]]] = deque()
        # One record may be several readings, each of its own quantity.
        self._known: set[tuple[str, str]] = set()
        self._in_order = True
        self._spoilt = False

    @property
    def spoilt(self) -> bool:
        """Whether a record could not be read, so that those after it are left for another fetch."""
        return self._spoilt

    def spoil(self) -> None:
        """Note that a record could not be read."""
        self._spoilt = not self._tolerant

    def hold(self, arrival: Arrival, records: Sequence[tuple[int, Reading]]) -> None:
        """Hold a frame back that seems to be live: its records (sequence, reading) are dated after they were asked for.

        To a box whose time is behind, the newest stored records are.
        """
        self._held.append((arrival, records))

    @property
    def held(self) -> tuple[Arrival, ...]:
        """The frames that are live, as far as can be told: nothing stored came after them."""
        return tuple(arrival for arrival, _ in self._held)

    def add(self, records: Sequence[tuple[int, Reading]]) -> None:
        """Take the readings of stored records; what was held back and has a lower sequence was stored as well."""
        newest = max((sequence for sequence, _ in records), default=0)
        while self._held and min(sequence for sequence, _ in self._held[0][1]) < newest:
            for sequence, reading in self._held.popleft()[1]:
                self._add(sequence, reading)
        for sequence, reading in records:
            self._add(sequence, reading)

    def _add(self, sequence: int, reading: Reading) -> None:
        """Take a reading of a record, unless it came already or is left for another fetch."""
        known = (reading.key, reading.quantity.value)
        if self._spoilt or known in self._known:
            return
        self._known.add(known)
        self._in_order = self._in_order and (not self._records or self._records[-1][0] <= sequence)
        self._records.append((sequence, reading))

    @property
    def settled(self) -> int:
        """How many records can be handed on before the fetch ends."""
        # One is held back: the next shows whether the device sends its newest first, and whether this was a live
        # value that came among stored ones.
        return max(0, len(self._records) - 1) if self._in_order and not self._anchor.lost else 0

    def take_settled(self) -> list[Reading]:
        """Return and forget the records that can be handed on before the fetch ends."""
        count = self.settled
        taken = [reading for _, reading in self._records[:count]]
        self._records = self._records[count:]
        return taken

    def take_all(self) -> list[Reading]:
        """Return and forget all records, in order; only the settled ones when those after them are to come again."""
        if self._spoilt:
            return self.take_settled()
        taken = [reading for _, reading in sorted(self._records, key=lambda record: record[0])]
        self._records = []
        return taken
