"""The same forecasts raised by the box's own engine, under a care protocol with forecast rules.

The engine raises an alert when the forecast crosses its threshold and ends it when the forecast is back; a scorer with
a threshold alarms anew every 30 min for as long as it stays there. So the engine's alerts are held, one by one, against
the crossings of the reference scorer, and scored by themselves: told unless low, and 30 min after the last one told at
the earliest. A threshold is rounded to what a protocol can say (0.1 mg/dL, 0.01 %), and so is the engine's forecast: a
crossing that the two see at different readings because the risk is within so much of the threshold is counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.glucose.harness import Sitting, checked
from benchmarks.quality.glucose.judge import Watching
from benchmarks.quality.glucose.labels import Labels
from benchmarks.quality.glucose.operating import REFRACTORY, Watched
from benchmarks.quality.glucose.outcomes import JITTER
from benchmarks.quality.glucose.traces import MINUTE, Trace

HOLT_COARSEST, KALMAN_FINEST = 6, 10
"""Minutes between two readings up to which a protocol may ask for the one, and from which on for the other."""
Wanted = tuple[str, float]
ROUNDING = 0.0501
"""Half of what an engine's forecast is rounded to, mg/dL, and a little for its own exponential."""
ROUNDING_OF_PROBABILITY = 0.0000501

_HEAD = """
schema = 1
name = "forecasts"
version = 1
title = {{ fr = "Prévisions", en = "Forecasts" }}

[transmission]
not_transmitted_after = "6 h"

[quantities.glucose_interstitial]
cadence = "{cadence} min"
gap = "45 min"
"""
_RULE = """
[[rules]]
id = "{id}"
quantity = "glucose_interstitial"
priority = "medium"
audience = "nurse"
title = {{ fr = "Hypoglycémie prévue", en = "Low expected" }}
check = {{ fr = "une glycémie au doigt", en = "a fingerstick" }}
sources = ["here"]
kind = "{kind}"
"""
_ABSENCE = """
expected = "1 h"
grace = "2 h"

[sources]
here = "Written for a benchmark"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The engine's alerts held against the crossings of the reference scorer.

    Attributes:
        raised: by the engine.
        same: raised at the very reading of a crossing.
        rounded: the others, and the crossings that the engine did not raise, where rounding explains it.
        different: those that nothing explains.
    """

    raised: int
    same: int
    rounded: int
    different: int

    def __add__(self, other: "Held") -> "Held":
        return Held(
            raised=self.raised + other.raised,
            same=self.same + other.same,
            rounded=self.rounded + other.rounded,
            different=self.different + other.different,
        )


def models(cadence: int) -> tuple[str, ...]:
    """Return the models that a care protocol may ask for with a reading every so many minutes."""
    mixed = ("holt_ar2",) * (cadence <= HOLT_COARSEST) + ("kalman",) * (cadence >= KALMAN_FINEST)
    return ("linear", "ar2", *mixed)


def rule_id(place: int) -> str:
    """Return the id of the rule for a threshold."""
    return f"forecast_{place}"


def protocol_text(level: float, cadence: int, wanted: Sequence[Wanted]) -> str:
    """Return a care protocol that raises forecasts.

    Args:
        level: mg/dL.
        cadence: minutes.
        wanted: a model and a threshold on the risk of its reference scorer, one a rule.
    """
    rules = [
        _RULE.format(id=rule_id(place), kind="forecast") + _limits(model, level, threshold)
        for place, (model, threshold) in enumerate(wanted)
    ]
    absence = _RULE.format(id="no_glucose", kind="missing").rstrip() + _ABSENCE
    return _HEAD.format(cadence=cadence) + "".join(rules) + absence


def _limits(model: str, level: float, threshold: float) -> str:
    lines = [f'model = "{model}"', f'horizon = "{30 if model == "ar2" else 20} min"']
    if model == "kalman":
        lines += [
            'side = "below"',
            f'threshold = "{level:.1f} mg/dL"',
            f'probability = "{100 * threshold:.2f} %"',
            f'end_probability = "{100 * threshold:.2f} %"',
        ]
    else:
        lines += [
            'side = "at_most"',
            f'threshold = "{-threshold:.1f} mg/dL"',
            f'end_threshold = "{-threshold:.1f} mg/dL"',
        ]
    if model == "linear":
        lines.append('window = "945 s"')
    return "\n".join(lines) + "\n"


def raised(traces: Sequence[Trace], level: float, wanted: Mapping[str, Sequence[Wanted]]) -> dict[str, list[list[int]]]:
    """Return patient -> for each model and threshold wanted, the readings at which the engine raises."""
    sittings, places = [], []
    for trace in traces:
        # Two thresholds that a protocol writes alike are one rule: it may not have the same one twice.
        written = {_limits(model, level, threshold): (model, threshold) for model, threshold in wanted[trace.patient]}
        places.append([list(written).index(_limits(model, level, limit)) for model, limit in wanted[trace.patient]])
        text = protocol_text(level, trace.cadence // MINUTE, list(written.values()))
        rules = tuple(rule_id(place) for place in range(len(written)))
        sittings.append(Sitting(trace=trace, task=Watching(protocol=text, rules=rules)))
    return {
        sitting.trace.patient: [
            [index for index, answer in enumerate(answers) if answer.alarms[place]] for place in mine
        ]
        for sitting, mine, answers in zip(sittings, places, checked(sittings), strict=True)
    }


def told(labels: Labels, alerts: Sequence[int]) -> list[int]:
    """Return which alerts are told: not while low, and 30 min after the last one told at the earliest."""
    found: list[int] = []
    for index in alerts:
        due = not found or labels.trace.times[index] - labels.trace.times[found[-1]] >= REFRACTORY - JITTER
        if due and not labels.low[index]:
            found.append(index)
    return found


def crossings(watched: Watched, threshold: float) -> list[int]:
    """Return the readings at which the risk comes to or over a threshold; one without a forecast changes nothing."""
    found: list[int] = []
    beyond = False
    for index, risk in enumerate(watched.risks):
        if not np.isfinite(risk):
            continue
        if risk >= threshold and not beyond:
            found.append(index)
        beyond = bool(risk >= threshold)
    return found


def held(watched: Watched, model: str, threshold: float, alerts: Sequence[int]) -> Held:
    """Hold the engine's alerts of one person against the reference scorer's crossings."""
    expected = set(crossings(watched, threshold))
    same = expected & set(alerts)
    margin = ROUNDING_OF_PROBABILITY if model == "kalman" else ROUNDING
    close = np.abs(watched.risks - threshold) <= margin
    others = expected ^ set(alerts)
    rounded = sum(bool(close[max(0, index - 1) : index + 1].any()) for index in others)
    return Held(raised=len(alerts), same=len(same), rounded=rounded, different=len(others) - rounded)
