"""Outcomes: what some alarms were worth, on labels of their own code.

An alarm counts for an episode when it comes 5 to 45 min before the onset, and one reading before it at least (15 to 45
at a 15-minute cadence). One inside an episode, or too close to it, is neither for nor against. One for an episode that
nobody could have forecast, or within 45 min before the trace breaks off, cannot be scored. All others are false.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.glucose.labels import Labels
from benchmarks.quality.glucose.traces import MINUTE

NEAREST = 5 * MINUTE
FARTHEST = 45 * MINUTE
JITTER = MINUTE // 2
EARLY = 15 * MINUTE
WEEK_LIMIT = 2.0
RESAMPLES = 2000
SEED = 20_230_622


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the alarms of one person were worth.

    Attributes:
        events: episodes that could be forecast.
        leads: ms from the earliest alarm that counts to its onset, one for each event seen.
        true: alarms that count for an event.
        false: alarms for nothing.
        days: how long the sensor was read.
    """

    events: int
    leads: tuple[int, ...]
    true: int
    false: int
    days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An estimate with its 95 % interval over resampled people; None where nothing is to be divided by."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a way of alarming was worth over all its people."""

    people: int
    days: float
    events: int
    recall: Share
    recall_early: Share
    precision: Share
    false_a_day: Share
    median_lead: float | None
    """Minutes."""
    quiet: float
    """Share of people with fewer than 2 false alarms a week."""
    alarms_a_day: float


def outcome(labels: Labels, alarms: Sequence[int]) -> Outcome:
    """Return what alarms at some readings (their indices) were worth."""
    trace = labels.trace
    leads: dict[int, int] = {}
    true = false = 0
    for index in alarms:
        if labels.inside(index):
            continue
        now = trace.times[index]
        episode = labels.next_episode(index)
        lead = None
        if episode is not None and labels.segments[episode.onset] == labels.segments[index]:
            lead = trace.times[episode.onset] - now
        if episode is not None and lead is not None and lead <= FARTHEST + JITTER:
            if lead >= max(NEAREST, trace.cadence) - JITTER and episode.fair:
                true += 1
                leads[episode.onset] = max(lead, leads.get(episode.onset, 0))
        elif labels.known_until[index] - now >= FARTHEST - JITTER:
            false += 1
    return Outcome(
        events=sum(episode.fair for episode in labels.episodes),
        leads=tuple(leads.values()),
        true=true,
        false=false,
        days=trace.days,
    )


def false_a_day(outcomes: Sequence[Outcome]) -> float:
    """Return the false alarms a day of all people together."""
    return sum(one.false for one in outcomes) / sum(one.days for one in outcomes)


def recall(outcomes: Sequence[Outcome]) -> float | None:
    """Return the share of events seen, None without any event."""
    events = sum(one.events for one in outcomes)
    return sum(len(one.leads) for one in outcomes) / events if events else None


def summary(by_person: Mapping[str, Outcome]) -> Summary:
    """Return what the alarms of all people were worth, with intervals from resampling the people."""
    outcomes = list(by_person.values())
    leads = [lead for one in outcomes for lead in one.leads]
    columns = np.array(
        [
            (one.events, len(one.leads), sum(_early(lead) for lead in one.leads), one.true, one.false, one.days)
            for one in outcomes
        ],
        np.float64,
    )
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(len(outcomes), np.full(len(outcomes), 1 / len(outcomes)), size=RESAMPLES) @ columns
    return Summary(
        people=len(outcomes),
        days=sum(one.days for one in outcomes),
        events=sum(one.events for one in outcomes),
        recall=_share(columns, drawn, over=(1,), under=(0,)),
        recall_early=_share(columns, drawn, over=(2,), under=(0,)),
        precision=_share(columns, drawn, over=(3,), under=(3, 4)),
        false_a_day=_share(columns, drawn, over=(4,), under=(5,)),
        median_lead=median(leads) / MINUTE if leads else None,
        quiet=sum(7 * one.false / one.days < WEEK_LIMIT for one in outcomes) / len(outcomes),
        alarms_a_day=sum(one.true + one.false for one in outcomes) / sum(one.days for one in outcomes),
    )


def pooled(outcomes: Sequence[Outcome]) -> Outcome:
    """Return several outcomes of one person as one."""
    return Outcome(
        events=sum(one.events for one in outcomes),
        leads=tuple(lead for one in outcomes for lead in one.leads),
        true=sum(one.true for one in outcomes),
        false=sum(one.false for one in outcomes),
        days=sum(one.days for one in outcomes),
    )


def _early(lead: int) -> bool:
    return lead >= EARLY - JITTER


def _share(
    columns: NDArray[np.float64], drawn: NDArray[np.float64], *, over: tuple[int, ...], under: tuple[int, ...]
) -> Share:
    total = columns.sum(axis=0)
    whole = float(total[list(under)].sum())
    if not whole:
        return Share(value=None, low=None, high=None)
    above, below = drawn[:, list(over)].sum(axis=1), drawn[:, list(under)].sum(axis=1)
    low, high = np.quantile(above[below > 0] / below[below > 0], (0.025, 0.975))
    return Share(value=float(total[list(over)].sum()) / whole, low=float(low), high=float(high))
