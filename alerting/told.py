"""Told: an alert as it was last told, and what differs when the same time is judged again.

An alert is the same alert when its rule and its onset are the same. One whose onset moved is *revised*: it continues
another one of the same rule that it overlaps. Nothing told disappears without a word: it is *retracted*.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec
from msgspec import Struct

from alerting.alert import ChangeKind
from alerting.kept import Kept
from alerting.life import RAISED_BY_READING, RAISED_BY_TIME, Life, Turn
from alerting.stream import Event
from devices.reading import Quantity


class Told(Struct, array_like=True):
    """One alert; times in ms UTC.

    Attributes:
        rule: index in the protocol.
        onset: when the condition began.
        raised_at: when the rule was satisfied.
        resolved_at: when the condition ended, None while it lasts.
        evidence: the readings it rests on.
        late: it came from readings that arrived after their time.
        added: it came from judging again.
        supersedes: onset of the alert that it continues, None otherwise.
        value: see `Event`, as the following.
        baseline: as it was when raised.
        readings: as it was when raised.
        span: as it was when raised.
        recent: as it was when raised.
        signals: as it was when raised.
        lacking: as it was when raised.
        members: as it was when raised.
        unknown: as it was when raised.
        before: onset and raised_at of the last alert of the same rule before it, None for the first.
        stood: other alerts that stood when it was raised (rule, None) or a while before (rule, when they ended).
        fresh_at: from when on it rests on readings received in good time, None until then.
        life: when it is told and why not.
        settled: of an alert that no late reading can change any more, which its readings were taken from: its place
            (part of the millisecond, and order in it); None of any other.
    """

    rule: int
    onset: int
    raised_at: int
    resolved_at: int | None
    evidence: tuple[Kept, ...]
    late: bool = False
    added: bool = False
    supersedes: int | None = None
    value: int | None = None
    baseline: int | None = None
    readings: int = 0
    span: int = 0
    recent: tuple[Kept, ...] = ()
    signals: tuple[Kept, ...] = ()
    lacking: tuple[Quantity, ...] = ()
    members: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    before: tuple[int, int] | None = None
    stood: tuple[tuple[int, int | None], ...] = ()
    fresh_at: int | None = None
    life: Life = ()
    settled: tuple[int, tuple[str, str, str]] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """What makes it the same alert."""
        return self.rule, self.onset

    @property
    def place(self) -> tuple[int, int, tuple[str, str, str]]:
        """When it was raised, and where among what was raised in the same millisecond."""
        if self.settled is not None:
            return (self.raised_at, *self.settled)
        causes = [kept for kept in self.evidence if kept.measured_at == self.raised_at]
        if not causes:
            return self.raised_at, RAISED_BY_TIME, ("", "", "")
        return self.raised_at, RAISED_BY_READING, max((kept.quantity.value, kept.device, kept.key) for kept in causes)

    @property
    def turn(self) -> Turn:
        """Whether it is told, as things stand."""
        return self.life[-1]

    def copy(self) -> "Told":
        """Return an alert of its own, what is in it shared."""
        return msgspec.structs.replace(self)

    def lean(self) -> "Told":
        """Return it without what is only shown: of an alert that no late reading can change any more."""
        _, part, order = self.place
        return msgspec.structs.replace(self, evidence=(), recent=(), signals=(), lacking=(), settled=(part, order))


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
                value=event.value,
                baseline=event.baseline,
                readings=event.readings,
                span=event.span,
                recent=event.recent,
                signals=event.signals,
                lacking=event.lacking,
                members=event.members,
                unknown=event.unknown,
            )
            standing[event.rule] = told
            differences.append(Difference(kind=ChangeKind.RAISED, told=told, late=told.late))
        else:
            told = standing.pop(event.rule)
            told.resolved_at = event.at
            differences.append(Difference(kind=ChangeKind.RESOLVED, told=told, late=event.received_late))
    return differences


def in_order(alerts: Iterable[Told]) -> list[Told]:
    """Return alerts in canonical order: by when they were raised, then by rule."""
    return sorted(alerts, key=lambda told: (told.raised_at, told.rule))


def relate(alerts: Iterable[Told], *, since: int, window: int) -> None:
    """Set what each alert raised at or after `since` (ms UTC, inclusive) says of others.

    Args:
        alerts: in any order.
        since: what was raised before is left as it is.
        window: ms for which one that ended still counts for a composite rule.
    """
    last: dict[int, tuple[int, int]] = {}
    near: list[Told] = []
    for place, group in groupby(sorted(alerts, key=lambda told: told.place), key=lambda told: told.place):
        at, together = place[0], list(group)
        near = [one for one in near if one.resolved_at is None or one.resolved_at >= at - window] + together
        for told in together:
            if at >= since:
                told.before = last.get(told.rule)
                others = {
                    (one.rule, one.resolved_at if one.resolved_at is not None and one.resolved_at < at else None)
                    for one in near
                    if one is not told
                }
                told.stood = tuple(sorted(others, key=lambda one: (one[0], -1 if one[1] is None else one[1])))
            last[told.rule] = (told.onset, at)


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
    old = {told.key: told for told in before}
    new = {told.key for told in after}
    gone = [told for told in before if told.key not in new]
    differences: list[Difference] = []
    for told in after:
        same = old.get(told.key)
        if same is not None:
            told.late, told.added, told.supersedes = same.late, same.added, same.supersedes
            told.life = same.life
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
