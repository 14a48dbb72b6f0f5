"""An alert as the sum of what was said about it, whatever order it arrived in.

After an outage alerts and readings travel in different lanes, newest first: a RESOLVED may come before its RAISED.
Each change is complete in itself, so the alert is simply its last change, and *last* is decided by what the changes
carry, never by when they came. Within a lineage (the epochs of one database) the box's sequence decides; lineages
follow each other by the earliest time at which the box sealed one of their changes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from alerting.alert import ChangeKind, Priority
from exchange.messages import AlertRecord, lineage

PRIO = {Priority.HIGH: 1, Priority.MEDIUM: 2, Priority.LOW: 3}
"""How the worklist sorts priorities."""
_ENDS = (ChangeKind.RESOLVED, ChangeKind.RETRACTED)
_TELLS = (ChangeKind.RAISED, ChangeKind.ADDED, ChangeKind.REVISED)
Said = tuple[int, str, int]
"""(row of a box, epoch, sequence number)."""


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

    @property
    def speaker(self) -> tuple[int, str]:
        """Whose sequence numbers these are."""
        return self.box, lineage(self.epoch)

    @property
    def said(self) -> "Said":
        """What names the change among those of its alert."""
        return self.box, self.epoch, self.seq


def latest(events: Sequence[AlertEvent]) -> AlertEvent:
    """Return the change that says how the alert is now; `events` is not empty, its order does not matter."""
    return max(events, key=_order(events))


def goes_on_from(events: Sequence[AlertEvent]) -> AlertEvent | None:
    """Return the last change that names the alert which this one goes on from, None of one that goes on from none.

    A change that does not repeat it, such as the end, must not let the other one stand again; nor does an end that
    repeats it say anew that this one goes on.
    """
    named = [event for event in events if event.record.supersedes is not None]
    going_on = [event for event in named if event.record.kind not in _ENDS]
    return max(going_on or named, key=_order(events)) if named else None


def speaks_after(event: AlertEvent, own: Sequence[AlertEvent], others: Sequence[AlertEvent]) -> bool:
    """Return whether a change of one alert (`own` are all of it) was said after all of another's (`others`).

    An alert that goes on as another, and back again under thresholds of before, speaks last, and stands.
    """
    place = _order([*own, *others])
    return all(place(event) > place(other) for other in others)


def begins_anew(events: Sequence[AlertEvent], fresh: Collection[Said]) -> bool:
    """Return whether a change that just came (`fresh`) tells an alert anew: what people did before is not about that.

    It was told before by the same database, so it had ended or gone on as another since; or another one tells of a
    time after that end. What came late, of before something that is known, tells nothing anew.
    """
    place = _order(events)
    ordered = sorted(events, key=place)
    for at in range(len(ordered) - 1, 0, -1):
        event = ordered[at]
        if event.said not in fresh:
            return False
        if event.record.kind in _TELLS:
            speaker, before = event.speaker, ordered[at - 1].record
            over = before.kind in _ENDS and before.resolved_at is not None
            later = over and event.record.raised_at > (before.resolved_at or 0)
            if later or any(one.speaker == speaker for one in ordered[:at]):
                return True
    return False


def _order(events: Sequence[AlertEvent]) -> Callable[[AlertEvent], tuple[int, str, int, int, int, str]]:
    """Return the place of each of these changes among them."""
    began: dict[tuple[int, str], int] = {}
    for event in events:
        began[event.speaker] = min(began.get(event.speaker, event.created), event.created)

    def place(event: AlertEvent) -> tuple[int, str, int, int, int, str]:
        stem = lineage(event.epoch)
        # A database that was set back gives numbers again, under another epoch, before it knows.
        return began[event.speaker], stem, event.box, event.seq, event.created, event.epoch

    return place
