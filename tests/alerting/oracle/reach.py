"""How long before the start of watching a reading still matters.

The words of the rules leave it open; the engine says how far back it needs the history, and these are its numbers: long
enough for most windows, and for exponential means to have forgotten where they began, but not longer than a reading may
be late.
"""

from collections.abc import Sequence

from alerting.care_protocol import Rule
from alerting.rules import Baseline, BaselineRule, ChangeRule, ForecastRule, LevelRule, RateRule, ShareRule
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Quantity, Reading
from tests.alerting.oracle.sight import Setting, looked_at

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 86_400_000


def reach(rules: Sequence[Rule], reading: Reading, setting: Setting) -> int:
    """Return the longest that any rule needs of readings such as this one."""
    looking = [rule for rule in rules if looked_at(rule, reading, rules) and not isinstance(rule, CompositeRule)]
    longest = DAY if reading.quantity is Quantity.GLUCOSE_INTERSTITIAL else 35 * DAY
    return min(longest, max([0, *(_of(rule, setting) for rule in looking)]))


def _of(rule: Rule, setting: Setting) -> int:
    gap = setting.gap(rule.quantity) or 0
    match rule:
        case LevelRule():
            return rule.persist + gap
        case RateRule():
            return rule.window + rule.persist + gap
        case ForecastRule():
            pause = max(20 * MINUTE, 22 * setting.cadence(rule.quantity) // 10)
            return max(rule.window, 2 * pause) + rule.persist + gap
        case ChangeRule():
            return rule.window + rule.slack
        case BaselineRule():
            filtered = 14 * DAY if rule.despike else 0
            return filtered + _of_baseline(rule)
        case ShareRule() | QualityRule():
            return rule.window + gap
        case MeanRule():
            return (rule.days + 1) * DAY
        case ScoreRule():
            return 60 * DAY if rule.score is Score.HEART_FAILURE else rule.freshness
        case MissingRule():
            return 0 if rule.by is None else 25 * HOUR
        case _:
            return 0


def _of_baseline(rule: BaselineRule) -> int:
    match rule.statistic:
        case Baseline.EWMA | Baseline.CUSUM:
            return 5 * rule.window
        case Baseline.MACD:
            return 5 * rule.long * DAY
        case _:
            return rule.window
