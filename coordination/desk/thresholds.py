"""The numbers of a protocol as a form: each with its words, its unit, what its pack allows and what holds now.

A form shows what a pack gives limits for, and where such a number has an end of its own (`end_...`), that too. A number
is read with a comma or a point; its unit stands beside it and cannot be mistyped.

What is not here: whether a number is allowed (alerting.protocol_file says it, of the whole text at once).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.errors import Fault
from alerting.protocol_amounts import Amount, parts_of
from alerting.protocol_bounds import Place, places
from alerting.protocol_values import Duration
from alerting.wording import shown_unit
from coordination.desk.pages import commas, number, said, t
from devices.reading import Quantity, Unit

_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?")
_SPACES = str.maketrans("", "", " \u00a0\u2007\u202f")
_LENGTHS = (
    (86_400_000, "days", Sentence(fr="jours", en="days")),
    (3_600_000, "h", Sentence(fr="h", en="h")),
    (60_000, "min", Sentence(fr="min", en="min")),
    (1_000, "s", Sentence(fr="s", en="s")),
)
_KEYS = {
    "threshold": Sentence(fr="Seuil", en="Threshold"),
    "end_threshold": Sentence(fr="Fin de l'alerte à", en="Alert ends at"),
    "delta": Sentence(fr="Écart", en="Change"),
    "end_delta": Sentence(fr="Fin sous un écart de", en="Ends under a change of"),
    "per_minute": Sentence(fr="Par minute", en="A minute"),
    "end_per_minute": Sentence(fr="Fin sous, par minute", en="Ends under, a minute"),
    "share": Sentence(fr="Part du temps", en="Share of time"),
    "end_share": Sentence(fr="Fin sous une part de", en="Ends under a share of"),
    "probability": Sentence(fr="Probabilité", en="Probability"),
    "end_probability": Sentence(fr="Fin sous une probabilité de", en="Ends under a probability of"),
    "persist": Sentence(fr="Pendant au moins", en="For at least"),
    "end_persist": Sentence(fr="Fini depuis au moins", en="Over for at least"),
    "window": Sentence(fr="Sur", en="Over"),
    "refractory": Sentence(fr="Pas redite avant", en="Not told again before"),
    "per_day": Sentence(fr="Au plus par jour", en="At most a day"),
    "expected": Sentence(fr="Attendue toutes les", en="Expected every"),
    "grace": Sentence(fr="Tolérance", en="Grace"),
    "by": Sentence(fr="Attendue avant", en="Expected by"),
    "min_readings": Sentence(fr="Mesures nécessaires", en="Readings needed"),
    "times": Sentence(fr="Nombre de fois", en="How many times"),
    "at_most": Sentence(fr="Alertes dites au plus", en="Alerts told at most"),
    "within": Sentence(fr="Par période de", en="In any"),
    "longest_shelf": Sentence(fr="Mise de côté au plus", en="Set aside at most"),
    "not_transmitted_after": Sentence(fr="Boîtier muet depuis", en="Box silent for"),
    "horizon": Sentence(fr="À l'horizon de", en="Within the coming"),
    "cadence": Sentence(fr="Cadence", en="Cadence"),
    "gap": Sentence(fr="Trou au-delà de", en="Gap beyond"),
}
_UNITS = {"SD": ("écarts-types", "SD")}
_TABLES = {
    "transmission": Sentence(fr="Silence du boîtier", en="Silence of the box"),
    "telling": Sentence(fr="Comment les alertes sont dites", en="How alerts are told"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number of a form.

    Attributes:
        table: id of a rule, or another table.
        key: in it.
        words: what it says.
        unit: as people read it.
        written: the unit as a protocol file has it; "" for a plain count, None for a time of day.
        shown: the draft's value, with the reader's comma.
        low: least that the pack allows, "" when it gives no limits.
        high: greatest.
        holding: what holds now, "" when the team does not know.
        faults: what is wrong with it.
    """

    table: str
    key: str
    words: str
    unit: str
    written: str | None
    shown: str
    low: str
    high: str
    holding: str
    faults: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in a form."""
        return f"v.{self.table}.{self.key}"

    @property
    def changed(self) -> bool:
        """Whether it is another than what holds."""
        return bool(self.holding) and self.holding != self.shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The numbers of one rule or table, with its name; `urgent` is the priority's rank, 1 for high, 0 for none."""

    table: str
    title: str
    urgent: int
    numbers: tuple[Number, ...]


