"""TOML bytes -> CareProtocol, or every fault at once in words a nurse can act on.

The file is read table by table and key by key, so that one fault does not hide the next: a value that does not fit,
a key that is unknown (with the nearest known one), a key that is not there, and fields that contradict each other.

What is not here: where protocol files lie, and who signed them.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from alerting.alert import Audience, Priority, Sentence
from alerting.care_protocol import CareProtocol, Rule, Timing
from alerting.contradictions import contradictions
from alerting.errors import Fault, ProtocolError
from alerting.protocol_schema import (
    ABSENCE,
    RULE_TABLES,
    Amount,
    Bilingual,
    Duration,
    FileTable,
    RuleTable,
    TimingTable,
    TransmissionTable,
    convert,
    expectation,
)
from alerting.rules import ChangeRule, Direction, LevelRule, RuleWords, Statistic
from alerting.scheduled_rules import MissingRule
from alerting.toml_lines import Path, key_lines, line_of
from devices.errors import UnitError
from devices.reading import Quantity, facts, plausible, to_counts, to_value

_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")
_THRESHOLDS = ("threshold", "end_threshold")
_UNSAID = Bilingual(fr="?", en="?")
# Stand in for descriptive fields that were at fault, so that the numbers of the same rule are still checked.
_STAND_INS: dict[str, object] = {
    "id": "?",
    "priority": Priority.LOW,
    "audience": Audience.NURSE,
    "title": _UNSAID,
    "check": _UNSAID,
    "sources": ["?"],
}


def read_protocol(data: bytes, *, name_hint: str) -> CareProtocol:
    """Read a protocol file.

    Args:
        data: the bytes of a TOML file, UTF-8.
        name_hint: what to call the file when it is at fault.

    Raises:
        ProtocolError: something is wrong; it carries every fault.
    """
    try:
        text = data.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = Sentence(fr="le fichier doit être enregistré en UTF-8", en="the file must be saved as UTF-8")
        raise ProtocolError(name_hint, (Fault(line=line, key="", message=message),)) from error
    except (ValueError, RecursionError) as error:
        # Besides its own error the parser lets through those of a number too long and of brackets too deep.
        raise ProtocolError(name_hint, (_syntax_fault(str(error), data.count(b"\n") + 1),)) from error
    reader = _Reader(document, key_lines(text))
    protocol = reader.protocol()
    if protocol is None or reader.faults:
        raise ProtocolError(name_hint, tuple(sorted(reader.faults, key=lambda fault: fault.line or 0)))
    return protocol


def _syntax_fault(reason: str, last_line: int) -> Fault:
    place = _TOML_PLACE.search(reason)
    return Fault(
        line=int(place[1]) if place else last_line,
        key="",
        message=Sentence(
            fr=f"ce n'est pas du TOML lisible (guillemet, crochet ou signe = oublié ?) : {reason}",
            en=f"this is not readable TOML (a quote, a bracket or an = forgotten?): {reason}",
        ),
    )


class _Reader:
    """Reads one document and gathers what is wrong with it."""

    def __init__(self, document: dict[str, Any], lines: dict[Path, int]) -> None:
        self.faults: list[Fault] = []
        self._document = document
        self._lines = lines
        self._judged: dict[Quantity, int] = {}
        self._told: set[Quantity] = set()

    def protocol(self) -> CareProtocol | None:
        """Return the protocol as far as it could be read; None when a part of it could not."""
        header = self._table(self._document, FileTable, ())
        transmission = self._subtable(header, "transmission", TransmissionTable)
        timings = self._timings(header.get("quantities", {}))
        sources: dict[str, str] = header.get("sources", {})
        rules = self._rules(header.get("rules", []), timings, sources)
        for quantity in sorted(self._judged.keys() - self._told):
            self._fault(
                ("rules", self._judged[quantity]),
                Sentence(
                    fr=f'il manque une règle kind = "missing" pour {quantity} : l\'absence de mesure doit toujours '
                    "être signalée",
                    en=f'a rule kind = "missing" for {quantity} is lacking: the absence of readings must always be '
                    "told",
                ),
            )
        if "not_transmitted_after" in transmission:
            self._positive(transmission["not_transmitted_after"].ms, ("transmission", "not_transmitted_after"))
        if not {"name", "version", "title"} <= header.keys() or "not_transmitted_after" not in transmission:
            return None
        return CareProtocol(
            name=header["name"],
            version=header["version"],
            title=_sentence(header["title"]),
            not_transmitted_after=transmission["not_transmitted_after"].ms,
            timings=timings,
            rules=rules,
            sources=sources,
        )

    def _table(self, table: object, schema: type[Struct], path: Path) -> dict[str, Any]:
        """Return the fields of one table that fit its schema; the others are faults."""
        if not isinstance(table, dict):
            self._fault(path, expectation(dict[str, object]))
            return {}
        fields = {field.name: field for field in msgspec.structs.fields(schema)}
        for key in sorted(table.keys() - fields.keys()):
            self._unknown((*path, key), key, fields.keys())
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key not in table:
                if field.required:
                    self._lacking((*path, key), ABSENCE.get(key) or expectation(field.type))
                elif field.default is not msgspec.NODEFAULT:
                    values[key] = field.default
                continue
            try:
                values[key] = convert(table[key], field.type)
            except msgspec.ValidationError:
                self._fault((*path, key), expectation(field.type))
        return values

    def _subtable(self, header: Mapping[str, Any], key: str, schema: type[Struct]) -> dict[str, Any]:
        return self._table(header[key], schema, (key,)) if key in header else {}

    def _timings(self, tables: Mapping[str, object]) -> dict[Quantity, Timing]:
        timings: dict[Quantity, Timing] = {}
        names = [quantity.value for quantity in Quantity]
        for name, table in tables.items():
            path: Path = ("quantities", name)
            values = self._table(table, TimingTable, path)
            if name not in names:
                self._unknown(path, name, names)
            elif {"cadence", "gap"} <= values.keys():
                timing = Timing(cadence=values["cadence"].ms, gap=values["gap"].ms)
                if not 0 < timing.cadence <= timing.gap:
                    self._fault(
                        (*path, "gap"),
                        Sentence(
                            fr="gap doit être au moins égal à cadence, et cadence plus grande que zéro : sinon aucune "
                            "durée ne pourrait jamais être atteinte",
                            en="gap must be at least cadence, and cadence above zero: or no duration could ever be "
                            "reached",
                        ),
                    )
                timings[Quantity(name)] = timing
        return timings

    def _rules(
        self, tables: list[object], timings: Mapping[Quantity, Timing], sources: Collection[str]
    ) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        seen: set[str] = set()
        for index, table in enumerate(tables):
            path: Path = ("rules", index)
            kind = table.get("kind") if isinstance(table, dict) else None
            schema = RULE_TABLES.get(kind, RuleTable) if isinstance(kind, str) else RuleTable
            values = self._table(table, schema, path)
            if "id" in values:
                if values["id"] in seen:
                    self._fault(
                        (*path, "id"),
                        Sentence(fr="une autre règle porte déjà cet id", en="another rule already has this id"),
                    )
                seen.add(values["id"])
            for position, source in enumerate(values.get("sources", [])):
                if source not in sources:
                    self._unknown((*path, "sources", position), source, sources)
            if "quantity" in values and "kind" in values:
                if kind == "missing":
                    self._told.add(values["quantity"])
                else:
                    self._judged.setdefault(values["quantity"], index)
            rule = self._rule(schema, values, path)
            if rule is not None:
                rules.append(rule)
                for found in contradictions(rule, timings.get(rule.quantity)):
                    self._fault((*path, found.field), found.message)
        return tuple(rules)

    def _rule(self, schema: type[RuleTable], values: dict[str, Any], path: Path) -> Rule | None:
        """Return a rule whose numbers could be read, None otherwise."""
        quantity: Quantity | None = values.get("quantity")
        if schema is RuleTable or quantity is None:
            return None
        counts = {
            key: self._counts(quantity, value, (*path, key))
            for key, value in values.items()
            if isinstance(value, Amount)
        }
        spans = {key: value.ms for key, value in values.items() if isinstance(value, Duration)}
        for key in ("window", "expected"):
            self._positive(spans.get(key), (*path, key))
        numbers = set(schema.__struct_fields__) - _STAND_INS.keys()
        if not numbers <= values.keys() or None in counts.values():
            return None
        known = _STAND_INS | values
        words = RuleWords(
            title=_sentence(cast("Bilingual", known["title"])),
            check=_sentence(cast("Bilingual", known["check"])),
            sources=tuple(cast("list[str]", known["sources"])),
        )
        common = {key: known[key] for key in ("id", "priority", "audience")} | {"quantity": quantity, "words": words}
        fields: dict[str, Any] = common | counts | spans
        match values["kind"]:
            case "level":
                return LevelRule(side=values["side"], **fields)
            case "change":
                direction: Direction = values["direction"]
                statistic = Statistic.LOWEST if direction is Direction.RISE else Statistic.HIGHEST
                return ChangeRule(direction=direction, statistic=statistic, **fields)
            case _:
                return MissingRule(**fields)

    def _counts(self, quantity: Quantity, amount: Amount, path: Path) -> int | None:
        try:
            count = to_counts(quantity, amount.number, amount.unit)
        except UnitError:
            units = ", ".join((facts(quantity).unit, *facts(quantity).conversions))
            self._fault(
                path,
                Sentence(
                    fr=f"{quantity} ne se mesure pas en {amount.unit} ; unités possibles : {units}",
                    en=f"{quantity} is not measured in {amount.unit}; possible units: {units}",
                ),
            )
            return None
        if path[-1] in _THRESHOLDS and not plausible(quantity, count):
            known = facts(quantity)
            low, high = to_value(quantity, known.low), to_value(quantity, known.high)
            self._fault(
                path,
                Sentence(
                    fr=f"seuil impossible chez un patient : il doit être entre {low} et {high} {known.unit} "
                    "(l'unité est-elle la bonne ?)",
                    en=f"impossible in a patient: it must be between {low} and {high} {known.unit} "
                    "(is the unit right?)",
                ),
            )
            return None
        return count

    def _positive(self, span: int | None, path: Path) -> None:
        if span == 0:
            self._fault(
                path,
                Sentence(fr="cette durée doit être plus grande que zéro", en="this duration must be above zero"),
            )

    def _unknown(self, path: Path, word: str, known: Collection[str]) -> None:
        near = difflib.get_close_matches(word, list(known), n=1)
        fr, en = (f" ; vouliez-vous dire « {near[0]} » ?", f'; did you mean "{near[0]}"?') if near else ("", "")
        self._fault(path, Sentence(fr=f"« {word} » est inconnu ici{fr}", en=f'"{word}" is unknown here{en}'))

    def _lacking(self, path: Path, wanted: Sentence) -> None:
        key = path[-1]
        self._fault(path, Sentence(fr=f"il manque « {key} » : {wanted.fr}", en=f'"{key}" is lacking: {wanted.en}'))

    def _fault(self, path: Path, message: Sentence) -> None:
        self.faults.append(Fault(line=line_of(path, self._lines), key=self._key(path), message=message))

    def _key(self, path: Path) -> str:
        """Return a dotted path in which a rule is called by its id where it has one."""
        parts = [str(part) for part in path]
        if len(path) > 1 and path[0] == "rules":
            table = self._document["rules"][path[1]]
            name = table.get("id") if isinstance(table, dict) else None
            parts[1] = name if isinstance(name, str) else f"[{int(path[1]) + 1}]"
        return ".".join(parts)


def _sentence(text: Bilingual) -> Sentence:
    return Sentence(fr=text.fr, en=text.en)
