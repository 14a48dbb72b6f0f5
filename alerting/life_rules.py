"""What a protocol says about telling alerts, as the life of alerts reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alerting.alert import Priority
from alerting.care_protocol import CareProtocol, Rule
from alerting.local_hours import Hours
from alerting.local_time import offsets
from alerting.scheduled_rules import CompositeRule
from devices.reading import Quantity

DAY_MS = 86_400_000

_GRAVITY = {priority: rank for rank, priority in enumerate((Priority.LOW, Priority.MEDIUM, Priority.HIGH))}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLimits:
    """What holds alerts of one rule back.

    Attributes:
        gravity: larger is graver.
        high: of high priority.
        refractory: ms.
        per_day: 0 for no limit.
        digest: told once a day.
        latched: ends only when seen.
        absorbed_by: indices of the rules that absorb it or absorb one that does, none of them less grave.
        absorbs: indices of the rules whose alerts it may absorb.
    """

    gravity: int
    high: bool
    refractory: int
    per_day: int
    digest: bool
    latched: bool
    absorbed_by: tuple[int, ...]
    absorbs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLives:
    """What holds the alerts of one patient back.

    Attributes:
        rules: in the protocol's order.
        indices: id of a rule -> its index.
        quiet: None for no such hours.
        at_most: 0 for no limit.
        within: ms.
        digest_at: minutes after local midnight.
        table: see `alerting.local_time.offsets`.
        memory: ms for which an ended alert still counts for another.
    """

    rules: tuple[RuleLimits, ...]
    indices: dict[str, int]
    quiet: Hours | None
    at_most: int
    within: int
    digest_at: int
    table: NDArray[np.int64]
    memory: int

    @classmethod
    def of(cls, protocol: CareProtocol, zone: ZoneInfo) -> "RuleLives":
        """Return what a protocol says, for a patient in a time zone."""
        rules, telling = protocol.rules, protocol.telling
        indices = {rule.id: index for index, rule in enumerate(rules)}
        above = _absorbers(rules, indices)
        return cls(
            rules=tuple(
                RuleLimits(
                    gravity=_GRAVITY[rule.priority],
                    high=rule.priority is Priority.HIGH,
                    refractory=rule.life.refractory,
                    per_day=rule.life.per_day,
                    digest=rule.life.digest,
                    latched=rule.life.latched,
                    absorbed_by=tuple(sorted(above[index])),
                    absorbs=tuple(other for other in range(len(rules)) if index in above[other]),
                )
                for index, rule in enumerate(rules)
            ),
            indices=indices,
            quiet=None if telling.quiet is None or telling.quiet[0] == telling.quiet[1] else telling.quiet,
            at_most=telling.at_most,
            within=telling.within,
            digest_at=telling.digest_at,
            table=offsets(zone),
            memory=max(DAY_MS, telling.within, *(_reach(rule) for rule in rules)),
        )


def fresh_for(protocol: CareProtocol, quantity: Quantity) -> int:
    """Return for how many ms after it was measured a reading may be received and acted on as now.

    The quantity's gap where a regular sensor measures it, a day otherwise: a weighing of this morning that the scale
    hands over in the evening still asks for something; a glucose value of an hour ago tells nothing about now.
    """
    timing = protocol.timings.get(quantity)
    return DAY_MS if timing is None else timing.gap


def _reach(rule: Rule) -> int:
    return max(rule.life.refractory, rule.window if isinstance(rule, CompositeRule) else 0)


def _absorbers(rules: Sequence[Rule], indices: dict[str, int]) -> list[set[int]]:
    """Return for each rule those that absorb it, directly or through others."""
    above: list[set[int]] = [set() for _ in rules]
    for index, rule in enumerate(rules):
        for absorbed in indices.keys() & set(rule.life.absorbs):
            above[indices[absorbed]].add(index)
    for _ in rules:
        for absorbers in above:
            absorbers |= {further for one in absorbers for further in above[one]}
    return [
        {other for other in absorbers if other != index and _GRAVITY[rules[other].priority] >= _GRAVITY[rule.priority]}
        for index, (rule, absorbers) in enumerate(zip(rules, above, strict=True))
    ]
