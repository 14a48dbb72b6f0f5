"""CareProtocol: what the nurse coordinator set and the physician limits, resolved and checked.

Rules of this room:

- A threshold is an integer count of its quantity's quantum; a duration is milliseconds.
- A rule is data. Its comparisons are exact: `below` and `above` are strict (`<`, `>`), `at_most` and `at_least` are
  not; a change raises at `>= delta`. An alert ends at the complement of its end threshold.
- Persistence counts readings through the cadence: 15 min at one reading every 5 min is three readings (the
  definition of iglu: ceil(15/dt) points; Battelino 2023), with half a cadence of tolerance for jitter.
- Telling that nothing arrives is mandatory (arrêté of 22 June 2023): a protocol without it is refused.

What is not here: reading the file (protocol_file), and judging (engine).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from alerting.alert import Category, Priority, Sentence
from devices.reading import Quantity, facts, to_value


class Audience(StrEnum):
    """Who an alert is meant for: the patient or a carer at once, or the nurse in the desk's hours."""

    PATIENT_NOW = "patient_now"
    NURSE = "nurse"


class Side(StrEnum):
    """Which values are beyond a threshold: `<`, `<=`, `>=` or `>` it."""

    BELOW = "below"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    ABOVE = "above"

    @property
    def low(self) -> bool:
        """Whether low values are beyond."""
        return self in {Side.BELOW, Side.AT_MOST}


class Direction(StrEnum):
    """Which way a change is counted: up from the lowest, or down from the highest value of the window."""

    RISE = "rise"
    FALL = "fall"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWords:
    """What a rule says about itself.

    Attributes:
        title: the condition, as a nurse calls it.
        check: one verification to ask for, never a dose.
        sources: keys of `CareProtocol.sources`.
    """

    title: Sentence
    check: Sentence
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRule:
    """A value beyond a threshold, with its own end threshold.

    Attributes:
        side: which values are beyond.
        threshold: in quanta.
        end_threshold: in quanta; the alert ends on the other side of it.
        persist: ms for which the values must be beyond, 0 for one reading.
        end_persist: ms for which they must be back.
    """

    id: str
    quantity: Quantity
    priority: Priority
    audience: Audience
    words: RuleWords
    side: Side
    threshold: int
    end_threshold: int
    persist: int
    end_persist: int

    @property
    def category(self) -> Category:
        """About the patient."""
        return Category.CLINICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRule:
    """A value above the minimum, or below the maximum, of its last window.

    Attributes:
        direction: rise or fall.
        delta: in quanta; raised at `>=`.
        end_delta: in quanta; ended at `<`.
        window: ms.
        slack: ms added to the window, so that a weighing a little more than three days ago still counts.
    """

    id: str
    quantity: Quantity
    priority: Priority
    audience: Audience
    words: RuleWords
    direction: Direction
    delta: int
    end_delta: int
    window: int
    slack: int

    @property
    def category(self) -> Category:
        """About the patient."""
        return Category.CLINICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRule:
    """No judged reading for longer than expected.

    Attributes:
        expected: ms within which the next reading is due.
        grace: ms allowed beyond that.
    """

    id: str
    quantity: Quantity
    priority: Priority
    audience: Audience
    words: RuleWords
    expected: int
    grace: int

    @property
    def category(self) -> Category:
        """About what watches the patient."""
        return Category.TECHNICAL