_RANK = {"high": 1, "medium": 2, "low": 3}


def groups(
    protocol: CareProtocol,
    pack: CareProtocol | None,
    *,
    holding: CareProtocol | None,
    faults: Iterable[Fault] = (),
    typed: Mapping[str, str] | None = None,
) -> list[Group]:
    """Return what a form shows of a protocol.

    Args:
        protocol: the draft, as far as it can be read.
        pack: whose limits hold; None for a protocol without one, whose own limits do.
        holding: what the patient is judged by.
        faults: of the draft.
        typed: name of a number -> what somebody typed and was not kept; shown instead of the draft's.
    """
    limits = {(bound.rule, bound.key): (bound.low, bound.high) for bound in (pack or protocol).bounds}
    said_of: dict[str, list[str]] = {}
    for fault in faults:
        said_of.setdefault(fault.key, []).append(commas(said(fault.message)))
    now = {} if holding is None else places(holding)
    found = []
    rules = {rule.id: rule for rule in protocol.rules}
    for table, place in places(protocol).items():
        keys = [key for key in place.values if _is_shown(table, key, limits, place)]
        if keys:
            rule = rules.get(table)
            numbers = tuple(
                _number(
                    place,
                    table,
                    key,
                    limit=limits.get((table, key)),
                    now=now.get(table),
                    said_of=said_of,
                    typed=typed or {},
                )
                for key in sorted(keys, key=_place_in_words)
            )
            title = (
                said(rule.words.title) if rule is not None else said(_TABLES.get(table, Sentence(fr=table, en=table)))
            )
            rank = _RANK[rule.priority.value] if rule is not None else 0
            found.append(Group(table=table, title=title, urgent=rank, numbers=numbers))
    return sorted(found, key=lambda group: group.urgent == 0)


def unplaced(faults: Iterable[Fault], shown: Iterable[Group]) -> list[Fault]:
    """Return the faults that no number of a form shows."""
    places_shown = {path for group in shown for one in group.numbers for path in (_path(one), f"{one.table}.{one.key}")}
    return [fault for fault in faults if fault.key not in places_shown]


def _path(one: Number) -> str:
    return f"rules.{one.table}.{one.key}"


def _place_in_words(key: str) -> int:
    return list(_KEYS).index(key) if key in _KEYS else len(_KEYS)


def _is_shown(table: str, key: str, limits: Mapping[tuple[str, str], object], place: Place) -> bool:
    value = place.values[key]
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return (table, key) in limits or (table, key.removeprefix("end_")) in limits


def _number(
    place: Place,
    table: str,
    key: str,
    *,
    limit: tuple[int, int] | None,
    now: Place | None,
    said_of: Mapping[str, list[str]],
    typed: Mapping[str, str],
) -> Number:
    value = place.values[key]
    holds = None if now is None else now.values.get(key)
    counts = [one for one in (value, holds, *(limit or ())) if isinstance(one, int)]
    written, unit, shown = _form(place, key, counts)
    name = f"v.{table}.{key}"
    path = f"rules.{table}.{key}" if place.types.get("id") is not None else f"{table}.{key}"
    return Number(
        table=table,
        key=key,
        words=said(_KEYS.get(key, Sentence(fr=key, en=key))),
        unit=unit,
        written=written,
        shown=typed.get(name, shown[value]) if isinstance(value, int) else "",
        low=shown[limit[0]] if limit is not None else "",
        high=shown[limit[1]] if limit is not None else "",
        holding=shown[holds] if isinstance(holds, int) else "",
        faults=tuple(said_of.get(path, ())),
    )


