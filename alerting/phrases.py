"""The parts that sentences about alerts share: a reading and its time, a side of a threshold, a list of titles."""

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from alerting.alert import Evidence, Sentence
from alerting.quantity_words import reading_noun
from alerting.rules import Side
from alerting.spoken_time import moment, roughly
from alerting.telling import Telling
from alerting.wording import ELLIPSIS, NB, NOTHING, Scale, about, amount, say, scale_of
from devices.reading import Quantity, Unit, facts

LONGEST_CORE = 300
"""Characters of what a sentence is about, between the rule's title and what to check."""
LONGEST_TITLE = 50
"""Characters of a title within a sentence about another rule."""
ROOM = 300
"""Characters that a list of titles takes at most where nothing else is said."""
_MORE = len(" et 63 autres")


def measured(quantity: Quantity, count: int, shown: Sentence) -> Sentence:
    """Return a measured value as shown; a sensor that could not measure so low or so high is quoted as such."""
    known = facts(quantity)
    if known.unit in {Unit.PERCENT, Unit.SCORE}:
        # 100 % is what a healthy finger gives, and an answer may be the first or the last of its scale.
        return shown
    if count == known.low:
        return say("sous la plage du capteur", "below the sensor's range")
    if count == known.high:
        return say("au-dessus de la plage du capteur", "above the sensor's range")
    return shown


def taken(one: Evidence, units: Mapping[Quantity, Unit]) -> Sentence:
    """Return the value of a reading."""
    return measured(one.quantity, one.count, amount(scale_of(one.quantity, units), one.count))


def taken_at(
    one: Evidence, units: Mapping[Quantity, Unit], zone: ZoneInfo, *, shown: Sentence | None = None
) -> Sentence:
    """Return the value of a reading, as `shown` when that is given, and when it was measured."""
    value = taken(one, units) if shown is None else measured(one.quantity, one.count, shown)
    return say("{value} {when}", "{value} {when}", value=value, when=moment(one.measured_at, zone))


def last_of(telling: Telling) -> Evidence | None:
    """Return the last reading that an alert rests on of its rule's quantity, None without one."""
    return next((one for one in reversed(telling.evidence) if one.quantity is telling.rule.quantity), None)


def now(telling: Telling, zone: ZoneInfo, *, shown: Sentence | None = None) -> Sentence:
    """Return what the last reading was and when, with a comma after it; when the alert was raised without one.

    Args:
        telling: the alert.
        zone: the patient's.
        shown: the value of the last reading where it stands beside a threshold, None where it does not.
    """
    last = last_of(telling)
    told = moment(telling.raised_at, zone) if last is None else taken_at(last, telling.units, zone, shown=shown)
    return say("{told}, ", "{told}, ", told=told)


def the_last(telling: Telling, zone: ZoneInfo, *, shown: Sentence | None = None) -> Sentence:
    """Return what the last reading was and when, as the last part of a sentence; empty without one."""
    last = last_of(telling)
    if last is None:
        return NOTHING
    return say("~; la dernière~: {last}", "; the last: {last}", last=taken_at(last, telling.units, zone, shown=shown))


def since(telling: Telling, zone: ZoneInfo) -> Sentence:
    """Return since when the condition had lasted, empty when it was met at once."""
    if telling.onset == telling.raised_at:
        return NOTHING
    begun = moment(telling.onset, zone, beside=telling.raised_at)
    return say(" depuis {begun}", " since {begun}", begun=begun)


def beyond(side: Side, threshold: Sentence) -> Sentence:
    """Return where a value stands that is beyond a threshold."""
    match side:
        case Side.BELOW:
            return say("sous le seuil de {t}", "below the threshold of {t}", t=threshold)
        case Side.ABOVE:
            return say("au-dessus du seuil de {t}", "above the threshold of {t}", t=threshold)
        case _:
            return on_side(side, threshold)


