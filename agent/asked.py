"""A piece of work that is done in its turn by whoever owns what it touches, and that somebody waits for."""

import asyncio
from collections.abc import Awaitable, Callable


class Asked:
    """Work for another task; made inside the event loop."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._went_well: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Do it; raises what it raises."""
        await self._work()

    def settle(self, *, went_well: bool) -> None:
        """Let whoever waits know."""
        # Who waited may have gone.
        if not self._went_well.done():
            self._went_well.set_result(went_well)

    async def done(self) -> bool:
        """Return, once it was done, whether it went well."""
        return await self._went_well