def _form(place: Place, key: str, counts: Iterable[int]) -> tuple[str | None, str, dict[int, str]]:
    """Return a key's unit as a file has it and as people read it, and each count in it."""
    kind = place.types[key]
    if isinstance(kind, type) and issubclass(kind, Duration):
        length, written, words = next(
            one for one in _LENGTHS if all(count % one[0] == 0 for count in counts) or one[0] == _LENGTHS[-1][0]
        )
        return written, said(words), {count: number(f"{count / length:g}") for count in counts}
    if isinstance(kind, type) and issubclass(kind, Amount):
        texts = {count: parts_of(str(place.text(key, count))) for count in counts}
        written = next(iter(texts.values()))[1]
        unit = shown_unit(Unit(written)) if written in set(Unit) else t(*_UNITS.get(written, (written, written)))
        return written, unit, {count: number(text) for count, (text, _) in texts.items()}
    shown = {count: str(place.text(key, count)) for count in counts}
    return ("" if all(text.isdecimal() for text in shown.values()) else None), "", shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a form said: (table, key) -> as a protocol file writes it, and name -> what is wrong with what was typed."""

    values: dict[tuple[str, str], object]
    wrong: dict[str, str]


def read_numbers(shown: Iterable[Group], sent: Mapping[str, str], *, prefix: str = "v") -> Read:
    """Return the numbers of a form that differ from what it showed."""
    values: dict[tuple[str, str], object] = {}
    wrong: dict[str, str] = {}
    for one in (one for group in shown for one in group.numbers):
        name = f"{prefix}.{one.table}.{one.key}"
        if name not in sent or sent[name].strip() == one.shown:
            continue
        value = as_written(sent[name], one)
        if value is None:
            wrong[name] = t("Écrire un nombre, comme 2,5.", "Write a number, like 2.5.")
        else:
            values[one.table, one.key] = value
    return Read(values=values, wrong=wrong)


def as_written(text: str, one: Number) -> object | None:
    """Return what somebody typed as a protocol file writes it, None when it is no such number."""
    plain = text.translate(_SPACES).replace(",", ".").replace("\u2212", "-")
    if one.written is None:
        return plain[:8] if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", plain) else None
    if not _NUMBER.fullmatch(plain):
        return None
    whole = plain.split(".")[0] if plain.split(".")[-1].strip("0") == "" and "." in plain else plain
    if one.written == "" or one.written in {length[1] for length in _LENGTHS}:
        if "." in whole:
            return None
        return int(whole) if one.written == "" else f"{int(whole)} {one.written}"
    return f"{plain} {one.written}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One thing that a protocol changes: of which rule, what, from what to what; "" where there is nothing."""

    title: str
    words: str
    before: str
    after: str


def changes_between(before: CareProtocol | None, after: CareProtocol) -> list[Changed]:
    """Return everything that is judged or told otherwise by the second protocol, in its order."""
    if before is None:
        return []
    old, new = places(before), places(after)
    titles = {rule.id: said(rule.words.title) for rule in (*before.rules, *after.rules)}
    found: list[Changed] = []
    for table in dict.fromkeys([*old, *new]):
        title = titles.get(table) or said(_TABLES.get(table, Sentence(fr=table, en=table)))
        if table not in new:
            found.append(Changed(title=title, words=t("règle enlevée", "rule removed"), before="", after=""))
        elif table not in old:
            found.append(Changed(title=title, words=t("règle ajoutée", "rule added"), before="", after=""))
        else:
            found += _changed_keys(title, old[table], new[table])
    if (before.telling.quiet, before.telling.due) != (after.telling.quiet, after.telling.due):
        words = t("heures calmes ou délais", "quiet hours or times to look")
        found.append(Changed(title=said(_TABLES["telling"]), words=words, before="", after=""))
    return found


def _changed_keys(title: str, old: Place, new: Place) -> list[Changed]:
    found = []
    for key in dict.fromkeys([*old.values, *new.values]):
        before, after = old.values.get(key), new.values.get(key)
        if before != after and key not in {"title", "check", "sources"}:
            found.append(
                Changed(
                    title=title,
                    words=said(_KEYS.get(key, Sentence(fr=key, en=key))),
                    before="" if before is None or key not in old.types else number(said(old.said(key, before))),
                    after="" if after is None or key not in new.types else number(said(new.said(key, after))),
                )
            )
        elif before != after:
            found.append(Changed(title=title, words=t("texte changé", "wording changed"), before="", after=""))
    return found


def differing_quantities(before: CareProtocol | None, after: CareProtocol) -> list[Quantity]:
    """Return the quantities whose rules differ between two protocols, in the order of the second's rules."""
    old = {} if before is None else {rule.id: rule for rule in before.rules}
    new = {rule.id for rule in after.rules}
    changed = [rule.quantity for rule in after.rules if old.get(rule.id) != rule]
    gone = [rule.quantity for name, rule in old.items() if name not in new]
    return list(dict.fromkeys([*changed, *gone]))
