"""A rule and the form that it is written in: which table it has, and each of its values as a file says it.

What is not here: reading a form (protocol_rules), and a whole file (protocol_writer).
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import Enum
from types import MappingProxyType

import msgspec

from alerting.care_protocol import Rule
from alerting.protocol_amounts import Amount, Change, Fraction100
from alerting.protocol_rule_schema import (
    FORMS,
    AnyBaselineTable,
    AnyForecastTable,
    AnyMissingTable,
    AnyQualityTable,
    AnyScoreTable,
    ChangeTable,
    CompositeTable,
    LevelTable,
    MeanTable,
    RateTable,
    RuleTable,
    ShareTable,
)
from alerting.protocol_values import Days, Duration, Flags, TimeOfDay, days_text, duration_text, flags_text, time_text
from alerting.rules import BaselineRule, ChangeRule, ForecastRule, LevelRule, RateRule, ShareRule
from alerting.scheduled_rules import CompositeRule, MeanRule, MissingRule, QualityRule, ScoreRule
from alerting.table_fields import fields_of
from devices.reading import Quantity

RULES: Mapping[type[RuleTable], type[Rule]] = MappingProxyType(
    {
        LevelTable: LevelRule,
        RateTable: RateRule,
        AnyForecastTable: ForecastRule,
        ChangeTable: ChangeRule,
        AnyBaselineTable: BaselineRule,
        ShareTable: ShareRule,
        MeanTable: MeanRule,
        AnyMissingTable: MissingRule,
        AnyQualityTable: QualityRule,
        AnyScoreTable: ScoreRule,
        CompositeTable: CompositeRule,
    }
)
"""What the tables of a kind share -> the rule that each of them becomes."""

LIFE = ("refractory", "per_day", "absorbs", "latched", "digest")
"""Keys of a rule that say how its alerts are told."""

WORDS = ("title", "check", "sources")
"""Keys of a rule that say what it is."""

_KINDS = {RULES[forms.shared]: kind for kind, forms in FORMS.items()}


def kind_of(rule: Rule) -> str:
    """Return the kind of a rule, as a file says it."""
    return _KINDS[type(rule)]


def form_of_rule(rule: Rule) -> type[RuleTable]:
    """Return the table that a rule is written in."""
    forms = FORMS[kind_of(rule)]
    if isinstance(rule, MissingRule):
        return forms.tables["age" if rule.by is None else "schedule"]
    return forms.tables[str(getattr(rule, forms.key)) if forms.key else ""]


def key_types(form: type[msgspec.Struct]) -> dict[str, object]:
    """Return the type of each key of a table."""
    return {field.name: field.type for field in fields_of(form)}


def value_of(rule: Rule, key: str) -> object:
    """Return what a rule has under a key of its form."""
    if key == "kind":
        return kind_of(rule)
    if key in LIFE:
        return getattr(rule.life, key)
    if key in WORDS:
        return getattr(rule.words, key)
    return getattr(rule, "days" if key == "on" else key)


def said(rule: Rule) -> dict[str, object]:
    """Return a rule as its table says it, without its words and what it leaves at their defaults, as TOML values."""
    defaults = {field.name: field.default for field in fields(rule) if field.default is not MISSING}
    defaults |= {field.name: field.default for field in fields(rule.life)}
    found: dict[str, object] = {}
    for key, kind in key_types(form_of_rule(rule)).items():
        value = value_of(rule, key)
        if key not in WORDS and value != defaults.get("days" if key == "on" else key, MISSING):
            found[key] = text(kind, rule.quantity, value, relative=isinstance(rule, ChangeRule) and rule.relative)
    return found


def text(kind: object, quantity: Quantity, value: object, *, relative: bool = False) -> object:  # noqa: PLR0911 - one a type
    """Return the value of a key as TOML has it, such as "70 mg/dL".

    Args:
        kind: the key's type in its table.
        quantity: of the rule.
        value: as the rule has it.
        relative: whether a change is counted as a share.
    """
    if isinstance(value, tuple):
        return [text(TimeOfDay if isinstance(item, int) else kind, quantity, item) for item in value]
    if isinstance(kind, type) and isinstance(value, int):
        if issubclass(kind, Amount):
            return (Fraction100 if relative and kind is Change else kind).text(quantity, value)
        if issubclass(kind, Duration):
            return duration_text(value)
        if kind is TimeOfDay:
            return time_text(value)
        if kind is Days:
            return days_text(value)
        if kind is Flags:
            return flags_text(value)
    return value.value if isinstance(value, Enum) else value
