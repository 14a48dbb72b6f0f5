"""Where a key stands in a TOML text."""

import tomllib

from alerting.toml_lines import begun_at, key_lines, line_of

TEXT = '''# a comment with [brackets] and a = sign
top = 1
"quoted key" = """
not = 1
[neither]
"""
list = [
  1, # ] not the end
  "]",
]
short = """one line"""
literal = \'\'\'
x = 1\'\'\'

[table] # comment
a = { b = 1 }
c.d = 2

[[many]]
a = 1
[many.inner]
b = 2

[[many]]
a = 3
[[many.deep]]
e = 4
'''


def test_each_key_is_found_where_it_stands() -> None:
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    assert lines == {
        ("top",): 2,
        ("quoted key",): 3,
        ("list",): 7,
        ("short",): 11,
        ("literal",): 12,
        ("table",): 15,
        ("table", "a"): 16,
        ("table", "c"): 17,
        ("table", "c", "d"): 17,
        ("many", 0): 19,
        ("many", 0, "a"): 20,
        ("many", 0, "inner"): 21,
        ("many", 0, "inner", "b"): 22,
        ("many", 1): 24,
        ("many", 1, "a"): 25,
        ("many", 1, "deep", 0): 26,
        ("many", 1, "deep", 0, "e"): 27,
    }


def test_a_key_that_is_not_there_is_pointed_at_by_its_table() -> None:
    lines = key_lines(TEXT)
    assert line_of(("table", "a", "b"), lines) == 16
    assert line_of(("many", 1, "nothing"), lines) == 24
    assert line_of(("nothing",), lines) is None


def test_the_line_is_found_where_a_value_of_several_lines_begins() -> None:
    assert [begun_at(TEXT, line) for line in (3, 4, 6, 8, 10, 13)] == [None, 3, 3, 7, 7, 12]
    assert begun_at("a = [\n1,\n[b]\nc = 1\n", 4) == 1
    assert begun_at("a = 1\nb = 2\n", 2) is None
