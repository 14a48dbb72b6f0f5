"""Operating points: a threshold chosen on some people, for others.

Choosing repeats the alarms of recorded risks on the labels, for every threshold of a grid that was written down
beforehand. The alarms of a row are the judge's own, and must be those that the choice foresaw.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.glucose.labels import Labels
from benchmarks.quality.glucose.outcomes import JITTER, Outcome, false_a_day, outcome, recall
from benchmarks.quality.glucose.traces import MINUTE

FOLDS = 5
WANTED_RECALL = 0.85
FALSE_A_DAY = 0.29
REFRACTORY = 30 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One person's labels, and the risk that a scorer gave at each reading."""

    labels: Labels
    risks: NDArray[np.float64]

    def alarms(self, threshold: float) -> list[int]:
        """Return the readings at which a threshold on the risk alarms: not while low, 30 min apart at least."""
        found: list[int] = []
        times = self.labels.trace.times
        for index in np.flatnonzero(self.risks >= threshold):
            if not self.labels.low[index] and (not found or times[index] - times[found[-1]] >= REFRACTORY - JITTER):
                found.append(int(index))
        return found

    def outcome(self, threshold: float) -> Outcome:
        """Return what the alarms of a threshold are worth."""
        return outcome(self.labels, self.alarms(threshold))


def folds(patients: Sequence[str]) -> dict[str, int]:
    """Return the fold of each person: the same for the same people, whatever the order of the files."""
    ordered = sorted(patients, key=lambda patient: sha256(patient.encode()).digest())
    return {patient: place % FOLDS for place, patient in enumerate(ordered)}


def grid(scorer: str, level: float) -> list[float]:
    """Return the thresholds on the risk that may be chosen, ascending."""
    if scorer == "kalman":
        return [step / 200 for step in range(1, 200)]
    if scorer == "random":
        return [1 - 0.3 * 0.97**step for step in range(260)]
    return [-(level + step / 5) for step in range(300, -201, -1)]


def table(people: Sequence[Watched], thresholds: Sequence[float]) -> list[list[Outcome]]:
    """Return the outcomes, a row for each threshold, a column for each person."""
    return [[one.outcome(threshold) for one in people] for threshold in thresholds]


def enough_recall(outcomes: Sequence[Sequence[Outcome]]) -> int | None:
    """Return the row with the fewest false alarms among those with a recall of .85, None without any."""
    reaching = [place for place, row in enumerate(outcomes) if (recall(row) or 0) >= WANTED_RECALL]
    return min(reaching, key=lambda place: (false_a_day(outcomes[place]), -place), default=None)


def few_false(outcomes: Sequence[Sequence[Outcome]]) -> int | None:
    """Return the row with the best recall among those with at most 0.29 false alarms a day, None without any event."""
    allowed = [place for place, row in enumerate(outcomes) if false_a_day(row) <= FALSE_A_DAY]
    if not outcomes or recall(outcomes[0]) is None:
        return None
    return max(
        allowed, key=lambda place: (recall(outcomes[place]) or 0, -false_a_day(outcomes[place]), place), default=None
    )


POINTS: dict[str, Callable[[Sequence[Sequence[Outcome]]], int | None]] = {
    f"recall >= {WANTED_RECALL}": enough_recall,
    f"false <= {FALSE_A_DAY} a day": few_false,
}
