"""An alert as the sum of what was said about it, whatever order it arrived in.

After an outage alerts and readings travel in different lanes, newest first: a RESOLVED may come before its RAISED.
Each change is complete in itself, so the alert is simply its last change, and *last* is decided by what the changes
carry, never by when they came. Within a lineage (the epochs of one database) the box's sequence decides; lineages
follow each other by the earliest time at which the box sealed one of their changes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from alerting.alert import ChangeKind, Priority
from exchange.messages import AlertRecord, lineage

PRIO = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}
"""How the worklist sorts priorities."""
_ENDS = (ChangeKind.RESOLVED, ChangeKind.RETRACTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """One change as it was said.

    Attributes:
        box: row of the box that said it, or that the inbox said it about.
        epoch: of the box's database; "" when the inbox itself said it.
        seq: orders the changes of one box and lineage.
        created: ms UTC by the clock of whoever said it.
        record: the change.
    """

    box: int
    epoch: str
    seq: int
    created: int
    record: AlertRecord


def latest(events: Sequence[AlertEvent]) -> AlertEvent:
    """Return the change that says how the alert is now; `events` is not empty, its order does not matter."""
    return max(events, key=_order(events))


def goes_on_from(events: Sequence[AlertEvent]) -> AlertEvent | None:
    """Return the last change that names the alert which this one goes on from, None of one that goes on from none.

    A change that does not repeat it, such as the end, must not let the other one stand again.
    """
    named = [event for event in events if event.record.supersedes is not None]
    return max(named, key=_order(events)) if named else None


def speaks_after(event: AlertEvent, others: Sequence[AlertEvent]) -> bool:
    """Return whether a change of one alert was said after all of another's (`others`): there is nothing later of it.

    An alert that goes on as another, and back again under thresholds of before, speaks last, and stands.
    """
    place = _order([event, *others])
    return all(place(event) > place(other) for other in others)


def begins_anew(events: Sequence[AlertEvent], fresh: Collection[AlertEvent]) -> bool:
    """Return whether one of the `fresh` changes among all of an alert tells it anew.

    It was raised again after it had ended, or goes on from another after it had gone on as that one: what people did
    with it before is not about what it says now. Told again by another database of its box, it is the same.
    """
    ordered = sorted(events, key=_order(events))
    for before, event in pairwise(ordered):
        if event in fresh and (before.box, lineage(before.epoch)) == (event.box, lineage(event.epoch)):
            ended = before.record.kind in _ENDS
            if event.record.kind is ChangeKind.REVISED or (ended and event.record.kind is ChangeKind.RAISED):
                return True
    return False


def _order(events: Sequence[AlertEvent]) -> Callable[[AlertEvent], tuple[int, str, int, int, int, str]]:
    """Return the place of each of these changes among them."""
    began: dict[tuple[int, str], int] = {}
    for event in events:
        speaker = (event.box, lineage(event.epoch))
        began[speaker] = min(began.get(speaker, event.created), event.created)

    def place(event: AlertEvent) -> tuple[int, str, int, int, int, str]:
        stem = lineage(event.epoch)
        # A database that was set back gives numbers again, under another epoch, before it knows.
        return began[event.box, stem], stem, event.box, event.seq, event.created, event.epoch

    return place
