"""What a protocol file may contain: one Struct a table, and the words for a value that does not fit.

An amount carries its unit ("70 mg/dL", "2.0 kg") and a duration its own ("15 min", "3 days"); a day is 24 hours.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Audience, Priority, Sentence
from alerting.rules import Direction, Side
from devices.reading import Quantity, Unit

_MS = {
    **dict.fromkeys(("s",), 1_000),
    **dict.fromkeys(("min",), 60_000),
    **dict.fromkeys(("h",), 3_600_000),
    **dict.fromkeys(("day", "days", "jour", "jours"), 86_400_000),
    **dict.fromkeys(("week", "weeks", "semaine", "semaines"), 7 * 86_400_000),
}
_DURATION = re.compile(r"([0-9]{1,6}) ?([a-z]+)")
_AMOUNT = re.compile(r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?) ?(\S+)")
_LONGEST = 400 * 86_400_000

Identifier = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{1,47}$")]
Line = Annotated[str, Meta(min_length=1, max_length=300)]


# Plain classes: msgspec would take a dataclass for a table of its own.


class Duration:
    """A length of time in ms, written such as "15 min"."""

    __slots__ = ("ms",)

    def __init__(self, ms: int) -> None:
        self.ms = ms


class Amount:
    """A number with its unit, written such as "70 mg/dL"."""

    __slots__ = ("number", "unit")

    def __init__(self, number: Decimal, unit: Unit) -> None:
        self.number = number
        self.unit = unit


NO_TIME = Duration(0)


class Bilingual(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text in both languages."""

    fr: Line
    en: Line


class FileTable(Struct, frozen=True, kw_only=True):
    """The file itself."""

    schema: Literal[1]
    name: Identifier
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: Bilingual
    transmission: dict[str, Any]
    quantities: dict[str, Any] = msgspec.field(default_factory=dict)
    rules: Annotated[list[Any], Meta(min_length=1, max_length=64)]
    sources: dict[str, Line]


class TransmissionTable(Struct, frozen=True, kw_only=True):
    """[transmission]."""

    not_transmitted_after: Duration


class TimingTable(Struct, frozen=True, kw_only=True):
    """[quantities.<quantity>]."""

    cadence: Duration
    gap: Duration


class RuleTable(Struct, frozen=True, kw_only=True):
    """What every [[rules]] has."""

    id: Identifier
    kind: Literal["level", "change", "missing"]
    quantity: Quantity
    priority: Priority
    audience: Audience
    title: Bilingual
    check: Bilingual
    sources: Annotated[list[str], Meta(min_length=1)]


class LevelTable(RuleTable, frozen=True, kw_only=True):
    """[[rules]] with kind = "level"."""

    side: Side
    threshold: Amount
    end_threshold: Amount
    persist: Duration = NO_TIME
    end_persist: Duration = NO_TIME


class ChangeTable(RuleTable, frozen=True, kw_only=True):
    """[[rules]] with kind = "change"."""

    direction: Direction
    delta: Amount
    end_delta: Amount
    window: Duration
    slack: Duration = NO_TIME


class MissingTable(RuleTable, frozen=True, kw_only=True):
    """[[rules]] with kind = "missing"."""

    audience: Audience = Audience.NURSE
    expected: Duration
    grace: Duration = NO_TIME


RULE_TABLES: dict[str, type[RuleTable]] = {"level": LevelTable, "change": ChangeTable, "missing": MissingTable}

ABSENCE: dict[str, Sentence] = {
    "transmission": Sentence(
        fr="la non-transmission doit toujours être signalée ; ajouter [transmission] avec "
        'not_transmitted_after = "36 h"',
        en='that nothing is transmitted must always be told; add [transmission] with not_transmitted_after = "36 h"',
    ),
    "audience": Sentence(
        fr="à qui l'alerte s'adresse : patient_now (le patient ou un aidant, tout de suite) ou nurse (l'infirmière, "
        "aux heures du service)",
        en="whom the alert is for: patient_now (the patient or a carer, at once) or nurse (in the desk's hours)",
    ),
}
"""What to say of a key that is not there, where its type alone does not tell."""


def convert(value: object, kind: object) -> object:
    """Return one value of a file as the schema wants it.

    Raises:
        msgspec.ValidationError: it does not fit.
    """
    return msgspec.convert(value, kind, strict=True, dec_hook=_decode)


def _decode(kind: type, value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a text")  # noqa: TRY004 - msgspec turns a ValueError into its ValidationError
    if kind is Duration:
        return _duration(value)
    return _amount(value)


def _duration(text: str) -> Duration:
    match = _DURATION.fullmatch(text.strip())
    if match is None or match[2] not in _MS or int(match[1]) * _MS[match[2]] > _LONGEST:
        raise ValueError(text)
    return Duration(int(match[1]) * _MS[match[2]])


def _amount(text: str) -> Amount:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return Amount(Decimal(match[1]), Unit(match[2]))


def expectation(kind: object) -> Sentence:  # noqa: PLR0911 - one return a type
    """Return what to write for a value of this type."""
    words = msgspec.inspect.type_info(kind)
    match words:
        case msgspec.inspect.EnumType() | msgspec.inspect.LiteralType():
            values = (
                [str(member.value) for member in words.cls]
                if isinstance(words, msgspec.inspect.EnumType)
                else [str(value) for value in words.values]
            )
            choices = ", ".join(values)
            return Sentence(fr=f"choisir parmi : {choices}", en=f"choose one of: {choices}")
        case msgspec.inspect.CustomType(cls=cls) if cls is Duration:
            return Sentence(
                fr='écrire une durée avec son unité, telle que "15 min", "36 h" ou "3 days" (400 jours au plus)',
                en='write a duration with its unit, such as "15 min", "36 h" or "3 days" (at most 400 days)',
            )
        case msgspec.inspect.CustomType():
            units = ", ".join(Unit)
            return Sentence(
                fr='écrire un nombre avec un point et son unité, tel que "70 mg/dL" ou "2.0 kg" '
                f"(unités connues : {units})",
                en=f'write a number with a point and its unit, such as "70 mg/dL" or "2.0 kg" (known units: {units})',
            )
        case msgspec.inspect.IntType():
            return Sentence(fr="écrire un nombre entier, à partir de 1", en="write a whole number, from 1")
        case msgspec.inspect.StrType(pattern=str()):
            return Sentence(
                fr="écrire 2 à 48 caractères parmi a-z, 0-9 et _, en commençant par une lettre",
                en="write 2 to 48 of a-z, 0-9 and _, beginning with a letter",
            )
        case msgspec.inspect.StructType():
            return Sentence(
                fr='écrire les deux langues : { fr = "...", en = "..." }, 300 caractères au plus',
                en='write both languages: { fr = "...", en = "..." }, at most 300 characters each',
            )
        case msgspec.inspect.ListType(item_type=msgspec.inspect.StrType()):
            return Sentence(
                fr='citer au moins une source de [sources] : ["cle"]', en='name at least one of [sources]: ["key"]'
            )
        case msgspec.inspect.ListType():
            return Sentence(fr="écrire de 1 à 64 tables [[rules]]", en="write 1 to 64 tables [[rules]]")
        case _:
            return Sentence(fr='écrire une table de textes : cle = "texte"', en='write a table of texts: key = "text"')
