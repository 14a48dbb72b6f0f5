"""The levels that a trial's picture draws across a quantity's trace: what each is a threshold of, in words.

A level rule's threshold holds for each reading, that of a mean for a mean over days, that of a share for a part of a
window's readings; a dry weight with what is allowed beside it is a level too. Rules that count a change, a rate or a
forecast have none, nor has a baseline that moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.backtest_words import Words
from alerting.alert import Priority
from alerting.care_protocol import CareProtocol, Rule
from alerting.explain import shown_unit
from alerting.rules import Baseline, BaselineRule, LevelRule, ShareRule
from alerting.scheduled_rules import MeanRule
from devices.reading import Quantity, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A level and the rules that have it.

    Attributes:
        count: quanta.
        rules: place of the protocol among those drawn, and rule; at least one.
    """

    count: int
    rules: Sequence[tuple[int, Rule]]

    @property
    def places(self) -> set[int]:
        """Which protocols have it."""
        return {place for place, _ in self.rules}

    @property
    def priority(self) -> Priority:
        """The gravest of its rules'."""
        return max((rule.priority for _, rule in self.rules), key=list(Priority).index)

    @property
    def of_each_reading(self) -> bool:
        """Whether a single reading beyond it counts by itself."""
        return any(isinstance(rule, LevelRule) for _, rule in self.rules)

    def text(self, quantity: Quantity, unit: Unit, words: Words) -> str:
        """Return what it is, such as "70 mg/dL" or "mean 135 mmHg"."""
        text = f"{words.amount(quantity, self.count, unit)} {shown_unit(unit)}"
        if self.of_each_reading:
            return text
        kinds = dict.fromkeys(_kind(rule, quantity, unit, words) for _, rule in self.rules)
        return f"{', '.join(kinds)} {text}"


def levels_of(protocols: Sequence[CareProtocol], quantity: Quantity) -> list[Level]:
    """Return the levels of a quantity under one or two protocols, from the lowest on."""
    found: dict[int, list[tuple[int, Rule]]] = {}
    for place, protocol in enumerate(protocols):
        for rule in protocol.rules:
            count = _level(rule) if rule.quantity is quantity else None
            if count is not None:
                found.setdefault(count, []).append((place, rule))
    return [Level(count=count, rules=rules) for count, rules in sorted(found.items())]


def _level(rule: Rule) -> int | None:
    match rule:
        case LevelRule() | MeanRule() | ShareRule():
            return rule.threshold
        case BaselineRule(statistic=Baseline.DRY_WEIGHT):
            return rule.reference + rule.limits.threshold
        case _:
            return None


def _kind(rule: Rule, quantity: Quantity, unit: Unit, words: Words) -> str:
    if isinstance(rule, MeanRule):
        return words.say("moy.", "mean")
    if isinstance(rule, ShareRule):
        return words.say("part", "share")
    if isinstance(rule, BaselineRule):
        sign = "+" if rule.limits.threshold > 0 else "−"
        return (
            words.say("sec", "dry")
            + f" {sign}\u00a0{words.difference(quantity, abs(rule.limits.threshold), unit)}{words.say(' :', ':')}"
        )
    return ""
