"""A file that cannot be read as TOML: which slip it probably is, on which line, in words.

The parser says where it stopped, in a programmer's English. Here the line is looked at for what happens to people who
write with a word processor or an editor of texts: quotes that are not straight, one that is forgotten, one bracket
for two, a key written twice.

What is not here: what is wrong in a file that can be read (protocol_document).
"""

import re

from alerting.alert import Sentence
from alerting.errors import Fault
from alerting.toml_lines import begun_at
from alerting.toml_text import TOO_LONG

_PLACE = re.compile(r"\(at line (\d+), column \d+\)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'")
_CURLY = re.compile("[\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a]")
_CURLY_PAIR = re.compile("[\u201c\u201d\u201e]")
_TIED = re.compile("[\u00a0\u2007\u202f]")
_ARRAYS = r"rules|signatures|telling\s*\.\s*steps"
ONE_BRACKET = re.compile(rf"\s*\[\s*({_ARRAYS})\s*\]\s*(?:#.*)?")
_LOOKED_AT = 2000
"""Characters of a line: a slip in what people write is in them, and looking takes the square of their number."""
_BARE = re.compile(r"""\s*([A-Za-z0-9_.-]+)\s*=\s*([^"'\[{#]*)""")
_ENTRY = re.compile(r"\s*[A-Za-z0-9_.-]+\s*=")


