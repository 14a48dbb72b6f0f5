"""What it would take for a rule to be raised, in a few words: "moins de 54 mg/dL pendant 15 min"."""

from collections.abc import Mapping

from alerting.alert import Sentence
from alerting.care_protocol import Rule
from alerting.explain_past import reference_of, scale_for
from alerting.explain_watching import flag_names
from alerting.phrases import on_side, passing, readings
from alerting.quantity_words import reading_noun
from alerting.rules import (
    BaselineRule,
    ChangeRule,
    Direction,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    ShareRule,
    Side,
)
from alerting.scheduled_rules import Concern, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from alerting.spoken_time import MINUTE, latest, span
from alerting.wording import INDEX, NOTHING, PERCENT, POINTS, amount, per_minute, say, scale_of
from devices.reading import Quantity, Unit

Units = Mapping[Quantity, Unit]


def condition(rule: Rule, units: Units) -> Sentence:
    """Return what a rule waits for, how long it must last included."""
    what = _condition(rule, units)
    if isinstance(rule, LevelRule | RateRule | ForecastRule) and rule.persist:
        return say("{what} pendant {p}", "{what} for {p}", what=what, p=span(rule.persist))
    return what


def _condition(rule: Rule, units: Units) -> Sentence:  # noqa: C901, PLR0911 - one return a kind
    match rule:
        case LevelRule():
            return _plainly(rule.side, amount(scale_of(rule.quantity, units), rule.threshold))
        case RateRule():
            return say(
                "une {way} d'au moins {rate} sur {window}",
                "a {way} of at least {rate} over {window}",
                way=_way(rule.direction),
                rate=amount(per_minute(scale_of(rule.quantity, units)), rule.per_minute),
                window=span(rule.window),
            )
        case ForecastRule():
            return _foreseen(rule, units)
        case ChangeRule():
            scale = PERCENT if rule.relative else scale_of(rule.quantity, units).differences
            return say(
                "une {way} d'au moins {delta} en {window}",
                "a {way} of at least {delta} in {window}",
                way=_way(rule.direction),
                delta=amount(scale, rule.delta),
                window=span(rule.window),
            )
        case BaselineRule():
            return say(
                "un écart d'au moins {delta} avec {reference}",
                "a difference of at least {delta} from {reference}",
                delta=amount(scale_for(rule, units), rule.limits.threshold, plus=True),
                reference=reference_of(rule),
            )
        case ShareRule():
            return say(
                "au moins {share} des {noun} {latest} {side}",
                "at least {share} of the {noun} {latest} {side}",
                share=amount(PERCENT, rule.share),
                noun=reading_noun(rule.quantity, 2),
                latest=latest(rule.window),
                side=on_side(rule.side, amount(scale_of(rule.quantity, units), rule.threshold)),
            )
        case MeanRule():
            return say(
                "une moyenne {side} sur {days}~jours",
                "a mean {side} over {days} days",
                side=on_side(rule.side, amount(scale_of(rule.quantity, units), rule.threshold)),
                days=rule.days,
            )
        case MissingRule():
            return _absent(rule)
        case QualityRule():
            return _doubtful(rule, units)
        case ScoreRule():
            shown = POINTS if rule.score is Score.NEWS2 else INDEX
            name = say("un NEWS2", "a NEWS2") if rule.score is Score.NEWS2 else say("un indice", "an index")
            return say("{name} d'au moins {t}", "{name} of at least {t}", name=name, t=amount(shown, rule.threshold))
        case _:
            return say(
                "au moins {k} de ses {n}~conditions{within}",
                "at least {k} of its {n} conditions{within}",
                k=rule.at_least,
                n=len(rule.of),
                within=say(" en {w}", " within {w}", w=span(rule.window)) if rule.window else NOTHING,
            )


def _plainly(side: Side, threshold: Sentence) -> Sentence:
    match side:
        case Side.BELOW:
            return say("moins de {t}", "less than {t}", t=threshold)
        case Side.AT_MOST:
            return say("{t} ou moins", "{t} or less", t=threshold)
        case Side.AT_LEAST:
            return say("{t} ou plus", "{t} or more", t=threshold)
        case _:
            return say("plus de {t}", "more than {t}", t=threshold)


def _way(direction: Direction) -> Sentence:
    return say("hausse", "rise") if direction is Direction.RISE else say("baisse", "fall")


def _foreseen(rule: ForecastRule, units: Units) -> Sentence:
    threshold, horizon = amount(scale_of(rule.quantity, units), rule.threshold), span(rule.horizon)
    if rule.model is Model.KALMAN:
        return say(
            "un risque d'au moins {risk} {passing} dans les {horizon}",
            "a risk of at least {risk} {passing} within {horizon}",
            risk=amount(PERCENT, rule.probability),
            passing=passing(rule.side, threshold),
            horizon=horizon,
        )
    return say(
        "une prévision {side} dans les {horizon}",
        "a forecast {side} within {horizon}",
        side=on_side(rule.side, threshold),
        horizon=horizon,
    )


def _absent(rule: MissingRule) -> Sentence:
    noun = reading_noun(rule.quantity, 1)
    if rule.by is None:
        return say("{s} sans {n}", "{s} without a {n}", s=span(rule.expected + rule.grace), n=noun)
    minutes = rule.by + rule.grace // MINUTE
    clock = f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
    return say("un jour sans {n} à {c}", "a day without a {n} by {c}", n=noun, c=clock)


def _doubtful(rule: QualityRule, units: Units) -> Sentence:
    match rule.concern:
        case Concern.FLAGS:
            return say(
                "{n} avec~: {flags}",
                "{n} with: {flags}",
                n=readings(rule.quantity, rule.times),
                flags=flag_names(rule.flags),
            )
        case Concern.STUCK:
            return say("la même valeur pendant {s}", "the same value for {s}", s=span(rule.window))
        case Concern.JUMP:
            delta = amount(scale_of(rule.quantity, units).differences, rule.delta)
            return say("un écart d'au moins {d}", "a difference of at least {d}", d=delta)
        case _:
            return say("une baisse brusque la nuit, vite remontée", "a steep fall at night, soon regained")
