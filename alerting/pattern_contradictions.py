"""What does not fit together in a rule that looks at more than the last few readings.

Baselines, means over a schedule, absences, signal quality and scores. What is not here: the other kinds
(contradictions).
"""

from collections.abc import Iterator

from alerting.care_protocol import Timing
from alerting.rule_checks import (
    READINGS_NOW_AND_THEN,
    Contradiction,
    always,
    at_most,
    enough,
    never,
    reachable,
    right_side,
    unlikely,
    window_fits,
    wrong,
)
from alerting.rules import Baseline, BaselineRule
from alerting.scheduled_rules import NEWS2_QUANTITIES, Concern, MeanRule, MissingRule, QualityRule, Score, ScoreRule
from devices.reading import Quality, Quantity, facts

_MINUTE = 60_000
_DAY = 24 * 60 * _MINUTE
_WARM_UP = 2 * 60 * _MINUTE
_PULSE = frozenset({Quantity.PULSE_RATE, Quantity.HEART_RATE})
_HEART_QUANTITIES = (
    Quantity.BODY_WEIGHT,
    Quantity.PULSE_RATE,
    Quantity.HEART_RATE,
    Quantity.SPO2,
    Quantity.BLOOD_PRESSURE_SYSTOLIC,
)
_MOST_OF_WEIGHT, _MOST_OF_OTHERS = 8_000, 2_500
"""Most that an input adds to the heart-failure score at one weighing, thousandths."""
_OXYGEN_POINTS = 2
_MOST_POINTS = 3


