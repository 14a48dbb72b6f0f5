"""When nothing comes from a box any more: the one alert that needs no box to be raised.

A dead box cannot say that it is dead. So for each patient the inbox counts how long it has been listening without
hearing anything new from the patient's box, and raises `not_transmitted` once that reaches what the care protocol
allows. The next message that says something new resolves it; nothing retracts it, since nothing arrived then.

What counts is *time spent listening*, not time gone by: while the inbox is stopped, or cut off from the broker, it
hears nobody and blames nobody. It then goes on counting where it stood, so that a box which died meanwhile is told
late by the length of the absence, and never forgotten, however often the inbox restarts. A step of the clock longer
than half the shortest delay is credited as that half only: a machine that was suspended did not listen either.

Several workers listen at once, and each judges from the database alone: what counts is the time in which at least one
of them listened, wherever it was connected, and an alert that one has raised stands for all.

Times are ms UTC by the team's clock, which is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence, alert_id
from alerting.care_protocol import CareProtocol
from coordination.attribution import INBOX_VERSION, TeamChange
from coordination.database import Listened, Moment, Watched
from devices.clock import Clock

NOT_TRANSMITTED = "not_transmitted"
PRIORITY = Priority.MEDIUM
"""A box that is off is most often unplugged; a care protocol has no word of its own for it yet."""
LOOKS = 4
"""How many times within the shortest delay the inbox looks, whatever arrives."""

_MINUTE_MS = 60_000
_NB = "\u00a0"


class Listening:
    """For how long this worker has been able to hear boxes."""

    def __init__(self, clock: Clock, *, shortest: int | None) -> None:
        """`shortest` is the shortest delay of any protocol (ms), None without a patient."""
        self._clock = clock
        self._longest_step: int | None = None
        self.use(shortest)
        self._at = clock.now_ms()
        self._connection: int | None = None

    def use(self, shortest: int | None) -> None:
        """Count no step longer than half of the shortest delay (ms) of any protocol."""
        self._longest_step = None if shortest is None else shortest // 2

    def look(self, connection: int | None) -> Moment:
        """Return now; `connection` numbers the connection to the broker, None while there is none.

        Only a stretch that began and ends on the same connection was listened to for certain.
        """
        now, fresh = self._clock.now_ms(), 0
        if connection is not None and connection == self._connection:
            step = max(0, now - self._at)
            fresh = step if self._longest_step is None else min(step, self._longest_step)
        self._at = now
        self._connection = connection
        return Moment(at=now, fresh=fresh)


class Watch:
    """Who is silent, and when to look again."""

    def __init__(self, protocols: Mapping[str, CareProtocol]) -> None:
        """`protocols` maps each patient's pseudonym to the care protocol that the team has for them."""
        self.use(protocols)
        self.next_at: int | None = None
        self.silent_boxes: frozenset[str] = frozenset()

    def use(self, protocols: Mapping[str, CareProtocol]) -> None:
        """Watch by these protocols from now on: somebody was taken on, or is followed by another one."""
        self._protocols = protocols
        self.shortest = min((protocol.not_transmitted_after for protocol in protocols.values()), default=None)

    def judge(self, moment: Listened, watched: Sequence[Watched]) -> tuple[TeamChange, ...]:
        """Return what changes now, and note when to judge next and which boxes are awaited."""
        changes: list[TeamChange] = []
        deadlines: list[int] = []
        silent: set[str] = set()
        for item in watched:
            change = self._change(moment, item)
            if change is not None:
                changes.append(TeamChange(box=item.assignment.box, change=change))
            stands = item.standing if change is None else change
            if stands is not None and stands.resolved_at is None:
                silent.add(item.assignment.box)
            elif not _ended(moment, item) and (protocol := self._protocols.get(item.assignment.patient)):
                left = protocol.not_transmitted_after - _silent_for(moment, item)
                deadlines.append(max(moment.at, item.assignment.since) + left)
        self.next_at = min(deadlines, default=None)
        self.silent_boxes = frozenset(silent)
        return tuple(changes)

    def _change(self, moment: Listened, item: Watched) -> AlertChange | None:
        if item.standing is None:
            protocol = self._protocols.get(item.assignment.patient)
            if protocol is None:
                # Another worker has newer settings, and watches this patient.
                return None
            overdue = _silent_for(moment, item) - protocol.not_transmitted_after
            return self._raised(item, moment.at - overdue) if overdue >= 0 else None
        if item.heard_at is not None and item.heard_at > item.standing.onset:
            return _heard_again(item, item.standing, item.heard_at)
        return _no_longer_assigned(moment, item, item.standing) if _ended(moment, item) else None

    def _raised(self, item: Watched, at: int) -> AlertChange:
        patient, box = item.assignment.patient, item.assignment.box
        protocol = self._protocols[patient]
        onset = _onset(item)
        day, span = _when(onset, item.assignment.time_zone), _span(at - onset)
        never = item.heard_at is None or item.heard_at < item.assignment.since
        since = Sentence(fr=f"son attribution, {day.fr}", en=f"it was assigned, {day.en}") if never else day
        deaf = at - onset - protocol.not_transmitted_after
        pause = _span(deaf)
        aside = (
            Sentence(
                fr=f", dont {pause.fr} pendant lesquelles l'équipe ne recevait pas",
                en=f", {pause.en} of which the team was not receiving",
            )
            if deaf >= _MINUTE_MS
            else Sentence(fr="", en="")
        )
        return AlertChange(
            kind=ChangeKind.RAISED,
            alert_id=alert_id(patient=patient, protocol=protocol.name, rule=NOT_TRANSMITTED, onset=onset),
            patient=patient,
            rule=NOT_TRANSMITTED,
            priority=PRIORITY,
            category=Category.TECHNICAL,
            onset=onset,
            raised_at=at,
            resolved_at=None,
            evidence=(),
            why=Sentence(
                fr=f"Rien reçu du boîtier {box} depuis {since.fr} ({span.fr}{aside.fr}){_NB}; à vérifier{_NB}: "
                "le boîtier est-il branché, et son réseau fonctionne-t-il ?",
                en=f"Nothing received from box {box} since {since.en} ({span.en}{aside.en}); to check: "
                "is the box plugged in, and does its network work?",
            ),
            late=False,
            supersedes=None,
            protocol=protocol.name,
            protocol_version=protocol.version,
            protocol_hash=protocol.protocol_hash,
            engine_version=INBOX_VERSION,
        )


