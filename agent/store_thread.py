"""The one thread that touches the database, as awaitable calls."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from agent.errors import NotReadyError
from agent.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """A Store in its own thread; calls run one after the other, in the order made."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "store")
        self._store: Store | None = None

    async def open(self, make: Callable[[], Store]) -> None:
        """Open the store in its thread.

        Raises:
            StoreError: it cannot be used.
            VaultError: its keys do not open.
        """
        self._store = await asyncio.get_running_loop().run_in_executor(self._executor, make)

    async def call(self, method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one method of the store in its thread, and return what it returns or raises."""
        store = self._store
        if store is None:
            raise NotReadyError("the store is not open")
        # A cancelled caller must not leave the thread in the middle: the call itself always finishes.
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: method(store, *args, **kwargs))

    async def close(self) -> None:
        """Finish what was begun and close the database."""
        if self._store is not None:
            await self.call(Store.close)
            self._store = None
        self._executor.shutdown(wait=True)
