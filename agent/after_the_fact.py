"""What is told of alerts once the box's time was put right and what is kept was judged anew by it.

What stands now is told as when a protocol is applied (`alerting.protocol_change`). Here is what a wrong time had hidden
or moved. Rules of this room:

- An alert that began and ended meanwhile and that nobody was told of is told after the fact: ADDED, late, with its
  end. So is one that is latched and whose condition is over: it stands until somebody has seen it, and is not of now.
- Nothing is told twice. An alert is one that was known when it has its id, or when it is of the same rule and rests on
  one of the same readings, or lasted while the other was raised: a moved onset makes another id of it. Each that was
  known stands for one alert at most, so that a second one that shares a baseline with it is told.
- One that stood for the team and is over by the right time is told with that end, one that ended stays as it was told.
- What people did about an alert is carried to the one that it is by the right time.

The same engine and the same alerts give the same changes, and none once they are kept. Not here: judging (judging),
what is read for it (retiming), and any store.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.retiming import RIGHT_NOW, in_words
from alerting.alert import AlertChange, ChangeKind, alert_id
from alerting.engine import Engine
from alerting.kept import Kept
from alerting.protocol_change import applied
from alerting.scheduled_rules import MissingRule
from devices.reading import Reading

Identity = tuple[str, str, str]
"""(quantity, device, key): what makes a reading the same reading, whatever the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An alert that was known by the wrong time; `onset` is ms UTC by that time.

    Attributes:
        alert_id: by that time.
        rule: its id.
        onset: by that time.
        rests_on: the readings, oldest first.
        change: as it was last told; None of one that another protocol's application had passed over in silence.
        standing: whether it stood for the team.
    """

    alert_id: str
    rule: str
    onset: int
    rests_on: tuple[Identity, ...]
    change: AlertChange | None = None
    standing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An alert by the right time; times in ms UTC.

    Attributes:
        alert_id: by that time.
        rule: its id.
        onset: when it began.
        over_at: when its condition ended, None while it lasts.
        stands: whether it stands: it lasts, or is latched and nobody has seen it.
        absence: whether it is of readings that did not come: the one it rests on is from before it.
        whole: whether a late reading could still change it; of others nothing is told any more.
        rests_on: the readings, oldest first.
    """

    alert_id: str
    rule: str
    onset: int
    over_at: int | None
    stands: bool
    absence: bool
    whole: bool
    rests_on: tuple[Identity, ...]

    def lasted(self, at: int) -> bool:
        """Return whether it lasted at a time, ends included."""
        return self.onset <= at and (self.over_at is None or at <= self.over_at)


def known_alerts(told: Iterable[tuple[AlertChange, bool]], *, engine: Engine | None, patient: str) -> list[Known]:
    """Return the alerts that were known of a patient by the wrong time.

    Args:
        told: each alert of a protocol that stood or ended, as it was last told, and whether it stands.
        engine: as it had judged by the wrong time; None when its snapshot cannot be read.
        patient: pseudonym.
    """
    known = {
        one.alert_id: Known(
            alert_id=one.alert_id,
            rule=one.rule,
            onset=one.onset,
            rests_on=tuple((item.quantity.value, item.device, item.key) for item in one.evidence),
            change=one,
            standing=stands,
        )
        for one, stands in told
        # What a right time took back was told to be untrue: should it be true after all, it is news.
        if one.why != RIGHT_NOW
    }
    for silent in [] if engine is None else _found(engine, patient):
        known.setdefault(
            silent.alert_id,
            Known(alert_id=silent.alert_id, rule=silent.rule, onset=silent.onset, rests_on=silent.rests_on),
        )
    return list(known.values())


