"""Frames on their way from the radio's callbacks to the session, in order and never silently dropped.

The radio calls `put` whenever a frame comes and cannot wait. So the queue is bounded, and when it is full it ends:
what waits is still handed out, then the session closes the link, and what was not taken is fetched again.

A link that is given up is not gone at once: what comes until it is has been confirmed to the device, and is kept too.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One frame as it came.

    Attributes:
        characteristic: 16-bit assigned number.
        frame: the bytes.
        received_at: ms UTC.
        rest: the frame that completes it, b"" when none does.
    """

    characteristic: int
    frame: bytes
    received_at: int
    rest: bytes = b""


class FrameQueue:
    """First in, first out; ends when the link is gone or given up, or when it overflows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Arrival] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._overflowed = False

    @property
    def overflowed(self) -> bool:
        """Whether a frame came that found no room."""
        return self._overflowed

    @property
    def ended(self) -> bool:
        """Whether nothing more is waited for."""
        return self._ended

    def put(self, arrival: Arrival) -> None:
        """Take a frame; once one found no room, it is left to the device to send it again."""
        if self._overflowed:
            return
        if len(self._waiting) >= self._limit:
            self._overflowed = True
            self.end()
            return
        self._waiting.append(arrival)
        self._changed.set()

    def end(self) -> None:
        """Say that nothing more is waited for; what came is still handed out."""
        self._ended = True
        self._changed.set()

    async def get(self, within: float | None = None) -> Arrival | None:
        """Return the next frame, or None when none waits and the end has come.

        Raises:
            TimeoutError: none came within so many real seconds.
        """
        async with asyncio.timeout(within):
            while not self._waiting and not self._ended:
                self._changed.clear()
                await self._changed.wait()
        return self._waiting.popleft() if self._waiting else None

    def take(self, most: int) -> list[Arrival]:
        """Return what waits already, at most so many."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def put_back(self, arrivals: Sequence[Arrival]) -> None:
        """Let these be the next, in this order."""
        self._waiting.extendleft(reversed(arrivals))
        self._changed.set()
