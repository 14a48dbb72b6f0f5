"""What several kinds of rules are checked for: thresholds within reach, ends on the right side, windows that fit.

What is not here: which kind of rule is checked for what (contradictions, pattern_contradictions).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from alerting.alert import Sentence
from alerting.care_protocol import Timing
from alerting.protocol_values import duration_said
from alerting.rules import CommonRule, Limits, Side
from devices.reading import Quantity, facts

MOST_READINGS = 1920
"""No window of a sensor holds more readings (`alerting.program.window_readings`)."""
READINGS_NOW_AND_THEN = 384
"""No window of what is measured now and then holds more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Fields that are each well written and do not fit together.

    Attributes:
        field: the one to look at first, as a file writes it.
        message: what is wrong and what to do.
        certain: the rule cannot be meant so; otherwise it is only likely that it is not.
    """

    field: str
    message: Sentence
    certain: bool = True


def never(field: str, fr: str, en: str) -> Contradiction:
    """Return that a rule can never be raised, and why."""
    return Contradiction(
        field=field,
        message=Sentence(fr=f"cette règle ne pourra jamais alerter : {fr}", en=f"this rule can never be raised: {en}"),
    )


def always(field: str, fr: str, en: str) -> Contradiction:
    """Return that the alert of a rule would always stand, and why."""
    return Contradiction(
        field=field,
        message=Sentence(fr=f"l'alerte serait permanente : {fr}", en=f"the alert would always stand: {en}"),
    )


def wrong(field: str, fr: str, en: str) -> Contradiction:
    """Return what is wrong."""
    return Contradiction(field=field, message=Sentence(fr=fr, en=en))


def unlikely(field: str, fr: str, en: str) -> Contradiction:
    """Return what is allowed and probably not meant."""
    return Contradiction(field=field, message=Sentence(fr=fr, en=en), certain=False)


def reachable(quantity: Quantity, side: Side, threshold: int) -> Iterator[Contradiction]:
    """Yield when no value, or every value, of a quantity is beyond a threshold."""
    known = facts(quantity)
    if (side is Side.BELOW and threshold == known.low) or (side is Side.ABOVE and threshold == known.high):
        yield never("threshold", "aucune valeur possible n'est au-delà de ce seuil", "no possible value is beyond it")
    if (side is Side.AT_LEAST and threshold == known.low) or (side is Side.AT_MOST and threshold == known.high):
        yield always("threshold", "toute valeur possible est au-delà de ce seuil", "every possible value is beyond it")


def right_side(limits: Limits, field: str = "end_threshold") -> Iterator[Contradiction]:
    """Yield when an alert would end before it begins."""
    low = limits.side.low
    if limits.end_threshold < limits.threshold if low else limits.end_threshold > limits.threshold:
        fr, en = ("supérieur ou égal", "at or above") if low else ("inférieur ou égal", "at or below")
        yield wrong(
            field,
            f"le seuil de fin doit être {fr} au seuil d'alerte : sinon l'alerte finirait avant d'avoir commencé",
            f"the end threshold must be {en} the threshold: or the alert would end before it begins",
        )


def at_most(field: str, end: int, begin: int) -> Iterator[Contradiction]:
    """Yield when what ends an alert is more than what begins it."""
    if end > begin:
        key = field.removeprefix("end_")
        yield wrong(
            field,
            f"ce qui termine l'alerte doit être au plus égal à {key} : sinon elle finirait avant d'avoir commencé",
            f"what ends the alert must be at most {key}: or it would end before it begins",
        )


def rhythm(rule: CommonRule, persist: int, end_persist: int, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield when a condition has to last, and nobody says how often it is looked at."""
    if timing is None and (persist or end_persist):
        yield wrong(
            "persist" if persist else "end_persist",
            f"une durée demande de savoir à quel rythme on mesure : ajouter [quantities.{rule.quantity}] avec cadence "
            "et gap",
            f"a duration needs the rhythm of measurement: add [quantities.{rule.quantity}] with cadence and gap",
        )


def window_fits(window: int, timing: Timing | None, field: str = "window") -> Iterator[Contradiction]:
    """Yield when a window holds one reading at most, or more readings than are kept."""
    if timing is None or timing.cadence <= 0:
        return
    if window < timing.cadence:
        yield never(
            field,
            "la fenêtre est plus courte que la cadence, elle ne contient qu'une mesure",
            "the window is shorter than the cadence, it holds one reading only",
        )
    # A quarter more than the cadence brings is kept, for readings that come a little early.
    longest = MOST_READINGS * 4 * timing.cadence // 5
    if window > longest:
        minutes = duration_said(longest // 60_000 * 60_000)
        yield wrong(
            field,
            f"à cette cadence une fenêtre tient au plus {minutes.fr} ({MOST_READINGS} mesures) : la raccourcir",
            f"at this cadence a window holds at most {minutes.en} ({MOST_READINGS} readings): shorten it",
        )


def enough(field: str, readings: int, window: int, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield when a window cannot hold as many readings as are asked for."""
    regular = timing is not None and timing.cadence > 0
    held = window // timing.cadence + 1 if regular and timing is not None else READINGS_NOW_AND_THEN
    if readings > held:
        yield never(field, f"la fenêtre contient au plus {held} mesures", f"the window holds at most {held} readings")
