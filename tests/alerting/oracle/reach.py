"""How long before the start of watching a reading still matters to a rule."""

from collections.abc import Iterable

from alerting.care_protocol import Rule
from alerting.rules import ChangeRule, LevelRule
from devices.reading import Quantity
from tests.alerting.oracle.sight import Setting


def reach(rules: Iterable[Rule], quantity: Quantity, setting: Setting) -> int:
    """Return the longest that any rule needs of a quantity."""
    return max([0, *(_of(rule, setting) for rule in rules if rule.quantity is quantity)])


def _of(rule: Rule, setting: Setting) -> int:
    match rule:
        case LevelRule():
            return rule.persist + (setting.gap(rule.quantity) or 0)
        case ChangeRule():
            return rule.window + rule.slack
        case _:
            return 0
