"""The values of search parameters: dates with their precision, tokens with their system, references with their kind.

Read as HL7 writes them (R4, Search), strictly: what is not understood is refused, never left out. A date is a span,
from its beginning (included) to its end (not included); one without an offset is UTC.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from coordination.desk.fhir.faults import FhirError, refused

MOST_VALUES = 50
LONGEST = 2_000
"""Characters of one value."""
_BETWEEN = re.compile(r"(?<!\\),")
_DATE = re.compile(
    r"(eq|ne|gt|lt|ge|le|sa|eb)?(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?"
    r"(Z|[+\- ]\d\d:\d\d)?)?)?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A code: of any system when that is None, any of a system when `code` is None."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A date: from `begin` to `end` (ms UTC, the end not included), and how what is looked for compares with it."""

    prefix: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A reference: `kind` is None when the parameter alone says it."""

    kind: str | None
    key: str


def pieces(name: str, text: str) -> list[str]:
    """Return the alternatives of a value.

    Raises:
        FhirError: too many, too long, or one that is empty.
    """
    if len(text) > LONGEST or "\x00" in text:
        raise _unread(name, text[:40])
    found = [piece.replace("\\,", ",").replace("\\|", "|").replace("\\$", "$") for piece in _BETWEEN.split(text)]
    if len(found) > MOST_VALUES or not all(found):
        raise _unread(name, text[:40])
    return found


def token(name: str, text: str) -> Token:
    """Return `system|code`, `code`, `system|` or `|code`.

    Raises:
        FhirError: it is none of them.
    """
    system, bar, code = text.rpartition("|")
    if not bar:
        return Token(system=None, code=text)
    if not system and not code:
        raise _unread(name, text)
    return Token(system=system, code=code or None)


def reference(name: str, text: str) -> Target:
    """Return `Kind/key`, a whole address that ends so, or `key`.

    Raises:
        FhirError: it has no key.
    """
    kind, _, key = text.rpartition("/")
    if not re.fullmatch(r"[A-Za-z0-9.\-]{1,64}", key):
        raise _unread(name, text)
    return Target(kind=kind.rpartition("/")[2] or None, key=key)


def span(name: str, text: str) -> Span:
    """Return a date or time of whatever precision.

    Raises:
        FhirError: it is none, or not one of a calendar.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise _unread(name, text)
    prefix, year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        begin = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0").ljust(6, "0")), tzinfo=UTC,
        )  # fmt: skip
        if fraction:
            end = begin + timedelta(microseconds=10 ** max(3, 6 - len(fraction)))
        elif second:
            end = begin + timedelta(seconds=1)
        elif hour:
            end = begin + timedelta(minutes=1)
        elif day:
            end = begin + timedelta(days=1)
        elif month:
            end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
        else:
            end = begin.replace(year=begin.year + 1)
    except (ValueError, OverflowError) as error:
        raise _unread(name, text) from error
    away = timedelta()
    if offset and offset != "Z":
        # A plus sign that nobody encoded arrives as a space.
        away = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6])) * (-1 if offset[0] == "-" else 1)
    return Span(prefix=prefix or "eq", begin=_ms(begin - away), end=_ms(end - away))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _compared(column: str, wanted: Span) -> Q:
    begin, end = wanted.begin, wanted.end
    within = Q(**{f"{column}__gte": begin, f"{column}__lt": end})
    match wanted.prefix:
        case "eq":
            return within
        case "ne":
            return ~within
        case "gt" | "sa":
            return Q(**{f"{column}__gte": end})
        case "lt" | "eb":
            return Q(**{f"{column}__lt": begin})
        case "ge":
            return Q(**{f"{column}__gte": begin})
        case _:
            return Q(**{f"{column}__lt": end})


def by_date(column: str) -> Callable[[str, str], Q]:
    """Return what reads a date parameter over a column of ms UTC."""

    def read(name: str, text: str) -> Q:
        return _compared(column, span(name, text))

    return read


def by_token(chosen: Callable[[Token], Q]) -> Callable[[str, str], Q]:
    """Return what reads a token parameter."""

    def read(name: str, text: str) -> Q:
        return chosen(token(name, text))

    return read


def by_reference(kinds: frozenset[str], chosen: Callable[[Target], Q]) -> Callable[[str, str], Q]:
    """Return what reads a reference to one of these kinds; to any other kind nothing refers."""

    def read(name: str, text: str) -> Q:
        wanted = reference(name, text)
        return chosen(wanted) if wanted.kind is None or wanted.kind in kinds else NOTHING

    return read


NOTHING = Q(pk__in=())
"""Finds nothing."""
ANYTHING = Q(pk__isnull=False)
"""Finds every row; an empty Q would be left out of an either-or."""


def _unread(name: str, text: str) -> FhirError:
    return refused(
        f"Le paramètre {name} ne se lit pas : « {text} ». /fhir/metadata dit ce qui est accepté.",
        f"The parameter {name} cannot be read: '{text}'. /fhir/metadata says what is accepted.",
    )
