"""How long before the start of watching a reading still matters to a rule."""

from collections.abc import Sequence

from alerting.care_protocol import Rule
from alerting.rules import BaselineRule, ChangeRule, ForecastRule, LevelRule, RateRule, ShareRule
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Quantity
from tests.alerting.oracle.sight import Setting

DAY = 86_400_000
_LONGEST_DAY = 25 * 3_600_000


def reach(rules: Sequence[Rule], quantity: Quantity, setting: Setting) -> int:
    """Return the longest that any rule needs of a quantity."""
    return max([0, *(_of(rule, rules, setting) for rule in rules if quantity in rule.inputs)])


def _of(rule: Rule, rules: Sequence[Rule], setting: Setting) -> int:
    gap = setting.gap(rule.quantity) or 0
    match rule:
        case LevelRule():
            return rule.persist + gap
        case RateRule() | ForecastRule():
            return rule.window + rule.persist + gap
        case ChangeRule():
            return rule.window + rule.slack
        case BaselineRule():
            return rule.window + (14 * DAY if rule.despike else 0)
        case ShareRule():
            return rule.window
        case MeanRule():
            return rule.days * DAY + _LONGEST_DAY
        case QualityRule():
            return rule.window + gap
        case ScoreRule():
            return rule.freshness if rule.score is Score.NEWS2 else 49 * DAY
        case MissingRule():
            return 0 if rule.by is None else _LONGEST_DAY
        case CompositeRule():
            return rule.window + max(_of(one, rules, setting) for one in rules if one.id in rule.of)
