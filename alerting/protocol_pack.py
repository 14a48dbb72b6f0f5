"""A protocol that begins with `pack = "..."`: what it inherits, adapts, adds and removes, as one document.

    pack = "heart_failure"           the pack: one that ships, or a file beside this one
    remove = ["weight_gain_1_day"]   rules of the pack that this protocol does without
    [adapt.weight_gain_3_days]       keys of a rule of the pack, set anew
    [[rules]]                        rules of its own, judged after the pack's

Tables other than the rules are inherited key by key. What comes out is the document that would have been written
without a pack, each key still on the line where this file says it.

What is not here: where packs lie (an argument), and whether the pack lets it be done (protocol_limits).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from alerting.alert import Sentence
from alerting.protocol_document import Document
from alerting.protocol_expectations import expectation
from alerting.protocol_schema import Identifiers, convert
from alerting.protocol_syntax import one_bracket
from alerting.toml_lines import Path
from alerting.wording import say

_MERGED = ("transmission", "quantities", "telling", "units", "sources", "bounds")
_NOT_ADAPTED = ("id", "kind", "quantity")


def inherit(own: Document, pack: Document) -> Document:
    """Return the document that `own` means, given the faultless one of the pack it inherits."""
    inherited = {key: pack.content[key] for key in ("title", *_MERGED) if key in pack.content}
    said = {key: value for key, value in own.content.items() if key not in {"pack", "adapt", "remove"}}
    heir = Document(inherited | said, dict(own.lines), heir=True)
    for key in _MERGED:
        if key in inherited and key in said:
            heir.content[key] = _over(inherited[key], said[key])
    _cite(heir, inherited["sources"], said.get("sources"))
    _keep(heir, pack)
    _steps(heir, inherited.get("telling", {}), said.get("telling"))
    _rules(heir, own, pack)
    return heir


def _over(before: object, after: object) -> object:
    """Return tables merged key by key; anything else is replaced."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    return before | {key: _over(before[key], value) if key in before else value for key, value in after.items()}


def _cite(heir: Document, before: Mapping[str, object], after: object) -> None:
    for key, value in after.items() if isinstance(after, dict) else ():
        if key in before and before[key] != value:
            heir.fault(
                ("sources", key),
                Sentence(
                    fr="le pack cite déjà une autre source sous cette clé : en choisir une autre",
                    en="the pack cites another source under this key: choose another one",
                ),
            )


def _keep(heir: Document, pack: Document) -> None:
    own = heir.content.get("keep", [])
    if isinstance(own, list) and "keep" in pack.content:
        heir.content["keep"] = [*pack.content["keep"], *own]


def _steps(heir: Document, before: Mapping[str, Any], after: object) -> None:
    """Let the steps of this file follow those of its pack."""
    if not isinstance(after, dict) or not isinstance(after.get("steps"), list) or "steps" not in before:
        return
    heir.content["telling"]["steps"] = [*before["steps"], *after["steps"]]
    _shift(heir.lines, ("telling", "steps"), len(before["steps"]))


def _rules(heir: Document, own: Document, pack: Document) -> None:
    added = own.content.get("rules", [])
    if not isinstance(added, list):
        # Said here and once: without the pack's rules all that speaks of them would be a fault too.
        single = isinstance(added, dict)
        heir.fault(("rules",), one_bracket("rules") if single else expectation("rules", list[object]))
        added = []
    removed = _removed(heir, own, pack, added)
    _unbind(heir, own, removed)
    rules = {table["id"]: _without(table, removed) for table in pack.content["rules"] if table["id"] not in removed}
    places = {name: index for index, name in enumerate(rules)}
    _shift(heir.lines, ("rules",), len(rules))
    begin = heir.lines.get(("pack",), 1)
    heir.lines.update({("rules", index): begin for index in places.values()})
    heir.content["rules"] = [*rules.values(), *added]
    for name, table in _adaptations(heir, own, rules):
        rules[name].update(table)
        moved = [(path, line) for path, line in own.lines.items() if path[:2] == ("adapt", name)]
        heir.lines.update({("rules", places[name], *path[2:]): line for path, line in moved})
    for index, table in enumerate(added):
        if isinstance(table, dict) and table.get("id") in removed:
            heir.fault(
                ("rules", len(rules) + index, "id"),
                Sentence(
                    fr="une règle du pack qui a été enlevée ne se réécrit pas : l'adapter sous [adapt], ou choisir un "
                    "autre id",
                    en="a rule of the pack that was removed is not written anew: adapt it under [adapt], or choose "
                    "another id",
                ),
            )


def _unbind(heir: Document, own: Document, removed: list[str]) -> None:
    """Drop the pack's bounds of rules that are removed; those that this file gives are told to bind nothing."""
    said, bounds = own.content.get("bounds", {}), heir.content.get("bounds")
    if isinstance(said, dict) and isinstance(bounds, dict):
        gone = set(removed) - said.keys()
        heir.content["bounds"] = {name: table for name, table in bounds.items() if name not in gone}


