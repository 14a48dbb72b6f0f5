"""Teller: from what became of alerts to what is told of them, in canonical order.

It owns the alerts that still matter, what people did about them, and their lives. Every change of kind RAISED says
whether the alert was told then; SUPPRESSED and RELEASED say when that changed. Where late readings show that an alert
took other turns than was told, what is told is how it stands now; of one that is over nothing more.

Whom else to tell of one that nobody has seen is told too, as ESCALATED, when whoever lives in real time asks for it:
that is an act, and no part of what the same readings always give.

What is not here: what raises and ends alerts (engine), when they are told (life), which steps are due (escalation), and
what a change says (content).
"""

from collections.abc import Iterable

from alerting.acts import BEGUN, Acts, Escalated
from alerting.alert import AlertChange, ChangeKind, Escalation, Outcome
from alerting.care_protocol import CareProtocol
from alerting.content import Content, Moment, told_from
from alerting.errors import UnknownAlertError
from alerting.escalation import DueStep, Standing, steps_to_come
from alerting.life import Course, Life, Turn, live, steps, told_at
from alerting.life_rules import RuleLives
from alerting.retention import Retention
from alerting.scheduled_rules import MissingRule
from alerting.stream import Stream
from alerting.told import Difference, Told

_LOOKED_AT = frozenset({ChangeKind.CONFIRMED, ChangeKind.ADDED, ChangeKind.REVISED})
"""Changes that tell of an alert as it stands now, whatever happened to it before."""


