"""What to write for a key of a protocol file that is not there or does not fit, in words.

What is not here: the keys (protocol_schema), and how their values are read (protocol_values).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from alerting.alert import Sentence
from alerting.protocol_amount_words import amount_wanted
from alerting.protocol_amounts import Amount
from alerting.protocol_spelling import perhaps
from alerting.protocol_values import WEEKDAYS, Days, Duration, Flags, Lasting, Span, TimeOfDay
from devices.reading import Quantity

ABSENCE: Mapping[str, Sentence] = MappingProxyType(
    {
        "transmission": Sentence(
            fr="la non-transmission doit toujours être signalée ; ajouter [transmission] avec "
            'not_transmitted_after = "36 h"',
            en="that nothing is transmitted must always be told; add [transmission] with "
            'not_transmitted_after = "36 h"',
        ),
        "audience": Sentence(
            fr="à qui l'alerte s'adresse : patient_now (le patient ou un aidant, tout de suite) ou nurse "
            "(l'infirmière, aux heures du service)",
            en="whom the alert is for: patient_now (the patient or a carer, at once) or nurse (in the desk's hours)",
        ),
    }
)
"""What to say of a key that is not there, where its type alone does not tell."""

_LISTS: Mapping[str, Sentence] = MappingProxyType(
    {
        "rules": Sentence(fr="écrire de 1 à 64 tables [[rules]]", en="write 1 to 64 tables [[rules]]"),
        "sources": Sentence(
            fr='citer au moins une source de [sources] : ["cle"]', en='name at least one of [sources]: ["key"]'
        ),
        "occasions": Sentence(
            fr='écrire de 1 à 4 moments de la journée : [["06:00", "10:00"], ["18:00", "22:00"]]',
            en='write 1 to 4 spans of the day: [["06:00", "10:00"], ["18:00", "22:00"]]',
        ),
        "steps": Sentence(fr="écrire au plus 24 tables [[telling.steps]]", en="write at most 24 [[telling.steps]]"),
        "signatures": Sentence(fr="écrire au plus 8 tables [[signatures]]", en="write at most 8 [[signatures]]"),
    }
)

_CUSTOM: tuple[tuple[type, Sentence], ...] = (
    (
        Lasting,
        Sentence(
            fr='écrire une durée plus grande que zéro avec son unité, telle que "15 min", "36 h" ou "3 jours" '
            "(400 jours au plus)",
            en='write a duration above zero with its unit, such as "15 min", "36 h" or "3 days" (at most 400 days)',
        ),
    ),
    (
        Duration,
        Sentence(
            fr='écrire une durée avec son unité, telle que "15 min", "36 h" ou "3 jours" (400 jours au plus)',
            en='write a duration with its unit, such as "15 min", "36 h" or "3 days" (at most 400 days)',
        ),
    ),
    (TimeOfDay, Sentence(fr='écrire une heure telle que "11:00"', en='write a time of day such as "11:00"')),
    (
        Span,
        Sentence(
            fr='écrire deux heures différentes : ["22:00", "07:00"]',
            en='write two different times of day: ["22:00", "07:00"]',
        ),
    ),
    (
        Days,
        Sentence(
            fr=f"écrire une liste de jours, chacun une fois, parmi : {', '.join(WEEKDAYS)}",
            en=f"write a list of days, each once, of: {', '.join(WEEKDAYS)}",
        ),
    ),
    (
        Flags,
        Sentence(
            fr=f"écrire une liste de signes de qualité, chacun une fois, parmi : {', '.join(Flags.names)}",
            en=f"write a list of quality flags, each once, of: {', '.join(Flags.names)}",
        ),
    ),
)


def absence(key: str, kind: object, quantity: Quantity | None = None) -> Sentence:
    """Return what to write for a key that is not there."""
    return ABSENCE.get(key) or expectation(key, kind, quantity=quantity)


def expectation(  # noqa: C901, PLR0911 - one case a type
    key: str, kind: object, value: object = None, quantity: Quantity | None = None
) -> Sentence:
    """Return what to write for the value of a key of this type.

    Args:
        key: its name.
        kind: its type.
        value: what stands there, None when nothing does.
        quantity: of the table it is in, None when it has none that is known.
    """
    words = msgspec.inspect.type_info(kind)
    match words:
        case msgspec.inspect.EnumType():
            return _one_of([member.value for member in words.cls], value)
        case msgspec.inspect.LiteralType():
            return _one_of(words.values, value)
        case msgspec.inspect.CustomType():
            if issubclass(words.cls, Amount):
                return amount_wanted(words.cls, value, quantity)
            return next(said for cls, said in _CUSTOM if issubclass(words.cls, cls))
        case msgspec.inspect.IntType():
            return Sentence(
                fr=f"écrire un nombre entier, de {words.ge} à {words.le}",
                en=f"write a whole number, from {words.ge} to {words.le}",
            )
        case msgspec.inspect.BoolType():
            return Sentence(fr="écrire true (oui) ou false (non)", en="write true or false")
        case msgspec.inspect.StrType(pattern=str()):
            return Sentence(
                fr="écrire 2 à 48 caractères parmi a-z, 0-9 et _, en commençant par une lettre",
                en="write 2 to 48 of a-z, 0-9 and _, beginning with a letter",
            )
        case msgspec.inspect.StrType():
            return Sentence(
                fr=f"écrire un texte de 1 à {words.max_length} caractères",
                en=f"write a text of 1 to {words.max_length} characters",
            )
        case msgspec.inspect.DateTimeType():
            return Sentence(
                fr="écrire date, heure et décalage sans guillemets, comme 2026-11-20T08:00:00Z",
                en="write date, time and offset without quotes, such as 2026-11-20T08:00:00Z",
            )
        case msgspec.inspect.StructType():
            return Sentence(
                fr='écrire les deux langues : { fr = "...", en = "..." }, 300 caractères au plus',
                en='write both languages: { fr = "...", en = "..." }, at most 300 characters each',
            )
        case msgspec.inspect.ListType():
            return _LISTS.get(key) or _list(words, value)
        case _:
            return Sentence(fr='écrire une table de textes : cle = "texte"', en='write a table of texts: key = "text"')


def _one_of(values: Any, value: object) -> Sentence:  # noqa: ANN401 - texts or numbers
    choices = ", ".join(str(one) for one in values)
    more = perhaps(value, [str(one) for one in values]) if isinstance(value, str) else perhaps("", ())
    return Sentence(fr=f"choisir parmi : {choices}{more.fr}", en=f"choose one of: {choices}{more.en}")


def _list(words: msgspec.inspect.ListType, value: object) -> Sentence:
    fewest, most = words.min_length or 0, words.max_length
    if isinstance(words.item_type, msgspec.inspect.EnumType):
        known = [str(member.value) for member in words.item_type.cls]
        strange = [one for one in value if isinstance(one, str) and one not in known] if isinstance(value, list) else []
        more = perhaps(strange[0] if strange else "", known)
        return Sentence(
            fr=f"écrire une liste de {fewest} à {most} parmi : {', '.join(known)}{more.fr}",
            en=f"write a list of {fewest} to {most} of: {', '.join(known)}{more.en}",
        )
    return Sentence(
        fr=f"écrire une liste de {fewest} à {most} id de règles", en=f"write a list of {fewest} to {most} ids of rules"
    )
