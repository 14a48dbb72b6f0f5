"""The heart-failure table: acceptance first, then every detector, then what would be otherwise.

Four sets of simulated people, none of whom is in two: models are fitted on the first, thresholds chosen on the second,
rows scored on the third, and the scenarios are people of their own. A cohort that is not accepted ends everything, and
so does a detector whose past changes when its future does.

    QUALITY_PATIENTS=600 make quality ARGS=heart_failure      # patients a seed; 500 at least
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.quality.heart_failure.acceptance import CohortRefusedError, Verdict, accept, judge
from benchmarks.quality.heart_failure.cohort import Cohort, pooled, simulate, with_another_future
from benchmarks.quality.heart_failure.comparison import window_area
from benchmarks.quality.heart_failure.detectors import RULES, Detector, Signals, chance, detectors, signals
from benchmarks.quality.heart_failure.engine_rows import (
    FOUR_WEEKS,
    POUNDS,
    TWO_KILOGRAMS,
    EngineAlert,
    Twin,
    agreement,
    judged,
    log_odds_twin,
    macd_twin,
    packaged,
    told,
)
from benchmarks.quality.heart_failure.learned import boosting, logistic, without_discharge
from benchmarks.quality.heart_failure.outcomes import outcomes, raise_alerts, threshold_for
from benchmarks.quality.heart_failure.parameters import SCENARIOS, TEXTBOOK, UNRELATED, Parameters
from benchmarks.quality.heart_failure.rows import Row, print_rows
from benchmarks.quality.heart_failure.windows import Days

PATIENTS = int(os.environ.get("QUALITY_PATIENTS", "600"))
FITTED, CHOSEN, SCORED = (301, 302, 303, 304, 305, 306, 307, 308), (201, 202, 203, 204), (101, 102, 103, 104)
SCENARIO_SEEDS = (401, 402, 403, 404)
AIM = 0.9
AIMS = {"random": (AIM, 4.6), "weight, MACD 3/14": (AIM, 1.5, 4.6), "log-odds of four signals": (AIM, 1.5)}
IN_SCENARIOS = ("weight, MACD 3/14", "weight, personal SPC", "log-odds of four signals", "boosting (bound)")
TWINS = {
    "3 lb in 1 day or 5 lb in 3 days": POUNDS,
    "2 kg in 3 days": TWO_KILOGRAMS,
    "2 kg over 28 days": FOUR_WEEKS,
}
"""What the box's engine is given for the rule of that name in `detectors.RULES`."""
TUNED_TWINS = {"weight, MACD 3/14": macd_twin, "log-odds of four signals": log_odds_twin}
"""The same for detectors with a threshold that was chosen, in thousandths of its unit."""
MOST_DIFFER = 0.01
"""Share of the days, above which not even an explained difference is believed."""
_CHANCE_DRAWS = 5
_PROBED, _PROBE_DAY = 100, 200


class LookAheadError(Exception):
    """A detector's past changes when its future does."""


class DisagreementError(Exception):
    """The engine and the detector of the same rule differ, and no hour of a weighing explains it."""


class People:
    """A cohort and what the detectors see of it."""

    def __init__(self, name: str, cohort: Cohort) -> None:
        self.name = name
        self.cohort = cohort
        self.seen = signals(cohort)


def figures() -> None:
    """Print the table and its JSON lines.

    Raises:
        SystemExit: with a sentence, when people or a detector are refused.
    """
    try:
        print_rows(list(rows()), rerun=f"QUALITY_PATIENTS={PATIENTS} make quality ARGS=heart_failure")
    except (CohortRefusedError, LookAheadError, DisagreementError) as refused:
        raise SystemExit(str(refused)) from refused


def rows() -> Iterator[Row]:
    """Yield every row.

    Raises:
        CohortRefusedError: the people that would be scored, or those on whom thresholds are chosen, are not accepted.
        LookAheadError: see there.
        DisagreementError: see there.
    """
    chosen, scored = (pooled(seeds, patients=PATIENTS) for seeds in (CHOSEN, SCORED))
    accept(chosen)
    _print_verdicts(accept(scored))
    _print_refused("textbook: everybody gains slowly", TEXTBOOK)
    _print_refused("null: readings tell nothing", UNRELATED)
    tried, people = People("accepted", chosen), People("accepted", scored)
    _say(f"signals of {chosen.patients} + {scored.patients} patients")
    for name, (detector, threshold) in RULES.items():
        refuse_look_ahead(name, detector)
        yield score(people, name, detector, threshold)
    for name, twin in TWINS.items():
        yield engine_row(people, name, *RULES[name], twin)
        _say(f"engine: {name}")
    yield packaged_row(People("one seed", pooled(SCORED[:1], patients=PATIENTS)))
    _say("engine: the shipped protocol")
    every = {**detectors(seed=1), **_learned()}
    thresholds: dict[str, float] = {}
    for name, detector in every.items():
        refuse_look_ahead(name, detector)
        on_tried = detector(tried.seen)
        for aim in AIMS.get(name, (AIM,)):
            threshold = threshold_for(chosen, on_tried, unexplained=aim)
            thresholds.setdefault(name, threshold)
            yield score(people, name, detector, threshold, aim=aim)
        _say(name)
    for name, twin_at in TUNED_TWINS.items():
        thousandths = round(1000 * thresholds[name])
        row = engine_row(people, name, every[name], thousandths / 1000, twin_at(thousandths))
        yield replace(row, aim=AIM)
        _say(row.name)
    for name, parameters in SCENARIOS.items():
        yield from _scenario(name, parameters, {one: (every[one], thresholds[one]) for one in IN_SCENARIOS})