class Teller:
    """Tells the alerts of one patient under one protocol.

    Args:
        protocol: the rules.
        content: makes the changes.
        rules: what holds alerts back.
    """

    def __init__(self, protocol: CareProtocol, content: Content, rules: RuleLives) -> None:
        self.told: list[Told] = []
        """Alerts that stand, that late readings may still change, or that count for others; in canonical order."""
        self.acts = Acts()
        self.next_turn: int | None = None
        """The moment (ms UTC) after which an alert begins or ceases to be told if nothing else happens."""
        self.retention = Retention(protocol, memory=rules.memory)
        self._protocol = protocol
        self._content = content
        self._rules = rules
        self._settled: int | None = None

    def open_alerts(self, stream: Stream) -> tuple[AlertChange, ...]:
        """Return the alerts that stand, as RAISED or ADDED, told or not as they are now."""
        self.settle(stream.event_time)
        return tuple(
            self._content.change(
                self._moment(ChangeKind.ADDED if told.added else ChangeKind.RAISED, told, late=told.late, stream=stream)
            )
            for told in self.told
            if self.ended(told) is None
        )

    def known(self, alert_id: str) -> Told:
        """Return an alert, also by the id that it had before its onset moved.

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        found = next((told for told in self.told if self._id(told) == alert_id), None)
        if found is None:
            moved = (told for told in self.told if told.supersedes is not None)
            found = next((one for one in moved if self._content.id_of(one.rule, one.supersedes or 0) == alert_id), None)
        if found is None:
            raise UnknownAlertError(alert_id)
        return found

    def ended(self, told: Told) -> int | None:
        """Return when an alert ended, ms UTC: a latched one once it was seen; None while it stands."""
        if told.resolved_at is None or not self._rules.rules[told.rule].latched:
            return told.resolved_at
        seen = self.acts.seen(self._id(told))
        return None if seen is None else max(told.resolved_at, seen.at)

    def improves(self, told: Told, stream: Stream) -> bool:
        """Return whether the value of a standing alert has moved towards its end since it was raised."""
        rule = self._protocol.rules[told.rule]
        value = stream.value(told.rule)
        if isinstance(rule, MissingRule) or told.resolved_at is not None or told.value is None or value is None:
            return False
        return value > told.value if rule.limits.side.low else value < told.value

    def carry(self, onset: int, told: Told) -> None:
        """Let an alert have what was done about it while its onset was another (ms UTC)."""
        self.acts.carry(self._content.id_of(told.rule, onset), self._id(told))

    def carry_on(self, alert_id: str, onset: int) -> None:
        """Let an alert continue the one of its rule that began at `onset` (ms UTC).

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        told = self.known(alert_id)
        told.supersedes = onset
        self.carry(onset, told)

    def tell_late(self, alert_id: str, stream: Stream) -> AlertChange:
        """Return an alert as ADDED, late from now on, with its end if it has one.

        Raises:
            UnknownAlertError: no such alert is known, or not any more.
        """
        told = self.known(alert_id)
        told.late = told.added = True
        return self._content.change(self._moment(ChangeKind.ADDED, told, late=True, stream=stream))

    def steps_to_come(self, stream: Stream) -> list[tuple[Told, DueStep]]:
        """Return the steps of escalation that are due, or will be if nothing else happens; by alert, then in order."""
        found: list[tuple[Told, DueStep]] = []
        for told in self.told:
            rule = self._protocol.rules[told.rule]
            policy, first = self._protocol.telling.steps.get(rule.priority, ()), told_at(told.life)
            if not policy or first is None or self.ended(told) is not None:
                continue
            taken = self.acts.escalated(self._id(told))
            begun = max((one.at for one in taken if one.number == BEGUN), default=first)
            seen = self.acts.seen(self._id(told))
            standing = Standing(
                audience=rule.audience,
                life=told.life,
                since=max(begun, told_from(told, first)),
                seen_at=None if seen is None else seen.at,
                improving=self.improves(told, stream),
                taken=1 + max((one.number for one in taken), default=BEGUN),
            )
            found += [(told, step) for step in steps_to_come(standing, policy)]
        return found

    def escalate(self, now: int, stream: Stream) -> tuple[AlertChange, ...]:
        """Take the steps that are due at `now` (ms UTC, inclusive); those of one alert are told in one change."""
        due: dict[tuple[int, int], Told] = {}
        for told, step in self.steps_to_come(stream):
            if step.at <= now:
                self.acts.escalate(Escalated(self._id(told), step.number, now, step.audience))
                due[told.key] = told
        moments = [self._moment(ChangeKind.ESCALATED, told, late=False, stream=stream, at=now) for told in due.values()]
        return tuple(self._content.change(one) for one in moments)

    def begin_escalating(self, alert_ids: Iterable[str], now: int, *, anew: bool) -> None:
        """Count the steps of these alerts from `now` (ms UTC) on; `anew`: forget what was done about them before."""
        named = set(alert_ids)
        for told in self.told:
            if self._id(told) in named:
                audience = self._protocol.rules[told.rule].audience
                if anew:
                    self.acts.begin_anew(self._id(told))
                self.acts.escalate(Escalated(self._id(told), BEGUN, now, audience))

    def tell(self, differences: Iterable[Difference], start: int, stream: Stream) -> tuple[AlertChange, ...]:
        """Return the changes in canonical order, and forget what nothing can change any more.

        Args:
            differences: of alerts, those that were RAISED or came otherwise being in `told`.
            start: from when on (ms UTC) lives may have changed.
            stream: as far as it has judged.
        """
        lives = {told.key: told.life for told in self.told}
        self.live(start, stream.event_time)
        moments: list[Moment] = []
        said: set[tuple[int, int]] = set()
        ending: set[tuple[int, int]] = set()
        for one in differences:
            told = one.told
            if one.kind is ChangeKind.RESOLVED:
                if self.ended(told) is None:
                    continue
                ending.add(told.key)
            if one.kind is ChangeKind.RAISED:
                moments += self._beginning(told, late=one.late)
            else:
                looked_at = stream if one.kind in _LOOKED_AT else None
                moments.append(self._moment(one.kind, told, late=one.late, stream=looked_at))
            if one.kind is not ChangeKind.RESOLVED:
                said.add(told.key)
        for told in self.told:
            # What was told to be over took whatever turns it took: told of now, it would seem to stand again.
            if told.key not in said and (self.ended(told) is None or told.key in ending):
                moments += self._turns(told, lives[told.key])
        changes = tuple(self._content.change(one) for one in sorted(moments, key=lambda one: one.order))
        self.forget(stream.event_time)
        return changes

    def live(self, start: int, until: int) -> None:
        """Find the lives of the alerts from `start` (ms UTC) on to `until`, and when the next turn is due.

        Why an alert is held back may change without its being told. Such turns are looked for when something else
        happens or is asked: from where lives were found last, so that it does not matter when that is.
        """
        start = start if self._settled is None else min(start, self._settled)
        self._settled = until
        courses = [self._course(told) for told in self.told]
        found = live(courses, self._rules, self.acts.shelves, start=start, until=until)
        for told, life in zip(self.told, found.lives, strict=True):
            told.life = life
        self.next_turn = found.next_at

    def settle(self, event_time: int) -> None:
        """Find the lives of the alerts as far as event time (ms UTC)."""
        if self._settled is None or self._settled < event_time:
            self.live(event_time, event_time)

    def forget(self, event_time: int) -> None:
        """Forget what counts for nothing any more at event time (ms UTC)."""
        self.told = self.retention.of(self.told, event_time, self.ended)
        self.acts.forget(before=event_time - self.retention.horizon, but=[self._id(told) for told in self.told])

    def _course(self, told: Told) -> Course:
        _, part, order = told.place
        return Course(
            alert_id=self._id(told),
            rule=told.rule,
            raised_at=told.raised_at,
            part=part,
            order=order,
            over=told.resolved_at,
            ended=self.ended(told),
            fresh_at=told.fresh_at,
            life=told.life,
        )

    def _beginning(self, told: Told, *, late: bool) -> list[Moment]:
        """Return how an alert began, and what turns its life has taken since."""
        raised = Moment(
            kind=ChangeKind.RAISED,
            at=told.raised_at,
            told=told,
            turn=told.life[0],
            ended=None,
            late=late,
            outcome=self._outcome_before(told),
            escalated=self._escalated(told),
        )
        return [raised, *self._turns(told, told.life[:1])]

    def _turns(self, told: Told, before: Life) -> list[Moment]:
        """Return the turns that an alert has taken since its life was `before`."""
        known, now = list(steps(before)), list(steps(told.life))
        same = before[0].reason is told.life[0].reason and [(one.at, one.reason) for one in known] == [
            (one.at, one.reason) for one in now[: len(known)]
        ]
        ended = self.ended(told)
        if same:
            # One that ends in the same millisecond is over, and told of no more.
            return [self._turn(told, turn) for turn in now[len(known) :] if ended is None or turn.at < ended]
        # Its past turns out to have been another one: what matters is how it stands now.
        if ended is None and (before[-1].reason is None) is not (told.turn.reason is None):
            return [self._turn(told, told.turn)]
        return []

    def _turn(self, told: Told, turn: Turn) -> Moment:
        return Moment(
            kind=ChangeKind.RELEASED if turn.reason is None else ChangeKind.SUPPRESSED,
            at=turn.at,
            told=told,
            turn=turn,
            ended=None,
            late=False,
            outcome=self._outcome_before(told),
            escalated=self._escalated(told),
        )

    def _moment(
        self, kind: ChangeKind, told: Told, *, late: bool, stream: Stream | None, at: int | None = None
    ) -> Moment:
        ended = self.ended(told)
        when = ended if kind is ChangeKind.RESOLVED and ended is not None else told.raised_at
        return Moment(
            kind=kind,
            at=when if at is None else at,
            told=told,
            turn=told.turn,
            ended=ended,
            late=late,
            outcome=self._outcome_before(told),
            improving=stream is not None and ended is None and self.improves(told, stream),
            escalated=self._escalated(told),
        )

    def _escalated(self, told: Told) -> tuple[Escalation, ...]:
        taken = [one for one in self.acts.escalated(self._id(told)) if one.number != BEGUN]
        return tuple(dict.fromkeys(Escalation(at=one.at, audience=one.audience) for one in taken))

    def _outcome_before(self, told: Told) -> Outcome | None:
        return None if told.before is None else self.acts.outcome(self._content.id_of(told.rule, told.before[0]))

    def _id(self, told: Told) -> str:
        return self._content.id_of(told.rule, told.onset)
