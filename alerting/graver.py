"""Why an alert is not graver: what the next graver rule about the same would take, and what of it is not met."""

from collections.abc import Collection, Mapping, Sequence

from alerting.alert import Priority, Sentence
from alerting.care_protocol import Rule
from alerting.conditions import condition
from alerting.phrases import clauses, quoted, titles, unknown
from alerting.rules import BaselineRule, ChangeRule, Direction, ForecastRule, LevelRule, RateRule, ShareRule
from alerting.scheduled_rules import MeanRule, MissingRule, QualityRule
from alerting.telling import Members, Telling
from alerting.wording import say

_RANKS = list(Priority)


def why_not_higher(
    telling: Telling,
    rules: Sequence[Rule],
    *,
    standing: Collection[str] = (),
    members: Mapping[str, Members] | None = None,
) -> Sentence | None:
    """Return what the next graver rule of the protocol would take; None when no rule is graver.

    Args:
        telling: the alert.
        rules: of its protocol, in canonical order.
        standing: ids of the rules whose alerts stood when this one was raised.
        members: id of a composite rule -> how its members stood then.
    """
    graver = next_graver(telling.rule, rules)
    if graver is None:
        return None
    title = quoted(graver.words.title)
    if graver.id in standing:
        return say("{t}, plus grave, est déclenchée aussi", "{t}, which is graver, is raised too", t=title)
    waits = say(
        "{t} n'est pas déclenchée~: il faudrait {c}",
        "{t} is not raised: it would take {c}",
        t=title,
        c=condition(graver, telling.units),
    )
    return clauses((waits, *_unmet((members or {}).get(graver.id, Members()))))


def next_graver(rule: Rule, rules: Sequence[Rule]) -> Rule | None:
    """Return the least grave of the graver rules about the same; of its own kind first, then the nearest threshold."""
    rank = _RANKS.index(rule.priority)
    graver = [other for other in rules if _RANKS.index(other.priority) > rank and _about_the_same(rule, other)]
    return min(
        graver,
        key=lambda other: (_RANKS.index(other.priority), type(other) is not type(rule), _apart(rule, other)),
        default=None,
    )


def _unmet(members: Members) -> list[Sentence]:
    parts = []
    if members.false:
        several = "s" if len(members.false) > 1 else ""
        parts.append(say("non remplie{s}~: {t}", "not met: {t}", s=several, t=titles(members.false)))
    if members.unknown:
        parts.append(unknown(members.unknown))
    return parts


def _about_the_same(rule: Rule, other: Rule) -> bool:
    """Return whether another rule looks at a rule's quantity too and the same way, or at the same absence or doubt."""
    if rule.quantity not in other.inputs:
        return False
    if isinstance(rule, MissingRule | QualityRule):
        return type(other) is type(rule) and getattr(other, "concern", None) is getattr(rule, "concern", None)
    if isinstance(other, MissingRule | QualityRule):
        return False
    ways = {way for way in (_falling(rule), _falling(other)) if way is not None}
    return len(ways) < 2


def _falling(rule: Rule) -> bool | None:
    """Return whether a rule watches for low or falling values; None when it watches several things."""
    match rule:
        case LevelRule() | ForecastRule() | ShareRule() | MeanRule():
            return rule.side.low
        case RateRule() | ChangeRule() | BaselineRule():
            return rule.direction is Direction.FALL
        case _:
            return None


def _apart(rule: Rule, other: Rule) -> int:
    """Return how far apart the thresholds of two rules are, where they can be compared."""
    if isinstance(rule, MissingRule) and isinstance(other, MissingRule):
        return abs(other.expected + other.grace - rule.expected - rule.grace)
    if isinstance(rule, MissingRule) or isinstance(other, MissingRule) or rule.measure is not other.measure:
        return 0
    return abs(other.limits.threshold - rule.limits.threshold)
