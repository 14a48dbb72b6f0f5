"""Which readings a rule looks at, in which order, and the windows it looks through."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerting.care_protocol import Rule, Timing
from alerting.scheduled_rules import CompositeRule, Concern, QualityRule, ScoreRule
from devices.reading import Quality, Quantity, Reading, Validity

MOST = 128
"""A window holds at most so many readings, the latest ones."""


@dataclass(frozen=True)
class Setting:
    """How a patient's quantities are measured, and where the patient lives."""

    timings: Mapping[Quantity, Timing]
    zone: ZoneInfo

    def cadence(self, quantity: Quantity) -> int:
        return self.timings[quantity].cadence if quantity in self.timings else 0

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
            return any(looked_at(one, reading, rules) for one in rules if one.id in rule.of)
        case QualityRule(concern=Concern.FLAGS):
            return reading.quantity is rule.quantity and reading.validity not in (
                Validity.CALIBRATING,
                Validity.INVALID,
            )
        case ScoreRule():
            return reading.quantity in rule.of and judged(reading)
        case _:
            return reading.quantity is rule.quantity and judged(reading)


def window(readings: Sequence[Reading], index: int, span: int) -> list[Reading]:
    """Return the readings from `span` ms before the one at `index` up to it."""
    oldest = readings[index].measured_at - span
    return [one for one in readings[max(0, index + 1 - MOST) : index + 1] if one.measured_at >= oldest]


def unique(readings: Iterable[Reading]) -> list[Reading]:
    """Return each reading once, in canonical order."""
    return sorted({(one.quantity, one.device, one.key): one for one in readings}.values(), key=order)
