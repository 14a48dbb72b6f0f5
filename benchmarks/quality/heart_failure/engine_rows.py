"""The simulated people judged by the box's own engine: a care protocol and Readings in, alerts out.

Rules of this room:

- A day's weight is dated 08:00, or 20:00 when it was taken in the evening, and the other readings ten minutes before;
  the zone is UTC. A cuff or an oximeter gives the heart rate as a pulse rate too.
- The engine's windows are hours on a clock, those of the detectors are days: where they differ, an evening weighing
  lies within the window. `agreement` counts the days and shows that there is no other reason.
- An alert ends where its condition ends (`end_delta` is `delta`), so that it stands exactly on the days on which the
  detector of the same rule is beyond its threshold.
- The engine's rows count the alerts that it raised, as a nurse would receive them; the pause of a week that the
  detectors keep between two alerts is theirs alone.

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
from alerting.rules import ChangeRule, Direction, RuleWords, Statistic
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
_REACH = 4
"""Days back to which a window of three days and twelve hours reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAlert:
    """One alert of the engine.

    Attributes:
        patient: row.
        rule: id.
        category: clinical or technical.
        raised_at: ms UTC.
        resolved_at: ms UTC, None when it stands.
    """

    patient: int
    rule: str
    category: Category
    raised_at: int
    resolved_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the engine and a detector say the same of the same days.

    Attributes:
        days: with a weighing.
        differ: of them, on which one is beyond and the other is not.
        by_the_clock: of those, with an evening weighing within the window.
    """

    days: int
    differ: int
    by_the_clock: int


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


POUNDS = protocol(
    gain_rule("three_pounds", grams=round(3 * GRAMS_A_POUND), days=1, slack=6 * HOUR),
    gain_rule("five_pounds", grams=round(5 * GRAMS_A_POUND), days=3, slack=12 * HOUR),
)
TWO_KILOGRAMS = protocol(gain_rule("two_kilograms", grams=2000, days=3, slack=12 * HOUR))


def judged(cohort: Cohort, by: CareProtocol, *, processes: int = _PROCESSES) -> list[EngineAlert]:
    """Return the alerts that the engine raises on these people, in the order of their rows."""
    work = [_Life.of(cohort, slice(start, start + _CHUNK)) for start in range(0, cohort.patients, _CHUNK)]
    # Spawned: a worker shares nothing with this process but what it is handed.
    with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
        return [alert for alerts in pool.map(partial(_judge, by), work) for alert in alerts]


def raised(cohort: Cohort, alerts: Sequence[EngineAlert]) -> AlertDays:
    """Return the days on which one or more clinical alerts were raised."""
    found = np.zeros(cohort.weight.shape, dtype=bool)
    for one in alerts:
        if one.category is Category.CLINICAL:
            found[one.patient, (one.raised_at - BEGUN) // DAY] = True
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


def agreement(cohort: Cohort, alerts: Sequence[EngineAlert], score: Days, threshold: float) -> Agreement:
    """Return how far the alerts stand on the days on which a detector is beyond its threshold."""
    weighed = np.isfinite(cohort.weight)
    differ = standing(cohort, alerts) != ((score >= threshold) & weighed)
    near = cohort.in_the_evening.copy()
    for lag in range(1, _REACH + 1):
        near[:, lag:] |= cohort.in_the_evening[:, :-lag]
    return Agreement(days=int(weighed.sum()), differ=int(differ.sum()), by_the_clock=int((differ & near).sum()))


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
        )
        for one in backtest(by, histories, zone=_ZONE, since=BEGUN, until=BEGUN + days * DAY - 1)
    ]
