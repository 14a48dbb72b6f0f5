"""What does not fit between the rules of one protocol: one that silences another, hides it, or says its opposite.

Certain when no reading can make the rule useful; likely otherwise, and then only remarked upon.

What is not here: one rule by itself (contradictions).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations

from alerting.alert import Priority
from alerting.care_protocol import Rule, TellingPolicy, ValueRule
from alerting.protocol_spelling import perhaps
from alerting.rule_checks import Contradiction, never, unlikely, wrong
from alerting.rules import (
    BaselineRule,
    ChangeRule,
    ForecastRule,
    LevelRule,
    Limits,
    Model,
    RateRule,
    ShareRule,
    Side,
)
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, ScoreRule

_RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}
_DAY = 24 * 60
_NOT_A_CONDITION = {"id", "words", "life", "priority"}
_LIMITS: Mapping[type, str] = {
    LevelRule: "threshold",
    RateRule: "per_minute",
    ForecastRule: "threshold",
    ChangeRule: "delta",
    BaselineRule: "delta",
    ShareRule: "share",
    MeanRule: "threshold",
    ScoreRule: "threshold",
}
"""The field of a rule that says how far is too far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Something that does not fit in the rule of this id."""

    rule: str
    found: Contradiction


def conflicts(rules: Sequence[Rule], telling: TellingPolicy, ids: Collection[str]) -> Iterator[Conflict]:
    """Yield what does not fit between rules, and between a rule and when alerts are told.

    Args:
        rules: those that could be read.
        telling: when and to whom alerts are told.
        ids: of all rules, those that could not be read included.
    """
    by_id = {rule.id: rule for rule in rules}
    yield from _absorbing(rules, by_id, ids)
    for rule in rules:
        if isinstance(rule, CompositeRule):
            for found in _together(rule, by_id):
                yield Conflict(rule=rule.id, found=found)
        if rule.life.digest and telling.quiet is not None and _within(telling.digest_at, telling.quiet):
            yield Conflict(rule=rule.id, found=_QUIET_DIGEST)
    for first, second in combinations(rules, 2):
        yield from _pair(first, second)


def _absorbing(rules: Iterable[Rule], by_id: Mapping[str, Rule], ids: Collection[str]) -> Iterator[Conflict]:
    for rule in rules:
        for name in rule.life.absorbs:
            if name not in ids:
                more = perhaps(name, [one for one in ids if one != rule.id])
                fr, en = f"« {name} » n'est pas une règle d'ici{more.fr}", f'"{name}" is no rule here{more.en}'
                yield Conflict(rule=rule.id, found=wrong("absorbs", fr, en))
            elif name in by_id:
                for found in _silenced(rule, by_id[name], by_id):
                    yield Conflict(rule=rule.id, found=found)


def _silenced(rule: Rule, other: Rule, by_id: Mapping[str, Rule]) -> Iterator[Contradiction]:
    if rule.id in _reached(other.id, by_id):
        yield _CIRCLE
    elif _RANK[other.priority] > _RANK[rule.priority]:
        yield wrong(
            "absorbs",
            f"« {other.id} » est plus grave que cette règle, qui ne peut pas la faire taire",
            f'"{other.id}" is graver than this rule, which cannot silence it',
        )
    elif isinstance(other, MissingRule) and not isinstance(rule, MissingRule):
        yield wrong(
            "absorbs",
            f"« {other.id} » signale une absence, que seule une autre absence peut faire taire",
            f'"{other.id}" tells an absence, which only another absence can silence',
        )


def _reached(name: str, by_id: Mapping[str, Rule]) -> set[str]:
    """Return every rule that the rule of that name absorbs, at first or second hand, itself included."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in by_id and one not in reached:
            reached.add(one)
            waiting.extend(by_id[one].life.absorbs)
    return reached


def _together(rule: CompositeRule, by_id: Mapping[str, Rule]) -> Iterator[Contradiction]:
    """Yield when so many members can never stand at the same reading."""
    members = [by_id[name] for name in dict.fromkeys(rule.of) if name in by_id]
    levels = [member for member in members if isinstance(member, LevelRule) and not member.end_persist]
    if rule.window or len(members) < rule.at_least:
        return
    others = len(members) - len(levels)
    quantities = {level.quantity for level in levels}
    most = sum(_most([level for level in levels if level.quantity is quantity]) for quantity in quantities)
    if others + most < rule.at_least:
        yield never(
            "of",
            f"au même instant, au plus {others + most} de ces règles peuvent être vraies : elles s'excluent",
            f"at one instant at most {others + most} of these rules can be true: they exclude each other",
        )


def _most(levels: list[LevelRule]) -> int:
    """Return how many levels of one quantity can stand at one value: a value just beyond some end of theirs."""
    ends = {level.end_threshold for level in levels}
    values = {end + step for end in ends for step in (-1, 0, 1)}
    return max(sum(_stands(level, value) for level in levels) for value in values)


