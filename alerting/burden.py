"""What the alerts of a protocol would have cost: how many, to whom, how bunched, and how long they stood.

Rules of this room:

- Everything is a count that adds up: the burden of several patients is the sum of theirs.
- A day is a local day of the patient's zone, a week seven days of 24 h that were watched.
- What falls on people is counted by what was *told* (and when); what a rule does by what it *raised*.

Limits that a report compares with: chatter is 3 raises of one rule in 24 h, bunched is less than 10 min after another,
and a nurse receives at most 0.10 alerts a patient-day. All three are aims of this project.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from alerting.alert import Audience, Priority, Reason
from alerting.backtest import AlertOutcome
from alerting.care_protocol import CareProtocol
from alerting.local_time import DAY_MINUTES, MINUTE_MS, local_minutes, offsets

DAY_MS = 86_400_000
NURSE_AIM = 0.10
"""Alerts to a nurse a patient-day, at most."""
BUNCHED_MS = 10 * MINUTE_MS
CHATTER = 3
BUSIEST = 5

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """When a patient was watched: from `begin` to `end`, ms UTC, in local days of `zone`."""

    begin: int
    end: int
    zone: ZoneInfo

    def day(self, at: int) -> int:
        """Return the local day of a moment, counted from 1970-01-01."""
        return local_minutes(offsets(self.zone), at) // DAY_MINUTES

    @property
    def days(self) -> range:
        """The local days that were watched, the first and the last in part."""
        return range(self.day(self.begin), self.day(self.end) + 1)


class RuleBurden(Struct, kw_only=True):
    """What one rule did; a duration in whole minutes, cut to three significant figures.

    Attributes:
        raised: alerts.
        told: how many of them somebody was told of.
        suppressed: of those never told, why -> how many.
        standing: how many stood at the end.
        over_a_day: how many stood for more than 24 h.
        chattering: raises that were the third or a later one within 24 h.
        minutes: how long an alert stood -> how many.
        longest_ms: how long the longest stood.
        never_judged: of how many patients it never had a value, so that no alert says nothing about them; None when
            nobody looked.
    """

    priority: Priority
    audience: Audience
    raised: int = 0
    told: int = 0
    suppressed: dict[Reason, int] = field(default_factory=dict)
    standing: int = 0
    over_a_day: int = 0
    chattering: int = 0
    minutes: dict[int, int] = field(default_factory=dict)
    longest_ms: int = 0
    never_judged: int | None = None


class BusyDay(Struct, frozen=True, kw_only=True, order=True):
    """A local day of a patient, counted from 1970-01-01, and how many alerts were told on it."""

    told: int
    day: int
    patient: str


class Burden(Struct, kw_only=True):
    """What a protocol did over some patients.

    Attributes:
        patients: how many.
        watched_ms: for how long, all together.
        days: alerts told on a patient's local day -> how many such days.
        busiest: the days with most alerts told, at most five, days without any left out.
        bunched: alerts told less than 10 min after another of the same patient.
        most_at_once: alerts told to or about one patient within 10 min, at most.
        rules: every rule of the protocol, in its order.
        nurse_rates: alerts told to a nurse per 1000 patient-days, cut downwards -> how many patients have that many.
    """

    patients: int = 0
    watched_ms: int = 0
    days: dict[int, int] = field(default_factory=dict)
    busiest: list[BusyDay] = field(default_factory=list)
    bunched: int = 0
    most_at_once: int = 0
    rules: dict[str, RuleBurden] = field(default_factory=dict)
    nurse_rates: dict[int, int] = field(default_factory=dict)

    @property
    def patient_days(self) -> float:
        """Watched time in days of 24 h."""
        return self.watched_ms / DAY_MS

    @property
    def raised(self) -> int:
        """Alerts of all rules."""
        return sum(rule.raised for rule in self.rules.values())

    @property
    def told(self) -> int:
        """Alerts of all rules that somebody was told of."""
        return sum(rule.told for rule in self.rules.values())

    @property
    def told_to_nurse(self) -> int:
        """Alerts that a nurse was told of."""
        return sum(rule.told for rule in self.rules.values() if rule.audience is Audience.NURSE)

    def a_week(self, alerts: int) -> float | None:
        """Return alerts a patient-week, None when nothing was watched."""
        return alerts * 7 / self.patient_days if self.watched_ms else None


def burden_of(
    protocol: CareProtocol,
    outcomes: Sequence[AlertOutcome],
    watched: Watched,
    never_judged: Collection[str] | None = None,
) -> Burden:
    """Return what a protocol's alerts cost of one patient.

    Args:
        protocol: whose rules they are.
        outcomes: of one patient, ordered by `raised_at`.
        watched: when.
        never_judged: ids of the rules that never had a value, None when nobody looked.
    """
    rules = {rule.id: RuleBurden(priority=rule.priority, audience=rule.audience) for rule in protocol.rules}
    if never_judged is not None:
        for name, rule in rules.items():
            rule.never_judged = int(name in never_judged)
    raises: dict[str, list[int]] = {rule: [] for rule in rules}
    for outcome in outcomes:
        _count(rules[outcome.rule], outcome, watched.end)
        raises[outcome.rule].append(outcome.raised_at)
    for name, times in raises.items():
        rules[name].chattering = sum(
            later - earlier < DAY_MS for earlier, later in zip(times, times[CHATTER - 1 :], strict=False)
        )
    times = sorted(one.told_at for one in outcomes if one.told_at is not None)
    a_day = Counter(watched.day(at) for at in times)
    patient = outcomes[0].patient if outcomes else ""
    burden = Burden(
        patients=1,
        watched_ms=watched.end - watched.begin,
        days=dict(Counter(a_day[day] for day in watched.days)),
        busiest=heapq.nlargest(BUSIEST, (BusyDay(told=n, day=day, patient=patient) for day, n in a_day.items())),
        bunched=sum(later - earlier < BUNCHED_MS for earlier, later in pairwise(times)),
        most_at_once=_most_within(times, BUNCHED_MS),
        rules=rules,
    )
    if burden.watched_ms:
        burden.nurse_rates = {int(burden.told_to_nurse * 1000 * DAY_MS // burden.watched_ms): 1}
    return burden


def total(burdens: Iterable[Burden]) -> Burden:
    """Return the burden of one protocol over several patients together."""
    result = Burden()
    for one in burdens:
        result.patients += one.patients
        result.watched_ms += one.watched_ms
        result.bunched += one.bunched
        result.most_at_once = max(result.most_at_once, one.most_at_once)
        result.busiest = heapq.nlargest(BUSIEST, [*result.busiest, *one.busiest])
        _add(result.days, one.days)
        _add(result.nurse_rates, one.nurse_rates)
        for name, rule in one.rules.items():
            kept = result.rules.setdefault(name, RuleBurden(priority=rule.priority, audience=rule.audience))
            _add_rule(kept, rule)
    return result


def middle(tally: dict[int, int], share: float = 0.5) -> int | None:
    """Return the least value that at least `share` of the counted do not exceed, None when nothing was counted."""
    wanted = share * sum(tally.values())
    seen = 0
    for value in sorted(tally):
        seen += tally[value]
        if seen >= wanted:
            return value
    return None


def _count(rule: RuleBurden, outcome: AlertOutcome, end: int) -> None:
    stood = (end if outcome.resolved_at is None else outcome.resolved_at) - outcome.raised_at
    rule.raised += 1
    rule.told += outcome.told_at is not None
    if outcome.told_at is None and outcome.suppressed is not None:
        _add(rule.suppressed, {outcome.suppressed: 1})
    rule.standing += outcome.resolved_at is None
    rule.over_a_day += stood > DAY_MS
    rule.longest_ms = max(rule.longest_ms, stood)
    _add(rule.minutes, {_three_figures(stood // MINUTE_MS): 1})


def _add_rule(kept: RuleBurden, rule: RuleBurden) -> None:
    kept.raised += rule.raised
    kept.told += rule.told
    kept.standing += rule.standing
    kept.over_a_day += rule.over_a_day
    kept.chattering += rule.chattering
    kept.longest_ms = max(kept.longest_ms, rule.longest_ms)
    if rule.never_judged is not None:
        kept.never_judged = (kept.never_judged or 0) + rule.never_judged
    _add(kept.suppressed, rule.suppressed)
    _add(kept.minutes, rule.minutes)


def _three_figures(number: int) -> int:
    """Cut a number to three significant figures, so that a tally of millions stays small."""
    step = int(10 ** max(0, len(str(number)) - 3))
    return number // step * step


def _most_within(times: Sequence[int], window: int) -> int:
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def _add(tally: dict[_Key, int], more: dict[_Key, int]) -> None:
    for key, count in more.items():
        tally[key] = tally.get(key, 0) + count
