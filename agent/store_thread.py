"""The one thread that touches the database, as awaitable calls.

A call that was made is carried out, whatever becomes of whoever waits for it.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from agent.database import is_damage, unusable
from agent.errors import NotReadyError, StoreError
from agent.logs import EVENT, REASON
from agent.store import Store
from alerting.alert import Sentence

logger = logging.getLogger(__name__)

DISK_PAUSE_S = 2.0

P = ParamSpec("P")
T = TypeVar("T")


class StoreThread:
    """A Store in its own thread; calls run one after the other, in the order made.

    Attributes:
        refused: SQLite refused something since this was last set to False.
    """

    def __init__(self) -> None:
        self.refused = False
        self._executor = ThreadPoolExecutor(1, "store")
        self._store: Store | None = None

    async def open(self, make: Callable[[], Store]) -> None:
        """Open the store in its thread.

        Raises:
            StoreError: it cannot be used.
            VaultError: its keys do not open.
        """
        try:
            self._store = await asyncio.get_running_loop().run_in_executor(self._executor, make)
        except MemoryError as error:
            raise no_memory() from error

    async def call(self, method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one method of the store in its thread, and return what it returns or raises.

        Raises:
            DamagedError: the file turned out to be damaged.
            StoreError: there is no memory left.
        """
        store = self._store
        if store is None:
            raise NotReadyError("the store is not open")
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.run_in_executor(self._executor, lambda: method(store, *args, **kwargs)))
        except sqlite3.DatabaseError as error:
            self.refused = True
            if is_damage(error):
                raise unusable(store.path, error) from error
            raise
        except MemoryError as error:
            raise no_memory() from error

    async def persist(self, method: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one method of the store until the disk takes it: full, locked and failing disks are waited out.

        Raises:
            BufferFullError: the method may be refused, and was.
        """
        told = ""
        while True:
            try:
                done = await self.call(method, *args, **kwargs)
            except sqlite3.Error as error:
                if str(error) != told:
                    told = str(error)
                    logger.error("the disk refuses, trying again", extra={EVENT: "disk", REASON: told})  # noqa: TRY400
                await asyncio.sleep(DISK_PAUSE_S)
            else:
                if told:
                    logger.info("the disk takes again", extra={EVENT: "disk"})
                return done

    async def close(self) -> None:
        """Finish what was begun and close the database."""
        try:
            if self._store is not None:
                await self.call(Store.close)
        finally:
            self._store = None
            self._executor.shutdown(wait=True)


def no_memory() -> StoreError:
    """Return what it means that memory could not be had: nothing is half kept, and a start clears what filled it."""
    return StoreError(
        Sentence(fr="La mémoire du boîtier est pleine.", en="The memory of the box is full."),
        Sentence(
            fr="Rien de gardé n'est perdu, le boîtier redémarre ; si cela revient, arrêter ce qui tourne à côté.",
            en="Nothing kept is lost, the box starts again; if it comes back, stop what else runs there.",
        ),
    )
