"""A decoded value in words: every field of a value class by its name, ready for JSON.

Names are the value class's own, so its docstring explains them, units included.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from typing import Any, Final

from devices.wall_clock import DateTime

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def fields_of(value: object) -> dict[str, Json]:
    """Return the fields of a value class; nested ones as objects.

    Raises:
        TypeError: it is no dataclass, or a field has a type that has no words here: a fault of the house.
    """
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is not a value class")
    return {field.name: in_words(getattr(value, field.name)) for field in fields(value)}


def flag_names(flags: IntFlag) -> list[Json]:
    """Return the names of the flags that are set, in the order of their bits."""
    return [flag.name.lower() for flag in type(flags) if flag in flags and flag.name]


def in_words(value: object) -> Json:
    """Return one field: a number, a name, a list of names, hexadecimal digits for bytes, or null when absent.

    Raises:
        TypeError: a type that has no words here.
    """
    if isinstance(value, tuple | list):
        return [in_words(item) for item in value]
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words(value)
    return value if value is None else fields_of(value)


# In this order: an IntFlag is an int, and so is a bool.
_WORDS: Final[tuple[tuple[type, Callable[[Any], Json]], ...]] = (
    (bool, bool),
    (IntFlag, flag_names),
    (IntEnum, lambda value: value.name.lower()),
    (Enum, lambda value: str(value.value)),
    (int, int),
    (str, str),
    (Decimal, float),
    (bytes, bytes.hex),
    (DateTime, str),
)
