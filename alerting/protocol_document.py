"""The tables of one protocol file, and what is wrong in them: every fault at once, each with its line.

A table is read key by key, so that one fault does not hide the next: a value that does not fit, a key that is unknown
(with the nearest known one), a key that is not there.

What is not here: what the tables mean (protocol_file, protocol_rules, protocol_telling).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from alerting.alert import Sentence
from alerting.errors import Fault
from alerting.protocol_expectations import absence, expectation
from alerting.protocol_schema import convert
from alerting.protocol_spelling import nearest, perhaps
from alerting.protocol_syntax import coding_fault, one_bracket, syntax_fault, text_of_file
from alerting.table_fields import fields_of
from alerting.toml_lines import Path, key_lines, line_of
from alerting.toml_text import parse_toml
from devices.reading import Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What could be read of one table.

    Attributes:
        values: key -> value, of those that fit; a key that was left out is not there.
        spoiled: keys that are there and do not fit.
    """

    values: dict[str, Any] = field(default_factory=dict)
    spoiled: frozenset[str] = frozenset()


class Document:
    """One file, as the parser has it, and its faults.

    Attributes:
        content: its tables.
        lines: path -> line.
        faults: found so far.
        remarks: what is allowed and probably not meant, found so far.
        heir: it inherits a pack.
    """

    def __init__(self, content: dict[str, Any], lines: dict[Path, int], *, heir: bool = False) -> None:
        self.content = content
        self.lines = lines
        self.heir = heir
        self.faults: list[Fault] = []
        self.remarks: list[Fault] = []

    @classmethod
    def parse(cls, data: bytes) -> "Document":
        """Return the document of a file; one without content and with a fault when it is not TOML."""
        nothing = cls({}, {})
        try:
            text = text_of_file(data)
        except UnicodeDecodeError as error:
            nothing.faults.append(coding_fault(data, error))
            return nothing
        try:
            return cls(parse_toml(text), key_lines(text))
        except ValueError as error:
            nothing.faults.append(syntax_fault(text, str(error)))
        return nothing

    def table(self, table: object, schema: type[Struct], path: Path, *, elsewhere: Collection[str] = ()) -> Table:
        """Return the fields of one table that fit its schema; the others are faults.

        Args:
            table: what stands at `path`.
            schema: what may stand there.
            path: where.
            elsewhere: keys that tables of the same name and another form have: said as such when found here.
        """
        if not isinstance(table, dict):
            self.fault(path, expectation(str(path[-1]), dict[str, object]))
            return Table()
        quantity = _quantity_of(table)
        fields = {field.name: field for field in fields_of(schema)}
        misspelt: set[str] = set()
        for key in sorted(table.keys() - fields.keys()):
            if key in elsewhere:
                self.fault((*path, key), _OF_ANOTHER_FORM)
            else:
                # A key that is there already was not meant: the nearest of the others is.
                lacking = nearest(key, fields.keys() - table.keys())
                misspelt.add(lacking)
                self.unknown((*path, key), key, [lacking] if lacking else fields.keys())
        values: dict[str, Any] = {}
        spoiled: set[str] = set()
        for key, known in fields.items():
            if key not in table:
                if known.required and key not in misspelt:
                    self._lacking((*path, key), absence(key, known.type, quantity))
                elif not known.required and known.default is not msgspec.UNSET:
                    values[key] = known.default
                continue
            try:
                values[key] = convert(table[key], known.type)
            except msgspec.ValidationError:
                single = key in _ARRAYS and isinstance(table[key], dict)
                self.fault(
                    (*path, key),
                    one_bracket(".".join(map(str, (*path, key))))
                    if single
                    else expectation(key, known.type, table[key], quantity),
                )
                spoiled.add(key)
        return Table(values=values, spoiled=frozenset(spoiled))

    def subtable(self, key: str, schema: type[Struct]) -> Table:
        """Return a table of the file, empty when it is not there or, as the file's own schema says, no table."""
        table = self.content.get(key)
        return self.table(table, schema, (key,)) if isinstance(table, dict) else Table()

    def unknown(self, path: Path, word: str, known: Collection[str]) -> None:
        """Say that a word is unknown here, and which one it might have been."""
        more = perhaps(word, known)
        self.fault(path, Sentence(fr=f"« {word} » est inconnu ici{more.fr}", en=f'"{word}" is unknown here{more.en}'))

    def fault(self, path: Path, message: Sentence) -> None:
        """Say what is wrong at a path."""
        self.faults.append(self._at(path, message))

    def remark(self, path: Path, message: Sentence) -> None:
        """Say what is allowed at a path and probably not meant."""
        self.remarks.append(self._at(path, message))

    def _lacking(self, path: Path, wanted: Sentence) -> None:
        key = path[-1]
        self.fault(path, Sentence(fr=f"il manque « {key} » : {wanted.fr}", en=f'"{key}" is lacking: {wanted.en}'))

    def _at(self, path: Path, message: Sentence) -> Fault:
        return Fault(line=line_of(path, self.lines), key=self._key(path), message=message)

    def _key(self, path: Path) -> str:
        """Return a dotted path in which a rule is called by its id where it has one."""
        parts = [str(part) for part in path]
        if len(path) > 1 and path[0] == "rules":
            table = self.content["rules"][path[1]]
            name = table.get("id") if isinstance(table, Mapping) else None
            parts[1] = name if isinstance(name, str) else f"[{int(path[1]) + 1}]"
        return ".".join(parts)


def _quantity_of(table: Mapping[str, object]) -> Quantity | None:
    """Return the quantity that a table names, None when it names none that is known."""
    name = table.get("quantity")
    return Quantity(name) if isinstance(name, str) and name in set(Quantity) else None


_ARRAYS = ("rules", "steps", "signatures")
"""Keys under which tables stand, as many as are wanted."""
_OF_ANOTHER_FORM = Sentence(
    fr="cette clé ne sert pas dans une règle de cette forme : l'enlever, ou changer de forme (docs/care-protocols.md)",
    en="this key means nothing in a rule of this form: remove it, or change the form (docs/care-protocols.md)",
)
