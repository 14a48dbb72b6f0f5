"""/evenements: a line to an open page whenever something of its team's alerts has changed.

One task a process looks, whatever the number of pages; each page hears of its own team only, and nothing but a mark
that changes: what changed, the page asks for when its reader wants to see it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models import Count, Max, Sum
from django.http import HttpRequest, StreamingHttpResponse

from coordination.desk.models import Alert

LOOK_S = 0.5
BEAT_S = 15.0
"""Seconds after which a line is sent though nothing changed, so that a page knows that it is still connected."""


class Looking:
    """The marks of the teams whose pages are open, looked up together."""

    def __init__(self) -> None:
        self._marks: dict[int, str] = {}
        self._readers: dict[int, int] = {}
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def changes(self, team: int) -> AsyncGenerator[str, None]:
        """Yield the team's mark now and whenever it is another one, and "" as a sign of life."""
        self._readers[team] = self._readers.get(team, 0) + 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="changes")
        seen = ""
        try:
            while True:
                try:
                    async with asyncio.timeout(BEAT_S), self._changed:
                        while self._marks.get(team, seen) == seen:
                            await self._changed.wait()
                except TimeoutError:
                    yield ""
                    continue
                seen = self._marks[team]
                yield seen
        finally:
            self._readers[team] -= 1

    async def _look(self) -> None:
        while teams := sorted(team for team, readers in self._readers.items() if readers):
            found = await sync_to_async(marks)(teams)
            async with self._changed:
                self._marks = found
                self._changed.notify_all()
            await asyncio.sleep(LOOK_S)


_looking: dict[asyncio.AbstractEventLoop, Looking] = {}


def marks(teams: list[int]) -> dict[int, str]:
    """Return what changes with any alert of each team."""
    rows = (
        Alert.objects.filter(team_id__in=teams)
        .values("team_id")
        .annotate(number=Count("pk"), said=Sum("version"), handled=Sum("handled"), last=Max("raised_at"))
    )
    found = dict.fromkeys(teams, "0")
    found |= {row["team_id"]: f"{row['number']}-{row['said']}-{row['handled']}-{row['last']}" for row in rows}
    connection.close_if_unusable_or_obsolete()
    return found


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with a stream of events (text/event-stream)."""
    looking = _looking.setdefault(asyncio.get_running_loop(), Looking())
    team = await sync_to_async(lambda: request.visit.team.pk)()

    async def lines() -> AsyncIterator[bytes]:
        async for mark in looking.changes(team):
            yield f"event: change\ndata: {mark}\n\n".encode() if mark else b": still here\n\n"

    return StreamingHttpResponse(lines(), content_type="text/event-stream")
