"""Spoilt values in a form that holds: what a program of somebody who knows the form would send.

Bits that are flipped seldom get past a parser. Here a good message is taken apart, one value of it (or its name, or its
number of values) is replaced by one that is as bad as the encoding allows, and it is put together again: numbers
without end, texts that are none, arrays in arrays, a hundred thousand of what there should be one, the shape of another
message in the place of this one's.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

DEEP = 20_000
MANY = 5_000

_PACKED: tuple[bytes, ...] = (
    b"\xc0",
    b"\xc2",
    b"\x00",
    b"\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + bytes(7),
    (2**53).to_bytes(9, "big").replace(b"\x00", b"\xcf", 1),
    b"\xcb\x7f\xf0" + bytes(6),  # infinite
    b"\xcb\x7f\xf8" + bytes(6),  # no number
    b"\xa0",
    b"\xa2\xc3\x28",  # no UTF-8
    b"\xa3\xed\xa0\x80",  # half a character
    b"\xa1\x00",
    b"\xd9\x41" + b"x" * 65,
    b"\xda\xff\xff" + b"\n" * 65_535,
    b"\xc4\x00",
    b"\xc5\x20\x00" + bytes(8192),
    b"\xd6\xff" + bytes(4),  # an extension: a time
    b"\xc7\x01\x05\x00",
    b"\xc1",  # reserved
    b"\x90",
    b"\x80",
    b"\x91" * DEEP + b"\xc0",
    b"\x81\xa1x" * DEEP + b"\xc0",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xdc\x13\x88" + b"\x00" * MANY,
)
_WRITTEN: tuple[str, ...] = (
    "null",
    "true",
    "-1",
    "1e999",
    "1.5",
    "NaN",
    "-Infinity",
    "9" * 5000,
    "9007199254740993",
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"\\n"',
    json.dumps("x" * 70_000),
    json.dumps("é\u202e~"),
    "[]",
    "{}",
    "[" * DEEP,
    "[" * 900 + "]" * 900,
    '{"x":' * DEEP,
    "[" + "0," * MANY + "0]",
    '{"kind":"kind"}',
)
_OF_SETTINGS: tuple[str, ...] = (
    "",
    "true",
    "-1",
    "0",
    "1e400",
    "inf",
    "nan",
    "9" * 5000,
    "0x" + "f" * 400,
    "0x" + "f" * 9000,
    '""',
    '"\\u0000"',
    '"a\\u0000b"',
    '"' + "x" * 5000 + '"',
    '"../../../../../../etc/passwd"',
    '"/dev/null/x"',
    '"."',
    '"\u202e\u0085"',
    "[]",
    "{}",
    "[[[]]]",
    "[" * DEEP,
    "[" * 300 + "]" * 300,
    "{ a = " * 2000,
    '["", 1, true]',
    "[" + "0," * MANY + "0]",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "23:59:60",
    "1979-05-27",
    "'''",
)
_ENTRY = re.compile(r"\s*[\w.-]+\s*=")


def packed_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return the MessagePack of a seed with one value or more replaced."""
    whole = msgspec.msgpack.decode(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2))):
        whole = _replaced(whole, dice, lambda: msgspec.Raw(dice.choice(_PACKED)))
    try:
        return msgspec.msgpack.encode(whole)[:longest]
    except (TypeError, ValueError, OverflowError):  # a name that cannot be one
        return dice.choice(_PACKED)[:longest]


def written_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return JSON lines with one value or more of one line replaced, or lines put elsewhere, twice or left out."""
    lines = dice.choice(seeds).splitlines()
    at = dice.randrange(len(lines))
    match dice.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines.insert(dice.randrange(len(lines) + 1), lines[at])
        case 2:
            dice.shuffle(lines)
        case _:
            whole = _replaced(json.loads(lines[at]), dice, lambda: msgspec.Raw(dice.choice(_WRITTEN).encode()))
            lines[at] = msgspec.json.encode(whole)
    return b"\n".join(lines)[:longest]


def settings_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return a TOML text with values replaced, lines put elsewhere, twice or left out, or names made long."""
    text = dice.choice(seeds).decode()
    for _ in range(dice.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        at = dice.randrange(len(lines))
        match dice.randrange(10):
            case 0:
                del lines[at]
            case 1:
                lines.insert(dice.randrange(len(lines) + 1), lines[at])
            case 2:
                lines[at] = lines[at].replace("=", ".x" * dice.choice((1, 900, 5000)) + " =", 1)
            case 3:
                lines[at] = lines[at].replace("[[", "[").replace("]]", "]")
            case 4:
                lines.insert(
                    at, dice.choice(("x = 1", "[x]", "[[patients]]", "[patients]", "[boxes]", '"" = 1', "\ufeff"))
                )
            case _:
                entries = [number for number, line in enumerate(lines) if _ENTRY.match(line)]
                if entries:
                    at = dice.choice(entries)
                    value = dice.choice(_OF_SETTINGS)
                    lines[at] = f"{lines[at].partition('=')[0]}= {value}"
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")[:longest]


def _replaced(value: Any, dice: random.Random, bad: Callable[[], msgspec.Raw]) -> Any:
    """Return a tree with one value of it, or the tree itself, replaced."""
    parts = len(value) if isinstance(value, (dict, list)) else 0
    if not parts or dice.random() < 0.15:
        return bad()
    at = dice.randrange(parts)
    if isinstance(value, list):
        match dice.randrange(8):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return value + [value[at]] * dice.choice((1, 20, MANY))
            case _:
                return [*value[:at], _replaced(value[at], dice, bad), *value[at + 1 :]]
    name = list(value)[at]
    match dice.randrange(10):
        case 0:
            return {key: one for key, one in value.items() if key != name}
        case 1:
            # Before the others, so that it is met before anything says which message this is.
            return {"unknown": bad(), **value}
        case 2:
            return {(f"{key}\n" if key == name else key): one for key, one in value.items()}
        case _:
            return {key: _replaced(one, dice, bad) if key == name else one for key, one in value.items()}
