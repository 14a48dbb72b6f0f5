"""The text of a draft: a protocol file that inherits a pack, made from what holds now and changed value by value.

- A draft keeps the name of the protocol that holds, so that an alert which goes on stays the same alert, and counts its
  version up, also to go back to earlier thresholds: a box takes nothing older.
- Changing a value through a form writes the file anew: what it means stays, comments of whoever wrote it are lost.

What is not here: what the text means and whether it may be (alerting.protocol_file), and where packs lie (packs).
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol, Rule
from alerting.protocol_bounds import places
from alerting.protocol_file import Packs, check_protocol
from alerting.protocol_forms import WORDS, said
from coordination.errors import CoordinationError

_TABLES = ("transmission", "telling")
"""Tables besides the rules whose numbers a form may change; quantities are under one more name."""
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def first_text(name: str, pack: CareProtocol, *, holding: CareProtocol | None, patient: str) -> str:
    """Return the text that a draft begins with: what holds now, said as changes of a pack.

    Args:
        name: of the pack.
        pack: what it means.
        holding: what the patient is judged by; None when the team does not know it.
        patient: pseudonym; names the protocol when nothing holds.
    """
    goes_on = holding is not None and _alike(pack, holding)
    base = holding if holding is not None and goes_on else pack
    document: dict[str, Any] = {
        "schema": 1,
        "name": patient.replace("-", "_") if holding is None else base.name,
        "version": 1 if holding is None else base.version + 1,
        "pack": name,
        "title": {"fr": base.title.fr, "en": base.title.en},
    }
    if holding is not None and goes_on:
        document |= _differences(pack, holding)
    return toml_of(document)


def _alike(pack: CareProtocol, holding: CareProtocol) -> bool:
    """Return whether a protocol is an adaptation of a pack, by most of its rules; it is another pathway otherwise."""
    common = {rule.id for rule in pack.rules} & {rule.id for rule in holding.rules}
    return 2 * len(common) >= len(holding.rules)


def _differences(pack: CareProtocol, holding: CareProtocol) -> dict[str, Any]:
    """Return what a protocol that inherits `pack` says to come as near to `holding` as a pack lets it."""
    theirs = {rule.id: rule for rule in pack.rules}
    ours = {rule.id: rule for rule in holding.rules}
    found: dict[str, Any] = {}
    removed = [name for name in theirs if name not in ours and name not in pack.keep]
    if removed:
        found["remove"] = removed
    adapted: dict[str, Any] = {}
    for name, rule in theirs.items():
        if name in ours:
            before, after = _whole(rule), _whole(ours[name])
            changed = {key: value for key, value in after.items() if before.get(key) != value}
            if changed and "kind" not in changed:
                adapted[name] = changed
    if adapted:
        found["adapt"] = adapted
    before_tables, after_tables = places(pack), places(holding)
    for name in _TABLES:
        before_place, after_place = before_tables[name], after_tables[name]
        changed = {
            key: after_place.text(key, value)
            for key, value in after_place.values.items()
            if before_place.values.get(key) != value
        }
        if changed:
            found[name] = changed
    own = [_whole(rule) for name, rule in ours.items() if name not in theirs]
    if own:
        found["rules"] = own
        found["sources"] = {key: value for key, value in holding.sources.items() if key not in pack.sources}
    return found


def _whole(rule: Rule) -> dict[str, Any]:
    """Return a rule as its table says it, words included."""
    words = {key: getattr(rule.words, key) for key in WORDS}
    return said(rule) | {key: _plain(value) for key, value in words.items()}


def _plain(value: object) -> object:
    if isinstance(value, Sentence):
        return {"fr": value.fr, "en": value.en}
    return list(value) if isinstance(value, tuple) else value


def with_values(text: str, values: Mapping[tuple[str, str], object], *, pack_rules: frozenset[str]) -> str:
    """Return a text with numbers set anew.

    Args:
        text: a faultless file, or one whose faults are of values.
        values: (table, key) -> as a protocol file writes it; a table is a rule's id, "transmission", "telling" or a
            quantity.
        pack_rules: ids of the rules that come from the pack.

    Raises:
        CoordinationError: the text cannot be read.
    """
    document = read_text(text)
    own = {rule.get("id"): rule for rule in document.get("rules", ()) if isinstance(rule, dict)}
    for (table, key), value in values.items():
        if table in own and table not in pack_rules:
            place = own[table]
        elif table in pack_rules:
            place = document.setdefault("adapt", {}).setdefault(table, {})
        elif table in _TABLES:
            place = document.setdefault(table, {})
        else:
            place = document.setdefault("quantities", {}).setdefault(table, {})
        place[key] = value
    return toml_of(document)


def read_text(text: str) -> dict[str, Any]:
    """Return a text as tables.

    Raises:
        CoordinationError: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CoordinationError(
            Sentence(fr=f"Ce texte n'est pas du TOML ({error}).", en=f"This text is not TOML ({error})."),
            hint=Sentence(fr="Le corriger dans le texte avancé.", en="Correct it in the advanced text."),
        ) from error


def pack_name_of(text: str) -> str:
    """Return the pack that a text inherits, "" for none or when it cannot be read."""
    try:
        name = tomllib.loads(text).get("pack", "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


def means(text: str, packs: Packs) -> CareProtocol | None:
    """Return what a text means, None when it has faults."""
    return check_protocol(text.encode(), packs=packs).protocol


def toml_of(document: Mapping[str, Any]) -> str:
    """Return tables as TOML: single values first, then tables, then arrays of tables, each in its order."""
    return "\n".join(_lines(document, ())).strip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if not _is_table(value, path) and not _are_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        inside = (*path, key)
        if _is_table(value, path):
            # A table that holds nothing but tables needs no head of its own.
            if not value or any(not _is_table(item, inside) for item in value.values()):
                yield from ("", f"[{'.'.join(map(_key, inside))}]")
            yield from _lines(value, inside)
        elif _are_tables(value):
            for item in value:
                yield from ("", f"[[{'.'.join(map(_key, inside))}]]")
                yield from _lines(item, inside)


def _is_table(value: object, path: tuple[str, ...]) -> bool:
    # Sentences in both languages stand on one line, as people write them.
    return isinstance(value, dict) and not (value.keys() <= {"fr", "en"} and len(path) < 3)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "a").replace("-", "a").isalnum() else _value(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case datetime():
            return value.isoformat()
        case dict():
            return "{ " + ", ".join(f"{_key(str(key))} = {_value(item)}" for key, item in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return '"' + "".join(map(_escaped, str(value))) + '"'


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    return letter if letter.isprintable() or ord(letter) > 0x9F else f"\\u{ord(letter):04x}"