def _removed(heir: Document, own: Document, pack: Document, added: list[Any]) -> list[str]:
    """Return the ids of the rules that are removed, and refuse those that must stay."""
    try:
        wanted = convert(own.content.get("remove", []), Identifiers)
    except msgspec.ValidationError:
        heir.fault(("remove",), expectation("remove", Identifiers))
        return []
    names = wanted if isinstance(wanted, list) else []
    tables: dict[str, dict[str, Any]] = {table["id"]: table for table in pack.content["rules"]}
    left = [table for name, table in tables.items() if name not in names] + added
    judged = {quantity for table in left for quantity in _judged(table)}
    removed: list[str] = []
    for position, name in enumerate(names):
        path: Path = ("remove", position)
        if name not in tables:
            heir.unknown(path, name, tables)
        elif name in pack.content.get("keep", []):
            heir.fault(path, _KEPT)
        elif tables[name]["kind"] == "missing" and tables[name]["quantity"] in judged:
            heir.fault(path, _ABSENCE)
        else:
            removed.append(name)
    return removed


def _judged(table: object) -> list[object]:
    """Return what a rule judges, as far as its table can be read; an absence judges nothing."""
    if not isinstance(table, dict) or table.get("kind") == "missing":
        return []
    inputs = table.get("of") if table.get("kind") == "score" else []
    found = [table.get("quantity"), *(inputs if isinstance(inputs, list) else [])]
    return [quantity for quantity in found if isinstance(quantity, str)]


def _adaptations(
    heir: Document, own: Document, rules: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, dict[str, Any]]]:
    tables = own.content.get("adapt", {})
    if not isinstance(tables, dict):
        heir.fault(("adapt",), _ADAPT)
        return []
    found: list[tuple[str, dict[str, Any]]] = []
    for name, table in tables.items():
        if name not in rules:
            heir.unknown(("adapt", name), name, rules)
        elif not isinstance(table, dict):
            heir.fault(("adapt", name), _ADAPT)
        else:
            for key in _NOT_ADAPTED:
                if key in table:
                    heir.fault(("adapt", name, key), _ANOTHER_RULE)
            elsewhere = _of_the_other_absence(heir, name, table, rules[name])
            found.append((name, {key: value for key, value in table.items() if key not in (*_NOT_ADAPTED, *elsewhere)}))
    return found


def _of_the_other_absence(
    heir: Document, name: str, table: Mapping[str, Any], rule: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the keys by which an absence would be told the other way, by a time of day or by age, and refuse them.

    Said once for all of them, at the first.
    """
    if rule["kind"] != "missing":
        return ()
    others, message = (("by", "on"), _BY_AGE) if "expected" in rule else (("expected",), _BY_TIME)
    wrong = tuple(key for key in table if key in others)
    if wrong:
        heir.fault(("adapt", name, wrong[0]), say(message.fr, message.en, name=name, key=wrong[0]))
    return wrong


def _without(table: Mapping[str, Any], removed: list[str]) -> dict[str, Any]:
    """Return a rule that absorbs nothing of what is removed: it is not there any more."""
    if "absorbs" not in table:
        return dict(table)
    return dict(table) | {"absorbs": [name for name in table["absorbs"] if name not in removed]}


def _shift(lines: dict[Path, int], array: Path, by: int) -> None:
    """Move the elements of an array of tables further down."""
    size = len(array)
    moved = {path: line for path, line in lines.items() if path[:size] == array and len(path) > size}
    for path in moved:
        del lines[path]
    for path, line in moved.items():
        place = path[size]
        if isinstance(place, int):  # Under a key it is one table, where several are wanted: a fault already.
            lines[(*array, place + by, *path[size + 1 :])] = line


_KEPT = Sentence(
    fr="le pack garde cette règle : elle ne peut pas être enlevée ; l'adapter dans ses limites sous [adapt]",
    en="the pack keeps this rule: it cannot be removed; adapt it within its bounds under [adapt]",
)
_ABSENCE = Sentence(
    fr="l'absence de mesure doit toujours être signalée : cette règle ne peut pas être enlevée tant qu'une autre juge "
    "la même mesure",
    en="the absence of readings must always be told: this rule cannot be removed while another one judges the same "
    "quantity",
)
_ADAPT = Sentence(
    fr='écrire une table par règle du pack à adapter : [adapt.weight_gain_3_days] puis delta = "2.5 kg"',
    en='write a table a rule of the pack to adapt: [adapt.weight_gain_3_days], then delta = "2.5 kg"',
)
_BY_AGE = Sentence(
    fr="« {name} » du pack attend une mesure depuis un certain temps (expected), pas à une heure : garder {name} avec "
    'un expected dans ses limites, et ajouter une règle [[rules]] à soi, kind = "missing", avec by et on et un autre '
    "id (docs/care-protocols.md, missing)",
    en='"{name}" of the pack expects a reading within some time (expected), not by a time of day: keep {name} with an '
    'expected within its bounds, and add a rule of your own, [[rules]] kind = "missing" with by and on and another id '
    "(docs/care-protocols.md, missing)",
)
_BY_TIME = Sentence(
    fr="« {name} » du pack attend une mesure à une heure (by), pas depuis un certain temps : garder {name} avec un by "
    'dans ses limites, et ajouter une règle [[rules]] à soi, kind = "missing", avec expected et un autre id '
    "(docs/care-protocols.md, missing)",
    en='"{name}" of the pack expects a reading by a time of day (by), not within some time: keep {name} with a by '
    'within its bounds, and add a rule of your own, [[rules]] kind = "missing" with expected and another id '
    "(docs/care-protocols.md, missing)",
)
_ANOTHER_RULE = Sentence(
    fr="cela ferait une autre règle : l'ajouter sous [[rules]] avec un autre id",
    en="that would be another rule: add it under [[rules]] with another id",
)
