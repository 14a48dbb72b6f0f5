"""Which readings a rule looks at, in which order, and the windows it looks through."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerting.care_protocol import Rule, Timing
from alerting.program import window_readings
from alerting.scheduled_rules import CompositeRule, Concern, QualityRule, Score, ScoreRule
from devices.reading import Quality, Quantity, Reading, Validity

WEIGHT = Quantity.BODY_WEIGHT


@dataclass(frozen=True)
class Setting:
    """How a patient's quantities are measured, and where the patient lives."""

    timings: Mapping[Quantity, Timing]
    zone: ZoneInfo

    def cadence(self, quantity: Quantity) -> int:
        return self.timings[quantity].cadence if quantity in self.timings else 0

    def most(self, quantity: Quantity, span: int) -> int:
        """Return how many readings a window of `span` ms holds at most: a number that the engine sets."""
        return window_readings(self.timings.get(quantity), span)

    def gap(self, quantity: Quantity) -> int | None:
        return self.timings[quantity].gap if quantity in self.timings else None


def order(reading: Reading) -> tuple[int, str, str, str]:
    """Return what readings are sorted by."""
    return (reading.measured_at, reading.quantity.value, reading.device, reading.key)


def judged(reading: Reading) -> bool:
    """Whether a threshold may judge a reading."""
    return (
        reading.validity in (Validity.VALID, Validity.UNDERFLOW, Validity.OVERFLOW)
        and not reading.quality & Quality.WARMING_UP
    )


def looked_at(rule: Rule, reading: Reading, rules: Sequence[Rule]) -> bool:
    """Whether a reading is one that `rule`, one of `rules`, looks at."""
    match rule:
        case CompositeRule():
            members = [
                one for one in rules if one.id in rule.of and not (_weighs(one) and reading.quantity is not WEIGHT)
            ]
            return any(looked_at(one, reading, rules) for one in members)
        case QualityRule(concern=Concern.FLAGS):
            silent = reading.validity in (Validity.CALIBRATING, Validity.INVALID)
            return reading.quantity is rule.quantity and not silent and not reading.quality & Quality.WARMING_UP
        case ScoreRule():
            return reading.quantity in rule.of and judged(reading)
        case _:
            return reading.quantity is rule.quantity and judged(reading)


def _weighs(rule: Rule) -> bool:
    """Whether a rule reads several quantities and yet is worth something at weighings alone."""
    return isinstance(rule, ScoreRule) and rule.score is Score.HEART_FAILURE


def window(readings: Sequence[Reading], index: int, span: int, setting: Setting) -> list[Reading]:
    """Return the readings from `span` ms before the one at `index` up to it, the latest ones if they are many."""
    last = readings[index]
    held = readings[max(0, index + 1 - setting.most(last.quantity, span)) : index + 1]
    return [one for one in held if one.measured_at >= last.measured_at - span]


def unique(readings: Iterable[Reading]) -> list[Reading]:
    """Return each reading once, in canonical order."""
    return sorted({(one.quantity, one.device, one.key): one for one in readings}.values(), key=order)
