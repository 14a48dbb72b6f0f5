"""Told: an alert as it was last told, and what differs when the same time is judged again.

An alert is the same alert when its rule and its onset are the same. One whose onset moved is *revised*: it continues
another one of the same rule that it overlaps. Nothing told disappears without a word: it is *retracted*.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from alerting.alert import ChangeKind
from alerting.kept import Kept
from alerting.stream import Event


class Told(Struct, array_like=True):
    """One alert.

    Attributes:
        rule: index in the protocol.
        onset: ms UTC.
        raised_at: ms UTC.
        resolved_at: ms UTC, None while it stands.
        evidence: the readings it rests on.
        late: it came from readings that arrived after their time.
        added: it came from judging again.
        supersedes: onset of the alert that it continues, None otherwise.
    """

    rule: int
    onset: int
    raised_at: int
    resolved_at: int | None
    evidence: tuple[Kept, ...]
    late: bool = False
    added: bool = False
    supersedes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing to tell.

    Attributes:
        kind: what happened to the alert.
        told: the alert as it is now; as it was, for a retracted one.
        late: it comes from readings that arrived after their time.
    """

    kind: ChangeKind
    told: Told
    late: bool


def record(events: Iterable[Event], standing: dict[int, Told]) -> list[Difference]:
    """Return what events in order say, as RAISED and RESOLVED; `standing` (rule -> alert) is kept up to date."""
    differences = []
    for event in events:
        if event.raised:
            told = Told(
                rule=event.rule,
                onset=event.onset,
                raised_at=event.at,
                resolved_at=None,
                evidence=event.evidence,
                late=event.received_late,
            )
            standing[event.rule] = told
            differences.append(Difference(kind=ChangeKind.RAISED, told=told, late=told.late))
        else:
            told = standing.pop(event.rule)
            told.resolved_at = event.at
            differences.append(Difference(kind=ChangeKind.RESOLVED, told=told, late=event.received_late))
    return differences


def compare(
    before: Sequence[Told],
    after: Sequence[Told],
    *,
    seen: Callable[[int], int],
    touched: Callable[[Told], bool],
) -> list[Difference]:
    """Return what differs between what was told and what holds now that late readings are there.

    Alerts of `after` take over from `before` how they were first told.

    Args:
        before: told so far.
        after: of the same span of time, judged again.
        seen: rule -> ms UTC up to which it had been judged; what lies beyond comes from readings in order.
        touched: whether late readings fell into the course of a standing alert.
    """
    old = {(told.rule, told.onset): told for told in before}
    new = {(told.rule, told.onset) for told in after}
    gone = [told for told in before if (told.rule, told.onset) not in new]
    differences: list[Difference] = []
    for told in after:
        same = old.get((told.rule, told.onset))
        if same is not None:
            told.late, told.added, told.supersedes = same.late, same.added, same.supersedes
            differences += _continued(same, told, seen=seen, touched=touched)
        elif told.raised_at > seen(told.rule):
            differences.append(Difference(kind=ChangeKind.RAISED, told=told, late=told.late))
            if told.resolved_at is not None:
                differences.append(Difference(kind=ChangeKind.RESOLVED, told=told, late=told.late))
        else:
            told.late = told.added = True
            moved = next((one for one in gone if one.rule == told.rule and _overlap(one, told)), None)
            if moved is None:
                differences.append(Difference(kind=ChangeKind.ADDED, told=told, late=True))
            else:
                gone.remove(moved)
                told.supersedes = moved.onset
                differences.append(Difference(kind=ChangeKind.REVISED, told=told, late=True))
    differences += [Difference(kind=ChangeKind.RETRACTED, told=told, late=True) for told in gone]
    return differences


def _continued(
    same: Told, told: Told, *, seen: Callable[[int], int], touched: Callable[[Told], bool]
) -> list[Difference]:
    """Return what to tell of an alert that was told before and still holds."""
    equal = (same.raised_at, same.resolved_at, same.evidence) == (told.raised_at, told.resolved_at, told.evidence)
    if told.resolved_at is None:
        if equal and not touched(told):
            return []
        return [Difference(kind=ChangeKind.CONFIRMED, told=told, late=True)]
    if equal:
        return []
    return [Difference(kind=ChangeKind.RESOLVED, told=told, late=told.resolved_at <= seen(told.rule))]


def _overlap(one: Told, other: Told) -> bool:
    """Return whether two alerts stood at the same time, ends included."""
    return (one.resolved_at is None or other.onset <= one.resolved_at) and (
        other.resolved_at is None or one.onset <= other.resolved_at
    )