def _stands(level: LevelRule, value: int) -> bool:
    """Return whether an alert of the level can still stand at a value."""
    edge = _edge(replace(level, threshold=level.end_threshold).limits)
    return value <= edge if level.side.low else value >= edge


def _pair(first: Rule, second: Rule) -> Iterator[Conflict]:
    if first.audience is not second.audience:
        return
    if _condition(first) == _condition(second):
        yield Conflict(
            rule=second.id,
            found=wrong(
                "id",
                f"la même condition que « {first.id} » : enlever l'une des deux",
                f'the same condition as "{first.id}": remove one of the two',
            ),
        )
    elif isinstance(first, MissingRule) or isinstance(second, MissingRule):
        return
    elif _far(first) and _shape(first) == _shape(second):
        hidden = list(_hidden(first, second))
        yield from hidden or _hidden(second, first)
    elif isinstance(first, LevelRule) and isinstance(second, LevelRule):
        yield from _opposite(first, second)


def _condition(rule: Rule) -> object:
    """Return what makes a rule that rule: everything but how it is called, told and ranked."""
    return type(rule), tuple(getattr(rule, field.name) for field in fields(rule) if field.name not in _NOT_A_CONDITION)


def _far(rule: ValueRule) -> str:
    """Return the field of a rule that says how far is too far, "" when it has none."""
    return (
        "probability" if isinstance(rule, ForecastRule) and rule.model is Model.KALMAN else _LIMITS.get(type(rule), "")
    )


def _shape(rule: ValueRule) -> object:
    """Return a rule's condition without how far is too far, for how long, and when it ends."""
    far = _far(rule)
    left_out = {*_NOT_A_CONDITION, far, "persist"} | ({"side"} if far == "threshold" else set())
    kept = [one.name for one in fields(rule) if one.name not in left_out and not one.name.startswith("end_")]
    return type(rule), rule.limits.side.low, tuple((name, getattr(rule, name)) for name in kept)


def _hidden(wide: ValueRule, narrow: ValueRule) -> Iterator[Conflict]:
    """Yield when `narrow` is beyond only where `wide` is, and no graver."""
    edge, inner = _edge(wide.limits), _edge(narrow.limits)
    inside = inner <= edge if wide.limits.side.low else inner >= edge
    graver = _RANK[wide.priority] - _RANK[narrow.priority]
    sooner = getattr(narrow, "persist", 0) < getattr(wide, "persist", 0)
    if not inside or graver < 0 or (sooner and (graver == 0 or inner == edge)):
        return
    if graver and not sooner:
        yield Conflict(
            rule=narrow.id,
            found=never_useful(
                f"« {wide.id} » est plus grave et alerte toujours avec elle, ou avant",
                f'"{wide.id}" is graver and always raised with it, or before',
            ),
        )
    elif graver:
        yield Conflict(
            rule=narrow.id,
            found=unlikely(
                "priority",
                f"son seuil est plus extrême que celui de « {wide.id} », et pourtant elle est moins grave",
                f'its threshold is more extreme than that of "{wide.id}", and yet it is less grave',
            ),
        )
    else:
        yield Conflict(
            rule=narrow.id,
            found=unlikely(
                "priority",
                f"« {wide.id} », aussi grave, alerte toujours avec elle, ou avant : deux alertes pour une",
                f'"{wide.id}", as grave, is always raised with it, or before: two alerts instead of one',
            ),
        )


def never_useful(fr: str, en: str) -> Contradiction:
    """Return that a rule adds nothing, and why."""
    return wrong("priority", f"cette règle ne servira jamais : {fr}", f"this rule is of no use: {en}")


def _edge(limits: Limits) -> int:
    """Return the value nearest to normal that is beyond."""
    strict = {Side.BELOW: -1, Side.ABOVE: 1}
    return limits.threshold + strict.get(limits.side, 0)


def _opposite(first: LevelRule, second: LevelRule) -> Iterator[Conflict]:
    """Yield when every value of a quantity is beyond one of two thresholds."""
    if first.quantity is not second.quantity or first.side.low == second.side.low:
        return
    low, high = (first, second) if first.side.low else (second, first)
    if _edge(low.limits) + 1 >= _edge(high.limits):
        yield Conflict(
            rule=second.id,
            found=wrong(
                "threshold",
                f"avec « {first.id} », toute valeur possible alerte : laisser un intervalle normal entre les deux",
                f'with "{first.id}" every possible value is beyond: leave a normal range between the two',
            ),
        )


def _within(minute: int, span: tuple[int, int]) -> bool:
    return (minute - span[0]) % _DAY < (span[1] - span[0]) % _DAY


_CIRCLE = wrong(
    "absorbs",
    "cette règle finit par se faire taire elle-même : enlever l'un des absorbs",
    "this rule ends up silencing itself: remove one of the absorbs",
)
_QUIET_DIGEST = unlikely(
    "digest",
    "le bilan du jour (digest_at) tombe dans les heures calmes : il attendra leur fin",
    "the daily digest (digest_at) falls in the quiet hours: it will wait for their end",
)
