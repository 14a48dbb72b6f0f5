"""Stream: the readings of one patient under one rule program, judged in order.

Rules of this room:

- Order is (measured_at, quantity, device, key); the watermark is per quantity.
- A reading is known by (quantity, device, key); a known one changes nothing.
- Time passes by readings of any quantity and by `advance`; a deadline is passed strictly.
- State, tails and ledgers depend on what was judged and on how far time went, never on how it was cut.

What is not here: what was told about alerts (told, engine), and re-judging.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from alerting import compiled as kernel
from alerting import layout
from alerting.care_protocol import CareProtocol
from alerting.errors import KernelError
from alerting.findings import Findings, Tails, find
from alerting.kept import Kept
from alerting.program import RUN_EVIDENCE, RuleProgram
from alerting.scheduled_rules import CompositeRule, ScoreRule
from devices.reading import JUDGED, Quality, Quantity, Reading, Validity

DAY_MS = 86_400_000
LATE_AFTER_MS = 30 * 60_000
"""What a reading received longer than this after it was measured raises or ends is told as late."""

_MOST_ROWS = 8192
_SAYS_NOTHING = frozenset({Validity.CALIBRATING, Validity.INVALID})


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
        members: of a composite, the rules (index in the protocol) that were true.
        unknown: of a composite, the rules of which it was not known.
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
    members: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()


def fingerprint(reading: Reading) -> int:
    """Return 64 bits that stand for (device, key) within a quantity."""
    text = f"{reading.device}\x1f{reading.key}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


class Stream:
    """Judges the readings of one patient.

    Args:
        protocol: what to judge by.
        program: the same as numbers.
        zone: offsets of the patient's zone (`alerting.local_time`).
        state: int64, see `layout`; owned from here on.
        tails: a column's last readings, oldest first: what evidence may still be drawn from.
        ledgers: a column's readings within the lateness bound, fingerprint -> measured_at, in canonical order.
    """

    def __init__(  # noqa: PLR0917 - what it is made of
        self,
        protocol: CareProtocol,
        program: RuleProgram,
        zone: NDArray[np.int64],
        state: NDArray[np.int64],
        tails: list[list[Kept]],
        ledgers: list[dict[int, int]],
    ) -> None:
        self.program = program
        self.state = state
        self.tails = tails
        self.ledgers = ledgers
        self._protocol = protocol
        self._zone = zone.copy()
        self._bounds = [lateness_bound(channel.quantity) for channel in program.channels]
        first, rows = program.first_life, program.rules.tolist()
        kinds = [row[layout.R_KIND] for row in rows]
        self._deadline_rows = kinds.count(layout.MISSING) * (1 + kinds.count(layout.COMPOSITE))
        self._together = _together(protocol, program)
        self._absences = [
            [
                first + rule * layout.SR_WIDTH
                for rule, row in enumerate(rows)
                if row[layout.R_KIND] == layout.MISSING and row[layout.R_COLUMN] == column
            ]
            for column in range(len(program.channels))
        ]

    @classmethod
    def begin(cls, protocol: CareProtocol, program: RuleProgram, zone: NDArray[np.int64], since: int) -> "Stream":
        """Return a stream watched from `since` (ms UTC) on."""
        columns = range(len(program.channels))
        return cls(protocol, program, zone, program.fresh_state(since), [[] for _ in columns], [{} for _ in columns])

    @property
    def since(self) -> int:
        """When watching began, ms UTC."""
        return int(self.state[layout.S_SINCE])

    @property
    def event_time(self) -> int:
        """How far time went, ms UTC."""
        return int(self.state[layout.S_EVENT_TIME])

    def columns_of(self, reading: Reading) -> tuple[int, ...]:
        """Return the columns that a reading enters: that of its value when it may be judged, that of its flags."""
        found: list[int] = []
        if not _is_ready(reading):
            return ()
        if reading.validity in JUDGED and reading.quantity in self.program.columns:
            found.append(self.program.columns[reading.quantity])
        if reading.validity not in _SAYS_NOTHING and reading.quantity in self.program.flag_columns:
            found.append(self.program.flag_columns[reading.quantity])
        return tuple(found)

    def place(self, reading: Reading) -> Place:
        """Return where a reading stands; changes nothing."""
        columns = self.columns_of(reading)
        if not columns and (reading.validity not in JUDGED or not _is_ready(reading)):
            return Place.UNJUDGED
        prelude = max((self.program.preludes[column] for column in columns), default=0)
        oldest = max(self.event_time - lateness_bound(reading.quantity), self.since - prelude)
        if reading.measured_at < oldest:
            return Place.TOO_OLD
        if not columns:
            return Place.NEXT
        known = fingerprint(reading)
        if any(known in self.ledgers[column] for column in columns):
            return Place.KNOWN
        joined = {other for column in columns for other in self._together[column]}
        return Place.LATE if any(self._is_late(reading, column) for column in joined) else Place.NEXT

    def _is_late(self, reading: Reading, column: int) -> bool:
        """Return whether what was judged of a column, or told to be missing there, comes after a reading."""
        tail = self.tails[column]
        if tail:
            last = tail[-1]
            if reading.order <= (last.measured_at, last.quantity.value, last.device, last.key):
                return True
        return reading.measured_at <= self._absence_told(column)

    def watermark(self, column: int) -> int:
        """Return the time of a column's last judged reading, ms UTC; NEVER when there is none."""
        return self.tails[column][-1].measured_at if self.tails[column] else layout.NEVER

    def value(self, rule: int) -> int | None:
        """Return the last value of a rule (index in the protocol) in its measure, None when it never had one."""
        value = int(self.state[self.program.first_life + rule * layout.SR_WIDTH + layout.SR_VALUE])
        return None if value == layout.NEVER else value

    def judge(self, readings: Sequence[Reading]) -> list[Event]:
        """Judge readings that are all NEXT, in canonical order, each once.

        Raises:
            KernelError: the compiled kernel is of another version.
        """
        bases = self._bases()
        times: list[int] = []
        columns: list[int] = []
        values: list[int] = []
        flags = set(self.program.flag_columns.values())
        for reading in readings:
            for column in self.columns_of(reading) or (-1,):
                times.append(reading.measured_at)
                columns.append(column)
                values.append(int(reading.quality) if column in flags else reading.count)
                if column >= 0:
                    self.tails[column].append(_kept(reading))
        events = self._run(np.array(times, np.int64), np.array(columns, np.int64), np.array(values, np.int64), bases)
        events += self._advance(self.event_time, bases)
        self._remember(readings)
        self._forget()
        return events

    def advance(self, now: int) -> list[Event]:
        """Let time pass to `now` (ms UTC); an earlier one changes nothing.

        Raises:
            KernelError: the compiled kernel is of another version.
        """
        events = self._advance(now, self._bases())
        self._forget()
        return events

    def next_deadline(self) -> int | None:
        """Return the first `now` (ms UTC) at which `advance` would raise something, None when nothing would."""
        deadline = kernel.next_deadline(self.program.words, self._zone, self.state)
        return None if deadline == layout.NEVER else deadline + 1

    def _run(
        self, times: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.int64], bases: list[int]
    ) -> list[Event]:
        rules = int(self.program.words[layout.P_RULES])
        room = min(_MOST_ROWS, (4 + 2 * len(times)) * rules) + self._deadline_rows
        out = np.zeros((room, layout.O_WIDTH), np.int64)
        events: list[Event] = []
        done = 0
        while done < len(times):
            rows, taken = kernel.judge(
                self.program.words, self._zone, self.state, times[done:], columns[done:], values[done:], out
            )
            events += self._events(rows, out, bases)
            done += taken
        return events

    def _advance(self, now: int, bases: list[int]) -> list[Event]:
        rules = int(self.program.words[layout.P_RULES])
        out = np.zeros((2 * rules * rules + rules, layout.O_WIDTH), np.int64)
        return self._events(kernel.advance(self.program.words, self._zone, self.state, now, out), out, bases)

    def _bases(self) -> list[int]:
        """Return the ordinal of each tail's first reading."""
        judged = self.state[
            layout.S_HEADER : layout.S_HEADER + len(self.tails) * layout.SQ_WIDTH : layout.SQ_WIDTH
        ].tolist()
        return [judged[column] - len(tail) for column, tail in enumerate(self.tails)]

    def _absence_told(self, column: int) -> int:
        """Return the latest deadline of a column that stands as missing, NEVER when none does."""
        latest = layout.NEVER
        for mine in self._absences[column]:
            if self.state[mine + layout.SR_PHASE] == layout.STANDING:
                latest = max(latest, int(self.state[mine + layout.SR_ONSET]))
        return latest

    def _events(self, rows: int, out: NDArray[np.int64], bases: list[int]) -> list[Event]:
        if rows < 0:
            raise KernelError
        tails = Tails(self.tails, bases)
        return [self._event(row, tails) for row in out[:rows].tolist()]

    def _event(self, row: list[int], tails: Tails) -> Event:
        at, column, value = row[layout.O_AT], row[layout.O_COLUMN], row[layout.O_VALUE]
        latest = tails.one(column, row[layout.O_LAST]) if column >= 0 else None
        raised = row[layout.O_RAISED] == 1
        found = find(self._protocol, self.program, tails, row) if raised else Findings()
        return Event(
            rule=row[layout.O_RULE],
            raised=raised,
            at=at,
            onset=row[layout.O_ONSET],
            evidence=found.evidence,
            received_late=latest is not None and latest.received_at - latest.measured_at > LATE_AFTER_MS,
            value=None if value == layout.NEVER else value,
            baseline=found.baseline,
            readings=found.readings,
            span=found.span,
            recent=found.recent,
            signals=found.signals,
            lacking=found.lacking,
            members=found.members,
            unknown=found.unknown,
        )

    def _remember(self, readings: Sequence[Reading]) -> None:
        """Enter into the ledgers what the lateness bound does not already exclude."""
        for reading in readings:
            for column in self.columns_of(reading):
                if reading.measured_at >= self.event_time - self._bounds[column]:
                    self.ledgers[column][fingerprint(reading)] = reading.measured_at

    def _forget(self) -> None:
        """Drop what neither evidence nor lateness needs any more."""
        for column, tail in enumerate(self.tails):
            if len(tail) > RUN_EVIDENCE:
                oldest = tail[-1].measured_at - self.program.windows[column]
                recent = tail[-self.program.counts[column] :]
                within = len(recent) - bisect_left(recent, oldest, key=_measured_at)
                del tail[: -max(RUN_EVIDENCE, within)]
            ledger = self.ledgers[column]
            floor = self.event_time - self._bounds[column]
            for known in [known for known, at in ledger.items() if at < floor]:
                del ledger[known]


def _together(protocol: CareProtocol, program: RuleProgram) -> list[set[int]]:
    """Return for each column those that are judged with it: a score or a composite must not see what comes later."""
    joined = [{column} for column in range(len(program.channels))]
    for rule in protocol.rules:
        if isinstance(rule, CompositeRule | ScoreRule):
            mine = {column for column, channel in enumerate(program.channels) if channel.quantity in rule.inputs}
            mine = mine.union(*(joined[column] for column in mine))
            for column in mine:
                joined[column] = mine
    return joined


def _measured_at(kept: Kept) -> int:
    return kept.measured_at


def _is_ready(reading: Reading) -> bool:
    return Quality.WARMING_UP not in reading.quality


def _kept(reading: Reading) -> Kept:
    return Kept(
        reading.measured_at,
        reading.count,
        reading.received_at,
        reading.device,
        reading.key,
        reading.quantity,
        int(reading.quality),
    )