def baseline_contradictions(rule: BaselineRule, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield what does not fit together in a baseline."""
    yield from at_most("end_delta", rule.end_delta, rule.delta)
    if rule.despike and timing is not None:
        yield wrong(
            "despike",
            "despike compare aux 14 jours d'avant : il est fait pour une mesure prise de temps en temps, pas pour un "
            "capteur",
            "despike compares with the 14 days before: it is for what is measured now and then, not for a sensor",
        )
    match rule.statistic:
        case Baseline.MEAN | Baseline.SPC:
            yield from _past(rule, timing)
        case Baseline.MACD:
            yield from _averages(rule)
        case Baseline.DRY_WEIGHT if rule.quantity is not Quantity.BODY_WEIGHT:
            yield wrong("quantity", "le poids sec se compare au poids : body_weight", "dry weight is body_weight")
        case _:
            return


def _past(rule: BaselineRule, timing: Timing | None) -> Iterator[Contradiction]:
    if rule.lag >= rule.window:
        yield never(
            "lag",
            "la référence va de window à lag avant la mesure : lag doit être plus court que window",
            "the baseline lies from window to lag before the reading: lag must be shorter than window",
        )
    else:
        yield from window_fits(rule.window, timing)
        yield from enough("min_readings", rule.min_readings, rule.window - rule.lag, timing)
    if rule.min_readings < 3:
        yield unlikely(
            "min_readings",
            "une référence faite d'une ou deux mesures alerte au hasard : en demander davantage",
            "a baseline of one or two readings alerts at random: ask for more",
        )
    if rule.statistic is Baseline.SPC:
        yield from _deviations(rule)


def _deviations(rule: BaselineRule) -> Iterator[Contradiction]:
    known = facts(rule.quantity)
    if bool(rule.expected_sd) != bool(rule.expected_readings):
        yield wrong(
            "expected_sd",
            "expected_sd (l'écart-type attendu) et expected_readings (son poids) vont ensemble",
            "expected_sd (the deviation expected) and expected_readings (its weight) go together",
        )
    if rule.min_readings < 2 and not rule.expected_readings:
        yield wrong(
            "min_readings",
            "un écart-type demande au moins 2 mesures, ou expected_sd et expected_readings",
            "a standard deviation needs at least 2 readings, or expected_sd and expected_readings",
        )
    if rule.delta * rule.min_sd > (known.high - known.low) * 1000:
        yield never("delta", "aucun écart possible n'est aussi grand", "no possible deviation is so large")


def _averages(rule: BaselineRule) -> Iterator[Contradiction]:
    if rule.short >= rule.long:
        yield wrong("short", "short doit être plus petit que long", "short must be less than long")
    elif rule.min_readings < rule.long:
        yield unlikely(
            "min_readings",
            f"la moyenne longue ne veut rien dire avant {rule.long} mesures : min_readings = {rule.long}",
            f"the long average means nothing before {rule.long} readings: min_readings = {rule.long}",
        )


def mean_contradictions(rule: MeanRule, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield what does not fit together in a mean over a schedule."""
    yield from reachable(rule.quantity, rule.side, rule.threshold)
    yield from right_side(rule.limits)
    if not _in_order(rule.occasions):
        yield wrong(
            "occasions",
            "les moments de la journée vont dans l'ordre, sans se recouvrir ni passer minuit",
            "the spans of the day go in order, without overlapping or passing midnight",
        )
    if timing is not None:
        yield wrong(
            "kind",
            "un capteur n'a pas de rendez-vous : pour lui, choisir share ou level",
            "a sensor keeps no appointments: for it choose share or level",
        )
    counted = (rule.days - rule.drop_first) * len(rule.occasions) * rule.per_occasion
    if rule.min_readings > counted:
        yield never(
            "min_readings",
            f"le calendrier ne compte que {counted} mesures",
            f"the schedule counts {counted} readings only",
        )
    if counted > READINGS_NOW_AND_THEN:
        yield wrong(
            "days",
            f"le calendrier compte {counted} mesures, au plus {READINGS_NOW_AND_THEN} sont gardées",
            f"the schedule counts {counted} readings, at most {READINGS_NOW_AND_THEN} are kept",
        )


def _in_order(occasions: tuple[tuple[int, int], ...]) -> bool:
    """Return whether each occasion begins when the one before has ended, at the earliest."""
    last = 0
    for begin, end in occasions:
        if not last <= begin < end:
            return False
        last = end
    return True


def missing_contradictions(rule: MissingRule, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield what does not fit together in an absence."""
    if rule.by is not None:
        yield from _schedule(rule, timing)
        return
    if timing is not None and rule.expected < timing.cadence:
        yield always(
            "expected",
            "la mesure est attendue plus souvent que le capteur ne mesure (cadence)",
            "the reading is expected more often than the sensor measures (cadence)",
        )
    if rule.quantity is Quantity.GLUCOSE_INTERSTITIAL and rule.expected + rule.grace < _WARM_UP:
        yield unlikely(
            "expected",
            "la mise en route d'un nouveau capteur (2 h pour certains) alerterait à chaque changement",
            "the warm-up of a new sensor (2 h for some) would raise it at every change",
        )


def _schedule(rule: MissingRule, timing: Timing | None) -> Iterator[Contradiction]:
    if timing is not None:
        yield wrong(
            "by",
            "un capteur n'a pas d'heure de rendez-vous : écrire expected au lieu de by",
            "a sensor keeps no appointments: write expected instead of by",
        )
    if rule.by == 0 and rule.grace == 0:
        yield always(
            "by", "aucune mesure du jour ne peut être faite avant minuit", "no reading of a day comes before midnight"
        )
    if rule.grace >= _DAY:
        yield wrong(
            "grace",
            "la mesure d'un jour ne peut pas attendre plus d'un jour : moins de 24 h",
            "a day's reading cannot wait for longer than a day: less than 24 h",
        )


def quality_contradictions(rule: QualityRule, timing: Timing | None) -> Iterator[Contradiction]:
    """Yield what does not fit together in a concern."""
    match rule.concern:
        case Concern.FLAGS:
            yield from _flags(rule, timing)
        case Concern.STUCK:
            if timing is not None and rule.window < timing.cadence:
                yield always(
                    "window",
                    "la valeur ne peut pas changer entre deux mesures (cadence)",
                    "the value cannot change between two readings (cadence)",
                )
        case Concern.JUMP:
            yield from window_fits(rule.window, timing)
        case _:
            if rule.quantity is not Quantity.GLUCOSE_INTERSTITIAL or timing is None:
                yield wrong(
                    "concern",
                    "ne concerne qu'un capteur : glucose_interstitial, avec [quantities.glucose_interstitial]",
                    "is about a sensor only: glucose_interstitial, with [quantities.glucose_interstitial]",
                )
            else:
                yield from window_fits(rule.window, timing)


def _flags(rule: QualityRule, timing: Timing | None) -> Iterator[Contradiction]:
    if not rule.flags & ~(Quality.IMPLAUSIBLE | Quality.WARMING_UP):
        yield never(
            "flags",
            "une valeur impossible, ou d'un capteur qui chauffe, n'est jamais regardée ; choisir d'autres signes",
            "an impossible value, or one of a sensor that warms up, is never looked at; choose other flags",
        )
    if not rule.window and rule.times > 1:
        yield never(
            "times",
            f"{rule.times} fois demande une durée : ajouter window",
            f"{rule.times} times needs a duration: add window",
        )
    elif rule.window:
        yield from window_fits(rule.window, timing)
        yield from enough("times", rule.times, rule.window, timing)


def score_contradictions(rule: ScoreRule) -> Iterator[Contradiction]:
    """Yield what does not fit together in a score."""
    yield from at_most("end_threshold", rule.end_threshold, rule.threshold)
    news2 = rule.score is Score.NEWS2
    known = NEWS2_QUANTITIES if news2 else _HEART_QUANTITIES
    if len(set(rule.of)) < len(rule.of) or not set(rule.of) <= set(known):
        names = ", ".join(known)
        yield wrong("of", f"chacune une fois, parmi : {names}", f"each once, of: {names}")
        return
    if rule.quantity not in rule.of:
        yield wrong("quantity", "choisir l'une des mesures de of", "choose one of the quantities of `of`")
    yield from _news2(rule) if news2 else _heart(rule)


def _news2(rule: ScoreRule) -> Iterator[Contradiction]:
    inputs = len(set(rule.of) - _PULSE) + bool(set(rule.of) & _PULSE)
    most = _MOST_POINTS * inputs + (_OXYGEN_POINTS if rule.oxygen else 0)
    if rule.threshold > most and not rule.single:
        yield never(
            "threshold", f"ces mesures font au plus {most} points", f"these quantities make at most {most} points"
        )
    if rule.oxygen and rule.threshold <= _OXYGEN_POINTS:
        yield always("threshold", "l'oxygène seul fait 2 points", "oxygen alone makes 2 points")
    if rule.scale != 1 and Quantity.SPO2 not in rule.of:
        yield wrong(
            "scale", "l'échelle est celle de la saturation : ajouter spo2", "the scale is of saturation: add spo2"
        )


def _heart(rule: ScoreRule) -> Iterator[Contradiction]:
    if Quantity.BODY_WEIGHT not in rule.of:
        yield wrong(
            "of", "ce score se calcule à chaque pesée : ajouter body_weight", "this score needs a weighing: body_weight"
        )
    others = len(set(rule.of) - _PULSE - {Quantity.BODY_WEIGHT}) + bool(set(rule.of) & _PULSE)
    # S = S/2 + what a day adds: however long it goes on, less than twice that.
    if rule.threshold >= 2 * (_MOST_OF_WEIGHT + _MOST_OF_OTHERS * others):
        yield never("threshold", "ces mesures n'y suffisent pas", "these quantities are not enough for it")
