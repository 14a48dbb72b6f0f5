"""What becomes of the alerts that stand when another protocol, or another version of it, is applied.

The kept history is judged silently by the new protocol; then an alert whose rule is still true goes on as the same
alert, one newly true is raised now, one that is true no longer is ended, and one whose rule is gone is ended by the
protocol and says so. A rule that is true since another time goes on under another onset: revised, so that what was
done about it is carried along.

What is not here: judging the history (engine), and what people did (`Engine.inherit`).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from alerting.alert import AlertChange, ChangeKind, Sentence

NO_LONGER_TRUE = Sentence(
    fr="Cette alerte ne vaut plus selon le protocole appliqué maintenant.",
    en="This alert no longer holds under the protocol applied now.",
)
ENDED_BY_PROTOCOL = Sentence(
    fr="Alerte close par le changement de protocole : le protocole appliqué maintenant n'a plus cette règle ; "
    "vérifier qu'une autre règle la remplace.",
    en="Alert ended by the change of protocol: the protocol applied now has no such rule; check that another rule "
    "takes its place.",
)


def applied(
    standing: Sequence[AlertChange], holding: Sequence[AlertChange], *, rules: Collection[str], now: int
) -> tuple[AlertChange, ...]:
    """Return what to tell of alerts when a protocol is applied.

    Args:
        standing: the alerts that stood under the protocol before, as they were last told.
        holding: the alerts that stand under the one applied (`Engine.open_alerts`).
        rules: ids of the rules of the one applied.
        now: ms UTC at which it is applied.

    Returns:
        First what ends, in the order of `standing`; then what goes on or begins, in the order of `holding`.
    """
    before = {change.alert_id: change for change in standing}
    after = {change.alert_id for change in holding}
    left = [change for change in standing if change.alert_id not in after]
    going_on: list[AlertChange] = []
    for change in holding:
        same = before.get(change.alert_id)
        if same is not None:
            going_on += _continued(same, change)
            continue
        other = next((one for one in left if one.rule == change.rule), None)
        if other is None:
            going_on.append(_raised(change, now))
        else:
            left.remove(other)
            going_on.append(replace(change, kind=ChangeKind.REVISED, supersedes=other.alert_id, late=False))
    ended = [
        replace(
            change,
            kind=ChangeKind.RESOLVED,
            resolved_at=max(now, change.raised_at),
            why=NO_LONGER_TRUE if change.rule in rules else ENDED_BY_PROTOCOL,
        )
        for change in left
    ]
    return (*ended, *going_on)


def moved(standing: Sequence[AlertChange], changes: Sequence[AlertChange]) -> Iterator[tuple[str, int]]:
    """Yield (id, onset before) of each alert that goes on under another onset: for `Engine.carry_on`.

    Not of those that a protocol of another name told: its alerts have ids that this one cannot name.

    Args:
        standing: see `applied`.
        changes: what `applied` returned.
    """
    before = {change.alert_id: change for change in standing}
    for change in changes:
        same = before.get(change.supersedes or "")
        if change.kind is ChangeKind.REVISED and same is not None and same.protocol == change.protocol:
            yield change.alert_id, same.onset


def _continued(before: AlertChange, after: AlertChange) -> list[AlertChange]:
    """Return whether an alert that goes on begins or ceases to be told, or is graver or for others than it was."""
    if (before.suppressed is None) is (after.suppressed is None):
        if (before.priority, before.audience) == (after.priority, after.audience):
            return []
        return [replace(after, kind=ChangeKind.CONFIRMED, late=False)]
    kind = ChangeKind.RELEASED if after.suppressed is None else ChangeKind.SUPPRESSED
    return [replace(after, kind=kind, late=False)]


def _raised(change: AlertChange, now: int) -> AlertChange:
    """Return an alert that is newly true, as raised now: whoever is told is told from now on."""
    told_at = None if change.told_at is None else now
    due_by = None if change.due_by is None or change.told_at is None else change.due_by - change.told_at + now
    return replace(change, kind=ChangeKind.RAISED, raised_at=now, late=False, told_at=told_at, due_by=due_by)
