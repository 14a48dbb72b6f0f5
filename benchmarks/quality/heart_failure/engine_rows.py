"""The simulated people judged by the box's own engine: a care protocol and Readings in, alerts out.

Rules of this room:

- A day's weight is dated 08:00, or 20:00 when it was taken in the evening, and the other readings ten minutes before;
  the zone is UTC. A cuff or an oximeter gives the heart rate as a pulse rate too.
- The engine's windows are hours on a clock, those of the detectors are days: where they differ, an evening weighing
  lies within reach. `agreement` counts the days and shows that there is no other reason.
- An alert ends where its condition ends (`end_delta` is `delta`), so that it stands exactly on the days on which the
  detector of the same rule is beyond its threshold.
- The engine's rows count the alerts that a nurse is told of; the pause of a week that the detectors keep between two
  alerts is theirs alone.

The work is done in processes of their own, some patients at a time.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import resources
from multiprocessing import get_context
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alerting.alert import Audience, Category, Priority, Sentence
from alerting.backtest import backtest
from alerting.care_protocol import CareProtocol, Rule
from alerting.protocol_file import read_protocol
from alerting.rules import Baseline, BaselineRule, ChangeRule, Direction, RuleWords, Statistic
from alerting.scheduled_rules import Score, ScoreRule
from benchmarks.quality.heart_failure.cohort import Cohort
from benchmarks.quality.heart_failure.detectors import GRAMS_A_POUND
from benchmarks.quality.heart_failure.outcomes import AlertDays
from benchmarks.quality.heart_failure.windows import Days
from devices.reading import ClockTrust, Provenance, Quantity, Reading, Validity, facts

HOUR = 3_600_000
DAY = 24 * HOUR
BEGUN = 1_767_225_600_000
"""2026-01-01T00:00:00Z: midnight of day 0."""
_ZONE = ZoneInfo("UTC")
_MORNING, _EVENING = 8 * HOUR, 20 * HOUR
_BEFORE_THE_SCALE = HOUR // 6
_CHUNK = 40
_PROCESSES = int(os.environ.get("QUALITY_PROCESSES", "0")) or os.cpu_count() or 1
_WORDS = RuleWords(title=Sentence(fr="simulé", en="simulated"), check=Sentence(fr="-", en="-"), sources=("table",))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAlert:
    """One alert of the engine.

    Attributes:
        patient: row.
        rule: id.
        category: clinical or technical.
        raised_at: ms UTC.
        resolved_at: ms UTC, None when it stands.
        told_at: ms UTC at which the nurse was told, None when the protocol held it back to its end.
    """

    patient: int
    rule: str
    category: Category
    raised_at: int
    resolved_at: int | None
    told_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A protocol that says the same as a detector with its threshold, but for the clock.

    Attributes:
        by: the protocol.
        reach: days back to which an evening weighing makes a difference.
        within: how near to the threshold a score may lie on the other side, in the detector's unit: of the readings
            taken ten minutes before a weighing, those of 35 days ago lie just outside the engine's 35 days.
    """

    by: CareProtocol
    reach: int = 4
    within: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the engine and a detector say the same of the same days.

    Attributes:
        days: with a weighing and a score.
        differ: of them, on which one is beyond and the other is not.
        explained: of those, with an evening weighing within reach or a score near enough to its threshold.
    """

    days: int
    differ: int
    explained: int


def protocol(*rules: Rule) -> CareProtocol:
    """Return a protocol of these rules alone; nothing but a table judges by it."""
    return CareProtocol(
        name="quality",
        version=1,
        title=_WORDS.title,
        not_transmitted_after=2 * DAY,
        timings={},
        rules=rules,
        sources={"table": "a table, not a care protocol"},
    )


def packaged() -> CareProtocol:
    """Return the heart-failure protocol that ships, as a nurse finds it."""
    data = (resources.files("configs") / "protocols" / "heart_failure.toml").read_bytes()
    return read_protocol(data, name_hint="heart_failure.toml")


def gain_rule(name: str, *, grams: int, days: int, slack: int) -> ChangeRule:
    """Return the rule of a gain of `grams` above the lowest weight of `days` and `slack` ms."""
    return ChangeRule(
        id=name,
        quantity=Quantity.BODY_WEIGHT,
        priority=Priority.MEDIUM,
        audience=Audience.NURSE,
        words=_WORDS,
        direction=Direction.RISE,
        delta=grams,
        end_delta=grams,
        window=days * DAY,
        slack=slack,
        statistic=Statistic.LOWEST,
    )


def macd_twin(thousandths: int) -> Twin:
    """Return the twin of `detectors.weight_macd` at so many grams; what a spike is reaches back, and is remembered."""
    return Twin(
        by=protocol(_baseline_rule("macd", Baseline.MACD, grams=thousandths, short=3, long=14, min_readings=14)),
        reach=28,
    )


def log_odds_twin(thousandths: int) -> Twin:
    """Return the twin of `detectors.log_odds`, of the readings of one day."""
    rule = ScoreRule(
        id="log_odds",
        quantity=Quantity.BODY_WEIGHT,
        priority=Priority.MEDIUM,
        audience=Audience.NURSE,
        words=_WORDS,
        score=Score.HEART_FAILURE,
        of=(Quantity.BODY_WEIGHT, Quantity.HEART_RATE, Quantity.SPO2, Quantity.BLOOD_PRESSURE_SYSTOLIC),
        threshold=thousandths,
        end_threshold=thousandths,
        freshness=6 * HOUR,
    )
    return Twin(by=protocol(rule), reach=28, within=0.75)


def _baseline_rule(
    name: str,
    statistic: Baseline,
    *,
    grams: int,
    min_readings: int,
    window: int = 0,
    short: int = 0,
    long: int = 0,
) -> BaselineRule:
    return BaselineRule(
        id=name,
        quantity=Quantity.BODY_WEIGHT,
        priority=Priority.MEDIUM,
        audience=Audience.NURSE,
        words=_WORDS,
        statistic=statistic,
        direction=Direction.RISE,
        delta=grams,
        end_delta=grams,
        window=window,
        min_readings=min_readings,
        despike=4500,
        short=short,
        long=long,
    )


POUNDS = Twin(
    by=protocol(
        gain_rule("three_pounds", grams=round(3 * GRAMS_A_POUND), days=1, slack=6 * HOUR),
        gain_rule("five_pounds", grams=round(5 * GRAMS_A_POUND), days=3, slack=12 * HOUR),
    )
)
TWO_KILOGRAMS = Twin(by=protocol(gain_rule("two_kilograms", grams=2000, days=3, slack=12 * HOUR)))
FOUR_WEEKS = Twin(
    by=protocol(_baseline_rule("four_weeks", Baseline.MEAN, grams=2000, window=28 * DAY, min_readings=10))
)


def judged(cohort: Cohort, by: CareProtocol, *, processes: int = _PROCESSES) -> list[EngineAlert]:
    """Return the alerts that the engine raises on these people, in the order of their rows."""
    work = [_Life.of(cohort, slice(start, start + _CHUNK)) for start in range(0, cohort.patients, _CHUNK)]
    # Spawned: a worker shares nothing with this process but what it is handed.
    with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
        return [alert for alerts in pool.map(partial(_judge, by), work) for alert in alerts]


def told(cohort: Cohort, alerts: Sequence[EngineAlert]) -> AlertDays:
    """Return the days on which a nurse was told of one or more clinical alerts."""
    found = np.zeros(cohort.weight.shape, dtype=bool)
    for one in alerts:
        if one.category is Category.CLINICAL and one.told_at is not None:
            found[one.patient, (one.told_at - BEGUN) // DAY] = True
    return found


def standing(cohort: Cohort, alerts: Sequence[EngineAlert]) -> NDArray[np.bool_]:
    """Return the days at whose weighing an alert stands."""
    times = BEGUN + np.arange(cohort.days) * DAY + np.where(cohort.in_the_evening, _EVENING, _MORNING)
    found = np.zeros(cohort.weight.shape, dtype=bool)
    for one in alerts:
        at = times[one.patient]
        until = one.resolved_at if one.resolved_at is not None else at[-1] + 1
        found[one.patient] |= (at >= one.raised_at) & (at < until)
    return found & np.isfinite(cohort.weight)


def agreement(cohort: Cohort, alerts: Sequence[EngineAlert], score: Days, threshold: float, twin: Twin) -> Agreement:
    """Return how far the alerts stand on the days on which a detector is beyond its threshold.

    Days without a score are left out: there the engine's rule has no value either, and holds what it said before.
    """
    valued = np.isfinite(cohort.weight) & np.isfinite(score)
    differ = valued & (standing(cohort, alerts) != (score >= threshold))
    reason = np.abs(score - threshold) < twin.within
    for lag in range(twin.reach + 1):
        reason[:, lag:] |= cohort.in_the_evening[:, : cohort.days - lag]
    return Agreement(days=int(valued.sum()), differ=int(differ.sum()), explained=int((differ & reason).sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """What some patients measured, as it is handed to a process."""

    first: int
    measured: dict[Quantity, Days]
    in_the_evening: NDArray[np.bool_]

    @classmethod
    def of(cls, cohort: Cohort, rows: slice) -> "_Life":
        return cls(
            first=rows.start,
            measured={
                Quantity.BODY_WEIGHT: cohort.weight[rows],
                Quantity.HEART_RATE: cohort.heart_rate[rows],
                Quantity.PULSE_RATE: cohort.heart_rate[rows],
                Quantity.BLOOD_PRESSURE_SYSTOLIC: cohort.systolic[rows],
                Quantity.SPO2: cohort.spo2[rows],
            },
            in_the_evening=cohort.in_the_evening[rows],
        )

    def readings(self, row: int, of: set[Quantity]) -> Iterator[Reading]:
        """Yield one patient's readings of these quantities."""
        for quantity, values in self.measured.items():
            if quantity not in of:
                continue
            known = facts(quantity)
            provenance = Provenance(source="file", value=None, unit=known.unit)
            quantum = float(known.quantum)
            early = 0 if quantity is Quantity.BODY_WEIGHT else _BEFORE_THE_SCALE
            for day in np.flatnonzero(np.isfinite(values[row])):
                at = BEGUN + int(day) * DAY + (_EVENING if self.in_the_evening[row, day] else _MORNING) - early
                yield Reading(
                    quantity=quantity,
                    count=round(values[row, day] / quantum),
                    validity=Validity.VALID,
                    measured_at=at,
                    clock=ClockTrust.TRUSTED,
                    received_at=at,
                    device="simulated",
                    key=str(at),
                    provenance=provenance,
                )


def _judge(by: CareProtocol, life: _Life) -> list[EngineAlert]:
    patients, days = life.in_the_evening.shape
    inputs = {quantity for rule in by.rules for quantity in rule.inputs}
    width = len(str(patients))
    histories = {f"{row:0{width}}": list(life.readings(row, inputs)) for row in range(patients)}
    return [
        EngineAlert(
            patient=life.first + int(one.patient),
            rule=one.rule,
            category=one.category,
            raised_at=one.raised_at,
            resolved_at=one.resolved_at,
            told_at=one.told_at,
        )
        for one in backtest(by, histories, zone=_ZONE, since=BEGUN, until=BEGUN + days * DAY - 1)
    ]
