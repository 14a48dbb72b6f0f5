"""An alert as the sum of what was said about it, whatever order it arrived in.

After an outage alerts and readings travel in different lanes, newest first: a RESOLVED may come before its RAISED.
Each change is complete in itself, so the alert is simply its last change, and *last* is decided by what the changes
carry, never by when they came. Within a lineage (the epochs of one database) the box's sequence decides; lineages
follow each other by the earliest time at which the box sealed one of their changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alerting.alert import Priority
from exchange.messages import AlertRecord, lineage

PRIO = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}
"""How the worklist sorts priorities."""


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


def continues(events: Sequence[AlertEvent]) -> str | None:
    """Return the alert that this one goes on from, None for one of its own.

    It is the last that any change names: once an alert goes on from another, a change that does not repeat it, such as
    its end, must not let the other one stand again.
    """
    named = [event for event in events if event.record.supersedes is not None]
    return max(named, key=_order(events)).record.supersedes if named else None


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
