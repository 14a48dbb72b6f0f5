"""How far a device's stored records have been followed, and records on their way into that order. No IO.

The one rule: a record counts as reached only when all before it are, as far as the device still has them. So a box
that is killed asks for what comes after its newest record, and nothing is skipped.
"""

from dataclasses import dataclass

from devices.driver import Resume
from devices.reading import Reading


@dataclass(slots=True)
class Course:
    """How far the records of one device are handed on; it outlives a connection.

    Attributes:
        session_start: ms UTC of the session that the sequences belong to; None for a meter.
        last: sequence of the newest record handed on; None: none yet.
        step: smallest distance seen between two records; None: not known yet.
        owed: sequence from which records are still to be fetched although later ones were handed on.
        failures: connections in a row in which the device did not give its stored records.
    """

    session_start: int | None = None
    last: int | None = None
    step: int | None = None
    owed: int | None = None
    failures: int = 0

    def begin(self, session_start: int | None, resume: Resume) -> None:
        """Start from what is safe in the store; a session that the store does not know from its first record."""
        if session_start != self.session_start:
            self.step = self.owed = None
        self.session_start = session_start
        self.last = resume.sequence if resume.session_start == session_start else None

    @property
    def next(self) -> int | None:
        """Sequence from which records are to be fetched; None: all of them."""
        if self.owed is not None:
            return self.owed
        return None if self.last is None else self.last + 1

    def is_late(self, sequence: int) -> bool:
        """Return whether a later record was handed on already."""
        return self.last is not None and sequence <= self.last

    def follows(self, sequence: int) -> bool:
        """Return whether no record can be missing between the last one and this."""
        return self.last is not None and self.step is not None and 0 < sequence - self.last <= self.step

    def reach(self, sequence: int) -> None:
        """Note that this record is handed on, after all before it."""
        if self.last is not None and sequence > self.last:
            distance = sequence - self.last
            self.step = distance if self.step is None else min(self.step, distance)
        self.last = sequence if self.last is None else max(self.last, sequence)


class Collected:
    """Stored records of one fetch, put in order: most devices send them oldest first, others' are sorted at the end."""

    def __init__(self, *, tolerant: bool) -> None:
        """Begin a fetch.

        Args:
            tolerant: go on past a record that cannot be read, instead of leaving all after it for another fetch.
        """
        self._tolerant = tolerant
        self._records: list[tuple[int, Reading]] = []
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

    def add(self, sequence: int, reading: Reading) -> None:
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
        return max(0, len(self._records) - 1) if self._in_order else 0

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
