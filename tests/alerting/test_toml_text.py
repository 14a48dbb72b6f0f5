"""A TOML text that somebody else wrote is refused where it is beyond bounds, and is otherwise what the parser says."""

import tomllib

import pytest

from alerting.protocol_file import check_protocol
from alerting.toml_text import MOST_CHARACTERS, parse_toml


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = 1\nb" + ".x" * 40 + " = 1", "at line 2"),
        ("a = { x = 1, b" + ".x" * 40 + " = 1 }", "at line 1"),
        ("[b" + '."x"' * 40 + "]", "parts"),
        ("a = " + "[" * 100_000, "without end"),
        ("a = " + "{ b = " * 5_000, "without end"),
        ("a = " + "9" * 5000, "digits"),
        ("a = [{ b = 0x" + "f" * 9000 + " }]", "64 bits"),
        ("a = 9223372036854775808", "64 bits"),
        ("#" * (MOST_CHARACTERS + 1), "Too long"),
        ("a = ", "Invalid value"),
    ],
    ids=range(10),
)
def test_what_is_beyond_bounds_is_a_fault_of_the_text(text: str, why: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match=why):
        parse_toml(text)
    (fault,) = check_protocol(text.encode()).faults
    assert fault.message.fr != fault.message.en


def test_what_is_within_bounds_is_what_the_parser_says() -> None:
    dotted = "e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t"
    text = f'a.b.c = 1\n[d."{dotted}"]\nx = "{dotted}"\ny = -9223372036854775808'
    assert parse_toml(text) == tomllib.loads(text)


def test_long_lines_of_a_broken_file_are_looked_at_once() -> None:
    """Each of these once took the square of its length: a minute, and hours for a file ten times as long."""
    for text in ('a="' + '\\"' * 200_000, "a = [\n" + '"\\"' * 200_000, '["' + " " * 200_000 + '"]\nx = 1'):
        assert check_protocol(text.encode()).faults
