"""From what came of a rule's alerts to a threshold worth trying: a proposal, which nothing ever applies by itself.

When few of a rule's alerts about one patient were of use, the threshold is proposed that would have raised every
alert that *was* of use and the fewest others. What is compared is what the rule had compared when each was raised:
so it says where to look, and the workshop's replay of the patient's history says what would have come of it.

Values and thresholds are counts of the rule's own measure (`alerting.rules.Measure`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FEWEST: Final = 5
"""Alerts that must have been judged before anything is said."""
USEFUL_SHARE: Final = (2, 5)
"""At most so many of so many are of use, for a rule to be worth looking at again: 40 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One alert that a person judged: what was compared with what when it was raised, and whether it was of use."""

    value: int
    threshold: int
    useful: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A threshold worth trying.

    Attributes:
        now: the threshold that the newest alert was compared with.
        then: the one proposed; None when no alert was of use, so that no threshold can be told from them.
        spared: how many of the alerts that were of no use would not have been raised by it.
    """

    now: int
    then: int | None
    spared: int


def worth_a_look(useful: int, of: int) -> bool:
    """Return whether so few of so many alerts were of use that the rule is worth looking at again."""
    share, whole = USEFUL_SHARE
    return of >= FEWEST and useful * whole <= of * share


def propose(judged: Sequence[Judged]) -> Proposal | None:
    """Return what a rule's judged alerts about one patient propose, oldest first; None when nothing is worth trying."""
    useful = [one for one in judged if one.useful]
    if not worth_a_look(len(useful), len(judged)):
        return None
    now = judged[-1].threshold
    if not useful:
        return Proposal(now=now, then=None, spared=0)
    above = [one.value >= one.threshold for one in judged]
    if any(above) != all(above) or any(one.value == one.threshold for one in judged):
        # The rule's side cannot be told, or its limit was reached exactly: no number is better than a wrong one.
        return None
    sign = 1 if above[0] else -1
    # One count short of the least that was of use: whether a rule's limit is included or not, that one is beyond it.
    then = min(sign * one.value for one in useful) - 1
    spared = sum(sign * one.value <= then for one in judged if not one.useful)
    return Proposal(now=now, then=sign * then, spared=spared) if then > sign * now and spared else None
