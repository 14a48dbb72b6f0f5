"""Content: what an alert says to whoever reads it, from what the engine knows of it.

A change is complete in itself: a reader needs no other one, and no access to readings.

What is not here: the sentences (explain), and which changes there are (engine).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from alerting.alert import (
    AlertChange,
    ChangeKind,
    Escalation,
    Evidence,
    Finding,
    Outcome,
    Sentence,
    Similar,
    Suppression,
    alert_id,
)
from alerting.care_protocol import CareProtocol, Rule
from alerting.explain import Members, Telling, explain, what_is_missing, why_not_higher
from alerting.kept import Kept
from alerting.life import Turn
from alerting.scheduled_rules import CompositeRule, MissingRule
from alerting.told import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened to an alert.

    Attributes:
        kind: what.
        at: ms UTC, event time at which it happened; orders what is told.
        told: the alert.
        turn: whether it is told from then on.
        ended: ms UTC at which the alert ended, as far as this tells; None while it stands.
        late: it comes from readings that arrived after their time.
        outcome: what came of the last similar alert.
        improving: see `AlertChange`.
        escalated: see `AlertChange`.
    """

    kind: ChangeKind
    at: int
    told: Told
    turn: Turn
    ended: int | None
    late: bool
    outcome: Outcome | None = None
    improving: bool = False
    escalated: tuple[Escalation, ...] = ()

    @property
    def order(self) -> tuple[int, int, int]:
        """Place among what is told together: by time, rule and course of a life."""
        last = self.kind is ChangeKind.RESOLVED
        first = self.kind not in {ChangeKind.RESOLVED, ChangeKind.SUPPRESSED, ChangeKind.RELEASED}
        return self.at, self.told.rule, 0 if first else 2 if last else 1


class Content:
    """Makes changes of the alerts of one patient under one protocol."""

    def __init__(self, protocol: CareProtocol, *, patient: str, zone: ZoneInfo, engine_version: str) -> None:
        self.protocol = protocol
        self.patient = patient
        self.protocol_hash = protocol.protocol_hash
        self._zone = zone
        self._engine_version = engine_version
        self._indices = {rule.id: index for index, rule in enumerate(protocol.rules)}

    def id_of(self, rule: int, onset: int) -> str:
        """Return the id of the alert of a rule (index) that began at `onset` (ms UTC)."""
        rule_id = self.protocol.rules[rule].id
        return alert_id(patient=self.patient, protocol=self.protocol.name, rule=rule_id, onset=onset)

    def change(self, moment: Moment) -> AlertChange:
        """Return a moment as it is told."""
        told, turn, rule = moment.told, moment.turn, self.protocol.rules[moment.told.rule]
        telling = Telling(
            rule=rule,
            onset=told.onset,
            raised_at=told.raised_at,
            evidence=_evidence(told.evidence),
            late=told.late,
            withdrawn=moment.kind is ChangeKind.RETRACTED,
            finding=_finding(told, rule),
            signals=_evidence(told.signals),
            lacking=told.lacking,
            units=self.protocol.units,
            members=self._named(self._of(rule), true=told.members, unknown=told.unknown),
        )
        due = self.protocol.telling.due.get(rule.priority)
        told_at = turn.at if turn.reason is None else None
        known_at = told_from(told, told_at) if told_at is not None else None
        return AlertChange(
            kind=moment.kind,
            alert_id=self.id_of(told.rule, told.onset),
            patient=self.patient,
            rule=rule.id,
            priority=rule.priority,
            category=rule.category,
            onset=told.onset,
            raised_at=told.raised_at,
            resolved_at=moment.ended,
            evidence=tuple(telling.evidence),
            why=explain(telling, self._zone),
            late=moment.late,
            supersedes=None if told.supersedes is None else self.id_of(told.rule, told.supersedes),
            protocol=self.protocol.name,
            protocol_version=self.protocol.version,
            protocol_hash=self.protocol_hash,
            engine_version=self._engine_version,
            audience=rule.audience,
            due_by=None if due is None or known_at is None else known_at + due,
            check=rule.words.check,
            finding=telling.finding,
            recent=_evidence(told.recent),
            signals=tuple(telling.signals),
            higher=self._higher(telling, told),
            lacking=what_is_missing(telling, self._zone),
            similar=self._similar(moment),
            suppressed=None
            if turn.reason is None
            else Suppression(reason=turn.reason, since=turn.at, until=turn.until, by=turn.by),
            improving=moment.improving,
            told_at=told_at,
            escalated=moment.escalated,
        )

    def _of(self, rule: Rule) -> list[int]:
        return [self._indices[one] for one in rule.of] if isinstance(rule, CompositeRule) else []

    def _higher(self, telling: Telling, told: Told) -> Sentence | None:
        rules = self.protocol.rules
        return why_not_higher(
            telling,
            rules,
            standing={rules[rule].id for rule, ended in told.stood if ended is None},
            members={rule.id: self._members(rule, told) for rule in rules if isinstance(rule, CompositeRule)},
        )

    def _members(self, rule: CompositeRule, told: Told) -> Members:
        """Return how the members of a composite rule stood when another alert was raised, as far as alerts tell."""
        stood = {one for one, ended in told.stood if ended is None or ended >= told.raised_at - rule.window}
        return self._named(self._of(rule), true=stood | {told.rule}, unknown=())

    def _named(self, of: Sequence[int], *, true: Collection[int], unknown: Collection[int]) -> Members:
        titles = {one: self.protocol.rules[one].words.title for one in of}
        return Members(
            true=[titles[one] for one in of if one in true],
            unknown=[titles[one] for one in of if one in unknown],
            false=[titles[one] for one in of if one not in true and one not in unknown],
        )

    def _similar(self, moment: Moment) -> Similar | None:
        before = moment.told.before
        if before is None:
            return None
        onset, raised_at = before
        return Similar(alert_id=self.id_of(moment.told.rule, onset), raised_at=raised_at, outcome=moment.outcome)


def told_from(told: Told, at: int) -> int:
    """Return from when on (ms UTC) somebody could know of an alert that is told from event time `at` on.

    A weighing of the morning that the box receives in the evening is told in the evening.
    """
    return max(at, max((kept.received_at for kept in told.evidence), default=at))


def _finding(told: Told, rule: Rule) -> Finding:
    """Return the numbers of an alert; those of an absence are its times."""
    if isinstance(rule, MissingRule) or told.value is None:
        return Finding()
    return Finding(
        measure=rule.measure.value,
        value=told.value,
        threshold=rule.limits.threshold,
        baseline=told.baseline,
        readings=told.readings,
        span=told.span,
    )


def _evidence(kept: Sequence[Kept]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            quantity=one.quantity,
            count=one.count,
            measured_at=one.measured_at,
            received_at=one.received_at,
            device=one.device,
            key=one.key,
            quality=one.quality,
        )
        for one in kept
    )
