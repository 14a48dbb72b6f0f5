"""A decoded value in words."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag

import pytest

from devices.fields import fields_of
from devices.medfloat import Special
from devices.reading import Unit
from devices.wall_clock import DateTime


class Flags(IntFlag):
    ONE = 1
    TWO = 2


class Kind(IntEnum):
    FIRST = 1


class Word(Enum):
    SAID = "said"


@dataclass(frozen=True)
class Inner:
    number: int


@dataclass(frozen=True)
class Value:
    flag: bool
    flags: Flags
    kind: Kind
    word: Word
    number: int
    exact: Decimal
    special: Special
    unit: Unit
    raw: bytes
    at: DateTime
    inner: Inner
    many: tuple[Inner, ...]
    absent: None = None


def test_every_field_has_its_words() -> None:
    at = DateTime(year=2026, month=11, day=22, hours=8, minutes=0, seconds=0)
    value = Value(
        flag=True,
        flags=Flags.TWO,
        kind=Kind.FIRST,
        word=Word.SAID,
        number=7,
        exact=Decimal("36.6"),
        special=Special.NAN,
        unit=Unit.CELSIUS,
        raw=b"\1\2",
        at=at,
        inner=Inner(1),
        many=(Inner(2), Inner(3)),
    )
    assert fields_of(value) == {
        "flag": True,
        "flags": ["two"],
        "kind": "first",
        "word": "said",
        "number": 7,
        "exact": 36.6,
        "special": Special.NAN.value,
        "unit": "Cel",
        "raw": "0102",
        "at": "2026-11-22T08:00:00",
        "inner": {"number": 1},
        "many": [{"number": 2}, {"number": 3}],
        "absent": None,
    }


def test_what_has_no_words_is_a_fault_of_the_house() -> None:
    with pytest.raises(TypeError):
        fields_of(object())
