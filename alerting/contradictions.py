"""What is each well written in a rule and does not fit together: said to whoever wrote the protocol.

What is not here: reading the file (protocol_file), what one value may be (protocol_rule_schema), and what does not fit
between rules (rule_conflicts).
"""

from collections.abc import Iterator

from alerting.alert import Audience, Priority
from alerting.care_protocol import Rule, Timing
from alerting.pattern_contradictions import (
    baseline_contradictions,
    mean_contradictions,
    missing_contradictions,
    quality_contradictions,
    score_contradictions,
)
from alerting.rule_checks import (
    Contradiction,
    at_most,
    enough,
    never,
    reachable,
    rhythm,
    right_side,
    unlikely,
    window_fits,
    wrong,
)
from alerting.rules import (
    BaselineRule,
    ChangeRule,
    Direction,
    ForecastRule,
    LevelRule,
    Model,
    RateRule,
    ShareRule,
    Statistic,
)
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, QualityRule, ScoreRule
from devices.reading import Quantity, facts

_MINUTE = 60_000
_GLUCOSE = (Quantity.GLUCOSE_INTERSTITIAL, Quantity.GLUCOSE_CAPILLARY)
_FURTHEST = 6 * 60 * _MINUTE
"""No forecast looks further ahead."""
_LONGEST_LINE = 90 * 24 * 60 * _MINUTE
"""Beyond, sums over a window of as many readings as it may hold would leave int64."""
_AR2_STEP = 5 * _MINUTE
_FIXED_HORIZON = 20 * _MINUTE
_ROBUST_READINGS = 12
_FINEST_KALMAN = 10 * _MINUTE
_ALL = 100 * 100
"""Basis points of every reading."""
_ONE_SITTING = 60 * _MINUTE
_COARSEST_HOLT = 6 * _MINUTE


def contradictions(rule: Rule, timing: Timing | None) -> Iterator[Contradiction]:  # noqa: C901 - one case a kind
    """Yield what does not fit together in one rule, given how its quantity is measured."""
    match rule:
        case LevelRule():
            yield from reachable(rule.quantity, rule.side, rule.threshold)
            yield from right_side(rule.limits)
            yield from rhythm(rule, rule.persist, rule.end_persist, timing)
        case RateRule():
            yield from _rate(rule, timing)
        case ForecastRule():
            yield from _forecast(rule, timing)
        case ChangeRule():
            yield from _change(rule, timing)
        case BaselineRule():
            yield from baseline_contradictions(rule, timing)
        case ShareRule():
            yield from reachable(rule.quantity, rule.side, rule.threshold)
            yield from at_most("end_share", rule.end_share, rule.share)
            yield from window_fits(rule.window, timing)
            yield from enough("min_readings", rule.min_readings, rule.window, timing)
            yield from _whole(rule, timing)
        case MeanRule():
            yield from mean_contradictions(rule, timing)
        case MissingRule():
            yield from missing_contradictions(rule, timing)
        case QualityRule():
            yield from quality_contradictions(rule, timing)
        case ScoreRule():
            yield from score_contradictions(rule)
        case _:
            yield from _composite(rule)
    yield from _life(rule)


def _rate(rule: RateRule, timing: Timing | None) -> Iterator[Contradiction]:
    known = facts(rule.quantity)
    yield from at_most("end_per_minute", rule.end_per_minute, rule.per_minute)
    yield from rhythm(rule, rule.persist, rule.end_persist, timing)
    yield from window_fits(rule.window, timing)
    yield from _several(rule.min_readings)
    yield from enough("min_readings", rule.min_readings, rule.window, timing)
    # The readings span half of the window at least: the whole range in that time is the steepest there is.
    if rule.per_minute * rule.window > 2 * (known.high - known.low) * 1000 * _MINUTE:
        yield never(
            "per_minute",
            "aucune mesure ne varie aussi vite pendant la moitié de la fenêtre",
            "no reading changes so fast for half of the window",
        )


def _several(min_readings: int) -> Iterator[Contradiction]:
    if min_readings < 2:
        yield wrong("min_readings", "il faut au moins 2 mesures", "at least 2 readings are needed")


def _forecast(rule: ForecastRule, timing: Timing | None) -> Iterator[Contradiction]:
    yield from rhythm(rule, rule.persist, rule.end_persist, timing)
    yield from right_side(rule.limits, "end_probability" if rule.model is Model.KALMAN else "end_threshold")
    if rule.model in {Model.LINEAR, Model.ROBUST_LINEAR}:
        yield from _linear(rule, timing)
        return
    if rule.quantity not in _GLUCOSE:
        yield wrong(
            "model",
            "ce modèle est réglé pour le glucose ; pour une autre mesure choisir linear ou robust_linear",
            "this model is tuned for glucose; for another quantity choose linear or robust_linear",
        )
    if timing is None:
        yield wrong(
            "model",
            f"ce modèle demande de savoir à quel rythme on mesure : ajouter [quantities.{rule.quantity}] avec cadence "
            "et gap",
            f"this model needs the rhythm of measurement: add [quantities.{rule.quantity}] with cadence and gap",
        )
    else:
        yield from _cadence(rule, timing)
    yield from _horizon(rule)