def on_side(side: Side, threshold: Sentence) -> Sentence:
    """Return where values are that are beyond: "sous 70 mg/dL"."""
    match side:
        case Side.BELOW:
            return say("sous {t}", "below {t}", t=threshold)
        case Side.AT_MOST:
            return say("à {t} ou moins", "at {t} or less", t=threshold)
        case Side.AT_LEAST:
            return say("à {t} ou plus", "at {t} or more", t=threshold)
        case _:
            return say("au-dessus de {t}", "above {t}", t=threshold)


def passing(side: Side, threshold: Sentence) -> Sentence:
    """Return the going beyond a threshold: "de passer sous 70 mg/dL"."""
    match side:
        case Side.BELOW:
            return say("de passer sous {t}", "of going below {t}", t=threshold)
        case Side.AT_MOST:
            return say("d'atteindre {t} ou moins", "of reaching {t} or less", t=threshold)
        case Side.AT_LEAST:
            return say("d'atteindre {t} ou plus", "of reaching {t} or more", t=threshold)
        case _:
            return say("de dépasser {t}", "of exceeding {t}", t=threshold)


def readings(quantity: Quantity, many: int) -> Sentence:
    """Return how many readings: "5 pesées"."""
    return say("{n}~{noun}", "{n} {noun}", n=many, noun=reading_noun(quantity, many))


def counted_from(telling: Telling, baseline: int | None) -> Sentence:
    """Return what a value was counted from (quanta), in brackets; empty when it is not known."""
    if baseline is None:
        return NOTHING
    return say(" ({b})", " ({b})", b=about(scale_of(telling.rule.quantity, telling.units), baseline))


def resting_on(telling: Telling) -> Sentence:
    """Return on how many readings a value rests and over how long: "; 5 pesées sur 7 jours"; empty when not known."""
    many, spread = telling.finding.readings, telling.finding.span
    if not many:
        return NOTHING
    over = say(" sur {s}", " over {s}", s=roughly(spread)) if spread else NOTHING
    return say("~; {n}{over}", "; {n}{over}", n=readings(telling.rule.quantity, many), over=over)


def limit(scale: Scale, threshold: int, *, plus: bool = False) -> Sentence:
    """Return a threshold alone: "; seuil +2,0 kg"."""
    return threshold_of(amount(scale, threshold, plus=plus))


def threshold_of(shown: Sentence) -> Sentence:
    """Return a threshold as shown, as the last part of a sentence."""
    return say("~; seuil {t}", "; threshold {t}", t=shown)


def quoted(title: Sentence) -> Sentence:
    """Return the title of a rule within a sentence, cut when it is long."""
    return say("«~{t}~»", "“{t}”", t=Sentence(fr=_cut(title.fr), en=_cut(title.en)))


def titles(several: Sequence[Sentence], room: int = ROOM) -> Sentence:
    """Return titles as a list, at least the first one, as many as `room` characters take, and how many more."""
    shown: list[Sentence] = []
    left = room - _MORE + len(", ")
    for title in several:
        one = quoted(title)
        left -= max(len(one.fr), len(one.en)) + len(", ")
        if shown and left < 0:
            break
        shown.append(one)
    listed, more = joined(", ", ", ", shown), len(several) - len(shown)
    if not more:
        return listed
    noun = "autre" if more == 1 else "autres"
    return say("{listed} et {n}~{noun}", "{listed} and {n} more", listed=listed, n=more, noun=noun)


def unknown(several: Sequence[Sentence], room: int = ROOM) -> Sentence:
    """Return which rules could not be judged."""
    return say("sans mesure récente pour juger {t}", "no recent reading to judge {t}", t=titles(several, room))


def joined(fr: str, en: str, parts: Iterable[Sentence]) -> Sentence:
    """Return parts one after the other, with what stands between them in each language."""
    several = tuple(parts)
    return Sentence(fr=fr.join(part.fr for part in several), en=en.join(part.en for part in several))


def clauses(parts: Iterable[Sentence]) -> Sentence:
    """Return parts one after the other with a semicolon between them."""
    return joined(f"{NB}; ", "; ", parts)


def _cut(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1].rstrip() + ELLIPSIS
