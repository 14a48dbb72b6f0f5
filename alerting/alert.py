"""The life of an alert, as values.

An alert is *raised*, may be *acknowledged* by a named person, and is *resolved*; acknowledged is not resolved.
Late readings may show that an alert should have been raised earlier (*added*), still holds (*confirmed*), has
another onset (*revised*) or should never have been (*retracted*). One that is not told is *suppressed*, and *released*
when it is told at last: it stands all the same. One that nobody has seen in time is *escalated*: told again, or to
somebody else. The box owns those; taking, returning and closing belong to the team, which escalates on its side too.

Ids are deterministic: judging the same readings twice yields the same alert. Time is an argument everywhere.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from devices.reading import Quantity


class ChangeKind(StrEnum):
    """What happened to an alert."""

    RAISED = "raised"
    RESOLVED = "resolved"
    ADDED = "added"
    CONFIRMED = "confirmed"
    RETRACTED = "retracted"
    REVISED = "revised"
    SUPPRESSED = "suppressed"
    """It stands and is told no more, and why; it was told before."""
    RELEASED = "released"
    """It stands, was suppressed, and is told now."""
    ESCALATED = "escalated"
    """It stands, nobody has seen it in time, and it is told to whom the protocol names next."""


class Priority(StrEnum):
    """IEC 60601-1-8 words for how soon somebody must look."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Audience(StrEnum):
    """Who an alert is meant for: the patient or a carer at once, or the nurse in the desk's hours."""

    PATIENT_NOW = "patient_now"
    NURSE = "nurse"


class Category(StrEnum):
    """Whether an alert is about the patient or about what watches the patient."""

    CLINICAL = "clinical"
    TECHNICAL = "technical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence in both languages, numbers in the reader's form."""

    fr: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One reading that an alert rests on; times in ms UTC, value in quanta of the quantity."""

    quantity: Quantity
    count: int
    measured_at: int
    received_at: int
    device: str
    key: str
    quality: int = 0


class Reason(StrEnum):
    """Why an alert that stands is not told."""

    ABSORBED = "absorbed"
    """A graver alert of the same problem stands."""
    REFRACTORY = "refractory"
    """One of the same rule ended a short while ago."""
    TOO_MANY = "too_many"
    """As many as the protocol allows were told within its time."""
    QUIET_HOURS = "quiet_hours"
    SHELVED = "shelved"
    """Somebody set it aside until a time."""
    DIGEST = "digest"
    """It is told once a day, with the others of its rule."""
    STALE = "stale"
    """The readings it rests on arrived so late that nothing can be done about it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An alert stands and is not told.

    Attributes:
        reason: why.
        since: ms UTC, event time.
        until: ms UTC at which it is told if it still stands; None when that depends on something else.
        by: id of the alert that absorbs it, or who shelved it; "" otherwise.
    """

    reason: Reason
    since: int
    until: int | None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Nobody had seen an alert at `at` (ms UTC): from then on `audience` is told too, or told again."""

    at: int
    audience: Audience


class Outcome(StrEnum):
    """What came of an alert, as a nurse records it."""

    ACTION = "action"
    """True, and something was done."""
    NO_ACTION = "no_action"
    """True, and nothing needed doing."""
    ARTEFACT = "artefact"
    WRONG_PERSON = "wrong_person"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """The last alert of the same rule before this one; `outcome` is None when none was recorded."""

    alert_id: str
    raised_at: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The numbers of an alert, in units of the rule's measure (`alerting.rules.Measure`).

    Attributes:
        measure: the measure's name; "" when the alert has no numbers.
        value: what was compared.
        threshold: with what; signed as the value is.
        baseline: in quanta of the rule's quantity: what the value was counted from; None without one.
        readings: how many readings the value rests on.
        span: ms between the first and the last of them.
    """

    measure: str = ""
    value: int | None = None
    threshold: int | None = None
    baseline: int | None = None
    readings: int = 0
    span: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """One step in the life of one alert, complete in itself.

    Attributes:
        kind: what happened.
        alert_id: see `alert_id`.
        patient: pseudonym.
        rule: id of the rule in its protocol, or of the technical condition.
        priority: how soon somebody must look.
        category: about the patient or about the watching.
        onset: ms UTC, event time at which the condition began.
        raised_at: ms UTC, event time at which the rule was satisfied.
        resolved_at: ms UTC, event time at which it ended; None while it stands.
        evidence: the readings it rests on, in canonical order; empty for a technical alert without one.
        why: one sentence with its numbers.
        late: True when it comes from readings that arrived after their time: never to be shown as now.
        supersedes: id of the alert that a REVISED one continues, None otherwise.
        protocol: name of the care protocol; "" for a technical alert of the box itself.
        protocol_version: its version; 0 for a technical alert of the box itself.
        protocol_hash: SHA-256 of its resolved canonical form, hexadecimal; "" likewise.
        engine_version: version of the engine that judged.
        audience: whom it is for.
        due_by: ms UTC by which somebody must look, None when the protocol does not say.
        check: one verification to ask for, never a dose.
        finding: the numbers.
        recent: the last 14 values of the quantity up to `raised_at`, oldest first.
        signals: the newest reading of each other quantity of the protocol up to `raised_at`.
        higher: why its priority is not higher, None when no rule of the protocol is graver.
        lacking: what was missing for a fuller judgement, None when nothing was.
        similar: the last alert of the same rule.
        suppressed: why it is not told, None when it is.
        improving: since it was raised its value has moved towards its end; said of an alert looked at as it stands
            (`Engine.open_alerts`, CONFIRMED, ADDED, REVISED), not of what happened to it in passing.
        told_at: ms UTC, event time, from which on it is told without a break; None while it is not.
        escalated: whom else it was told since, or once more, in order.
    """

    kind: ChangeKind
    alert_id: str
    patient: str
    rule: str
    priority: Priority
    category: Category
    onset: int
    raised_at: int
    resolved_at: int | None
    evidence: tuple[Evidence, ...]
    why: Sentence
    late: bool
    supersedes: str | None
    protocol: str
    protocol_version: int
    protocol_hash: str
    engine_version: str
    audience: Audience = Audience.NURSE
    due_by: int | None = None
    check: Sentence = Sentence(fr="", en="")
    finding: Finding = Finding()
    recent: tuple[Evidence, ...] = ()
    signals: tuple[Evidence, ...] = ()
    higher: Sentence | None = None
    lacking: Sentence | None = None
    similar: Similar | None = None
    suppressed: Suppression | None = None
    improving: bool = False
    told_at: int | None = None
    escalated: tuple[Escalation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A named person has seen an alert: `by` whom, `at` ms UTC. It ends nothing: acknowledged is not resolved."""

    by: str
    at: int


class AlertState(StrEnum):
    """Where an alert is in its life."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


def state_of(change: ChangeKind, resolved_at: int | None, acknowledgement: Acknowledgement | None) -> AlertState:
    """Return where an alert is, given its last change and who has seen it.

    What ended stays ended, and what was taken back stays taken back, whether or not somebody has seen it.
    """
    if change is ChangeKind.RETRACTED:
        return AlertState.RETRACTED
    if resolved_at is not None:
        return AlertState.RESOLVED
    return AlertState.RAISED if acknowledgement is None else AlertState.ACKNOWLEDGED


def alert_id(*, patient: str, protocol: str, rule: str, onset: int) -> str:
    """Return the id of the alert of `rule` that began at `onset` (ms UTC): 32 hexadecimal digits.

    The protocol's version is left out on purpose: a new version of a protocol continues a standing alert.
    """
    text = "\x1f".join((patient, protocol, rule, str(onset)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
