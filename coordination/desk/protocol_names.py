"""What a protocol and its rules are called, as their authors wrote it; the team keeps the texts by their hash."""

import tomllib
from collections.abc import Mapping
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
    if protocol_hash in _known:
        return _known[protocol_hash]
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM care_protocol WHERE hash = %s", [protocol_hash])
        row = cursor.fetchone()
    if row is None:
        return NONE
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    # A hash names one text for good.
    found = _known[protocol_hash] = read_names(row[0])
    return found


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
