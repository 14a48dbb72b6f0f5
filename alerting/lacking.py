"""What was missing for a fuller judgement, with when it was last measured."""

from zoneinfo import ZoneInfo

from alerting.alert import Sentence
from alerting.explain_past import expected_readings
from alerting.explain_together import never_measured
from alerting.phrases import clauses, joined, taken_at, unknown
from alerting.quantity_words import NAMES, reading_noun
from alerting.scheduled_rules import MeanRule, Score, ScoreRule
from alerting.telling import Telling
from alerting.wording import say
from devices.reading import Quantity


def what_is_missing(telling: Telling, zone: ZoneInfo) -> Sentence | None:
    """Return what was missing for a fuller judgement; None when nothing was."""
    rule = telling.rule
    parts = [_lacking(quantity, telling, zone) for quantity in telling.lacking]
    if isinstance(rule, ScoreRule) and (never := never_measured(rule)):
        parts.append(say("aucun appareil ne mesure~: {n}", "no device measures: {n}", n=joined(", ", ", ", never)))
    if isinstance(rule, MeanRule):
        parts += _left_out(rule, telling.finding.readings)
    if telling.members.unknown:
        parts.append(unknown(telling.members.unknown))
    return clauses(parts) if parts else None


def _lacking(quantity: Quantity, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Return what is known of a quantity without a fresh reading, or without a past to compare it with."""
    rule, name = telling.rule, NAMES[quantity]
    last = max(
        (one for one in (*telling.signals, *telling.evidence) if one.quantity is quantity),
        key=lambda one: one.measured_at,
        default=None,
    )
    if last is None:
        return say("{n}~: aucune {noun}", "{n}: no {noun}", n=name, noun=reading_noun(quantity, 1))
    shown = taken_at(last, telling.units, zone)
    if (
        isinstance(rule, ScoreRule)
        and rule.score is Score.HEART_FAILURE
        and telling.raised_at - last.measured_at <= rule.freshness
    ):
        return say(
            "{n}~: trop peu de {noun} pour connaître l'habitude ({last})",
            "{n}: too few {noun} to know what is usual ({last})",
            n=name,
            noun=reading_noun(quantity, 2),
            last=shown,
        )
    return say(
        "{n}~: dernière {noun} {last}", "{n}: last {noun} {last}", n=name, noun=reading_noun(quantity, 1), last=shown
    )


def _left_out(rule: MeanRule, counted: int) -> list[Sentence]:
    """Return how many readings of a schedule were not taken; nothing when none, or when it is not known."""
    gap = expected_readings(rule) - counted
    if not counted or gap <= 0:
        return []
    noun = reading_noun(rule.quantity, gap)
    return [
        say(
            "{gap}~{noun} {miss} sur {n} attendues",
            "{gap} {noun} missing of {n} expected",
            gap=gap,
            noun=noun,
            miss="manque" if gap == 1 else "manquent",
            n=expected_readings(rule),
        )
    ]
