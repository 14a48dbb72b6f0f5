"""An alert in one sentence with its numbers, in French and English.

Each rule kind has its own sentence: what was measured and when (in the patient's time zone), against which threshold,
and one thing to check, never a dose. Numbers are in the reader's form and never rounded: what is shown is what was
compared. A French number and its unit, and a sign and the word before it, stay on one line (U+00A0).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from alerting.alert import Evidence, Priority, Sentence
from alerting.care_protocol import Rule
from alerting.quantity_words import NAMES
from alerting.rules import ChangeRule, Direction, LevelRule, Side
from alerting.scheduled_rules import MissingRule
from alerting.telling import Members, Telling
from devices.reading import Quantity, Unit, facts, to_value

__all__ = ["Members", "Telling", "explain", "shown_unit", "what_is_missing", "why_not_higher"]

_NB = "\u00a0"
_MINUS = "\u2212"
_FEWEST_DECIMALS = {
    Quantity.BODY_WEIGHT: 1,
    Quantity.BODY_TEMPERATURE: 1,
    Quantity.BMI: 1,
    Quantity.BODY_FAT: 1,
}
_UNITS = {Unit.MM_HG: "mmHg", Unit.CELSIUS: "°C", Unit.KG_PER_M2: "kg/m²"}
_MONTHS = (
    ("janvier", "January"),
    ("février", "February"),
    ("mars", "March"),
    ("avril", "April"),
    ("mai", "May"),
    ("juin", "June"),
    ("juillet", "July"),
    ("août", "August"),
    ("septembre", "September"),
    ("octobre", "October"),
    ("novembre", "November"),
    ("décembre", "December"),
)
_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def shown_unit(unit: Unit) -> str:
    """Return a unit as a nurse writes it, such as "mmHg"; its UCUM code where that is the same."""
    return _UNITS.get(unit, unit.value)


def explain(telling: Telling, zone: ZoneInfo) -> Sentence:
    """Return the sentence of an alert, its times in `zone`."""
    words = telling.rule.words
    what = _what(telling, zone)
    fr = f"{words.title.fr}{_NB}: {what.fr}{_NB}; à vérifier{_NB}: {words.check.fr}"
    en = f"{words.title.en}: {what.en}; to check: {words.check.en}"
    if telling.late:
        fr, en = f"{fr}{_NB}; mesure reçue en retard", f"{en}; reading received late"
    if telling.withdrawn:
        fr = f"{fr}{_NB}; retirée{_NB}: les mesures reçues en retard ne la confirment pas"
        en = f"{en}; withdrawn: readings received late do not bear it out"
    return Sentence(fr=fr, en=en)


def why_not_higher(
    telling: Telling,
    rules: Sequence[Rule],
    *,
    standing: Collection[str] = (),
    members: Mapping[str, Members] | None = None,
) -> Sentence | None:
    """Return what the next graver rule of the protocol would take; None when no rule is graver.

    Args:
        telling: the alert.
        rules: of its protocol, in canonical order.
        standing: ids of the rules whose alerts stood when this one was raised.
        members: id of a composite rule -> how its members stood then.
    """
    graver = _next_graver(telling.rule, rules)
    if graver is None:
        return None
    title = graver.words.title
    if graver.id in standing:
        return Sentence(
            fr=f"«{_NB}{title.fr}{_NB}», plus grave, est levée aussi",
            en=f"“{title.en}”, which is graver, is raised too",
        )
    unmet = (members or {}).get(graver.id, Members()).false
    return Sentence(
        fr=f"«{_NB}{title.fr}{_NB}» n'est pas levée" + "".join(f"{_NB}; non remplie{_NB}: {one.fr}" for one in unmet),
        en=f"“{title.en}” is not raised" + "".join(f"; not met: {one.en}" for one in unmet),
    )


def what_is_missing(telling: Telling, zone: ZoneInfo) -> Sentence | None:
    """Return what was missing for a fuller judgement, with when it was last measured; None when nothing was."""
    parts = []
    for quantity in telling.lacking:
        last = next((one for one in telling.signals if one.quantity is quantity), None)
        name = NAMES[quantity]
        if last is None:
            parts.append(Sentence(fr=f"{name.fr}{_NB}: aucune mesure", en=f"{name.en}: no reading"))
        else:
            value, when = _measured(last), _time(last.measured_at, zone)
            parts.append(
                Sentence(
                    fr=f"{name.fr}{_NB}: dernière mesure {value.fr} {when.fr}",
                    en=f"{name.en}: last reading {value.en} {when.en}",
                )
            )
    if not parts:
        return None
    return Sentence(fr=f"{_NB}; ".join(part.fr for part in parts), en="; ".join(part.en for part in parts))


def _next_graver(rule: Rule, rules: Sequence[Rule]) -> Rule | None:
    ranks = list(Priority)
    graver = [
        other
        for other in rules
        if other.quantity is rule.quantity
        and other.category is rule.category
        and ranks.index(other.priority) > ranks.index(rule.priority)
    ]
    return min(graver, key=lambda other: ranks.index(other.priority), default=None)


def _what(telling: Telling, zone: ZoneInfo) -> Sentence:
    match telling.rule:
        case LevelRule() as rule:
            return _level(rule, telling, zone)
        case ChangeRule() as rule:
            return _change(rule, telling, zone)
        case MissingRule() as rule:
            return _missing(rule, telling, zone)
        case _:
            return telling.rule.words.title


def _level(rule: LevelRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    value = _measured(telling.evidence[-1])
    beyond = _beyond(rule.side, _amount(rule.quantity, rule.threshold))
    since = Sentence(fr="", en="")
    if telling.onset != telling.raised_at:
        begun = _time(telling.onset, zone, beside=telling.raised_at)
        since = Sentence(fr=f" depuis {begun.fr}", en=f" since {begun.en}")
    when = _time(telling.raised_at, zone)
    return Sentence(
        fr=f"{value.fr} {when.fr}, {beyond.fr}{since.fr}",
        en=f"{value.en} {when.en}, {beyond.en}{since.en}",
    )


def _beyond(side: Side, threshold: Sentence) -> Sentence:
    match side:
        case Side.BELOW:
            return Sentence(fr=f"sous le seuil de {threshold.fr}", en=f"below the threshold of {threshold.en}")
        case Side.AT_MOST:
            return Sentence(fr=f"à {threshold.fr} ou moins", en=f"at {threshold.en} or less")
        case Side.AT_LEAST:
            return Sentence(fr=f"à {threshold.fr} ou plus", en=f"at {threshold.en} or more")
        case _:
            return Sentence(fr=f"au-dessus du seuil de {threshold.fr}", en=f"above the threshold of {threshold.en}")


def _change(rule: ChangeRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    first, last = telling.evidence
    sign = "+" if rule.direction is Direction.RISE else _MINUS
    moved = _amount(rule.quantity, abs(last.count - first.count))
    threshold = _amount(rule.quantity, rule.delta)
    window = _span(rule.window)
    before, after = _measured(first), _measured(last)
    then, now = _time(first.measured_at, zone), _time(last.measured_at, zone)
    return Sentence(
        fr=f"{sign}{moved.fr} en {window.fr} ({before.fr} {then.fr}, {after.fr} {now.fr})"
        f"{_NB}; seuil {sign}{threshold.fr}",
        en=f"{sign}{moved.en} in {window.en} ({before.en} {then.en}, {after.en} {now.en}); "
        f"threshold {sign}{threshold.en}",
    )


def _missing(rule: MissingRule, telling: Telling, zone: ZoneInfo) -> Sentence:
    begun = telling.onset - rule.expected - rule.grace
    when = _time(begun, zone)
    expected, grace = _span(rule.expected), _span(rule.grace)
    margin = Sentence(fr=f", plus {grace.fr} de marge", en=f", plus {grace.en} of grace") if rule.grace else None
    due = Sentence(
        fr=f"attendue sous {expected.fr}{margin.fr if margin else ''}",
        en=f"expected within {expected.en}{margin.en if margin else ''}",
    )
    if telling.evidence and telling.evidence[-1].measured_at == begun:
        value = _measured(telling.evidence[-1])
        return Sentence(
            fr=f"aucune mesure depuis celle de {value.fr} {when.fr}{_NB}; {due.fr}",
            en=f"no reading since that of {value.en} {when.en}; {due.en}",
        )
    return Sentence(
        fr=f"aucune mesure depuis le début de la surveillance {when.fr}{_NB}; {due.fr}",
        en=f"no reading since watching began {when.en}; {due.en}",
    )


def _measured(evidence: Evidence) -> Sentence:
    """Return a measured value; a sensor that could not measure so low or so high is quoted as such."""
    known = facts(evidence.quantity)
    if evidence.count == known.low:
        return Sentence(fr="sous la plage du capteur", en="below the sensor's range")
    if evidence.count == known.high:
        return Sentence(fr="au-dessus de la plage du capteur", en="above the sensor's range")
    return _amount(evidence.quantity, evidence.count)


def _amount(quantity: Quantity, count: int) -> Sentence:
    number = str(to_value(quantity, count))
    whole, _, decimals = number.partition(".")
    decimals = decimals.rstrip("0").ljust(_FEWEST_DECIMALS.get(quantity, 0), "0")
    unit = facts(quantity).unit
    shown = shown_unit(unit)
    comma = f"{whole},{decimals}" if decimals else whole
    point = f"{whole}.{decimals}" if decimals else whole
    return Sentence(fr=f"{comma}{_NB}{shown}", en=f"{point}{shown}" if shown == "%" else f"{point} {shown}")


def _span(ms: int) -> Sentence:
    if ms % _DAY == 0 and ms > _DAY:
        return Sentence(fr=f"{ms // _DAY}{_NB}jours", en=f"{ms // _DAY} days")
    if ms < _MINUTE:
        return Sentence(fr=f"{ms // 1000}{_NB}s", en=f"{ms // 1000} s")
    hours, minutes = divmod(ms // _MINUTE, 60)
    parts = [f"{hours}{_NB}h"] * (hours > 0) + [f"{minutes}{_NB}min"] * (minutes > 0)
    text = _NB.join(parts)
    return Sentence(fr=text, en=text.replace(_NB, " "))


def _time(at: int, zone: ZoneInfo, *, beside: int | None = None) -> Sentence:
    """Return a time of day with its date; without the date when it is on the same day as `beside`.

    In the hour that occurs twice at the end of summer time the offset is said.
    """
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    clock = f"{local:%H:%M}"
    offset = local.utcoffset()
    if offset != local.replace(fold=1 - local.fold).utcoffset() and offset is not None:
        clock = f"{clock} (UTC{int(offset.total_seconds()) // 3600:+d})"
    if beside is not None and datetime.fromtimestamp(beside / 1000, UTC).astimezone(zone).date() == local.date():
        return Sentence(fr=clock, en=clock)
    day = "1er" if local.day == 1 else str(local.day)
    month_fr, month_en = _MONTHS[local.month - 1]
    return Sentence(fr=f"le {day} {month_fr} à {clock}", en=f"on {local.day} {month_en} at {clock}")
