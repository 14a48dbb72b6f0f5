"""May these people be scored? Only if they are as hard as published ones, by 23 measures, every one within its range.

A range spans what studies report and what sampling adds. Textbook people, of whom everybody gains slowly, and people
whose readings have nothing to do with their admissions fail at least 10 of the 23: the ranges do tell them apart.
"""

from dataclasses import dataclass

from benchmarks.quality.heart_failure.anchors import measure
from benchmarks.quality.heart_failure.cohort import Cohort
from benchmarks.quality.heart_failure.parameters import (
    BEAT_HF,
    CHAUDHRY,
    FAST,
    GYLLENSTEN,
    HEARTCYCLE,
    LEDWIDGE,
    ZHANG,
)

PATIENTS = 2000
SEEDS = 4
"""The fewest that are enough to accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One published figure and the range, both ends inclusive, in which simulated people must come out."""

    name: str
    low: float
    high: float
    source: str


def _anchor(name: str, low: float, high: float, source: str) -> Anchor:
    return Anchor(name=name, low=low, high=high, source=source)


ANCHORS = (
    _anchor("admissions", 0.3, 0.6, "telemonitored cohorts, a patient-year"),
    _anchor("days with readings", 76, 90, f"{FAST}: 76 %; {HEARTCYCLE}: 90 %"),
    _anchor("days with readings, between patients", 8, 20, f"{HEARTCYCLE}: 16"),
    _anchor("missing in the last week", 1.1, 2.5, f"{BEAT_HF}: more before an event"),
    _anchor("weekly mean ranges over 2 kg", 60, 88, f"{LEDWIDGE}: three patients in four"),
    _anchor("14-day change before events", 0.5, 1.3, f"{ZHANG}: 0.9 kg"),
    _anchor("14-day change before events, deviation", 1.5, 2.5, f"{ZHANG}: 2.1"),
    _anchor("14-day change controls", -0.4, 0.15, f"{ZHANG}: -0.2"),
    _anchor("14-day change controls, deviation", 0.8, 1.4, f"{ZHANG}: 1.1"),
    _anchor("odds of a gain of 2-5 lb", 1.13, 6.8, f"{CHAUDHRY}: 2.77"),
    _anchor("odds of a gain of 5-10 lb", 1.45, 13.75, f"{CHAUDHRY}: 4.46"),
    _anchor("odds of a gain of over 10 lb", 2.22, 26.4, f"{CHAUDHRY}: 7.65"),
    _anchor("gain from day -33 to -13", 0, 0.6, f"{CHAUDHRY}: small, from about day -30"),
    _anchor("either rule sees", 20, 46, f"{FAST}: 22.5 %; implanted devices' comparators: 43.9 %"),
    _anchor("either rule, unexplained", 3.4, 5.7, f"{FAST}: 4.3 a patient-year"),
    _anchor("1.36 kg in a day", 18, 46, f"{LEDWIDGE}: 46 %; {FAST}: at most 22.5 %"),
    _anchor("2 kg in 3 days", 10, 30, f"{GYLLENSTEN}: 11 %; {LEDWIDGE}: 21 %"),
    _anchor("2 kg over 28 days", 24, 54, f"{GYLLENSTEN}: 39 %"),
    _anchor("MACD at 9 % of control windows", 15, 40, f"{ZHANG}: 20 %; {GYLLENSTEN}: 33 %"),
    _anchor("Youden of either rule", 0.02, 0.22, f"{ZHANG}: 0.04-0.07"),
    _anchor("window area, either rule", 0.51, 0.61, "published: .55"),
    _anchor("window area, several signals", 0.58, 0.72, "published: .64"),
    _anchor("window area, weight", 0.52, 0.68, f"{GYLLENSTEN}: weight alone did not predict"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One anchor on one cohort."""

    anchor: Anchor
    value: float

    @property
    def passed(self) -> bool:
        """Whether it lies in its range; NaN does not."""
        return self.anchor.low <= self.value <= self.anchor.high


class CohortRefusedError(Exception):
    """These people may not be scored.

    Attributes:
        reasons: what is wrong with them, one sentence each.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("the simulated cohort is refused, nothing is scored: " + "; ".join(reasons))
        self.reasons = reasons


def judge(cohort: Cohort) -> tuple[Verdict, ...]:
    """Return every anchor's verdict, whatever the size of the cohort."""
    found = measure(cohort)
    return tuple(Verdict(anchor=anchor, value=found[anchor.name]) for anchor in ANCHORS)


def accept(cohort: Cohort, *, patients: int = PATIENTS, seeds: int = SEEDS) -> tuple[Verdict, ...]:
    """Return the verdicts of a cohort that may be scored.

    Args:
        cohort: pooled over its seeds.
        patients: how many it must have at least.
        seeds: of how many seeds at least.

    Raises:
        CohortRefusedError: too few, or a measure out of its range.
    """
    reasons = []
    if cohort.patients < patients or len(set(cohort.seeds)) < seeds:
        reasons.append(
            f"{cohort.patients} patients of {len(set(cohort.seeds))} seeds, at least {patients} of {seeds} are needed"
        )
    verdicts = judge(cohort)
    reasons += [
        f"{one.anchor.name} is {one.value:.2f}, not {one.anchor.low:g} to {one.anchor.high:g}"
        for one in verdicts
        if not one.passed
    ]
    if reasons:
        raise CohortRefusedError(tuple(reasons))
    return verdicts