Rule = LevelRule | ChangeRule | MissingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often a quantity is measured.

    Attributes:
        cadence: ms between two readings of a regular sensor.
        gap: ms; a silence longer than this breaks a run that was still waiting to persist.
    """

    cadence: int
    gap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CareProtocol:
    """One protocol, resolved.

    Attributes:
        name: without its version; part of alert ids.
        version: counts up from 1.
        title: what the protocol is for.
        not_transmitted_after: ms without anything received after which the team's side raises an alert by itself.
        timings: of the quantities measured by a regular sensor.
        rules: in the order of the file, which is the canonical order of alerts at the same time.
        sources: key -> citation.
    """

    name: str
    version: int
    title: Sentence
    not_transmitted_after: int
    timings: dict[Quantity, Timing]
    rules: tuple[Rule, ...]
    sources: dict[str, str]

    @property
    def protocol_hash(self) -> str:
        """SHA-256 of the canonical JSON of the resolved protocol, hexadecimal."""
        return hashlib.sha256(canonical(self)).hexdigest()


def canonical(protocol: CareProtocol) -> bytes:
    """Return the canonical JSON of a resolved protocol: sorted keys, no spaces, UTF-8, quanta and milliseconds."""
    document = {
        "name": protocol.name,
        "version": protocol.version,
        "title": _sentence(protocol.title),
        "not_transmitted_after": protocol.not_transmitted_after,
        "timings": {
            quantity.value: {"cadence": timing.cadence, "gap": timing.gap}
            for quantity, timing in protocol.timings.items()
        },
        "rules": [_rule(rule) for rule in protocol.rules],
        "sources": protocol.sources,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _sentence(sentence: Sentence) -> dict[str, str]:
    return {"fr": sentence.fr, "en": sentence.en}


def _rule(rule: Rule) -> dict[str, object]:
    document: dict[str, object] = {
        "id": rule.id,
        "quantity": rule.quantity.value,
        "priority": rule.priority.value,
        "audience": rule.audience.value,
        "title": _sentence(rule.words.title),
        "check": _sentence(rule.words.check),
        "sources": list(rule.words.sources),
    }
    match rule:
        case LevelRule():
            document |= {
                "kind": "level",
                "side": rule.side.value,
                "threshold": rule.threshold,
                "end_threshold": rule.end_threshold,
                "persist": rule.persist,
                "end_persist": rule.end_persist,
            }
        case ChangeRule():
            document |= {
                "kind": "change",
                "direction": rule.direction.value,
                "delta": rule.delta,
                "end_delta": rule.end_delta,
                "window": rule.window,
                "slack": rule.slack,
            }
        case _:
            document |= {"kind": "missing", "expected": rule.expected, "grace": rule.grace}
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Fields that are each well written and do not fit together.

    Attributes:
        field: the one to look at first.
        message: what is wrong and what to do.
    """

    field: str
    message: Sentence


def contradictions(rule: Rule, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield what does not fit together in one rule, given how its quantity is measured."""
    match rule:
        case LevelRule():
            yield from _level_contradictions(rule, timing)
        case ChangeRule():
            yield from _change_contradictions(rule)
        case _:
            if timing is not None and 0 < rule.expected < timing.cadence:
                yield Contradiction(
                    field="expected",
                    message=Sentence(
                        fr="la mesure est attendue plus souvent que le capteur ne mesure (cadence) : "
                        "l'alerte serait permanente",
                        en="the reading is expected more often than the sensor measures (cadence): "
                        "the alert would always stand",
                    ),
                )


def _level_contradictions(rule: LevelRule, timing: Timing | None) -> Iterator[Contradiction]:
    known = facts(rule.quantity)
    if (rule.side is Side.BELOW and rule.threshold == known.low) or (
        rule.side is Side.ABOVE and rule.threshold == known.high
    ):
        yield Contradiction(
            field="threshold",
            message=Sentence(
                fr="cette règle ne pourra jamais alerter : aucune valeur possible n'est au-delà de ce seuil",
                en="this rule can never be raised: no possible value is beyond this threshold",
            ),
        )
    wrong_side = rule.end_threshold < rule.threshold if rule.side.low else rule.end_threshold > rule.threshold
    if wrong_side:
        fr, en = ("supérieur ou égal", "at or above") if rule.side.low else ("inférieur ou égal", "at or below")
        yield Contradiction(
            field="end_threshold",
            message=Sentence(
                fr=f"le seuil de fin doit être {fr} au seuil d'alerte : sinon l'alerte finirait avant d'avoir commencé",
                en=f"the end threshold must be {en} the threshold: or the alert would end before it begins",
            ),
        )
    if timing is None and (rule.persist or rule.end_persist):
        yield Contradiction(
            field="persist" if rule.persist else "end_persist",
            message=Sentence(
                fr=f"une durée demande de savoir à quel rythme on mesure : ajouter [quantities.{rule.quantity}] "
                "avec cadence et gap",
                en=f"a duration needs the rhythm of measurement: add [quantities.{rule.quantity}] with cadence and gap",
            ),
        )


def _change_contradictions(rule: ChangeRule) -> Iterator[Contradiction]:
    known = facts(rule.quantity)
    if not 0 < rule.delta <= known.high - known.low:
        widest = to_value(rule.quantity, known.high - known.low)
        yield Contradiction(
            field="delta",
            message=Sentence(
                fr=f"cette règle ne pourra jamais alerter : la variation doit être positive et au plus de "
                f"{widest} {known.unit}",
                en=f"this rule can never be raised: the change must be positive and at most {widest} {known.unit}",
            ),
        )
    elif not 0 < rule.end_delta <= rule.delta:
        yield Contradiction(
            field="end_delta",
            message=Sentence(
                fr="la variation de fin doit être positive et au plus égale à delta",
                en="the end change must be positive and at most delta",
            ),
        )
