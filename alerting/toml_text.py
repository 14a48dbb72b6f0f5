"""TOML that somebody else wrote, read within bounds: its length, the depth of its keys and the size of its numbers.

The standard parser needs quadratic time for a key of many parts, goes as deep as brackets go, and makes numbers that
cannot be printed. Each of these is refused here as a fault of the text, with its line where it has one.

What is not here: what to tell a person about it (protocol_syntax), and what the tables mean.
"""

import re
import tomllib
from typing import Any, Final

MOST_CHARACTERS: Final = 1 << 20
"""Of one text: a nursing home's settings have a tenth of it."""
MOST_OF_A_REGION: Final = 8 << 20
"""Of a team's own settings: those that list 5 000 boxes and their patients have a quarter of it."""
TOO_LONG: Final = "Too long"
"""How the reason begins when the text has more."""

_MOST_PARTS: Final = 16
_LARGEST: Final = 2**63
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_DEEP_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_PART}){{{_MOST_PARTS}}}", re.MULTILINE)


def parse_toml(text: str, *, most: int = MOST_CHARACTERS) -> dict[str, Any]:
    """Return the tables of a text of `most` characters, included.

    Raises:
        TOMLDecodeError: it is not TOML, or not within bounds.
    """
    if len(text) > most:
        raise tomllib.TOMLDecodeError(f"{TOO_LONG}: more than {most} characters")
    deep = _DEEP_KEY.search(text)
    if deep is not None:
        raise tomllib.TOMLDecodeError(
            f"A key of more than {_MOST_PARTS} parts (at line {text.count(chr(10), 0, deep.start() + 1) + 1}, column 1)"
        )
    try:
        tables = tomllib.loads(text)
        _check_numbers(tables)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("Brackets in brackets without end") from error
    except ValueError as error:
        # Of a number of thousands of digits.
        raise tomllib.TOMLDecodeError(str(error)) from error
    return tables


def _check_numbers(tables: dict[str, Any]) -> None:
    """Refuse whole numbers beyond 64 bits, as TOML asks (1.0, Integer)."""
    rest: list[Any] = [tables]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest += value.values()
        elif isinstance(value, list):
            rest += value
        elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            raise tomllib.TOMLDecodeError("A whole number beyond 64 bits")
