"""CareProtocol -> the TOML that reads back as it.

What is written is the resolved protocol: a pack that it inherits is inlined, and its name left out.

What is not here: the comments of whoever wrote the file.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from alerting.alert import Sentence
from alerting.care_protocol import Bound, CareProtocol, Rule, TellingPolicy
from alerting.protocol_bounds import bound_text
from alerting.protocol_forms import said
from alerting.protocol_values import duration_text, time_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write_protocol(protocol: CareProtocol) -> str:
    """Return the text of a file that reads back as this protocol."""
    return "\n".join(_lines(protocol)) + "\n"


def _lines(protocol: CareProtocol) -> Iterator[str]:
    yield "schema = 1"
    yield f"name = {_toml(protocol.name)}"
    yield f"version = {protocol.version}"
    yield f"title = {_toml(protocol.title)}"
    if protocol.keep:
        yield f"keep = {_toml(list(protocol.keep))}"
    yield from _table("[transmission]", {"not_transmitted_after": duration_text(protocol.not_transmitted_after)})
    for quantity, timing in protocol.timings.items():
        yield from _table(
            f"[quantities.{quantity}]",
            {"cadence": duration_text(timing.cadence), "gap": duration_text(timing.gap)},
        )
    yield from _telling(protocol.telling)
    if protocol.units:
        yield from _table("[units]", {str(quantity): str(unit) for quantity, unit in protocol.units.items()})
    for rule in protocol.rules:
        yield from _rule(rule)
    yield from _table("[sources]", protocol.sources)
    yield from _bounds(protocol)
    for signature in protocol.signatures:
        at = (_EPOCH + timedelta(milliseconds=signature.at)).isoformat()
        yield from ("", "[[signatures]]", f"person = {_toml(signature.person)}", f"role = {_toml(signature.role)}")
        yield from (f"at = {at}", f"key = {_toml(signature.key)}", f"signature = {_toml(signature.signature)}")


def _telling(telling: TellingPolicy) -> Iterator[str]:
    default = TellingPolicy()
    table: dict[str, object] = {}
    if telling.quiet:
        table["quiet"] = [time_text(minutes) for minutes in telling.quiet]
    if telling.within:
        table |= {"at_most": telling.at_most, "within": duration_text(telling.within)}
    if telling.digest_at != default.digest_at:
        table["digest_at"] = time_text(telling.digest_at)
    if telling.longest_shelf != default.longest_shelf:
        table["longest_shelf"] = duration_text(telling.longest_shelf)
    if telling.due:
        table["due"] = {str(priority): duration_text(due) for priority, due in telling.due.items()}
    if table:
        yield from _table("[telling]", table)
    for priority, steps in telling.steps.items():
        for step in steps:
            yield from _table(
                "[[telling.steps]]",
                {"priority": str(priority), "after": duration_text(step.after), "audience": str(step.audience)},
            )


def _rule(rule: Rule) -> Iterator[str]:
    words = {"title": rule.words.title, "check": rule.words.check, "sources": list(rule.words.sources)}
    yield from _table("[[rules]]", said(rule) | words)


def _bounds(protocol: CareProtocol) -> Iterator[str]:
    tables: dict[str, list[Bound]] = {}
    for bound in protocol.bounds:
        tables.setdefault(bound.rule, []).append(bound)
    for name, bounds in tables.items():
        yield from _table(f"[bounds.{name}]", {bound.key: bound_text(protocol, bound) for bound in bounds})


def _table(header: str, table: Mapping[str, object]) -> Iterator[str]:
    yield ""
    yield header
    for key, value in table.items():
        yield f"{_key(key)} = {_toml(value)}"


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "a").isalnum() else _toml(key)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case Sentence():
            return f"{{ fr = {_toml(value.fr)}, en = {_toml(value.en)} }}"
        case Mapping():
            return "{ " + ", ".join(f"{_key(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            return '"' + "".join(_escaped(letter) for letter in str(value)) + '"'


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    return letter if letter.isprintable() or ord(letter) > 0x7F else f"\\u{ord(letter):04x}"
