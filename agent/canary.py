"""The canary: a reading of nobody's that goes the whole way of readings once a day.

It is kept, sealed and numbered in the lane of sparse readings, and waits for its receipt as they do. When it no longer
arrives at the team, something in between is broken that no sign of life shows. It is also made when somebody at the
team asks for it (`sing`).

Times are the box's. Not here: that its absence is told (the team's inbox).
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import Final

from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from exchange.box_records import CanaryRecord
from exchange.sealing import Sealer

DAY_MS: Final = 86_400_000
LEAST_SHARE: Final = 0.9
"""The next one comes after nine tenths of a day to a whole one: boxes must not sing together."""
ASKED_FOR_TIME: Final = "time"
"""Stands for the command that asks, where the box does to learn what time it is."""
LONGEST_NAP_S: Final = 600.0
_COUNTS: Final = 2**32


class Canary:
    """Makes the canaries of one box."""

    def __init__(self, *, store: StoreThread, sealer: Sealer, clock: Clock, on_kept: Callable[[], None]) -> None:
        """`on_kept` is called when one waits in the outbox."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._on_kept = on_kept

    async def sing(self, asked: str = "") -> CanaryRecord:
        """Make one, and return it once it is kept.

        Args:
            asked: the id of the command that asks for it, or `ASKED_FOR_TIME`; "" when the day does.
        """
        record = CanaryRecord(at=self._clock.now_ms(), count=secrets.randbelow(_COUNTS), asked=asked)
        await self._store.persist(Store.keep_canary, record, self._sealer, now_ms=record.at)
        self._on_kept()
        return record

    async def run(self) -> None:
        """Make one a day, for ever."""
        while True:
            now = self._clock.now_ms()
            last = await self._store.call(Store.canary_at)
            # A clock that was ahead must not put the next one off.
            if last is None or not 0 <= now - last < self._interval_ms():
                await self.sing()
                continue
            await asyncio.sleep(min(LONGEST_NAP_S, max(0.05, self._clock.seconds_until(last + DAY_MS))))

    def _interval_ms(self) -> float:
        return DAY_MS * random.uniform(LEAST_SHARE, 1.0)  # noqa: S311 - jitter, not a secret
