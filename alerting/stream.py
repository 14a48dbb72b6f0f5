"""Stream: the readings of one patient under one rule program, judged in order.

Rules of this room:

- Order is (measured_at, quantity, device, key); the watermark is per quantity.
- A reading is known by (quantity, device, key); a known one changes nothing.
- Time passes by readings of any quantity and by `advance`; a deadline is passed strictly.
- State, tails and ledgers depend on what was judged and on how far time went, never on how it was cut.

What is not here: what was told about alerts (told, engine), and re-judging.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerting import kernel, layout
from alerting.errors import KernelError
from alerting.program import RUN_EVIDENCE, WINDOW_READINGS, RuleProgram
from devices.reading import JUDGED, Quantity, Reading

DAY_MS = 86_400_000
LATE_AFTER_MS = 30 * 60_000
"""What a reading received longer than this after it was measured raises or ends is told as late."""

_OUT_ROWS = 4096


def lateness_bound(quantity: Quantity) -> int:
    """Return how many ms before the newest event time a reading may lie and still be judged."""
    return DAY_MS if quantity is Quantity.GLUCOSE_INTERSTITIAL else 35 * DAY_MS


class Place(Enum):
    """Where a reading stands towards what was judged."""

    NEXT = auto()
    """It can be judged now."""
    LATE = auto()
    """Later ones were judged already, or its absence was told."""
    KNOWN = auto()
    """It was judged."""
    TOO_OLD = auto()
    """Before the lateness bound, or too far before watching began to matter."""
    UNJUDGED = auto()
    """Of a validity that no threshold may judge."""


class Kept(Struct, array_like=True, frozen=True, gc=False):
    """What an alert shows of a reading; times in ms UTC, value in quanta, `quality` as bits."""

    measured_at: int
    count: int
    received_at: int
    device: str
    key: str
    quantity: Quantity
    quality: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A rule was satisfied, or its end.

    Attributes:
        rule: index in the protocol.
        raised: True for satisfied.
        at: ms UTC, event time.
        onset: ms UTC at which the run began.
        evidence: the readings it rests on, oldest first; empty when `raised` is False.
        received_late: the reading that made it came long after it was measured.
        value: the rule's value then, in its measure; None for a missing rule.
        baseline: what the value was counted from, in quanta; None without one.
        readings: how many readings the value rests on.
        span: ms between the first and the last of those.
        recent: the last readings of the rule's quantity up to then, oldest first.
        signals: the newest reading up to then of each other quantity that any rule judges.
        lacking: quantities of the rule without a fresh reading then.
    """

    rule: int
    raised: bool
    at: int
    onset: int
    evidence: tuple[Kept, ...]
    received_late: bool
    value: int | None = None
    baseline: int | None = None
    readings: int = 0
    span: int = 0
    recent: tuple[Kept, ...] = ()
    signals: tuple[Kept, ...] = ()
    lacking: tuple[Quantity, ...] = ()


def fingerprint(reading: Reading) -> int:
    """Return 64 bits that stand for (device, key) within a quantity."""
    text = f"{reading.device}\x1f{reading.key}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


