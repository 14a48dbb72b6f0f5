"""Retention: which alerts an engine remembers, and how much of them.

An alert is remembered in full while it stands or a late reading may still change it; then without the readings that
it shows while it counts for the life of others, or is one of the last two of its rule of which nothing can change any
more: one that may yet be taken back pushes no other out.
"""

from collections.abc import Callable, Iterable

from alerting.care_protocol import CareProtocol
from alerting.life_rules import DAY_MS
from alerting.program import compile_program
from alerting.stream import lateness_bound
from alerting.told import Told, in_order


def memory_of(protocol: CareProtocol) -> int:
    """Return for how many ms a reading may matter under a protocol: its longest window, and how late one may come."""
    bounds = (lateness_bound(quantity) for rule in protocol.rules for quantity in rule.inputs)
    return max(compile_program(protocol).preludes) + max(bounds)


class Retention:
    """What to remember under one protocol.

    Args:
        protocol: the rules.
        memory: ms for which an ended alert still counts for another.
    """

    def __init__(self, protocol: CareProtocol, *, memory: int) -> None:
        self._bounds = [max(map(lateness_bound, rule.inputs)) for rule in protocol.rules]
        self.reach = max(self._bounds)
        """How many ms before event time a late reading may lie."""
        self.horizon = self.reach + DAY_MS + memory
        """How many ms after its end an alert may still count."""

    def of(self, alerts: Iterable[Told], now: int, ended: Callable[[Told], int | None]) -> list[Told]:
        """Return what to remember of alerts at event time `now` (ms UTC), in canonical order.

        Args:
            alerts: in any order.
            now: ms UTC.
            ended: when an alert ended, ms UTC, None while it stands.
        """
        kept: list[Told] = []
        of_rule: dict[int, int] = {}
        for told in reversed(in_order(alerts)):
            end = ended(told)
            if end is None or end >= now - self._bounds[told.rule] - DAY_MS:
                kept.append(told)
                continue
            of_rule[told.rule] = of_rule.get(told.rule, 0) + 1
            if end >= now - self.horizon or of_rule[told.rule] <= _LAST:
                kept.append(told.lean())
        kept.reverse()
        return kept


_LAST = 2
