"""What an alert says that rests on several quantities or rules: NEWS2, the heart-failure index, a composite.

What was not measured is named, never counted as if it were well.
"""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from alerting import news2
from alerting.alert import Evidence, Sentence
from alerting.phrases import LONGEST_CORE, clauses, joined, taken, titles, unknown
from alerting.quantity_words import NAMES
from alerting.scheduled_rules import CompositeRule, Score, ScoreRule
from alerting.spoken_time import moment, span
from alerting.telling import Telling
from alerting.wording import INDEX, NOTHING, POINTS, amount, estimate, say
from devices.reading import Quantity

_ROOM_FOR_UNKNOWN = 70
_BEATS = (Quantity.PULSE_RATE, Quantity.HEART_RATE)


def score(rule: ScoreRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Say what a score counted and what it lacked."""
    return _news2(rule, telling, zone) if rule.score is Score.NEWS2 else _heart_failure(rule, telling, zone)


def composite(rule: CompositeRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """2 conditions réunies sur 3 en 24 h (2 suffisent) : « Prise de poids rapide », « Saturation basse »."""
    true, value = telling.members.true, telling.finding.value
    met = len(true) if value is None else value
    how_many = say("conditions réunies", "conditions met")
    if met:
        how_many = say(
            "{met}~{noun} sur {n}",
            "{met} of {n} conditions met",
            met=met,
            n=len(rule.of),
            noun="condition réunie" if met == 1 else "conditions réunies",
        )
    met_when = say(
        "{how_many}{within}, {when} ({needed} nécessaire{s})",
        "{how_many}{within}, {when} ({needed} needed)",
        how_many=how_many,
        within=say(" en {w}", " within {w}", w=span(rule.window)) if rule.window else NOTHING,
        when=moment(telling.raised_at, zone),
        needed=rule.at_least,
        s="s" if rule.at_least > 1 else "",
    )
    others = telling.members.unknown
    # What could not be judged is named in full where what was missing is told.
    in_doubt = say("~; {u}", "; {u}", u=unknown(others, _ROOM_FOR_UNKNOWN)) if others else NOTHING
    if true:
        room = LONGEST_CORE - max(len(met_when.fr) + len(in_doubt.fr), len(met_when.en) + len(in_doubt.en)) - 3
        met_when = say("{met}~: {t}", "{met}: {t}", met=met_when, t=titles(true, room))
    return say("{met}{in_doubt}", "{met}{in_doubt}", met=met_when, in_doubt=in_doubt)


CONSCIOUSNESS = say("conscience", "consciousness")


def never_measured(rule: ScoreRule) -> tuple[Sentence, ...]:
    """Return what the score counts and no device of the rule measures."""
    if rule.score is not Score.NEWS2:
        return ()
    breath = () if Quantity.RESPIRATORY_RATE in rule.of else (NAMES[Quantity.RESPIRATORY_RATE],)
    return (CONSCIOUSNESS, *breath)


def _news2(rule: ScoreRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """NEWS2 d'au moins 7 points le 3 mars à 08:21 (seuil 5) : saturation 91 % (3), pouls 112/min (2)."""
    value, read = telling.finding.value, fresh(rule, telling)
    given = [news2.points(one.quantity, one.count, scale=rule.scale, oxygen=rule.oxygen) for one in read]
    total = sum(given) + news2.OXYGEN_POINTS * rule.oxygen
    # One input of 3 points is enough by itself, whatever the sum: the sum is what is told.
    alone = rule.single and 3 in given and total < rule.threshold
    adds_up = value == (rule.threshold if alone else total) and bool(read)
    counted = total if adds_up else value
    told = [
        say(
            "{name} {value}{points}",
            "{name} {value}{points}",
            name=NAMES[one.quantity],
            value=taken(one, telling.units),
            points=f" ({mine})" if adds_up else "",
        )
        for one, mine in sorted(zip(read, given, strict=True), key=lambda pair: -pair[1])
    ]
    if rule.oxygen:
        told.append(say("oxygène ({p})", "oxygen ({p})", p=news2.OXYGEN_POINTS))
    enough = say("un seul signe à 3 points suffit", "a single sign of 3 points is enough")
    return clauses(
        [
            say(
                "NEWS2{points} {when} ({edge}){told}",
                "NEWS2{points} {when} ({edge}){told}",
                points=NOTHING
                if counted is None
                else say(" d'au moins {p}", " of at least {p}", p=amount(POINTS, counted)),
                when=moment(telling.raised_at, zone),
                edge=enough if alone and adds_up else say("seuil {t}", "threshold {t}", t=rule.threshold),
                told=say("~: {t}", ": {t}", t=joined(", ", ", ", told)) if told else NOTHING,
            ),
            say(
                "pas comptés, faute de mesure~: {l}",
                "not counted, for want of a reading: {l}",
                l=joined(", ", ", ", (*never_measured(rule), *(NAMES[one] for one in telling.lacking))),
            ),
        ]
    )


def fresh(rule: ScoreRule, telling: Telling) -> Sequence[Evidence]:
    """Return the newest fresh reading of each input, the fresher of pulse and heart rate, in the order of `of`."""
    newest: dict[Quantity, Evidence] = {}
    for one in (*telling.signals, *telling.evidence):
        held = newest.get(one.quantity)
        if one.quantity in rule.of and (held is None or held.measured_at <= one.measured_at):
            newest[one.quantity] = one
    kept = [
        newest[quantity]
        for quantity in rule.of
        if quantity in newest and 0 <= telling.raised_at - newest[quantity].measured_at <= rule.freshness
    ]
    beats = [one for one in kept if one.quantity in _BEATS]
    if len(beats) > 1:
        # At the same time the pulse counts, as where they are judged.
        stale = min(beats, key=lambda one: (one.measured_at, one.quantity is Quantity.PULSE_RATE))
        kept.remove(stale)
    return kept


def _heart_failure(rule: ScoreRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    """Signes qui s'écartent de l'habitude de la personne : poids 73,6 kg, saturation 93 % ; indice 5,8 (seuil 5,65)."""
    value = telling.finding.value
    index, edge = NOTHING, amount(INDEX, rule.threshold)
    if value is not None:
        index, edge = estimate(INDEX, value, rule.threshold, finer=1)
        index = say(" {v}", " {v}", v=index)
    read = [one for one in fresh(rule, telling) if one.quantity not in telling.lacking]
    weighing = [one for one in read if telling.weights.get(one.quantity, 0) > 0]
    weighing.sort(key=lambda one: -telling.weights[one.quantity])
    told = joined(
        ", ",
        ", ",
        (say("{n} {v}", "{n} {v}", n=NAMES[one.quantity], v=taken(one, telling.units)) for one in weighing or read),
    )
    ranked = say(", du plus au moins marqué", ", the most marked first") if len(weighing) > 1 else NOTHING
    parts = [
        say(
            "{when}, signes qui, ensemble, s'écartent de l'habitude de la personne{ranked}{told}",
            "{when}, signs that together depart from what is usual for the person{ranked}{told}",
            when=moment(telling.raised_at, zone),
            ranked=ranked,
            told=say("~: {t}", ": {t}", t=told) if read else NOTHING,
        ),
        say("indice{index}, seuil {edge}", "index{index}, threshold {edge}", index=index, edge=edge),
    ]
    if telling.lacking:
        named = joined(", ", ", ", (NAMES[one] for one in telling.lacking))
        parts.append(say("pas comptés~: {l}", "not counted: {l}", l=named))
    return clauses(parts)
