"""What to write for an amount that does not fit: what is wrong in the one that is there, and the units of its quantity.

What is not here: other values (protocol_expectations), and amounts that are well written and impossible
(protocol_amounts).
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from alerting.alert import Sentence
from alerting.protocol_amounts import (
    Amount,
    Change,
    Deviations,
    Fraction100,
    Level,
    PerMinute,
    Points,
    parts_of,
    units_of,
)
from alerting.wording import shown_unit
from devices.reading import Quantity, Unit, facts

_COMMA = re.compile(r"(?<=\d),(?=\d)")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_SHARES: tuple[tuple[type[Amount], Sentence], ...] = (
    (Fraction100, Sentence(fr='une part telle que "75 %"', en='a share such as "75 %"')),
    (
        Deviations,
        Sentence(
            fr='un nombre d\'écarts-types, tel que "3 SD" (ou "3 ET")', en='so many standard deviations, such as "3 SD"'
        ),
    ),
    (Points, Sentence(fr='des points, tels que "5 points"', en='points, such as "5 points"')),
)
_LEVELS: Mapping[Unit, str] = MappingProxyType(
    {
        Unit.MG_PER_DL: "70",
        Unit.MM_HG: "135",
        Unit.PER_MINUTE: "110",
        Unit.PERCENT: "20",
        Unit.CELSIUS: "38.3",
        Unit.KILOGRAM: "71.2",
        Unit.KG_PER_M2: "22.5",
        Unit.SCORE: "3",
    }
)
"""A value to show how one is written, in the unit that a quantity is counted in."""
_CHANGES: Mapping[Unit, str] = MappingProxyType(
    {
        Unit.MG_PER_DL: "3",
        Unit.MM_HG: "20",
        Unit.PER_MINUTE: "15",
        Unit.PERCENT: "4",
        Unit.CELSIUS: "0.5",
        Unit.KILOGRAM: "2.0",
        Unit.KG_PER_M2: "1.0",
        Unit.SCORE: "2",
    }
)


def amount_wanted(kind: type[Amount], value: object, quantity: Quantity | None) -> Sentence:
    """Return what is wrong with a value and what to write instead.

    Args:
        kind: of amount that is wanted.
        value: as the file has it; None when it has none.
        quantity: of the table, None when it has none that is known.
    """
    pointed = _pointed(kind, value)
    if pointed:
        return Sentence(
            fr=f'un nombre s\'écrit avec un point, sans virgule : écrire "{pointed}", un point',
            en=f'a number is written with a point, without a comma: write "{pointed}", a point',
        )
    wrong, wanted = _slip(kind, value, quantity), _wanted(kind, quantity)
    if wrong is None:
        return Sentence(fr=f"écrire {wanted.fr}", en=f"write {wanted.en}")
    return Sentence(fr=f"{wrong.fr} ; écrire {wanted.fr}", en=f"{wrong.en}; write {wanted.en}")


def _pointed(kind: type[Amount], value: object) -> str:
    """Return an amount that has a comma with a point in its place, "" when that is not all that is wrong with it."""
    pointed = _COMMA.sub(".", value).strip() if isinstance(value, str) else value
    try:
        kind.read(pointed)
    except ValueError:
        return ""
    return "" if pointed == value else str(pointed)


def _slip(kind: type[Amount], value: object, quantity: Quantity | None) -> Sentence | None:
    """Return what is wrong, None when there is nothing or no more can be said."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Sentence(fr="il manque les guillemets et l'unité", en="the quotes and the unit are lacking")
    return _misspelt(kind, value, quantity) if isinstance(value, str) else None


def _misspelt(kind: type[Amount], value: str, quantity: Quantity | None) -> Sentence | None:
    if _COMMA.search(value):
        pointed = _COMMA.sub(".", value).strip()
        return Sentence(
            fr=f"un nombre s'écrit avec un point, sans virgule : écrire {pointed}, un point",
            en=f"a number is written with a point, without a comma: write {pointed}, a point",
        )
    if _NUMBER.fullmatch(value.strip()):
        return Sentence(fr="il manque l'unité", en="the unit is lacking")
    try:
        _, unit = parts_of(value)
    except ValueError:
        return None
    if quantity is None or issubclass(kind, Fraction100 | Deviations | Points):
        return Sentence(fr=f"« {unit} » n'est pas une unité d'ici", en=f'"{unit}" is no unit here')
    return Sentence(fr=f"« {unit} » n'est pas une unité de {quantity}", en=f'"{unit}" is no unit of {quantity}')


def _wanted(kind: type[Amount], quantity: Quantity | None) -> Sentence:
    for share, said in _SHARES:
        if issubclass(kind, share):
            return said
    if quantity is None:
        example, fr, en = "2.0 kg", "", ""
    else:
        unit, units = facts(quantity).unit, units_of(quantity)
        example = f"{(_LEVELS if kind is Level else _CHANGES)[unit]} {shown_unit(unit)}"
        fr, en = f" (unités de {quantity} : {units})", f" (units of {quantity}: {units})"
    if issubclass(kind, PerMinute):
        return Sentence(
            fr=f'la variation en une minute, avec un point et son unité, telle que "{example}"{fr}',
            en=f'the change in one minute, with a point and its unit, such as "{example}"{en}',
        )
    if issubclass(kind, Change):
        return Sentence(
            fr=f'un nombre avec un point et son unité, tel que "{example}", ou une part telle que "5 %"{fr}',
            en=f'a number with a point and its unit, such as "{example}", or a share such as "5 %"{en}',
        )
    return Sentence(
        fr=f'un nombre avec un point et son unité, tel que "{example}"{fr}',
        en=f'a number with a point and its unit, such as "{example}"{en}',
    )
