"""k of n of other rules within a window: true, false or unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alerting.care_protocol import Rule
from alerting.scheduled_rules import CompositeRule, MissingRule
from devices.reading import Reading
from tests.alerting.oracle.episodes import History, Moment, Step, moment_of
from tests.alerting.oracle.missing import Absence


@dataclass(frozen=True)
class Told:
    """What became of the rules written before a composite."""

    histories: dict[str, History] = field(default_factory=dict)
    absences: dict[str, list[Absence]] = field(default_factory=dict)


def steps(rule: CompositeRule, rules: Sequence[Rule], readings: Sequence[Reading], told: Told) -> list[Step]:
    """Return what a composite is worth after each reading, and when a missing rule of it is raised."""
    seen: list[tuple[Moment, Reading | None]] = [(moment_of(one), one) for one in readings]
    for place, member in enumerate(rules):
        if member.id in rule.of and isinstance(member, MissingRule):
            seen += [(one.moment(place), None) for one in told.absences[member.id]]
    members = {place: member for place, member in enumerate(rules) if member.id in rule.of}
    return [
        Step(moment, reading, _value(rule, members, told, moment))
        for moment, reading in sorted(seen, key=lambda one: one[0])
    ]


def _value(rule: CompositeRule, members: Mapping[int, Rule], told: Told, moment: Moment) -> int | None:
    """Return how many members are true, None while the unknown ones could decide."""
    states = [_state(rule, member, place, told, moment) for place, member in members.items()]
    true, unknown = states.count(True), states.count(None)
    return true if true >= rule.at_least or true + unknown < rule.at_least else None


def _state(rule: CompositeRule, member: Rule, place: int, told: Told, moment: Moment) -> bool | None:
    if isinstance(member, MissingRule):
        return any(one.stands(place, moment) for one in told.absences[member.id])
    state: bool | None = None
    for step in reversed(told.histories[member.id]):
        if step.moment[0] < moment[0] - rule.window:
            break
        if step.moment <= moment and step.value is not None:
            if step.stands:
                return True
            state = False
    return state
