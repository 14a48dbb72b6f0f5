"""Two protocols over the same readings: what differs, alert by alert.

Alerts of a rule of the same id are the same alert when they overlap in time, from onset to end; each is paired once,
in order. What is not here: whether a difference is good.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from alerting.backtest import AlertOutcome


class Verdict(StrEnum):
    """How an alert of the first protocol stands to the second's."""

    SAME = "same"
    EARLIER = "earlier"
    """Both raise it, the first earlier."""
    LATER = "later"
    """Both raise it, the first later."""
    REGRADED = "regraded"
    """Both raise it at the same time, with another priority, to somebody else, or told by one only."""
    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One alert, as each protocol has it; None where it has none."""

    first: AlertOutcome | None
    second: AlertOutcome | None

    @property
    def verdict(self) -> Verdict:
        """How the first stands to the second."""
        if self.first is None:
            return Verdict.ONLY_SECOND
        if self.second is None:
            return Verdict.ONLY_FIRST
        if self.by:
            return Verdict.EARLIER if self.by > 0 else Verdict.LATER
        return Verdict.SAME if _grade(self.first) == _grade(self.second) else Verdict.REGRADED

    @property
    def by(self) -> int:
        """How many ms the first raises it before the second, negative for after, 0 when one does not."""
        return self.second.raised_at - self.first.raised_at if self.first and self.second else 0

    @property
    def shown(self) -> tuple[AlertOutcome, ...]:
        """The alert as each of the protocols that raise it has it."""
        return tuple(one for one in (self.first, self.second) if one is not None)


def compare(first: Iterable[AlertOutcome], second: Iterable[AlertOutcome]) -> list[Difference]:
    """Return every alert of either, ordered by (patient, raised_at, rule) of the first that has it."""
    others: defaultdict[tuple[str, str], list[AlertOutcome]] = defaultdict(list)
    for outcome in second:
        others[outcome.patient, outcome.rule].append(outcome)
    found = []
    for outcome in first:
        twin = _take_overlapping(outcome, others[outcome.patient, outcome.rule])
        found.append(Difference(first=outcome, second=twin))
    found += [Difference(first=None, second=one) for several in others.values() for one in several]
    return sorted(found, key=lambda one: (one.shown[0].patient, one.shown[0].raised_at, one.shown[0].rule))


def _take_overlapping(outcome: AlertOutcome, others: list[AlertOutcome]) -> AlertOutcome | None:
    for place, other in enumerate(others):
        if _before(other, outcome.onset):
            continue
        return None if _before(outcome, other.onset) else others.pop(place)
    return None


def _before(outcome: AlertOutcome, at: int) -> bool:
    return outcome.resolved_at is not None and outcome.resolved_at < at


def _grade(outcome: AlertOutcome) -> Sequence[object]:
    return outcome.priority, outcome.audience, outcome.told_at is None
