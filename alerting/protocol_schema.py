"""What a protocol file may contain besides its rules: one Struct a table.

What is not here: the [[rules]] (protocol_rule_schema), how a value is written (protocol_values), and what to say of one
that does not fit (protocol_expectations).
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Audience, Priority
from alerting.protocol_values import Duration, Lasting, Span, TimeOfDay

MOST_RULES = 64

Identifier = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{1,47}$")]
PackName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{1,47}(\.toml)?$")]
Line = Annotated[str, Meta(min_length=1, max_length=300)]
Count = Annotated[int, Meta(ge=0, le=1000)]
Identifiers = Annotated[list[Identifier], Meta(max_length=MOST_RULES)]

LEFT_OUT: Any = msgspec.UNSET
"""A key that may be left out."""


class Bilingual(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text in both languages."""

    fr: Line
    en: Line


class FileTable(Struct, frozen=True, kw_only=True):
    """The file itself."""

    schema: Literal[1]
    name: Identifier
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: Bilingual
    transmission: dict[str, Any]
    quantities: dict[str, Any] = LEFT_OUT
    rules: Annotated[list[Any], Meta(min_length=1, max_length=MOST_RULES)]
    sources: dict[str, Line]
    telling: dict[str, Any] = LEFT_OUT
    units: dict[str, Any] = LEFT_OUT
    bounds: dict[str, Any] = LEFT_OUT
    keep: Identifiers = LEFT_OUT
    signatures: Annotated[list[Any], Meta(max_length=8)] = LEFT_OUT


class TransmissionTable(Struct, frozen=True, kw_only=True):
    """[transmission]."""

    not_transmitted_after: Lasting


class TimingTable(Struct, frozen=True, kw_only=True):
    """[quantities.<quantity>]."""

    cadence: Duration
    gap: Duration


class TellingTable(Struct, frozen=True, kw_only=True):
    """[telling]."""

    quiet: Span = LEFT_OUT
    at_most: Count = LEFT_OUT
    within: Lasting = LEFT_OUT
    due: dict[str, Any] = LEFT_OUT
    steps: Annotated[list[Any], Meta(max_length=24)] = LEFT_OUT
    digest_at: TimeOfDay = LEFT_OUT
    longest_shelf: Lasting = LEFT_OUT


class DueTable(Struct, frozen=True, kw_only=True):
    """[telling.due]."""

    high: Lasting = LEFT_OUT
    medium: Lasting = LEFT_OUT
    low: Lasting = LEFT_OUT


class StepTable(Struct, frozen=True, kw_only=True):
    """[[telling.steps]]."""

    priority: Priority
    after: Lasting
    audience: Audience


class SignatureTable(Struct, frozen=True, kw_only=True):
    """[[signatures]]."""

    person: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Identifier
    at: datetime
    key: Annotated[str, Meta(min_length=1, max_length=200)]
    signature: Annotated[str, Meta(min_length=1, max_length=200)]


def convert(value: object, kind: object) -> object:
    """Return one value of a file as the schema wants it.

    Raises:
        msgspec.ValidationError: it does not fit.
    """
    return msgspec.convert(value, kind, strict=True, dec_hook=_decode)


def _decode(kind: type, value: object) -> object:
    return kind.read(value)  # type: ignore[attr-defined]  # every type here that msgspec does not know can read itself
