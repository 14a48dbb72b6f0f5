"""What an alert about the watching says: a reading that did not come, or one whose quality is in doubt."""

from itertools import pairwise
from zoneinfo import ZoneInfo

from alerting.alert import Evidence, Sentence
from alerting.phrases import joined, last_of, now, readings, taken, taken_at, the_last, threshold_of
from alerting.quantity_words import FLAGS, reading_noun
from alerting.scheduled_rules import Concern, MissingRule, QualityRule
from alerting.spoken_time import MINUTE, clock, day, lasted, latest, moment, span
from alerting.telling import Telling
from alerting.wording import NOTHING, against, amount, say, scale_of
from devices.reading import Quality


def missing(rule: MissingRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Aucune pesée depuis celle de 71,2 kg le 3 mars à 08:31 ; attendue sous 24 h, plus 12 h de marge."""
    last = last_of(telling)
    grace = say(", plus {g} de marge", ", plus {g} of grace", g=span(rule.grace)) if rule.grace else NOTHING
    noun = reading_noun(rule.quantity, 1)
    if rule.by is not None:
        due = telling.onset - rule.grace
        return say(
            "aucune {noun} {day}~; attendue avant {clock}{grace}{before}",
            "no {noun} {day}; expected before {clock}{grace}{before}",
            noun=noun,
            day=day(due, zone),
            clock=clock(due, zone),
            grace=grace,
            before=the_last(telling, zone),
        )
    begun = telling.onset - rule.expected - rule.grace
    when = moment(begun, zone)
    since = say("le début de la surveillance {when}", "watching began {when}", when=when)
    if last is not None and last.measured_at == begun:
        value = taken(last, telling.units)
        since = say("celle de {value} {when}", "that of {value} {when}", value=value, when=when)
    return say(
        "aucune {noun} depuis {since}~; attendue sous {expected}{grace}",
        "no {noun} since {since}; expected within {expected}{grace}",
        noun=noun,
        since=since,
        expected=span(rule.expected),
        grace=grace,
    )


def quality(rule: QualityRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Say what makes the readings doubtful."""
    match rule.concern:
        case Concern.FLAGS:
            return _flags(rule, telling, zone)
        case Concern.STUCK:
            return _stuck(rule, telling, zone)
        case Concern.JUMP:
            return _jump(rule, telling, zone)
        case _:
            return _compression_low(rule, telling, zone)


def flag_names(flags: Quality, *, most: int = 3) -> Sentence:
    """Return what flags mean, of many the first ones and how many more there are."""
    named = [words for flag, words in FLAGS.items() if flag in flags]
    shown = joined(", ", ", ", named[:most])
    if len(named) <= most:
        return shown
    return say("{shown} et {n} de plus", "{shown} and {n} more", shown=shown, n=len(named) - most)


def _flags(rule: QualityRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Brassard trop lâche : 183 mmHg le 3 mars à 08:21."""
    reported = Quality.NONE
    for one in telling.evidence:
        reported |= Quality(one.quality) & rule.flags
    names, last, value = flag_names(reported or rule.flags), last_of(telling), telling.finding.value
    when = moment(telling.raised_at, zone) if last is None else taken_at(last, telling.units, zone)
    if value is None or not rule.window:
        return say("{names}~: {when}", "{names}: {when}", names=names, when=when)
    return say(
        "{n} {latest} avec~: {names} (seuil {times})~; la dernière~: {when}",
        "{n} {latest} with: {names} (threshold {times}); the last: {when}",
        n=readings(rule.quantity, value),
        latest=latest(rule.window),
        names=names,
        times=rule.times,
        when=when,
    )


def _stuck(rule: QualityRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """112 mg/dL le 3 mars à 08:21, valeur inchangée depuis 3 h ; seuil 2 h."""
    value = telling.finding.value
    for_long = NOTHING
    if value is not None:
        for_long = say(" depuis {span}", " for {span}", span=lasted(value, rule.window))
    return say(
        "{now}valeur inchangée{for_long}{threshold}",
        "{now}value unchanged{for_long}{threshold}",
        now=now(telling, zone),
        for_long=for_long,
        threshold=threshold_of(span(rule.window)),
    )


def _jump(rule: QualityRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """118 mg/dL le 3 mars à 08:26, écart de 45 mg/dL avec la mesure d'avant (163 mg/dL le 3 mars à 08:21)."""
    scale, value = scale_of(rule.quantity, telling.units).differences, telling.finding.value
    apart, threshold = NOTHING, amount(scale, rule.delta)
    if value is not None:
        shown, threshold = against(scale, value, rule.delta)
        apart = say(" de {shown}", " of {shown}", shown=shown)
    return say(
        "{now}écart{apart} avec la {noun} d'avant{before}{threshold}",
        "{now}a difference{apart} from the {noun} before{before}{threshold}",
        now=now(telling, zone),
        apart=apart,
        noun=reading_noun(rule.quantity, 1),
        before=_before(telling, zone),
        threshold=threshold_of(threshold),
    )


def _before(telling: Telling, zone: ZoneInfo) -> Sentence:
    """Return the reading that a jump was counted from, in brackets; empty when it is not among the readings."""
    mine = [one for one in telling.evidence if one.quantity is telling.rule.quantity][-2:]
    if len(mine) < 2 or telling.finding.value not in {None, abs(mine[1].count - mine[0].count)}:
        return NOTHING
    return say(" ({before})", " ({before})", before=taken_at(mine[0], telling.units, zone))


def _compression_low(rule: QualityRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    bottom, down = _bottom(rule, telling), NOTHING
    if bottom is not None:
        down = say(" jusqu'à {bottom}", " to {bottom}", bottom=taken_at(bottom, telling.units, zone))
    return say(
        "baisse brusque la nuit{down}, vite remontée, comme quand on est couché sur le capteur~: à confirmer au doigt",
        "a steep fall at night{down}, soon regained, as when lying on the sensor: to be confirmed by a fingerstick",
        down=down,
    )


def _bottom(rule: QualityRule, telling: Telling) -> Evidence | None:
    """Return the lowest reading from the last steep fall on, None when that is not among the readings."""
    mine = [one for one in telling.evidence if one.quantity is rule.quantity]
    steep = [
        index
        for index, (before, one) in enumerate(pairwise(mine), start=1)
        if (before.count - one.count) * 1_000 * MINUTE >= rule.per_minute * max(1, one.measured_at - before.measured_at)
    ]
    return min(mine[steep[-1] :], key=lambda one: one.count) if steep else None
