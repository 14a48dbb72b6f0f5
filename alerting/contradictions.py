"""What is each well written in a rule and does not fit together: said to whoever wrote the protocol.

What is not here: reading the file (protocol_file), and what one value may be (protocol_schema).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from alerting.alert import Sentence
from alerting.care_protocol import Rule, Timing
from alerting.rules import ChangeRule, LevelRule, Side
from alerting.scheduled_rules import MissingRule
from devices.reading import facts, to_value


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
        case MissingRule():
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