def _linear(rule: ForecastRule, timing: Timing | None) -> Iterator[Contradiction]:
    yield from window_fits(rule.window, timing)
    yield from _several(rule.min_readings)
    yield from enough("min_readings", rule.min_readings, rule.window, timing)
    robust = rule.model is Model.ROBUST_LINEAR
    if robust and rule.min_readings > _ROBUST_READINGS:
        yield never(
            "min_readings",
            "robust_linear regarde les 12 dernières mesures",
            "robust_linear looks at the latest 12 readings",
        )
    if robust and timing is not None and rule.window > _ROBUST_READINGS * timing.cadence:
        yield unlikely(
            "window",
            "robust_linear ne regarde que les 12 dernières mesures : une fenêtre plus longue n'apporte rien",
            "robust_linear looks at the latest 12 readings only: a longer window adds nothing",
        )
    if not robust and rule.window > _LONGEST_LINE:
        yield wrong("window", "linear regarde au plus 90 jours", "linear looks at 90 days at most")
    if rule.horizon > _FURTHEST:
        yield wrong("horizon", "aucune prévision ne porte au-delà de 6 h", "no forecast looks further ahead than 6 h")
    elif rule.horizon > 2 * rule.window:
        yield unlikely(
            "horizon",
            "une prévision à plus de deux fois la fenêtre regardée n'a guère de sens",
            "a forecast further ahead than twice the window it looks at means little",
        )


def _cadence(rule: ForecastRule, timing: Timing) -> Iterator[Contradiction]:
    if rule.model is Model.HOLT_AR2 and timing.cadence > _COARSEST_HOLT:
        yield wrong(
            "model",
            "holt_ar2 demande une mesure toutes les 6 min ou plus souvent ; à cette cadence choisir kalman",
            "holt_ar2 needs a reading every 6 min or oftener; at this cadence choose kalman",
        )
    if rule.model is Model.KALMAN and timing.cadence < _FINEST_KALMAN:
        yield unlikely(
            "model",
            "kalman est réglé pour une mesure toutes les 10 min ou plus rarement ; à cette cadence holt_ar2 fait mieux",
            "kalman is tuned for a reading every 10 min or more rarely; at this cadence holt_ar2 does better",
        )


def _horizon(rule: ForecastRule) -> Iterator[Contradiction]:
    if rule.model is Model.AR2:
        if rule.horizon % _AR2_STEP or rule.horizon > _FURTHEST:
            yield wrong(
                "horizon",
                "ar2 avance par pas de 5 min : écrire un multiple de 5 min, 6 h au plus",
                "ar2 goes in steps of 5 min: write a multiple of 5 min, at most 6 h",
            )
    elif rule.horizon != _FIXED_HORIZON:
        yield wrong(
            "horizon",
            f'{rule.model} prévoit à 20 min, ni plus ni moins : écrire "20 min"',
            f'{rule.model} looks 20 min ahead, no more and no less: write "20 min"',
        )


def _change(rule: ChangeRule, timing: Timing | None) -> Iterator[Contradiction]:
    yield from at_most("end_delta", rule.end_delta, rule.delta)
    yield from window_fits(rule.window + rule.slack, timing)
    rise = rule.direction is Direction.RISE
    if rule.statistic is (Statistic.HIGHEST if rise else Statistic.LOWEST):
        yield never(
            "statistic",
            "aucune valeur n'est au-dessus de la plus haute, ni au-dessous de la plus basse ; enlever statistic",
            "no value is above the highest, nor below the lowest; remove statistic",
        )
    if rule.slack > rule.window:
        yield wrong("slack", "slack doit être au plus égal à window", "slack must be at most window")


def _whole(rule: ShareRule, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield when "so many times" is probably meant and "every time, so many at least" is written.

    Within one sitting every reading is meant: a measurement repeated to confirm it.
    """
    if timing is None and rule.share == _ALL and rule.min_readings > 1 and rule.window > _ONE_SITTING:
        yield unlikely(
            "share",
            "une seule mesure normale entre les autres la fait taire ; pour « deux fois », écrire deux règles : "
            'share = "51 %" avec min_readings = 2, et share = "26 %" avec min_readings = 4 (docs/care-protocols.md)',
            'one normal reading among the others silences it; for "twice" write two rules: share = "51 %" with '
            'min_readings = 2, and share = "26 %" with min_readings = 4 (docs/care-protocols.md)',
        )


def _composite(rule: CompositeRule) -> Iterator[Contradiction]:
    if len(set(rule.of)) < len(rule.of):
        yield wrong("of", "la même règle y est deux fois", "the same rule is there twice")
    if rule.at_least > len(rule.of):
        yield never(
            "at_least",
            f"il faudrait {rule.at_least} règles vraies sur {len(rule.of)}",
            f"it would take {rule.at_least} true rules of {len(rule.of)}",
        )
    if rule.quantity not in rule.of_quantities:
        names = ", ".join(rule.of_quantities)
        yield wrong(
            "quantity",
            f"choisir une mesure que ses règles lisent : {names}",
            f"choose a quantity that its rules read: {names}",
        )
    if rule.window == 0 and rule.at_least > 1 and len(rule.of_quantities) > 1:
        yield unlikely(
            "window",
            "deux mesures différentes sont rarement prises au même instant : donner une durée",
            "two quantities are rarely measured at the same instant: give a duration",
        )


def _life(rule: Rule) -> Iterator[Contradiction]:
    """A pattern is no emergency, and a high alert is not held back."""
    high = rule.priority is Priority.HIGH
    if rule.life.digest and (high or rule.audience is Audience.PATIENT_NOW):
        yield wrong(
            "digest",
            "une alerte haute, ou adressée tout de suite au patient, n'attend pas le bilan du jour : enlever digest",
            "a high alert, or one for the patient at once, does not wait for the daily digest: remove digest",
        )
    for key in ("refractory", "per_day"):
        if high and getattr(rule.life, key):
            yield unlikely(
                key,
                "une alerte haute pourrait ne pas être dite : est-ce voulu ?",
                "a high alert may go untold: is it meant?",
            )
