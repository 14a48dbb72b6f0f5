"""What a protocol file says besides its rules: [quantities], [telling], [units] and [[signatures]].

What is not here: who is told in the end (the alert's life), how a value is shown (explain), and whether a signature
holds: it is read and kept.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from alerting.alert import Priority, Sentence
from alerting.care_protocol import Signature, Step, TellingPolicy, Timing
from alerting.protocol_document import Document, Table
from alerting.protocol_rules import plain
from alerting.protocol_schema import DueTable, SignatureTable, StepTable, TellingTable, TimingTable
from alerting.toml_lines import Path
from devices.reading import Quantity, Unit, facts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = tuple(quantity.value for quantity in Quantity)


def read_timings(document: Document, tables: Mapping[str, object]) -> dict[Quantity, Timing]:
    """Return how often each quantity of a regular sensor is measured."""
    timings: dict[Quantity, Timing] = {}
    for name, table in tables.items():
        path: Path = ("quantities", name)
        values = document.table(table, TimingTable, path).values
        if name not in _NAMES:
            document.unknown(path, name, _NAMES)
        elif {"cadence", "gap"} <= values.keys():
            timing = Timing(cadence=values["cadence"].ms, gap=values["gap"].ms)
            if not 0 < timing.cadence <= timing.gap:
                document.fault((*path, "gap"), _GAP)
            elif timing.gap < 2 * timing.cadence:
                document.remark((*path, "gap"), _SHORT_GAP)
            timings[Quantity(name)] = timing
    return timings


def read_units(document: Document, table: Mapping[str, object]) -> dict[Quantity, Unit]:
    """Return in which unit quantities are shown."""
    units: dict[Quantity, Unit] = {}
    for name, unit in table.items():
        path: Path = ("units", name)
        if name not in _NAMES:
            document.unknown(path, name, _NAMES)
            continue
        quantity = Quantity(name)
        known = (facts(quantity).unit, *facts(quantity).conversions)
        if unit in known:
            units[quantity] = Unit(str(unit))
        else:
            choices = ", ".join(known)
            document.fault(path, Sentence(fr=f"choisir parmi : {choices}", en=f"choose one of: {choices}"))
    return units


def read_telling(document: Document) -> TellingPolicy:
    """Return when and to whom alerts are told."""
    table = document.subtable("telling", TellingTable)
    values = {key: plain(value) for key, value in table.values.items() if key not in {"due", "steps"}}
    if ("at_most" in values) != ("within" in values) and not table.spoiled & {"at_most", "within"}:
        document.fault(("telling",), _AT_MOST_WITHIN)
    fields: dict[str, Any] = dict(values)
    if "due" in table.values:
        fields["due"] = _due(document, table.values["due"])
    if "steps" in table.values:
        fields["steps"] = _steps(document, table.values["steps"])
    return TellingPolicy(**fields)


def _due(document: Document, table: object) -> dict[Priority, int]:
    path: Path = ("telling", "due")
    values = document.table(table, DueTable, path).values
    due = {priority: values[priority.value].ms for priority in Priority if priority.value in values}
    graver = [due[priority] for priority in (Priority.HIGH, Priority.MEDIUM, Priority.LOW) if priority in due]
    if graver != sorted(graver):
        document.fault(
            path,
            Sentence(
                fr="une alerte plus grave ne peut pas attendre plus : high au plus medium, medium au plus low",
                en="a graver alert cannot wait longer: high at most medium, medium at most low",
            ),
        )
    return due


def _steps(document: Document, tables: list[object]) -> dict[Priority, tuple[Step, ...]]:
    steps: dict[Priority, tuple[Step, ...]] = {}
    for index, table in enumerate(tables):
        path: Path = ("telling", "steps", index)
        values = document.table(table, StepTable, path).values
        if not {"priority", "after", "audience"} <= values.keys():
            continue
        step = Step(after=values["after"].ms, audience=values["audience"])
        before = steps.get(values["priority"], ())
        if before and step.after <= before[-1].after:
            document.fault(
                (*path, "after"),
                Sentence(
                    fr="les étapes d'une priorité se suivent : chacune après la précédente",
                    en="the steps of one priority follow each other: each one later than the one before",
                ),
            )
        steps[values["priority"]] = (*before, step)
    return steps


def read_signatures(document: Document, tables: list[object]) -> tuple[Signature, ...]:
    """Return the signatures, unchecked; a time without an offset is UTC."""
    found = [document.table(table, SignatureTable, ("signatures", at)) for at, table in enumerate(tables)]
    complete = set(SignatureTable.__struct_fields__)
    return tuple(_signature(table) for table in found if complete <= table.values.keys())


def _signature(table: Table) -> Signature:
    at: datetime = table.values["at"]
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    ms = (aware - _EPOCH) // (_EPOCH.resolution * 1000)
    return Signature(**(table.values | {"at": ms}))


_GAP = Sentence(
    fr="gap doit être au moins égal à cadence, et cadence plus grande que zéro : sinon aucune durée ne pourrait jamais "
    "être atteinte",
    en="gap must be at least cadence, and cadence above zero: or no duration could ever be reached",
)
_SHORT_GAP = Sentence(
    fr="gap est plus court que deux cadences : une seule mesure perdue interrompt toute durée",
    en="gap is shorter than two cadences: a single lost reading breaks every duration",
)
_AT_MOST_WITHIN = Sentence(
    fr='at_most (combien) et within (en combien de temps) vont ensemble : at_most = 10, within = "10 min"',
    en='at_most (how many) and within (in how long) go together: at_most = 10, within = "10 min"',
)