class Stream:
    """Judges the readings of one patient.

    Args:
        program: the rules.
        state: int64, see `layout`; owned from here on.
        tails: a row's last readings, oldest first: what evidence may still be drawn from.
        ledgers: a row's readings within the lateness bound, fingerprint -> measured_at, in canonical order.
    """

    def __init__(
        self,
        program: RuleProgram,
        state: NDArray[np.int64],
        tails: list[list[Kept]],
        ledgers: list[dict[int, int]],
    ) -> None:
        self.program = program
        self.state = state
        self.tails = tails
        self.ledgers = ledgers
        self._bounds = [lateness_bound(quantity) for quantity in program.columns]
        self._out = np.zeros((_OUT_ROWS, layout.O_WIDTH), np.int64)

    @classmethod
    def begin(cls, program: RuleProgram, since: int) -> "Stream":
        """Return a stream watched from `since` (ms UTC) on."""
        rows = range(len(program.columns))
        return cls(program, program.fresh_state(since), [[] for _ in rows], [{} for _ in rows])

    @property
    def since(self) -> int:
        """When watching began, ms UTC."""
        return int(self.state[layout.S_SINCE])

    @property
    def event_time(self) -> int:
        """How far time went, ms UTC."""
        return int(self.state[layout.S_EVENT_TIME])

    def place(self, reading: Reading) -> Place:
        """Return where a reading stands; changes nothing."""
        if reading.validity not in JUDGED:
            return Place.UNJUDGED
        column = self.program.columns.get(reading.quantity)
        prelude = 0 if column is None else self.program.preludes[column]
        oldest = max(self.event_time - lateness_bound(reading.quantity), self.since - prelude)
        if reading.measured_at < oldest:
            return Place.TOO_OLD
        if column is None:
            return Place.NEXT
        ledger = self.ledgers[column]
        if ledger and fingerprint(reading) in ledger:
            return Place.KNOWN
        tail = self.tails[column]
        if tail and (reading.measured_at, reading.device, reading.key) <= (
            tail[-1].measured_at,
            tail[-1].device,
            tail[-1].key,
        ):
            return Place.LATE
        return Place.LATE if reading.measured_at <= self._absence_told(column) else Place.NEXT

    def watermark(self, column: int) -> int:
        """Return the time of a row's last judged reading, ms UTC; NEVER when there is none."""
        return self.tails[column][-1].measured_at if self.tails[column] else layout.NEVER

    def judge(self, readings: Sequence[Reading]) -> list[Event]:
        """Judge readings that are all NEXT, in canonical order, each once.

        Raises:
            KernelError: the compiled kernel is of another version.
        """
        total = len(readings)
        of = self.program.columns
        times = np.fromiter((reading.measured_at for reading in readings), np.int64, total)
        columns = np.fromiter((of.get(reading.quantity, -1) for reading in readings), np.int64, total)
        counts = np.fromiter((reading.count for reading in readings), np.int64, total)
        bases = [self._judged(column) - len(tail) for column, tail in enumerate(self.tails)]
        for reading, column in zip(readings, columns.tolist(), strict=True):
            if column >= 0:
                self.tails[column].append(
                    Kept(
                        reading.measured_at,
                        reading.count,
                        reading.received_at,
                        reading.device,
                        reading.key,
                        reading.quantity,
                        int(reading.quality),
                    )
                )
        events: list[Event] = []
        done = 0
        while done < total:
            rows, taken = kernel.judge(
                self.program.words, self.state, times[done:], columns[done:], counts[done:], self._out
            )
            events += self._events(rows, bases)
            done += taken
        events += self._advance(self.event_time, bases)
        self._remember(readings)
        self._forget()
        return events

    def advance(self, now: int) -> list[Event]:
        """Let time pass to `now` (ms UTC); an earlier one changes nothing.

        Raises:
            KernelError: the compiled kernel is of another version.
        """
        bases = [self._judged(column) - len(tail) for column, tail in enumerate(self.tails)]
        events = self._advance(now, bases)
        self._forget()
        return events

    def next_deadline(self) -> int | None:
        """Return the first `now` (ms UTC) at which `advance` would raise something, None when nothing would."""
        deadline = kernel.next_deadline(self.program.words, self.state)
        return None if deadline == layout.NEVER else deadline + 1

    def _advance(self, now: int, bases: list[int]) -> list[Event]:
        return self._events(kernel.advance(self.program.words, self.state, now, self._out), bases)

    def _judged(self, column: int) -> int:
        return int(self.state[layout.S_HEADER + column * layout.SQ_WIDTH + layout.SQ_JUDGED])

    def _absence_told(self, column: int) -> int:
        """Return the latest deadline of a row that stands as missing, NEVER when none does."""
        words = self.program.words
        row = layout.P_HEADER + len(self.program.columns) * layout.Q_WIDTH
        mine = layout.S_HEADER + len(self.program.columns) * layout.SQ_WIDTH
        latest = layout.NEVER
        for _ in range(int(words[layout.P_RULES])):
            if (
                words[row + layout.R_KIND] == layout.KIND_MISSING
                and words[row + layout.R_COLUMN] == column
                and self.state[mine + layout.SR_PHASE] == layout.STANDING
            ):
                latest = max(latest, int(self.state[mine + layout.SR_ONSET]))
            row += layout.R_WIDTH
            mine += layout.SR_WIDTH
        return latest

    def _events(self, rows: int, bases: list[int]) -> list[Event]:
        if rows < 0:
            raise KernelError
        return [self._event(row, bases) for row in self._out[:rows].tolist()]

    def _event(self, row: list[int], bases: list[int]) -> Event:
        at, rule, raised, onset, first, last = row
        start = layout.P_HEADER + len(self.program.columns) * layout.Q_WIDTH + rule * layout.R_WIDTH
        kind, column = self.program.words[start : start + 2].tolist()
        tail, base = self.tails[column], bases[column]
        latest = tail[last - base] if last >= 0 else None
        evidence: tuple[Kept, ...] = ()
        if raised and latest is not None:
            if kind == layout.KIND_LEVEL:
                evidence = tuple(tail[max(first, last - RUN_EVIDENCE + 1) - base : last - base + 1])
            elif kind == layout.KIND_CHANGE:
                evidence = (tail[first - base], latest)
            else:
                evidence = (latest,)
        return Event(
            rule=rule,
            raised=raised == 1,
            at=at,
            onset=onset,
            evidence=evidence,
            received_late=latest is not None
            and latest.measured_at == at
            and latest.received_at - latest.measured_at > LATE_AFTER_MS,
        )

    def _remember(self, readings: Sequence[Reading]) -> None:
        """Enter into the ledgers what the lateness bound does not already exclude."""
        for reading in readings:
            column = self.program.columns.get(reading.quantity)
            if column is not None and reading.measured_at >= self.event_time - self._bounds[column]:
                self.ledgers[column][fingerprint(reading)] = reading.measured_at

    def _forget(self) -> None:
        """Drop what neither evidence nor lateness needs any more."""
        for column, tail in enumerate(self.tails):
            if len(tail) > RUN_EVIDENCE:
                oldest = tail[-1].measured_at - self.program.windows[column]
                within = sum(1 for kept in tail[-WINDOW_READINGS:] if kept.measured_at >= oldest)
                del tail[: -max(RUN_EVIDENCE, within)]
            ledger = self.ledgers[column]
            floor = self.event_time - self._bounds[column]
            for known in [known for known, at in ledger.items() if at < floor]:
                del ledger[known]
