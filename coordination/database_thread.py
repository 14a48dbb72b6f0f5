"""The one thread that touches the team's database, as awaitable calls."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from coordination.database import Database

T = TypeVar("T")


class DatabaseThread:
    """A Database opened, used and closed in a thread of its own; calls run in the order made."""

    def __init__(self, make: Callable[[], Database]) -> None:
        """`make` opens the database; it may raise what `Database` calls raise."""
        self._make = make
        self._executor = ThreadPoolExecutor(1, "database")
        self._database: Database | None = None

    async def __aenter__(self) -> Self:
        """Open the database.

        Raises:
            DatabaseBusyError: not now.
            DatabaseUnusableError: not without a person.
        """
        try:
            self._database = await self._run(self._make)
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish what was begun, and close."""
        if self._database is not None:
            await self._run(self._database.close)
        self._executor.shutdown(wait=True)

    async def call(self, work: Callable[[Database], T]) -> T:
        """Let the thread do one piece of work on the database, and return what it returns or raises.

        A caller that is cancelled does not stop the work: it finishes, and nobody learns of it.
        """
        database = self._database
        if database is None:
            raise RuntimeError("the database is not open")
        return await self._run(lambda: work(database))

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, function))
