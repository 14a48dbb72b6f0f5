"""What an open page hears of: that something of its team's alerts has changed, and how much of it is new.

One thread a process looks, whatever the number of pages. On SQLite it asks four times a second whether anybody has
committed (`data_version`, which reads no table); on PostgreSQL it is told (LISTEN; coordination/problems.py notifies).
Only then are the problems of the teams looked at whose pages are open. Should the database go away, every page is let
go, and says that its list may be out of date until it is connected again.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection, connections
from django.db.models import Count, Max, Sum
from psycopg import sql
from psycopg.conninfo import make_conninfo

from coordination.desk.models import Problem
from coordination.handling import NEW
from coordination.problems import CHANNEL

LOOK_S = 0.25
"""Seconds between two looks at SQLite."""
TOLD_S = 0.5
"""Seconds after which a wait for PostgreSQL's word ends, to see whether anybody still reads."""
ANYWAY_S = 15.0
"""Seconds after which the problems are looked at though nothing was heard."""
BEAT_S = 15.0
"""Seconds after which a page is told that it is still connected."""
MOST_ARRIVALS = 100
logger = logging.getLogger(__name__)
LOST = (DatabaseError, sqlite3.Error, psycopg.Error)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """How a team's worklist is.

    Attributes:
        mark: another one whenever any row is.
        stamp: the latest change.
        arrivals: the stamps under which the newest rows came to ask for somebody, latest first.
    """

    mark: str
    stamp: int = 0
    arrivals: tuple[int, ...] = ()

    def since(self, stamp: int) -> int:
        """Return how many rows came to ask for somebody after a stamp."""
        return sum(one > stamp for one in self.arrivals)


class Signal(Protocol):
    """Hears of commits, from one thread."""

    def wait(self) -> bool:
        """Wait a little; return whether anything was committed meanwhile."""
        ...

    def close(self) -> None:
        """Hear no more."""
        ...


class _OfSqlite:
    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._version = self._read()

    def _read(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def wait(self) -> bool:
        time.sleep(LOOK_S)
        before, self._version = self._version, self._read()
        return before != self._version

    def close(self) -> None:
        self._connection.close()


class _OfPostgresql:
    def __init__(self, name: str) -> None:
        place = make_conninfo(str(settings.DESK.database), dbname=name)
        self._connection = psycopg.connect(place, autocommit=True)
        self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))

    def wait(self) -> bool:
        return any(True for _ in self._connection.notifies(timeout=TOLD_S, stop_after=1))

    def close(self) -> None:
        self._connection.close()


def listen() -> Signal:
    """Return what hears of commits to the desk's database.

    Raises:
        sqlite3.Error, psycopg.Error: it cannot be reached.
    """
    name = str(connection.settings_dict["NAME"])
    return _OfSqlite(name) if connection.vendor == "sqlite" else _OfPostgresql(name)


def news_of(teams: Iterable[int]) -> dict[int, News]:
    """Return how the worklist of each team is."""
    wanted = sorted(teams)
    rows = (
        Problem.objects.filter(team_id__in=wanted)
        .values("team_id")
        .annotate(number=Count("pk"), said=Sum("stamp"), last=Max("stamp"))
        .order_by()
    )
    found = dict.fromkeys(wanted, News(mark="0"))
    for row in rows:
        arrived = Problem.objects.filter(team_id=row["team_id"], state=NEW).order_by("-arrived")
        found[row["team_id"]] = News(
            mark=f"{row['number']}-{row['said']}",
            stamp=row["last"],
            arrivals=tuple(arrived.values_list("arrived", flat=True)[:MOST_ARRIVALS]),
        )
    return found


class Looking:
    """The worklists of the teams whose pages are open, looked at together."""

    def __init__(self) -> None:
        self._news: dict[int, News] = {}
        self._readers: dict[int, int] = {}
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def changes(self, team: int) -> AsyncGenerator[News | None, None]:
        """Yield the team's news now and whenever they are others, and None as a sign of life.

        It ends when the database goes away.
        """
        self._readers[team] = self._readers.get(team, 0) + 1
        if self._task is None or self._task.done():
            self._news, self._over = {}, asyncio.Event()
            self._task = asyncio.create_task(self._look(self._over), name="changes")
        over, seen = self._over, ""
        try:
            while True:
                news: News | None = None
                try:
                    async with asyncio.timeout(BEAT_S), self._changed:
                        while (news := self._news.get(team)) is None or news.mark == seen:
                            if over.is_set():
                                return
                            await self._changed.wait()
                except TimeoutError:
                    yield None
                    continue
                seen = news.mark
                yield news
        finally:
            self._readers[team] -= 1

    def _teams(self) -> list[int]:
        return [team for team, readers in self._readers.items() if readers]

    async def _look(self, over: asyncio.Event) -> None:
        """Look until nobody reads any more; all that blocks is done in one thread of its own."""
        thread, loop = ThreadPoolExecutor(1, "changes"), asyncio.get_running_loop()

        async def there(work: Callable[[], T]) -> T:
            return await loop.run_in_executor(thread, work)

        signal: Signal | None = None
        try:
            signal = await there(listen)
            looked_at, known = -ANYWAY_S, frozenset[int]()
            heard = True
            while teams := self._teams():
                now = time.monotonic()
                if heard or known != set(teams) or now - looked_at >= ANYWAY_S:
                    looked_at, known = now, frozenset(teams)
                    found = await there(lambda wanted=teams: news_of(wanted))  # type: ignore[misc]
                    async with self._changed:
                        self._news = found
                        self._changed.notify_all()
                heard = await there(signal.wait)
        except LOST:
            # Whoever reads is let go, and asks again: the page says meanwhile that it may be out of date.
            logger.warning("pages hear of no change: the database does not answer")
        finally:
            over.set()
            if signal is not None:
                await there(signal.close)
            await there(connections.close_all)
            thread.shutdown(wait=False)
            async with self._changed:
                self._changed.notify_all()
