"""Replay: what late readings may have changed, judged again from the last checkpoint before them.

Judging on from a checkpoint equals judging from the start of watching: nothing before a reading depends on it.
Checkpoints that lie after the first late reading are left behind; the replay makes new ones on its way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alerting.alert import ChangeKind
from alerting.care_protocol import CareProtocol
from alerting.checkpoints import Checkpoint, latest_before, planned
from alerting.errors import HistoryError
from alerting.kept import Kept
from alerting.layout import NEVER
from alerting.program import RuleProgram
from alerting.reading_order import canonical
from alerting.staleness import Freshness
from alerting.stream import Event, Place, Stream, fingerprint, lateness_bound
from alerting.told import Difference, Told, in_order, record, relate
from devices.reading import Reading


class Origin:
    """Where streams of one patient under one protocol begin.

    Args:
        protocol: what to judge by.
        program: the same as numbers.
        zone: offsets of the patient's time zone.
    """

    def __init__(self, protocol: CareProtocol, program: RuleProgram, zone: NDArray[np.int64]) -> None:
        self._protocol = protocol
        self._program = program
        self._zone = zone

    def begin(self, since: int) -> Stream:
        """Return a stream watched from `since` (ms UTC) on."""
        return Stream.begin(self._protocol, self._program, self._zone, since)

    def resume(self, state: NDArray[np.int64], tails: list[list[Kept]], ledgers: list[dict[int, int]]) -> Stream:
        """Return a stream that goes on from a state, which is its own from here on."""
        return Stream(self._protocol, self._program, self._zone, state, tails, ledgers)

    def after(self, checkpoint: Checkpoint) -> Stream:
        """Return a stream that goes on from a checkpoint, which stays as it is."""
        return self.resume(
            checkpoint.state.copy(),
            [list(tail) for tail in checkpoint.tails],
            [dict(ledger) for ledger in checkpoint.ledgers],
        )


class Book:
    """Enters what was judged into the alerts.

    Args:
        fresh: finds which alerts are fresh.
        memory: ms for which an ended alert still counts for another.
    """

    def __init__(self, fresh: Freshness, memory: int) -> None:
        self._fresh = fresh
        self._memory = memory

    def enter(
        self, told: Sequence[Told], events: Sequence[Event], readings: Sequence[Reading], *, since: int
    ) -> tuple[list[Told], list[Difference], int | None]:
        """Return the alerts after events, what differs, and from when on (ms UTC) their lives are to be found again.

        That is None when readings changed nothing about any life.

        Args:
            told: the alerts before, which are kept up to date.
            events: in order.
            readings: that were judged, in canonical order.
            since: event time before, ms UTC.
        """
        differences = record(events, {one.rule: one for one in told if one.resolved_at is None})
        alerts = in_order([*told, *(one.told for one in differences if one.kind is ChangeKind.RAISED)])
        moved = self._fresh.find(alerts, readings)
        since = min([since, *(event.at for event in events), *moved])
        if differences:
            relate(alerts, since=since, window=self._memory)
        return alerts, differences, since if differences or moved else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What judging again gave.

    Attributes:
        stream: as it is now.
        told: every alert since the checkpoint, and those before that it knew.
        checkpoints: those that hold, in order.
    """

    stream: Stream
    told: list[Told]
    checkpoints: list[Checkpoint]


def arrived(
    stream: Stream, origin: Origin, history: Iterable[Reading], checkpoints: Sequence[Checkpoint]
) -> list[Reading]:
    """Return the readings of a history that were never judged, in canonical order.

    Raises:
        HistoryError: readings that were judged, and are needed to judge these, are not there.
    """
    lacking = [dict(ledger) for ledger in stream.ledgers]
    found: list[Reading] = []
    beginning = origin.begin(stream.since)
    for reading in canonical(history):
        columns = stream.columns_of(reading)
        known = fingerprint(reading)
        if any(known in stream.ledgers[column] for column in columns):
            for column in columns:
                lacking[column].pop(known, None)
        elif (
            columns
            and reading.measured_at >= stream.event_time - lateness_bound(reading.quantity)
            and beginning.place(reading) is Place.NEXT
        ):
            found.append(reading)
    checkpoint = latest_before(checkpoints, found[0].measured_at) if found else None
    oldest = NEVER if checkpoint is None else checkpoint.at
    missed = sum(at > oldest for ledger in lacking for at in ledger.values())
    if missed:
        raise HistoryError(missed)
    return found


def judge_again(
    stream: Stream,
    origin: Origin,
    history: Iterable[Reading],
    checkpoints: Sequence[Checkpoint],
    book: Book,
    *,
    first: int,
    reach: int,
    start: int,
) -> Replay:
    """Judge a history again, as far as readings from `first` (ms UTC) on may change anything.

    Args:
        stream: as it was.
        origin: of it.
        history: every reading later than the last checkpoint before `first`, or from the start.
        checkpoints: in order.
        book: for the alerts.
        first: when the earliest reading that was never judged was measured.
        reach: ms before event time at which the oldest late reading may lie.
        start: ms UTC at which judging begins without a checkpoint.

    Raises:
        KernelError: the compiled kernel is of another version.
    """
    checkpoint = latest_before(checkpoints, first)
    if checkpoint is None:
        again, told, held = origin.begin(start), list[Told](), list[Checkpoint]()
    else:
        again, told = origin.after(checkpoint), [one.copy() for one in checkpoint.told]
        held = [one for one in checkpoints if one.at <= checkpoint.at]
    after = NEVER if checkpoint is None else checkpoint.at
    rest = [one for one in canonical(history) if one.measured_at > after and again.place(one) is Place.NEXT]
    stops = planned(since=again.event_time, until=stream.event_time, reach=reach)
    for stop in [*stops, None]:
        part = rest if stop is None else [one for one in rest if one.measured_at <= stop]
        rest = rest[len(part) :]
        since = again.event_time
        events = again.judge(part) if part else []
        events += again.advance(stream.event_time if stop is None else stop)
        told, _, _ = book.enter(told, events, part, since=since)
        if stop is not None:
            held.append(Checkpoint.of(again, told))
    return Replay(stream=again, told=told, checkpoints=held)


def as_it_was(again: Replay, known: Iterable[Told], *, before: int) -> Replay:
    """Return a replay of what is left of a history, with every alert that ended before `before` (ms UTC) as known.

    No late reading changes those, and nothing is left to judge them by. The replay's checkpoints do not know them.
    """
    told = [
        *(one.copy() for one in known if one.resolved_at is not None and one.resolved_at < before),
        *(one for one in again.told if one.resolved_at is None or one.resolved_at >= before),
    ]
    return replace(again, told=in_order(told), checkpoints=[])
