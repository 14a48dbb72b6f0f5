"""The [[rules]] of a protocol file -> rules.

A rule whose text is at fault still has its numbers checked; one whose numbers could not be read is left out, its
faults told.

What is not here: which keys there are (protocol_schema), and what does not fit together (contradictions).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from alerting.alert import Audience, Priority, Sentence
from alerting.care_protocol import Rule
from alerting.protocol_amounts import Amount, Change, RefusedError
from alerting.protocol_document import Document, Table
from alerting.protocol_doses import dose_in, no_dose
from alerting.protocol_forms import LIFE, RULES
from alerting.protocol_rule_schema import (
    FORMS,
    AnyMissingTable,
    ChangeTable,
    CompositeTable,
    KalmanTable,
    RuleTable,
    ScheduledTable,
    form_of,
)
from alerting.protocol_schema import Bilingual
from alerting.protocol_values import Days, Duration, Flags, Span, TimeOfDay
from alerting.rules import (
    Direction,
    RuleLife,
    RuleWords,
    Statistic,
)
from alerting.table_fields import fields_of
from alerting.toml_lines import Path
from devices.reading import SYMPTOMS, Quantity

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


class RuleReader:
    """Reads the rules of one document.

    Attributes:
        rules: those that could be read, with their place in the file.
        ids: of all rules that have one.
    """

    def __init__(self, document: Document, sources: Collection[str]) -> None:
        self.rules: list[tuple[int, Rule]] = []
        self._document = document
        self._sources = sources
        self.ids: list[str] = []
        self._judged: dict[Quantity, int] = {}
        self._told: set[Quantity] = set()

    def read(self, tables: Sequence[object]) -> None:
        """Read all rules, in the order of the file."""
        for index, table in enumerate(tables):
            path: Path = ("rules", index)
            schema = form_of(table) if isinstance(table, dict) else RuleTable
            found = self._document.table(_known(table, schema), schema, path, elsewhere=_elsewhere(table))
            rule = self._rule(schema, found, path)
            self._name(found.values, path)
            self._cite(found.values, path)
            self._prescribe_nothing(found.values, path)
            if rule is not None:
                self.rules.append((index, rule))
            self._listen(found.values, rule, index)
        self._hear()

    def _name(self, values: Mapping[str, Any], path: Path) -> None:
        if "id" not in values:
            return
        if values["id"] in self.ids:
            self._document.fault((*path, "id"), _ADAPT_IT if self._document.heir else _TWICE)
        if values["id"] in _TABLES:
            self._document.fault((*path, "id"), _RESERVED)
        self.ids.append(values["id"])

    def _cite(self, values: Mapping[str, Any], path: Path) -> None:
        for position, source in enumerate(values.get("sources", [])):
            if source not in self._sources:
                self._document.unknown((*path, "sources", position), source, self._sources)

    def _prescribe_nothing(self, values: Mapping[str, Any], path: Path) -> None:
        """Refuse a text of a rule that names a dose, once a text."""
        for key in ("title", "check"):
            text = values.get(key)
            dose = (dose_in(text.fr) or dose_in(text.en)) if isinstance(text, Bilingual) else ""
            if dose:
                self._document.fault((*path, key), no_dose(dose))

    def _listen(self, values: Mapping[str, Any], rule: Rule | None, index: int) -> None:
        """Keep which quantities are judged, and the absence of which is told."""
        if "quantity" not in values or "kind" not in values:
            return
        if values["kind"] == "missing":
            self._told.add(values["quantity"])
            return
        for quantity in (values["quantity"],) if rule is None else rule.inputs:
            self._judged.setdefault(quantity, index)

    def _hear(self) -> None:
        """Refuse a quantity that is judged and the absence of which is not told."""
        for quantity in sorted(self._judged.keys() - {one for told in self._told for one in _TELLS.get(told, (told,))}):
            self._document.fault(
                ("rules", self._judged[quantity]),
                Sentence(
                    fr=f'il manque une règle kind = "missing" pour {quantity} : l\'absence de mesure doit toujours '
                    "être signalée",
                    en=f'a rule kind = "missing" for {quantity} is lacking: the absence of readings must always be '
                    "told",
                ),
            )

    def _rule(self, schema: type[RuleTable], table: Table, path: Path) -> Rule | None:
        """Return a rule whose numbers could be read, None otherwise."""
        quantity: Quantity | None = table.values.get("quantity")
        if quantity is None or not _complete(schema):
            return None
        fields, spoiled = self._fields(table, quantity, path)
        required = {field.name for field in fields_of(schema) if field.required}
        if not required - _STAND_INS.keys() <= fields.keys() or spoiled - _STAND_INS.keys():
            return None
        known = _STAND_INS | fields
        words = RuleWords(
            title=sentence(cast("Bilingual", known.pop("title"))),
            check=sentence(cast("Bilingual", known.pop("check"))),
            sources=tuple(cast("list[str]", known.pop("sources"))),
        )
        life = RuleLife(**{key: cast("Any", known.pop(key)) for key in LIFE if key in known})
        del known["kind"]
        derived = self._derived(schema, known, path)
        if derived is None:
            return None
        rule = next(rule for form, rule in RULES.items() if issubclass(schema, form))
        arguments: dict[str, Any] = derived | known | {"words": words, "life": life}
        return rule(**arguments)

    def _fields(self, table: Table, quantity: Quantity, path: Path) -> tuple[dict[str, object], set[str]]:
        """Return the values as the rule has them, and the keys that cannot be had for this quantity."""
        spoiled = set(table.spoiled)
        fields: dict[str, object] = {}
        changes = [value for value in table.values.values() if isinstance(value, Change)]
        relative = table.values.get("relative", any(value.relative(quantity) for value in changes))
        if changes:
            fields["relative"] = relative
        for key, value in table.values.items():
            try:
                if isinstance(value, Change) and relative:
                    fields[key] = value.share(quantity)
                elif isinstance(value, Amount):
                    fields[key] = value.counts(quantity)
                else:
                    fields["days" if key == "on" else key] = plain(value)
            except RefusedError as error:
                self._document.fault((*path, key), error.why)
                spoiled.add(key)
        return fields, spoiled

    def _derived(self, schema: type[RuleTable], fields: dict[str, object], path: Path) -> dict[str, Any] | None:
        """Return what a rule has that its table does not say; None when it speaks of rules that could not be read."""
        if schema is ChangeTable:
            rise = fields["direction"] is Direction.RISE
            return {"statistic": Statistic.LOWEST if rise else Statistic.HIGHEST}
        if schema is KalmanTable:
            return {"end_threshold": fields["threshold"]}
        if issubclass(schema, AnyMissingTable):
            return {"grace": 0, "expected": 0} if schema is ScheduledTable else {"grace": 0}
        if schema is CompositeTable:
            return self._members(cast("tuple[str, ...]", fields["of"]), path)
        return {}

    def _members(self, of: tuple[str, ...], path: Path) -> dict[str, Any] | None:
        for position, name in enumerate(of):
            if name not in self.ids:
                self._document.unknown((*path, "of", position), name, self.ids)
        rules = {rule.id: rule for _, rule in self.rules}
        if not set(of) <= rules.keys():
            return None
        return {"of_quantities": tuple(dict.fromkeys(quantity for name in of for quantity in rules[name].inputs))}


_TABLES = ("transmission", "telling", *(quantity.value for quantity in Quantity))
"""Names under which bounds are given to what is no rule."""
_TWICE = Sentence(fr="une autre règle porte déjà cet id", en="another rule already has this id")
_ADAPT_IT = Sentence(
    fr="une autre règle porte déjà cet id ; pour changer une règle du pack, écrire [adapt.ID]",
    en="another rule already has this id; to change a rule of the pack, write [adapt.ID]",
)
_RESERVED = Sentence(
    fr="ce nom est celui d'une table ou d'une mesure : choisir un autre id",
    en="this is the name of a table or of a quantity: choose another id",
)
_TELLS: Mapping[Quantity, tuple[Quantity, ...]] = {
    Quantity.BLOOD_PRESSURE_SYSTOLIC: (Quantity.BLOOD_PRESSURE_SYSTOLIC, Quantity.BLOOD_PRESSURE_DIASTOLIC),
    Quantity.BLOOD_PRESSURE_DIASTOLIC: (Quantity.BLOOD_PRESSURE_SYSTOLIC, Quantity.BLOOD_PRESSURE_DIASTOLIC),
    **dict.fromkeys(SYMPTOMS, SYMPTOMS),
}
"""Quantities that one measurement always brings together, or one questionnaire: when one is missing, so are the others.