def text_of_file(data: bytes) -> str:
    """Return the text of a file: UTF-8, with or without the mark that Windows puts before it.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    text = data.decode("utf-8-sig")
    if "\0" in text:
        # Two bytes a letter and no mark: such a text of plain letters happens to be UTF-8.
        raise UnicodeDecodeError("utf-8", data, data.index(0), data.index(0) + 1, "two bytes a letter")
    return text


def coding_fault(data: bytes, error: UnicodeDecodeError) -> Fault:
    """Return the fault of a file that is not UTF-8."""
    return Fault(line=data.count(b"\n", 0, error.start) + 1, key="", message=_UTF8)


def syntax_fault(text: str, reason: str) -> Fault:
    """Return the fault of a text that the parser refuses.

    Args:
        text: of the file.
        reason: what the parser says.
    """
    if reason.startswith(TOO_LONG):
        return Fault(line=None, key="", message=_TOO_LONG)
    lines = text.replace("\r\n", "\n").split("\n")
    place = _PLACE.search(reason)
    number = int(place[1]) if place else len(lines)
    if reason.startswith("Cannot"):
        number, message = _twice(lines, number)
        return Fault(line=number, key="", message=message)
    begun = begun_at(text, number)
    if begun is not None and begun < number:
        return Fault(line=begun, key="", message=_NOT_CLOSED)
    return Fault(line=number, key="", message=_slip(lines[number - 1][:_LOOKED_AT], reason))


def one_bracket(name: str) -> Sentence:
    """Return what to say of an array of tables that is written as one table."""
    return Sentence(
        fr=f"écrire [[{name}]], deux crochets de chaque côté, devant chacune de ces tables",
        en=f"write [[{name}]], two brackets on each side, before each of these tables",
    )


def _twice(lines: list[str], number: int) -> tuple[int, Sentence]:
    """Return the line and the message of a key or a table that is there twice."""
    if lines[number - 1].lstrip().startswith("["):
        for place, line in enumerate(lines[:number], start=1):
            single = ONE_BRACKET.fullmatch(line)
            if single is not None:
                return place, one_bracket(re.sub(r"\s", "", single[1]))
        return number, _TABLE_TWICE
    return number, _KEY_TWICE


def _slip(line: str, reason: str) -> Sentence:  # noqa: PLR0911 - one a slip
    """Return what is probably wrong in a line."""
    left = _STRING.sub('""', line).split("#")[0]
    unpaired = left.replace('""', "")
    bare = _BARE.fullmatch(left)
    if _CURLY.search(left) or ('"' in unpaired and _CURLY_PAIR.search(line)):
        return _STRAIGHT
    if '"' in unpaired:
        return _QUOTE
    if _TIED.search(left):
        return _TIED_SPACE
    if reason.startswith("Duplicate"):
        return _KEY_TWICE
    if left.count("{") != left.count("}") or left.count("[") != left.count("]"):
        return _BRACKETS
    if reason.startswith("Unclosed"):
        return _COMMA
    if bare is not None:
        return _unquoted(bare[1], bare[2].strip())
    if _ENTRY.match(left) or left.lstrip().startswith("["):
        return _UNREADABLE
    return _KEY_LETTERS if "=" in left else _NO_EQUALS


def _unquoted(key: str, value: str) -> Sentence:
    if not value:
        return Sentence(fr=f"il manque la valeur après {key} =", en=f"the value after {key} = is lacking")
    if value.lower() in {"true", "false", "vrai", "faux", "oui", "non", "yes", "no"}:
        return Sentence(
            fr="écrire true (oui) ou false (non), en minuscules et sans guillemets",
            en="write true or false, in small letters and without quotes",
        )
    return Sentence(
        fr=f'écrire la valeur entre guillemets droits : {key} = "{value}"',
        en=f'write the value in straight quotes: {key} = "{value}"',
    )


_UTF8 = Sentence(
    fr="le fichier doit être enregistré en UTF-8 (Bloc-notes : Enregistrer sous, Codage UTF-8)",
    en="the file must be saved as UTF-8 (Notepad: Save as, Encoding UTF-8)",
)
_TOO_LONG = Sentence(
    fr="ce fichier est bien trop long pour un protocole : vérifier que c'est le bon",
    en="this file is far too long for a protocol: check that it is the right one",
)
_STRAIGHT = Sentence(
    fr='cette ligne a des guillemets courbes ou français : les remplacer par des guillemets droits "',
    en='this line has curly or French quotes: replace them by straight quotes "',
)
_QUOTE = Sentence(
    fr="il manque un guillemet droit \" au début ou à la fin d'un texte de cette ligne",
    en='a straight quote " is lacking at the beginning or the end of a text in this line',
)
_TIED_SPACE = Sentence(
    fr="cette ligne a une espace insécable hors des guillemets : la remplacer par une espace ordinaire",
    en="this line has a no-break space outside of quotes: replace it by a plain space",
)
_KEY_TWICE = Sentence(
    fr="cette clé est déjà écrite plus haut dans la même table : n'en garder qu'une",
    en="this key is already written above in the same table: keep one of them",
)
_TABLE_TWICE = Sentence(
    fr="cette table est déjà écrite plus haut : réunir ses clés sous la première",
    en="this table is already written above: bring its keys together under the first one",
)
_NOT_CLOSED = Sentence(
    fr="la valeur commencée sur cette ligne n'est pas fermée : il manque ], } ou un guillemet",
    en="the value begun in this line is not closed: a ], a } or a quote is lacking",
)
_BRACKETS = Sentence(
    fr="il manque ou il y a en trop un [, ], { ou } sur cette ligne ; un texte dans les deux langues, { fr = ..., "
    "en = ... }, tient sur une seule ligne",
    en="a [, ], { or } is lacking or one too many in this line; a text in both languages, { fr = ..., en = ... }, is "
    "on one line",
)
_COMMA = Sentence(
    fr="il manque une virgule entre deux éléments de cette ligne, ou ce qui la ferme",
    en="a comma is lacking between two elements of this line, or what closes it",
)
_NO_EQUALS = Sentence(
    fr='il manque le signe = sur cette ligne : clé = "valeur" (un commentaire commence par #)',
    en='the = is lacking in this line: key = "value" (a comment begins with #)',
)
_KEY_LETTERS = Sentence(
    fr="à gauche du signe =, une clé s'écrit en un mot, sans accent ni espace, tel qu'end_threshold",
    en="on the left of the =, a key is one word without accents or spaces, such as end_threshold",
)
_UNREADABLE = Sentence(
    fr="cette ligne n'est pas du TOML lisible : vérifier guillemets, crochets, virgules et signe =",
    en="this line is not readable TOML: look at its quotes, brackets, commas and =",
)
