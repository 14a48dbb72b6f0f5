"""The life of an alert, as values.

An alert is *raised*, may be *acknowledged* by a named person, and is *resolved*; acknowledged is not resolved.
Late readings may show that an alert should have been raised earlier (*added*), still holds (*confirmed*), has
another onset (*revised*) or should never have been (*retracted*). The box owns those; taking, returning,
closing and escalating belong to the team.

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


class Priority(StrEnum):
    """IEC 60601-1-8 words for how soon somebody must look."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


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
