"""Who may use an adapter: many at once, or one alone while everybody else is kept out.

Whoever scans is turned away when somebody wants to be alone; whoever has a link is waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from devices.errors import RadioError

_T = TypeVar("_T")


class TurnedAwayError(RadioError):
    """The adapter is being looked after; it says nothing about the adapter itself."""


class _Crowd:
    """How many are inside, and when the last one leaves."""

    def __init__(self) -> None:
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def enter(self) -> None:
        self._inside += 1
        self._empty.clear()

    def leave(self) -> None:
        self._inside -= 1
        if self._inside == 0:
            self._empty.set()

    async def gone(self, within: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._empty.wait()


class Turnstile:
    """Lets users of an adapter in."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._closing = asyncio.Event()
        self._scanning = _Crowd()
        self._linked = _Crowd()

    @asynccontextmanager
    async def scanning(self) -> AsyncIterator[None]:
        """Be somebody who scans, once that is allowed."""
        async with self._inside(self._scanning):
            yield

    @asynccontextmanager
    async def linked(self) -> AsyncIterator[None]:
        """Be somebody who opens or has a link, once that is allowed."""
        async with self._inside(self._linked):
            yield

    @asynccontextmanager
    async def _inside(self, crowd: _Crowd) -> AsyncIterator[None]:
        while not self._open.is_set():
            await self._open.wait()
        crowd.enter()
        try:
            yield
        finally:
            crowd.leave()

    @asynccontextmanager
    async def closed(self, *, within: float, wait_for_links: bool) -> AsyncIterator[None]:
        """Be alone: nobody gets in, and who is inside is waited for, but no longer than `within` seconds each."""
        self._open.clear()
        self._closing.set()
        try:
            await self._scanning.gone(within)
            if wait_for_links:
                await self._linked.gone(within)
            yield
        finally:
            self._closing.clear()
            self._open.set()

    async def unless_closing(self, doing: Coroutine[Any, Any, _T]) -> _T:
        """Return what comes of `doing`, which ends when somebody wants to be alone.

        Raises:
            TurnedAwayError: somebody does.
        """
        running = asyncio.ensure_future(doing)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({running, closing}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            raise TurnedAwayError("the adapter is being looked after")
        finally:
            running.cancel()
            closing.cancel()
            await asyncio.gather(running, closing, return_exceptions=True)
