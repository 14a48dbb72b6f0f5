"""What an alert of a baseline, a share or a scheduled mean says: one quantity against a longer past."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from alerting.alert import Sentence
from alerting.phrases import (
    beyond,
    counted_from,
    last_of,
    now,
    on_side,
    readings,
    resting_on,
    since,
    the_last,
    threshold_of,
)
from alerting.quantity_words import reading_noun
from alerting.rules import Baseline, BaselineRule, Direction, ShareRule
from alerting.scheduled_rules import MeanRule
from alerting.spoken_time import latest, span
from alerting.telling import Telling
from alerting.wording import DEVIATIONS, NOTHING, PERCENT, Scale, against, amount, estimate, say, scale_of
from devices.reading import Quantity, Unit


def baseline(rule: BaselineRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """73,6 kg le 5 mars à 08:28, +2,4 kg sur la référence de 28 jours (71,2 kg) ; 5 pesées sur 7 jours ; seuil ..."""
    scale, value = scale_for(rule, telling.units), telling.finding.value
    edge = rule.limits.threshold
    if value is None:
        word = say("hausse", "a rise") if rule.direction is Direction.RISE else say("baisse", "a fall")
        moved, threshold = (
            say("{word} au-delà du seuil", "{word} beyond the threshold", word=word),
            amount(scale, edge, plus=True),
        )
    else:
        moved, threshold = estimate(scale, value, edge, finer=_finer(rule), plus=True)
    return say(
        "{now}{deviation}{past}{since}{readings}{threshold}",
        "{now}{deviation}{past}{since}{readings}{threshold}",
        now=now(telling, zone),
        deviation=_deviation(rule, moved, telling),
        past=counted_from(telling, _counted(rule, telling)),
        since=since(telling, zone),
        # An average over readings says itself over how many.
        readings=NOTHING if rule.statistic is Baseline.MACD else resting_on(telling),
        threshold=threshold_of(threshold),
    )


def scale_for(rule: BaselineRule, units: Mapping[Quantity, Unit]) -> Scale:
    """Return the scale of a baseline rule's value."""
    if rule.statistic is Baseline.SPC:
        return DEVIATIONS
    return scale_of(rule.quantity, units).differences


def reference_of(rule: BaselineRule) -> Sentence:
    """Return what a deviation is counted from: "la référence de 28 jours"."""
    match rule.statistic:
        case Baseline.DRY_WEIGHT if rule.quantity is Quantity.BODY_WEIGHT:
            return say("le poids sec fixé par le médecin", "the dry weight set by the physician")
        case Baseline.DRY_WEIGHT:
            return say("la référence fixée par le médecin", "the reference set by the physician")
        case Baseline.EWMA | Baseline.CUSUM:
            return say("la moyenne lissée sur {w}", "the average smoothed over {w}", w=span(rule.window))
        case Baseline.MACD:
            return say("la moyenne longue ({n})", "the long average ({n})", n=readings(rule.quantity, rule.long))
        case _ if rule.lag:
            return say(
                "la référence prise de {window} à {lag} avant",
                "the baseline taken from {window} to {lag} before",
                window=span(rule.window),
                lag=span(rule.lag),
            )
        case _:
            return say("la référence de {w}", "the baseline of {w}", w=span(rule.window))


def _deviation(rule: BaselineRule, moved: Sentence, telling: Telling) -> Sentence:
    reference = reference_of(rule)
    match rule.statistic:
        case Baseline.MACD:
            return say(
                "moyenne récente ({short}) à {moved} de {reference}",
                "recent average ({short}) {moved} from {reference}",
                moved=moved,
                short=readings(rule.quantity, rule.short),
                reference=reference,
            )
        case Baseline.CUSUM:
            return say(
                "{moved} d'écarts cumulés avec {reference}, au-delà des {allowance} tolérés chaque fois",
                "{moved} of deviations added up from {reference}, beyond the {allowance} allowed each time",
                moved=moved,
                reference=reference,
                allowance=amount(scale_for(rule, telling.units), rule.allowance),
            )
        case Baseline.SPC:
            return say("à {moved} de {reference}", "{moved} from {reference}", moved=moved, reference=reference)
        case _:
            return say("{moved} sur {reference}", "{moved} from {reference}", moved=moved, reference=reference)


def _finer(rule: BaselineRule) -> int:
    return 1 if rule.statistic is Baseline.SPC else 0


def _counted(rule: BaselineRule, telling: Telling) -> int | None:
    """Return what the value was counted from, in quanta."""
    return rule.reference if rule.statistic is Baseline.DRY_WEIGHT else telling.finding.baseline


def share(rule: ShareRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """92 % des mesures des 120 dernières minutes au-dessus de 250 mg/dL (22 mesures) ; seuil 75 %."""
    scale, value, many = scale_of(rule.quantity, telling.units), telling.finding.value, telling.finding.readings
    part, least = say("une part trop grande", "too large a share"), amount(PERCENT, rule.share)
    if value is not None:
        part, least = estimate(PERCENT, value, rule.share)
    last, shown, threshold = last_of(telling), None, amount(scale, rule.threshold)
    if last is not None:
        shown, threshold = against(scale, last.count, rule.threshold)
    return say(
        "{part} des {noun} {latest} {side}{many}{since}{least}{last}",
        "{part} of the {noun} {latest} {side}{many}{since}{least}{last}",
        part=part,
        noun=reading_noun(rule.quantity, 2),
        latest=latest(rule.window),
        side=on_side(rule.side, threshold),
        many=say(" ({n})", " ({n})", n=readings(rule.quantity, many)) if many else NOTHING,
        since=since(telling, zone),
        least=threshold_of(least),
        last=the_last(telling, zone, shown=shown),
    )


def mean(rule: MeanRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Moyenne de 138,4 mmHg sur 7 jours, à 135 mmHg ou plus (20 mesures sur 24 attendues)."""
    scale, value, many = scale_of(rule.quantity, telling.units), telling.finding.value, telling.finding.readings
    average, threshold = NOTHING, amount(scale, rule.threshold)
    if value is not None:
        average, threshold = estimate(scale, value, rule.threshold, finer=0 if scale.fewest else 1)
        average = say(" de {a}", " of {a}", a=average)
    counted = say(
        " ({n} sur {expected} attendues)",
        " ({n} of {expected} expected)",
        n=readings(rule.quantity, many),
        expected=expected_readings(rule),
    )
    return say(
        "moyenne{average} sur {days}~jours{dropped}, {beyond}{counted}{since}{last}",
        "mean{average} over {days} days{dropped}, {beyond}{counted}{since}{last}",
        average=average,
        days=rule.days,
        dropped=say(", le premier écarté", ", the first left out") if rule.drop_first else NOTHING,
        beyond=beyond(rule.side, threshold),
        counted=counted if many else NOTHING,
        since=since(telling, zone),
        last=the_last(telling, zone),
    )


def expected_readings(rule: MeanRule) -> int:
    """Return how many readings a scheduled mean counts when none is left out."""
    return (rule.days - rule.drop_first) * len(rule.occasions) * rule.per_occasion