A patient answers one questionnaire, and it asks all that their protocol judges (coordination/courses.py)."""


def sentence(text: Bilingual) -> Sentence:
    """Return a text of a file as the house has it."""
    return Sentence(fr=text.fr, en=text.en)


def plain(value: object) -> object:
    """Return a value of a file that needs no quantity as a rule has it."""
    if isinstance(value, list):
        return tuple(plain(item) for item in value)
    return value.plain if isinstance(value, Duration | TimeOfDay | Span | Days | Flags) else value


def _complete(schema: type[RuleTable]) -> bool:
    """Return whether a table is the form of a rule, not only what several forms share."""
    return any(schema in forms.tables.values() for forms in FORMS.values())


def _elsewhere(table: object) -> Collection[str]:
    """Return the keys that any form of the same kind has."""
    kind = table.get("kind") if isinstance(table, dict) else None
    return FORMS[kind].keys if isinstance(kind, str) and kind in FORMS else ()


def _known(table: object, schema: type[RuleTable]) -> object:
    """Return a table without the keys of which nobody can say, as its form is not known, whether they belong to it."""
    if not isinstance(table, dict) or _complete(schema):
        return table
    unclear = set(_elsewhere(table)) - set(schema.__struct_fields__)
    return {key: value for key, value in table.items() if key not in unclear}