def _onset(item: Watched) -> int:
    since = item.assignment.since
    return since if item.heard_at is None else max(since, item.heard_at)


def _silent_for(moment: Listened, item: Watched) -> int:
    return max(0, min(moment.listened - item.listened, moment.at - _onset(item)))


def _heard_again(item: Watched, alert: AlertChange, heard_at: int) -> AlertChange:
    at = max(heard_at, alert.raised_at)
    box, day, span = item.assignment.box, _when(at, item.assignment.time_zone), _span(at - alert.onset)
    why = Sentence(
        fr=f"Le boîtier {box} transmet de nouveau depuis {day.fr}, après {span.fr} de silence.",
        en=f"Box {box} transmits again since {day.en}, after {span.en} of silence.",
    )
    return replace(alert, kind=ChangeKind.RESOLVED, resolved_at=at, why=why)


def _ended(moment: Listened, item: Watched) -> bool:
    return item.assignment.until is not None and item.assignment.until <= moment.at


def _no_longer_assigned(moment: Listened, item: Watched, alert: AlertChange) -> AlertChange:
    until = moment.at if item.assignment.until is None else item.assignment.until
    box = item.assignment.box
    why = Sentence(
        fr=f"Le boîtier {box} n'est plus attribué à ce patient.", en=f"Box {box} is no longer assigned to this patient."
    )
    return replace(alert, kind=ChangeKind.RESOLVED, resolved_at=max(until, alert.raised_at), why=why)


def _when(at: int, time_zone: str) -> Sentence:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)).astimezone(ZoneInfo(time_zone))
    return Sentence(fr=f"le {local:%d/%m/%Y à %H:%M}", en=f"{local:%Y-%m-%d at %H:%M}")


def _span(milliseconds: int) -> Sentence:
    """Return a duration in its two largest units; French keeps number and unit on one line."""
    minutes = milliseconds // _MINUTE_MS
    hours, days = minutes // 60, minutes // 1440
    if days:
        parts = ((days, "j", "d"), (hours % 24, "h", "h"))
    elif hours:
        parts = ((hours, "h", "h"), (minutes % 60, "min", "min"))
    else:
        parts = ((minutes, "min", "min"), (0, "", ""))
    shown = [part for part in parts if part[0]] or parts[:1]
    return Sentence(
        fr=_NB.join(f"{number}{_NB}{fr}" for number, fr, _ in shown),
        en=" ".join(f"{number} {en}" for number, _, en in shown),
    )
