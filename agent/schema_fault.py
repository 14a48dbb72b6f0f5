"""A key of the settings file that has the wrong name, type or size, in words: the schema's own are a programmer's.

Places are counted from 1, as in every other fault of the file. Not here: what a key means (settings_file, assignments).
"""

import re
from typing import Final

import msgspec

_AT: Final = re.compile(r" - at `\$\.?(?P<place>[^`]*)`\Z")
_NUMBER: Final = re.compile(r"\[(\d+)\]")
_SAID: Final = (
    (re.compile(r"Object contains unknown field `(.+)`"), "la clé « {} » est inconnue", "the key '{}' is unknown"),
    (re.compile(r"Object missing required field `(.+)`"), "la clé « {} » manque", "the key '{}' is missing"),
    (re.compile(r"Expected `array` of length <= (\d+)"), "{} entrées au plus", "{} entries at most"),
    (re.compile(r"Expected `array` of length >= (\d+)"), "{} entrée au moins", "{} entry at least"),
    (
        re.compile(r"Expected `array` of length (\d+), got \d+"),
        "exactement {} valeurs entre [ ]",
        "exactly {} values in [ ]",
    ),
    (re.compile(r"Expected `str` of length <= (\d+)"), "{} caractères au plus", "{} characters at most"),
    (re.compile(r"Expected `str` of length >= (\d+)"), "{} caractère au moins", "{} character at least"),
    (re.compile(r"Expected `(?:int|float)` <= ([\d.]+)"), "{} au plus", "{} at most"),
    (re.compile(r"Expected `(?:int|float)` >= ([\d.]+)"), "{} au moins", "{} at least"),
    (re.compile(r"Expected `(?:int|float)` > ([\d.]+?)(?:\.0)?"), "plus de {}", "more than {}"),
    (
        re.compile(r"Expected `str` matching regex '\^\[0-9a-f\]\{64\}\\\\Z'"),
        "64 chiffres 0-9a-f sont attendus",
        "64 digits 0-9a-f are expected",
    ),
    (
        re.compile(r"Expected `datetime(?: \| null)?`, got .+|Invalid RFC3339 encoded datetime"),
        "donner date, heure et décalage sans guillemets, comme 2026-11-20T08:00:00Z",
        "give date, time and offset without quotes, such as 2026-11-20T08:00:00Z",
    ),
    (re.compile(r"Expected `int(?: \| null)?`, got .+"), "un nombre entier est attendu", "a whole number is expected"),
    (re.compile(r"Expected `float(?: \| null)?`, got .+"), "un nombre est attendu", "a number is expected"),
    (
        re.compile(r"Expected `str(?: \| null)?`, got .+"),
        "un texte entre guillemets est attendu",
        "text in quotes is expected",
    ),
)
"""What the schema says, and how it is said here; {} is its group."""


def in_words(error: msgspec.ValidationError, *, file: str) -> tuple[str, str, str]:
    """Return where it is, such as "devices[1].people[2].user", and what is wrong there in French and in English.

    Args:
        error: of the schema.
        file: the file's name, which stands for a place at its top.
    """
    text = str(error)
    found = _AT.search(text)
    what = text if found is None else text[: found.start()]
    place = "" if found is None else found["place"]
    where = _NUMBER.sub(lambda number: f"[{int(number[1]) + 1}]", place) or file
    for said, fr, en in _SAID:
        match = said.fullmatch(what)
        if match is not None:
            return where, fr.format(*match.groups()), en.format(*match.groups())
    return where, f"valeur refusée ({what})", f"value refused ({what})"
