"""/evenements: a line to an open page whenever something of its team's alerts has changed.

Each page hears of its own team only, and nothing but how many rows came since it was asked for: what they are, it asks
for when its reader wants to see it. A line ends after a while, so that whoever may no longer read is let go.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse

from coordination.desk.changes import Looking

LONGEST_S = 600.0
"""Seconds after which a browser has to ask again, and is looked at again."""
AGAIN_MS = 2000
"""After how long a browser asks again that lost its line."""

_looking: dict[asyncio.AbstractEventLoop, Looking] = {}


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with a stream of events (text/event-stream): each says how many rows are new, and whether any changed."""
    looking = _looking.setdefault(asyncio.get_running_loop(), Looking())
    team = await sync_to_async(lambda: request.visit.team.pk)()
    stamp, mark = request.GET.get("depuis", ""), request.GET.get("marque", "")
    since = int(stamp) if stamp.isascii() and stamp.isdecimal() and len(stamp) < 18 else 0

    async def lines() -> AsyncIterator[bytes]:
        began = time.monotonic()
        yield f"retry: {AGAIN_MS}\n\n".encode()
        async with aclosing(looking.changes(team)) as changes:
            async for news in changes:
                if news is None:
                    yield b": still here\n\n"
                else:
                    state = {"new": news.since(since), "changed": news.mark != mark}
                    yield b"event: change\ndata: " + msgspec.json.encode(state) + b"\n\n"
                if time.monotonic() - began >= LONGEST_S:
                    return

    return StreamingHttpResponse(lines(), content_type="text/event-stream")
