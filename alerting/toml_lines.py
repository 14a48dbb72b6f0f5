"""On which line of a TOML text each key stands, to point a person at it.

The standard parser keeps no positions. This scanner only looks for them in a text that the parser has accepted: it
knows tables, arrays of tables, keys, and how to step over strings and values of several lines.
"""

import re

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_LONGEST_HEADER = 1000
"""What is longer is the header of no table that anybody means, and would take its square of time."""
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$"""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TOKEN = re.compile(r'''"""|\'\'\'|"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|\#.*$|[\[\]{}]''', re.MULTILINE)


def key_lines(text: str) -> dict[Path, int]:
    """Return path -> line, from 1; an element of an array of tables has its index in the path, from 0."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    open_value = _OpenValue()
    for number, line in enumerate(text.splitlines(), start=1):
        if open_value.goes_on(line):
            continue
        if len(line) <= _LONGEST_HEADER and (header := _HEADER.match(line)):
            table = _resolve(_parts(header[2]), counts, array=header[1] == "[[")
            lines.setdefault(table, number)
        elif entry := _KEY.match(line):
            parts = _parts(entry[1])
            for length in range(1, len(parts) + 1):
                lines.setdefault(table + parts[:length], number)
            open_value.begin(entry[2])
    return lines


def begun_at(text: str, line: int) -> int | None:
    """Return the line on which the value begins that goes on over `line`, None when none does.

    The text need not be one that a parser accepts.
    """
    begun, open_value = 0, _OpenValue()
    for number, content in enumerate(text.splitlines()[: line - 1], start=1):
        if open_value.goes_on(content):
            continue
        entry = _KEY.match(content)
        if entry:
            begun = number
            open_value.begin(entry[2])
    return begun if open_value.open else None


def line_of(path: Path, lines: dict[Path, int]) -> int | None:
    """Return the line of a key, or of the nearest table around it; None for the file as a whole."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _resolve(parts: tuple[str, ...], counts: dict[Path, int], *, array: bool) -> Path:
    path: Path = ()
    for position, part in enumerate(parts):
        path = (*path, part)
        if array and position == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


class _OpenValue:
    """A value that may go on over the next lines."""

    def __init__(self) -> None:
        self._depth = 0
        self._quotes = ""

    @property
    def open(self) -> bool:
        """Whether it is not at its end yet."""
        return self._depth > 0 or bool(self._quotes)

    def begin(self, rest: str) -> None:
        """Start with what follows the `=`."""
        self._depth, self._quotes = 0, ""
        self._scan(rest)

    def goes_on(self, line: str) -> bool:
        """Return whether `line` still belongs to the value begun before, and read it if so."""
        if not self.open:
            return False
        self._scan(line)
        return True

    def _scan(self, line: str) -> None:
        position = 0
        while position < len(line):
            if self._quotes:
                end = line.find(self._quotes, position)
                if end < 0:
                    return
                position, self._quotes = end + 3, ""
                continue
            token = _TOKEN.search(line, position)
            if token is None:
                return
            position = token.end()
            if token[0] in {'"""', "'''"}:
                self._quotes = token[0]
            elif token[0] in {"[", "{"}:
                self._depth += 1
            elif token[0] in {"]", "}"}:
                self._depth -= 1
