"""Whether a loop that does one piece of work after the other moves: for whoever must know that it does not hang."""

import asyncio


class Turns:
    """The turns of one loop, told by the loop itself."""

    def __init__(self) -> None:
        self._at_rest = False
        self._turned = asyncio.Event()

    def rest(self, *, at_rest: bool) -> None:
        """Say that a piece of work is done or has failed, and whether another one waits."""
        self._at_rest = at_rest
        self._turned.set()
        self._turned = asyncio.Event()

    def work(self) -> None:
        """Say that a piece of work begins."""
        self._at_rest = False

    async def moves(self) -> None:
        """Return at once when the loop is at rest, else when the piece of work in hand is done or has failed."""
        if not self._at_rest:
            await self._turned.wait()
