"""What a protocol and its rules are called, as their authors wrote it; the team keeps the texts by their hash."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from django.db import connection

from alerting.alert import Sentence
from alerting.toml_text import parse_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a protocol is for, None when its author gave no title, and the title of each of its rules."""

    title: Sentence | None
    rules: Mapping[str, Sentence]


NONE = Names(title=None, rules={})
_known: dict[str, Names] = {}
MOST_KNOWN = 4096


def names_of(protocol_hash: str) -> Names:
    """Return the names in a protocol; nothing of one that the team never had."""
    return names_of_many((protocol_hash,))[protocol_hash]


def names_of_many(hashes: Iterable[str]) -> dict[str, Names]:
    """Return the names in each of these protocols, asked for at once."""
    wanted = set(hashes)
    unknown = sorted(wanted - _known.keys())
    if len(_known) + len(unknown) > MOST_KNOWN:
        _known.clear()
        unknown = sorted(wanted)
    if unknown:
        marks = ", ".join(["%s"] * len(unknown))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT hash, text FROM care_protocol WHERE hash IN ({marks})", unknown)  # noqa: S608
            # A hash names one text for good.
            _known.update((found, read_names(text)) for found, text in cursor.fetchall())
    return {one: _known.get(one, NONE) for one in wanted}


def read_names(text: str) -> Names:
    """Return the names in the text of a protocol."""
    try:
        raw = parse_toml(text)
    except tomllib.TOMLDecodeError:
        return NONE
    rules = raw.get("rules", [])
    titles = {
        str(rule.get("id")): title
        for rule in (rules if isinstance(rules, list) else [])
        if isinstance(rule, dict) and (title := _sentence(rule.get("title"))) is not None
    }
    return Names(title=_sentence(raw.get("title")), rules=titles)


def _sentence(raw: object) -> Sentence | None:
    try:
        return msgspec.convert(raw, Sentence)
    except msgspec.ValidationError:
        return None
