"""What an alert of a level, a rate, a forecast or a change says: one quantity's readings of a short while."""

from zoneinfo import ZoneInfo

from alerting.alert import Evidence, Sentence
from alerting.phrases import (
    beyond,
    counted_from,
    last_of,
    limit,
    measured,
    now,
    passing,
    readings,
    resting_on,
    since,
    taken_at,
    threshold_of,
)
from alerting.rules import ChangeRule, Direction, ForecastRule, LevelRule, Model, RateRule, Statistic
from alerting.spoken_time import moment, roughly, span
from alerting.telling import Telling
from alerting.wording import NOTHING, PERCENT, against, amount, both_against, estimate, per_minute, say, scale_of

MODELS = {
    Model.LINEAR: say("tendance linéaire", "linear trend"),
    Model.ROBUST_LINEAR: say("tendance médiane", "median trend"),
    Model.AR2: say("modèle AR2", "AR2 model"),
    Model.HOLT_AR2: say("tendance et AR2", "trend and AR2"),
}
EXTREMES = {
    Statistic.LOWEST: say("au plus bas", "at its lowest"),
    Statistic.HIGHEST: say("au plus haut", "at its highest"),
    Statistic.FIRST: say("au début", "at first"),
}


def level(rule: LevelRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """65,2 mg/dL le 3 mars à 08:21, sous le seuil de 70 mg/dL depuis 08:11."""
    scale = scale_of(rule.quantity, telling.units)
    last, value = last_of(telling), telling.finding.value
    if value is None and last is not None:
        value = last.count
    if value is None:
        shown, threshold = say("valeur mesurée", "a value measured"), amount(scale, rule.threshold)
    else:
        shown, threshold = against(scale, value, rule.threshold)
        shown = measured(rule.quantity, value, shown)
    return say(
        "{value} {when}, {beyond}{since}",
        "{value} {when}, {beyond}{since}",
        value=shown,
        when=moment(telling.raised_at, zone),
        beyond=beyond(rule.side, threshold),
        since=since(telling, zone),
    )


def rate(rule: RateRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """84 mg/dL le 3 mars à 14:05, en baisse de 3,2 mg/dL par minute sur 15 min (3 mesures) ; seuil ..."""
    scale = per_minute(scale_of(rule.quantity, telling.units))
    rises = rule.direction is Direction.RISE
    moving = say("en hausse", "rising") if rises else say("en baisse", "falling")
    value = telling.finding.value
    if value is None:
        how, threshold = NOTHING, amount(scale, rule.per_minute)
    else:
        shown, threshold = estimate(scale, value if rises else -value, rule.per_minute, finer=1)
        how = say(
            " de {shown}{over}",
            " by {shown}{over}",
            shown=shown,
            over=_over(telling, rule.window),
        )
    return say(
        "{now}{moving}{how}{since}{threshold}",
        "{now}{moving}{how}{since}{threshold}",
        now=now(telling, zone),
        moving=moving,
        how=how,
        since=since(telling, zone),
        threshold=threshold_of(threshold),
    )


def _over(telling: Telling, window: int) -> Sentence:
    finding = telling.finding
    over = say(" sur {span}", " over {span}", span=roughly(finding.span) if finding.span else span(window))
    if not finding.readings:
        return over
    return say("{over} ({n})", "{over} ({n})", over=over, n=readings(telling.rule.quantity, finding.readings))


def forecast(rule: ForecastRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """84 mg/dL le 3 mars à 14:05, prévision de 66 mg/dL dans 20 min (tendance et AR2), sous le seuil de 70 mg/dL."""
    return _risk(rule, telling, zone) if rule.model is Model.KALMAN else _path(rule, telling, zone)


def _risk(rule: ForecastRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    _, shown, threshold = _beside(rule, telling)
    risk, least = NOTHING, amount(PERCENT, rule.probability)
    if telling.finding.value is not None:
        likely, least = estimate(PERCENT, telling.finding.value, rule.probability)
        risk = say(" à {likely}", " at {likely}", likely=likely)
    return say(
        "{now}risque estimé{risk} {passing} dans les {horizon}{since}{least}",
        "{now}risk estimated{risk} {passing} within {horizon}{since}{least}",
        now=now(telling, zone, shown=shown),
        risk=risk,
        passing=passing(rule.side, threshold),
        horizon=span(rule.horizon),
        since=since(telling, zone),
        least=threshold_of(least),
    )


def _beside(rule: ForecastRule, telling: Telling) -> tuple[Evidence | None, Sentence, Sentence]:
    """Return the last reading, its value, and the threshold it stands beside."""
    scale, last = scale_of(rule.quantity, telling.units), last_of(telling)
    if last is None:
        return None, NOTHING, amount(scale, rule.threshold)
    return last, *against(scale, last.count, rule.threshold)


def _path(rule: ForecastRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    scale, value = scale_of(rule.quantity, telling.units), telling.finding.value
    last, shown, threshold = _beside(rule, telling)
    foreseen = NOTHING
    if value is not None:
        if last is None:
            foreseen, threshold = estimate(scale, value, rule.threshold)
        else:
            shown, foreseen, threshold = both_against(scale, last.count, value, rule.threshold)
        foreseen = say(" de {f}", " of {f}", f=foreseen)
    return say(
        "{now}prévision{foreseen} {within} {horizon} ({model}), {beyond}{since}",
        "{now}forecast{foreseen} {within} {horizon} ({model}), {beyond}{since}",
        now=now(telling, zone, shown=shown),
        foreseen=foreseen,
        # AR2 looks at every step on the way, the others at the horizon.
        within=say("d'ici", "within") if rule.model is Model.AR2 else say("dans", "in"),
        horizon=span(rule.horizon),
        model=MODELS[rule.model],
        beyond=beyond(rule.side, threshold),
        since=since(telling, zone),
    )


def change(rule: ChangeRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """+2,4 kg en 3 jours (71,2 kg le 3 mars à 08:31, 73,6 kg le 5 mars à 08:28) ; seuil +2,0 kg."""
    moved, threshold = _moved(rule, telling)
    if moved is None:
        word = say("hausse", "a rise") if rule.direction is Direction.RISE else say("baisse", "a fall")
        moved = say("{word} au-delà du seuil", "{word} beyond the threshold", word=word)
    if rule.statistic is Statistic.MEAN:
        return _from_mean(rule, telling, zone, moved, threshold)
    return say(
        "{moved} en {window}{course}{threshold}",
        "{moved} in {window}{course}{threshold}",
        moved=moved,
        window=span(rule.window),
        course=_course(rule, telling, zone),
        threshold=threshold,
    )


def _moved(rule: ChangeRule, telling: Telling) -> tuple[Sentence | None, Sentence]:
    """Return the change, None when it is not known, and its threshold."""
    value, evidence = telling.finding.value, telling.evidence
    scale = PERCENT if rule.relative else scale_of(rule.quantity, telling.units).differences
    if value is None and len(evidence) > 1 and not rule.relative:
        value = evidence[-1].count - evidence[0].count
    if value is None:
        return None, limit(scale, rule.limits.threshold, plus=True)
    if rule.relative:
        moved, threshold = estimate(scale, value, rule.limits.threshold, finer=1, plus=True)
    elif rule.statistic is Statistic.MEAN:
        moved, threshold = estimate(scale, value, rule.limits.threshold, plus=True)
    else:
        moved, threshold = against(scale, value, rule.limits.threshold, plus=True)
    return moved, threshold_of(threshold)


def _course(rule: ChangeRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Return from which value, and to which, in brackets; empty without readings."""
    evidence, baseline = telling.evidence, telling.finding.baseline
    if not evidence:
        return NOTHING
    last = taken_at(evidence[-1], telling.units, zone)
    if len(evidence) > 1 and baseline in {None, evidence[0].count}:
        first = taken_at(evidence[0], telling.units, zone)
    elif baseline is not None:
        at = amount(scale_of(rule.quantity, telling.units), baseline)
        first = say("{at} {extreme}", "{at} {extreme}", at=at, extreme=EXTREMES[rule.statistic])
    else:
        return say(" ({last})", " ({last})", last=last)
    return say(" ({first}, {last})", " ({first}, {last})", first=first, last=last)


def _from_mean(rule: ChangeRule, telling: Telling, zone: ZoneInfo, moved: Sentence, threshold: Sentence) -> Sentence:
    return say(
        "{now}{moved} par rapport à la moyenne sur {window}{mean}{readings}{threshold}",
        "{now}{moved} from the mean over {window}{mean}{readings}{threshold}",
        now=now(telling, zone),
        moved=moved,
        window=span(rule.window),
        mean=counted_from(telling, telling.finding.baseline),
        readings=resting_on(telling),
        threshold=threshold,
    )
