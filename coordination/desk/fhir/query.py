"""A request of search, read strictly: every parameter is understood or the request is refused; and a page of answers.

Pages follow each other by the place of the last row (newest first), not by a count: what arrives between two pages
neither repeats nor hides anything that was there.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db.models import Q, QuerySet
from django.http import QueryDict

from coordination.desk.fhir.catalogue import Kind, Source
from coordination.desk.fhir.faults import refused
from coordination.desk.fhir.values import NOTHING, pieces
from coordination.desk.fhir.words import Resource
from coordination.desk.models import Team

MOST, USUAL = 500, 50
"""Resources on a page."""
MOST_PARAMETERS = 20
CURSOR = "_cursor"
_FORMATS = frozenset({"json", "application/json", "application/fhir+json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What was asked.

    Attributes:
        kind: of which resources.
        chosen: (parameter, value) in their order, for the links of the answer.
        count: resources on the page.
        number_only: how many there are is all that is wanted.
        with_total: likewise, beside the page.
        after: place of the last row of the page before: the table's number, then the row's time and key.
    """

    kind: Kind
    chosen: tuple[tuple[str, str], ...]
    count: int
    number_only: bool
    with_total: bool
    after: tuple[int, int, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What was found: resources with when each was last changed (ms UTC), and where the next page begins."""

    resources: tuple[tuple[Resource, int], ...]
    total: int | None
    following: str | None


def read(kind: Kind, asked: QueryDict) -> Query:
    """Return what a request asks for.

    Raises:
        FhirError: a parameter that this kind does not have, or a value that cannot be read.
    """
    settings: dict[str, str] = {}
    chosen: list[tuple[str, str]] = []
    given = [(name, value) for name, values in asked.lists() for value in values]
    if len(given) > MOST_PARAMETERS:
        raise refused(f"{MOST_PARAMETERS} paramètres au plus.", f"At most {MOST_PARAMETERS} parameters.")
    for name, value in given:
        if name in kind.parameters:
            chosen.append((name, value))
        elif name in {"_count", "_total", "_summary", "_format", CURSOR} and name not in settings:
            settings[name] = value
        else:
            raise refused(
                f"{kind.name} n'a pas de paramètre « {name[:60]} » ; il y a {', '.join(kind.parameters)}.",
                f"{kind.name} has no parameter '{name[:60]}'; there are {', '.join(kind.parameters)}.",
            )
    count = _count(settings.get("_count"))
    _one_of("_format", settings.get("_format", "json"), _FORMATS)
    total = _one_of("_total", settings.get("_total", "none"), {"none", "accurate"})
    summary = _one_of("_summary", settings.get("_summary", "false"), {"false", "count"})
    query = Query(
        kind=kind,
        chosen=tuple(chosen),
        count=count,
        number_only=summary == "count" or count == 0,
        with_total=total == "accurate",
        after=_place(settings[CURSOR]) if CURSOR in settings else None,
    )
    for source in kind.sources:
        wanted(source, query.chosen)
    return query


def _one_of(name: str, value: str, known: Iterable[str]) -> str:
    if value not in known:
        words = ", ".join(sorted(known))
        raise refused(f"{name} : l'un de {words}.", f"{name}: one of {words}.")
    return value


def _count(text: str | None) -> int:
    if text is None:
        return USUAL
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise refused(f"_count : un entier de 0 à {MOST}.", f"_count: a whole number from 0 to {MOST}.")
    # A server may answer with fewer than were asked for, never with more (R4, Search, 3.1.1.5.4).
    return min(int(text), MOST)


def wanted(source: Source, chosen: Iterable[tuple[str, str]]) -> Q:
    """Return which rows of a table are asked for: every parameter holds, by one of its values.

    Raises:
        FhirError: a value that cannot be read.
    """
    found = Q()
    for name, text in chosen:
        reader = source.found_by.get(name)
        either = NOTHING
        for piece in pieces(name, text):
            either = either | (NOTHING if reader is None else reader(name, piece))
        found &= either
    return found


def rows(source: Source, team: Team, chosen: Iterable[tuple[str, str]]) -> QuerySet[Any]:
    """Return the rows of a table that are asked for, of a team."""
    return source.rows(team).filter(wanted(source, chosen))


def page(query: Query, team: Team) -> Page:
    """Return a page of what was asked, newest first in each table, table after table."""
    sources = query.kind.sources
    total = None
    if query.with_total or query.number_only:
        total = sum(rows(source, team, query.chosen).count() for source in sources)
    if query.number_only:
        return Page(resources=(), total=total, following=None)
    found: list[tuple[Resource, int]] = []
    first = 0 if query.after is None else query.after[0]
    for number, source in enumerate(sources):
        if number < first:
            continue
        room = query.count - len(found)
        ordered = rows(source, team, query.chosen).order_by(f"-{source.order}", "-pk")
        if query.after is not None and number == first:
            ordered = ordered.filter(_beyond(ordered.model, source, *query.after[1:]))
        places = list(ordered.values_list(source.order, "pk")[: room + 1])
        found += whole(source, team, places[:room])
        if len(places) > room:
            place = (number, int(places[room - 1][0]), str(places[room - 1][1])) if room else (number, 2**60, "")
            return Page(resources=tuple(found), total=total, following=_cursor(place))
    return Page(resources=tuple(found), total=total, following=None)


def whole(source: Source, team: Team, places: Sequence[tuple[Any, ...]]) -> list[tuple[Resource, int]]:
    """Return the resources of rows named by (time, key), in their order, with when each was last changed (ms UTC).

    Rows are chosen by what an index can tell, and read whole only then: when one changed costs a look-up each.
    """
    keys = [key for _, key in places]
    there = {row.pk: row for row in source.rows(team).filter(pk__in=keys)}
    # One that was erased between the two looks is not there any more.
    found = [there[key] for key in keys if key in there]
    return list(zip(source.made(found), (int(row.updated) for row in found), strict=True))


def _beyond(model: Any, source: Source, at: int, key: str) -> Q:
    if not key:
        return Q()
    if model._meta.pk.get_internal_type() != "TextField" and not key.isdecimal():  # noqa: SLF001 - Django's own API
        raise _no_place()
    return Q(**{f"{source.order}__lt": at}) | Q(**{source.order: at, "pk__lt": key})


def _cursor(place: tuple[int, int, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(text: str) -> tuple[int, int, str]:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found = msgspec.json.decode(raw, type=tuple[int, int, str])
    except (ValueError, binascii.Error) as error:
        raise _no_place() from error
    if not 0 <= found[0] < 8 or abs(found[1]) > 2**60 or len(found[2]) > 64 or not found[2].isascii():
        raise _no_place()
    if found[2] and not found[2].isalnum():
        raise _no_place()
    return found


def _no_place() -> Exception:
    return refused(
        "_cursor ne se lit pas : reprendre le lien « next » de la page d'avant, tel quel.",
        "_cursor cannot be read: take the 'next' link of the page before, as it stands.",
    )


def named(kind: Kind, team: Team, key: str) -> tuple[Resource, int] | None:
    """Return a resource of a team by its id, with when it was last changed; None when there is none."""
    for source in kind.sources:
        which = source.keyed(key)
        row = None if which is None else source.rows(team).filter(which).first()
        if row is not None:
            return source.made([row])[0], int(row.updated)
    return None


def links(query: Query, base: str, following: str | None, settings: Mapping[str, str]) -> list[Resource]:
    """Return the links of a page: itself, and the one after.

    Args:
        query: what was asked.
        base: address of the server.
        following: where the next page begins, None on the last.
        settings: the parameters that are about the page.
    """

    def address(about_page: Mapping[str, str]) -> str:
        asked = QueryDict(mutable=True)
        for name, value in (*query.chosen, *about_page.items()):
            asked.appendlist(name, value)
        text = asked.urlencode()
        return f"{base}/{query.kind.name}" + (f"?{text}" if text else "")

    found = [{"relation": "self", "url": address(settings)}]
    if following is not None:
        found.append({"relation": "next", "url": address({**settings, CURSOR: following})})
    return found
