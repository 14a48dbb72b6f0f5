"""What a recording holds of what a protocol asks for: a quiet week without readings is not a quiet week.

Everything is a count that adds up over patients. A gap is a silence longer than the protocol allows: the quantity's
`gap` where it has a cadence, otherwise one in which a rule of kind *missing* raises: it waited too long, or an
appointment of its schedule (`by`, `on`) was not kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerting.burden import DAY_MS, Watched
from alerting.care_protocol import CareProtocol
from alerting.history import CODES, QUANTITIES, History
from alerting.local_time import DAY_MINUTES, each_local_minutes, offsets, utc_ms
from alerting.scheduled_rules import MissingRule
from devices.reading import Quantity

_THURSDAY = 3
"""Of 1970-01-01, Monday being 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a protocol asks for of a quantity.

    Attributes:
        a_day: readings a day, None when it does not say.
        silence: ms between two readings beyond which there is a gap, None when it does not say.
        scheduled: rules that ask for a reading by an hour of some days.
        ruled: a rule looks at it.
    """

    a_day: float | None
    silence: int | None
    scheduled: tuple[MissingRule, ...] = ()
    ruled: bool


class Coverage(Struct, kw_only=True):
    """The readings of one quantity while patients were watched.

    Attributes:
        readings: all of them.
        not_judged: those whose value or validity no threshold may judge.
        days: local days of patients that were watched.
        days_with: those with a judged reading.
        watched_ms: for how long, all patients together.
        gaps: silences longer than the protocol allows.
        longest_ms: the longest silence.
        silent_ms: how long the gaps were together.
        expected: readings that the protocol asks for in that time, None when it does not say.
        ruled: a rule looks at it.
    """

    readings: int = 0
    not_judged: int = 0
    days: int = 0
    days_with: int = 0
    watched_ms: int = 0
    gaps: int = 0
    longest_ms: int = 0
    silent_ms: int = 0
    expected: float | None = None
    ruled: bool = False


def expectation(protocol: CareProtocol, quantity: Quantity) -> Expectation:
    """Return what a protocol asks for of a quantity."""
    timing = protocol.timings.get(quantity)
    missing = [rule for rule in protocol.rules if isinstance(rule, MissingRule) and rule.quantity is quantity]
    a_day = max((_a_day(rule) for rule in missing), default=None)
    silence = min((rule.expected + rule.grace for rule in missing if rule.by is None), default=None)
    scheduled = tuple(rule for rule in missing if rule.by is not None)
    if timing is not None and timing.cadence:
        a_day, silence, scheduled = DAY_MS / timing.cadence, timing.gap, ()
    ruled = any(quantity in rule.inputs for rule in protocol.rules)
    return Expectation(a_day=a_day, silence=silence, scheduled=scheduled, ruled=ruled)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Silences:
    """The judged readings of one quantity while a patient was watched, and the silences around them.

    Attributes:
        times: int64, ms UTC, of the readings.
        edges: int64, ms UTC: the beginning, `times`, the end. A silence lies between two edges.
        gaps: bool, which silences are longer than the protocol allows; None when it does not say.
    """

    times: NDArray[np.int64]
    edges: NDArray[np.int64]
    gaps: NDArray[np.bool_] | None


def silences_of(protocol: CareProtocol, history: History, watched: Watched, quantity: Quantity) -> Silences:
    """Return a patient's silences of one quantity."""
    asked = expectation(protocol, quantity)
    mine = history.times[(history.quantities == CODES[quantity]) & history.judged]
    times = mine[(mine >= watched.begin) & (mine <= watched.end)]
    edges = np.concatenate(([watched.begin], times, [watched.end]))
    if asked.silence is None and not asked.scheduled:
        return Silences(times=times, edges=edges, gaps=None)
    gaps = np.zeros(len(edges) - 1, np.bool_)
    if asked.silence is not None:
        gaps |= np.diff(edges) > asked.silence
    earlier = mine[mine < watched.begin]
    for rule in asked.scheduled:
        gaps |= _unkept(rule, edges, watched, seen_before=int(earlier[-1]) if len(earlier) else None)
    return Silences(times=times, edges=edges, gaps=gaps)