def told_anew(
    engine: Engine,
    known: Sequence[Known],
    *,
    patient: str,
    readings: Iterable[Reading],
    fed: Iterable[AlertChange],
    since: int | None,
    now: int,
) -> list[AlertChange]:
    """Return what to tell when an engine has judged what is kept by the right time.

    Args:
        engine: has judged it, and time has passed for it to `now`; takes over what was done about alerts before.
        known: see `known_alerts`.
        patient: pseudonym.
        readings: that it has judged.
        fed: what judging them said.
        since: ms UTC by the right time, of the oldest reading that the wrong time concerns: what ended before it
            (exclusive) was told in its time. None: there is no such reading.
        now: ms UTC, by the right time.

    Returns:
        First what is told after the fact, by when it began; then what is told of now.
    """
    found = _found(engine, patient)
    times = {_identity(reading): reading.measured_at for reading in readings}
    same = _same(known, found, times)
    ends = {change.alert_id: change for change in fed if change.kind is ChangeKind.RESOLVED}
    past: list[AlertChange] = []
    over: set[str] = set()
    for one in found:
        before = same.get(one.alert_id)
        moved = before is not None and before.alert_id != one.alert_id
        if before is not None and moved and _is_same_protocol(engine, patient, before):
            engine.carry_on(one.alert_id, before.onset)
        if one.over_at is None:
            continue
        if before is None:
            if since is not None and one.over_at >= since and one.whole:
                past.append(engine.tell_late(one.alert_id))
                over.add(one.alert_id)
        elif before.standing and not one.stands:
            over.add(before.alert_id)
            if moved:
                late = engine.tell_late(one.alert_id)
                past.append(replace(late, kind=ChangeKind.REVISED, supersedes=before.alert_id))
            elif one.alert_id in ends:
                past.append(replace(ends[one.alert_id], late=True))
    standing = [one.change for one in known if one.change is not None and one.standing and one.alert_id not in over]
    holding = [change for change in engine.open_alerts if change.alert_id not in over]
    rules = {rule.id for rule in engine.protocol.rules}
    return [*past, *in_words(applied(standing, holding, rules=rules, now=now))]


def _found(engine: Engine, patient: str) -> list[_Found]:
    protocol = engine.protocol
    open_ids = {change.alert_id for change in engine.open_alerts}
    found: list[_Found] = []
    for told in engine.told:
        rule = protocol.rules[told.rule]
        of_this = alert_id(patient=patient, protocol=protocol.name, rule=rule.id, onset=told.onset)
        found.append(
            _Found(
                alert_id=of_this,
                rule=rule.id,
                onset=told.onset,
                over_at=told.resolved_at,
                stands=of_this in open_ids,
                absence=isinstance(rule, MissingRule),
                whole=told.settled is None,
                rests_on=tuple(map(_identity, told.evidence)),
            )
        )
    return found


def _same(known: Sequence[Known], found: Sequence[_Found], times: Mapping[Identity, int]) -> dict[str, Known]:
    """Return which known alert each found one is (by its id); the surest pairs first, each alert in one at most."""
    by_id = {one.alert_id: one for one in known}
    same = {one.alert_id: by_id[one.alert_id] for one in found if one.alert_id in by_id}
    left = [one for one in known if one.alert_id not in same]
    pairs = [
        (-shared, not before.standing, -before.onset, before.alert_id, one.alert_id, before)
        for one in found
        if one.alert_id not in same
        for before in left
        if before.rule == one.rule and (shared := _shared(before, one, times)) > 0
    ]
    taken: set[str] = set()
    for *_, before_id, found_id, before in sorted(pairs, key=lambda pair: pair[:5]):
        if found_id not in same and before_id not in taken:
            same[found_id] = before
            taken.add(before_id)
    return same


def _shared(before: Known, one: _Found, times: Mapping[Identity, int]) -> int:
    """Return how surely two alerts of one rule are the same: 0 when they are not."""
    if not before.rests_on or not one.rests_on:
        # Of what never came there is one absence since watching began; of a settled alert only the id is known.
        return int(one.whole and not before.rests_on and not one.rests_on)
    shared = len(set(before.rests_on) & set(one.rests_on))
    raised_by = max((times[item] for item in before.rests_on if item in times), default=None)
    overlaps = raised_by is not None and not one.absence and one.lasted(raised_by)
    return 2 * shared + int(overlaps)


def _is_same_protocol(engine: Engine, patient: str, before: Known) -> bool:
    """Return whether a known alert is of the protocol, in whatever version, that the engine judges by."""
    name = engine.protocol.name
    return before.alert_id == alert_id(patient=patient, protocol=name, rule=before.rule, onset=before.onset)


def _identity(item: Reading | Kept) -> Identity:
    return item.quantity.value, item.device, item.key
