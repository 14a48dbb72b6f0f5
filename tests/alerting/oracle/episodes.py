"""From values to alerts: a rule raises once it has been beyond for long enough, and ends once it has been back."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from alerting.care_protocol import ValueRule
from alerting.rules import ForecastRule, LevelRule, RateRule
from devices.reading import Quantity, Reading
from tests.alerting.oracle.limits import back, beyond
from tests.alerting.oracle.sight import Setting

Moment = tuple[int, int, tuple[str, ...]]
"""When something is looked at: ms UTC; 0 for a reading, 1 for a deadline; and which is first of two at once."""

_SHOWN = 14


@dataclass(frozen=True)
class Expected:
    """An alert: its rule, its times and the (device, key) of the readings it rests on."""

    rule: str
    onset: int
    raised_at: int
    resolved_at: int | None
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Step:
    """What a rule was worth at a moment, and whether an alert of it stood after it."""

    moment: Moment
    reading: Reading | None
    value: int | None
    stands: bool = False


History = list[Step]


def moment_of(reading: Reading) -> Moment:
    """Return the moment of a reading."""
    return (reading.measured_at, 0, (reading.quantity.value, reading.device, reading.key))


def episodes(
    rule: ValueRule,
    steps: Sequence[Step],
    *,
    setting: Setting,
    since: int,
    evidence: Callable[[Sequence[Step]], Sequence[Reading]],
) -> tuple[list[Expected], History]:
    """Return the alerts of a rule, and each step with whether an alert stood after it.

    `evidence` is given the run that raised, up to the step at which it did.
    """
    found: list[Expected] = []
    history: History = []
    standing: Expected | None = None
    first: int | None = None
    last: dict[Quantity, int] = {}
    for index, step in enumerate(steps):
        at = step.moment[0]
        if step.reading is not None:
            gap = setting.gap(step.reading.quantity)
            if gap is not None and at - last.get(step.reading.quantity, at) > gap:
                first = None
            last[step.reading.quantity] = at
        if step.value is None:
            pass
        elif standing is None:
            just_ended = bool(found) and found[-1].resolved_at == at
            first = _run(first, index, goes_on=beyond(rule, step.value) and (first is not None or not just_ended))
            if first is not None and _lasts(rule, steps[first : index + 1], setting, ending=False) and at >= since:
                shown = tuple((one.device, one.key) for one in evidence(steps[first : index + 1]))
                standing = Expected(rule.id, steps[first].moment[0], at, None, shown)
                first = None
        else:
            first = _run(first, index, goes_on=back(rule, step.value))
            if first is not None and _lasts(rule, steps[first : index + 1], setting, ending=True):
                found.append(Expected(rule.id, standing.onset, standing.raised_at, at, standing.evidence))
                standing = None
                first = None
        history.append(Step(step.moment, step.reading, step.value, standing is not None))
    return (found if standing is None else [*found, standing]), history


def latest(run: Sequence[Step]) -> list[Reading]:
    """Return the latest readings of a run, as many as an alert shows."""
    return [step.reading for step in run if step.reading is not None][-_SHOWN:]


def _run(first: int | None, index: int, *, goes_on: bool) -> int | None:
    if not goes_on:
        return None
    return index if first is None else first


def _lasts(rule: ValueRule, run: Sequence[Step], setting: Setting, *, ending: bool) -> bool:
    persist = 0
    if isinstance(rule, LevelRule | RateRule | ForecastRule):
        persist = rule.end_persist if ending else rule.persist
    length = run[-1].moment[0] - run[0].moment[0]
    cadence = setting.cadence(rule.quantity)
    if cadence == 0:
        return length >= persist
    points = math.ceil(Fraction(persist, cadence))
    return length >= (points - 1) * cadence - Fraction(cadence, 2)