def coverage_of(protocol: CareProtocol, history: History, watched: Watched) -> dict[Quantity, Coverage]:
    """Return what one patient's history holds of each quantity that it or a rule names, in canonical order."""
    codes = {CODES[quantity] for rule in protocol.rules for quantity in rule.inputs}
    codes |= set(np.unique(history.quantities).tolist())
    return {QUANTITIES[code]: _of_one(protocol, history, watched, code) for code in sorted(codes)}


def all_coverage(several: Iterable[dict[Quantity, Coverage]]) -> dict[Quantity, Coverage]:
    """Return the coverage of several patients together."""
    result: dict[Quantity, Coverage] = {}
    for coverages in several:
        for quantity, one in coverages.items():
            kept = result.setdefault(quantity, Coverage(ruled=one.ruled))
            kept.readings += one.readings
            kept.not_judged += one.not_judged
            kept.days += one.days
            kept.days_with += one.days_with
            kept.watched_ms += one.watched_ms
            kept.gaps += one.gaps
            kept.longest_ms = max(kept.longest_ms, one.longest_ms)
            kept.silent_ms += one.silent_ms
            if one.expected is not None:
                kept.expected = one.expected + (kept.expected or 0.0)
    return dict(sorted(result.items(), key=lambda item: CODES[item[0]]))


def local_days(watched: Watched, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the local days of moments (ms UTC), counted from 1970-01-01."""
    return local_minutes_of(watched, times) // DAY_MINUTES


def local_minutes_of(watched: Watched, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the local minutes of moments (ms UTC), counted from 1970-01-01 00:00."""
    return each_local_minutes(offsets(watched.zone), times)


def _of_one(protocol: CareProtocol, history: History, watched: Watched, code: int) -> Coverage:
    asked = expectation(protocol, QUANTITIES[code])
    found = silences_of(protocol, history, watched, QUANTITIES[code])
    within = (history.quantities == code) & (history.times >= watched.begin) & (history.times <= watched.end)
    silences = np.diff(found.edges)
    gaps = silences[:0] if found.gaps is None else silences[found.gaps]
    time = watched.end - watched.begin
    return Coverage(
        readings=int(np.count_nonzero(within)),
        not_judged=int(np.count_nonzero(within & ~history.judged)),
        days=len(watched.days),
        days_with=len(np.unique(local_days(watched, found.times))),
        watched_ms=time,
        gaps=len(gaps),
        longest_ms=int(silences.max()),
        silent_ms=int(gaps.sum()),
        expected=None if asked.a_day is None else asked.a_day * time / DAY_MS,
        ruled=asked.ruled,
    )


def _a_day(rule: MissingRule) -> float:
    return DAY_MS / rule.expected if rule.by is None else rule.days.bit_count() / 7


def _unkept(
    rule: MissingRule, edges: NDArray[np.int64], watched: Watched, *, seen_before: int | None
) -> NDArray[np.bool_]:
    """Return in which silences a scheduled rule raises, as its kernel has it.

    Args:
        rule: by schedule.
        edges: as in `Silences`.
        watched: when.
        seen_before: ms UTC of the last judged reading before the first edge, None when there is none.
    """
    table, by = offsets(watched.zone), rule.by or 0
    # Each silence's first day that may be asked for: the one after its reading, whose own day is kept.
    days = local_days(watched, edges[:-1]) + 1
    first = watched.day(watched.begin)
    kept = seen_before is not None and watched.day(seen_before) == first
    if not kept and utc_ms(table, first * DAY_MINUTES + by) > watched.begin:
        days[0] = first
    ahead = np.array([_until_asked(rule, weekday) for weekday in range(7)])
    days = days + ahead[(days + _THURSDAY) % 7]
    several, places = np.unique(days, return_inverse=True)
    due = np.array([utc_ms(table, day * DAY_MINUTES + by) for day in several.tolist()], np.int64)
    return np.asarray(due[places] + rule.expected + rule.grace < edges[1:])


def _until_asked(rule: MissingRule, weekday: int) -> int:
    return next(ahead for ahead in range(7) if rule.days >> (weekday + ahead) % 7 & 1)