def score(people: People, name: str, detector: Detector, threshold: float, *, aim: float | None = None) -> Row:
    """Return the row of a detector with its threshold on these people."""
    found = detector(people.seen)
    result = outcomes(people.cohort, raise_alerts(found, threshold, people.cohort.at_home))
    return Row(
        people=people.name,
        name=name,
        aim=aim,
        threshold=threshold,
        outcomes=result,
        chance=chance_at(people, result.alerts.value),
        area=window_area(people.cohort, found),
    )


def engine_row(people: People, name: str, detector: Detector, threshold: float, twin: Twin) -> Row:
    """Return the row of the alerts that the box's engine raises by a protocol that says what the detector does.

    Raises:
        DisagreementError: the alerts stand on other days than those on which the detector is beyond its threshold.
    """
    alerts = judged(people.cohort, twin.by)
    found = agreement(people.cohort, alerts, detector(people.seen), threshold, twin)
    said = (
        f"engine and detector of {name} differ on {found.differ} of {found.days} days, {found.explained} of them "
        "by an hour of the clock"
    )
    if found.differ != found.explained or found.differ > MOST_DIFFER * found.days:
        raise DisagreementError(f"the row is refused: {said}")
    print(f"simulated | {said}")
    return _engine_row(people, f"engine: {name}", alerts)


def packaged_row(people: People) -> Row:
    """Return the row of the protocol that ships, all its clinical alerts together; absences count as told only.

    Of one seed's people: each alert is told in full sentences, which takes longer than judging.
    """
    alerts = judged(people.cohort, packaged())
    by_rule = Counter(one.rule for one in alerts if one.told_at is not None)
    days = float(people.cohort.at_home.sum())
    each = ", ".join(f"{rule} {number / days:.4f}" for rule, number in by_rule.most_common())
    print(f"simulated | the shipped protocol tells a nurse, alerts a patient-day by rule: {each}")
    return _engine_row(people, "engine: the shipped protocol", alerts)


def _engine_row(people: People, name: str, alerts: Sequence[EngineAlert]) -> Row:
    result = outcomes(people.cohort, told(people.cohort, alerts))
    received = sum(one.told_at is not None for one in alerts)
    return Row(
        people=people.name,
        name=name,
        aim=None,
        threshold=None,
        # A nurse receives two alerts of one day, and those of absence, one by one.
        outcomes=replace(result, alerts_a_day=received / float(people.cohort.at_home.sum())),
        chance=chance_at(people, result.alerts.value),
        area=None,
    )


def chance_at(people: People, alerts: float) -> float:
    """Return the % of events that random alerts see when they are as many a patient-year."""
    cohort = people.cohort
    threshold = threshold_for(cohort, chance(people.seen, seed=0), alerts=alerts)
    return float(
        np.mean(
            [
                outcomes(
                    cohort, raise_alerts(chance(people.seen, seed=seed), threshold, cohort.at_home), draws=1
                ).seen.value
                for seed in range(_CHANCE_DRAWS)
            ]
        )
    )


def refuse_look_ahead(name: str, detector: Detector) -> None:
    """Score people twice, with another life from one day on.

    Raises:
        LookAheadError: a score before that day differs.
    """
    lived, other = simulate(patients=_PROBED, seed=901), simulate(patients=_PROBED, seed=902)
    changed = with_another_future(lived, other, since=_PROBE_DAY)
    before, after = (detector(signals(life))[:, :_PROBE_DAY] for life in (lived, changed))
    if not np.array_equal(before, after, equal_nan=True):
        raise LookAheadError(f"{name} is refused: its scores before day {_PROBE_DAY} change when the days after do")


def _learned() -> dict[str, Detector]:
    fitted = pooled(FITTED, patients=PATIENTS)
    seen = signals(fitted)
    _say(f"signals of {fitted.patients} patients to fit on")
    unaware = logistic(fitted, without_discharge(seen), seed=1)
    return {
        "logistic": logistic(fitted, seen, seed=1),
        "logistic, discharge unknown": partial(_unaware, unaware),
        "boosting (bound)": boosting(fitted, seen, seed=1),
    }


def _unaware(detector: Detector, seen: Signals) -> Days:
    return detector(without_discharge(seen))


def _scenario(name: str, parameters: Parameters, kept: dict[str, tuple[Detector, float]]) -> Iterator[Row]:
    """Yield rows on other people, by the thresholds of the accepted ones; outside the ranges on purpose."""
    cohort = pooled(SCENARIO_SEEDS, patients=PATIENTS // 2, parameters=parameters)
    verdicts = judge(cohort)
    people = People(f"{name} ({_passed(verdicts)})", cohort)
    yield score(people, "3 lb in 1 day or 5 lb in 3 days", *RULES["3 lb in 1 day or 5 lb in 3 days"])
    for one, (detector, threshold) in kept.items():
        yield score(people, one, detector, threshold, aim=AIM)
    _say(name)


def _print_verdicts(verdicts: tuple[Verdict, ...]) -> None:
    for one in verdicts:
        anchor = one.anchor
        print(f"simulated | {anchor.name:42} {one.value:7.2f}  in {anchor.low:g} to {anchor.high:g}  ({anchor.source})")
    print(f"simulated | accepted: {_passed(verdicts)} measures in their ranges")


def _print_refused(name: str, parameters: Parameters) -> None:
    print(f"simulated | {name}: {_passed(judge(pooled(SCORED, patients=500, parameters=parameters)))}, refused")


def _passed(verdicts: tuple[Verdict, ...]) -> str:
    return f"{sum(one.passed for one in verdicts)} of {len(verdicts)}"


_STARTED = time.monotonic()


def _say(what: str) -> None:
    """Tell somebody who waits how far it is, beside the table."""
    print(f"[{time.monotonic() - _STARTED:4.0f} s] {what}", file=sys.stderr, flush=True)
