"""A reading of nobody's once a day, and when asked for; it is kept as readings are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.canary import DAY_MS, Canary
from agent.store import Store
from agent.store_thread import StoreThread
from exchange.box_records import CanaryRecord
from exchange.sealing import LANE_SPARSE
from tests.agent.kit import BOX, START, Desk, open_store


class Clock:
    """By hand; whoever waits looks again at once."""

    def __init__(self) -> None:
        self.now = START
        self.waits = 0

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        self.waits += 1
        return 0.0


@asynccontextmanager
async def singing(path: Path, desk: Desk, clock: Clock) -> AsyncIterator[tuple[Canary, StoreThread, list[int]]]:
    store, kicks = StoreThread(), [0]
    await store.open(lambda: open_store(path))

    def kicked() -> None:
        kicks[0] += 1

    canary = Canary(store=store, sealer=desk.sealer, clock=clock, on_kept=kicked)
    try:
        yield canary, store, kicks
    finally:
        await store.close()


async def canaries(store: StoreThread, desk: Desk) -> list[CanaryRecord]:
    return [record for record in await store.call(desk.waiting) if isinstance(record, CanaryRecord)]


async def test_one_a_day_also_over_a_restart_and_a_clock_that_was_ahead(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Canary, "_interval_ms", lambda _self: DAY_MS)
    path, clock = tmp_path / "box.db", Clock()
    for moved, expected in ((0, 1), (DAY_MS - 1, 1), (1, 2), (20 * DAY_MS, 3), (-20 * DAY_MS, 4)):
        clock.now += moved
        async with singing(path, desk, clock) as (canary, store, _):
            waits, work = clock.waits, asyncio.create_task(canary.run())
            async with asyncio.timeout(20):
                while clock.waits < waits + 2:
                    await store.call(Store.canary_at)
            work.cancel()
            assert len(await canaries(store, desk)) == expected


async def test_one_that_is_asked_for_is_made_at_once_and_does_not_stand_for_the_days(
    tmp_path: Path, desk: Desk
) -> None:
    async with singing(tmp_path / "box.db", desk, Clock()) as (canary, store, kicks):
        made = await canary.sing("command-7")
        assert await canaries(store, desk) == [made]
        assert (made.asked, made.at, kicks) == ("command-7", START, [1])
        assert await store.call(Store.canary_at) is None
        (entry,) = await store.call(Store.waiting, limit=9)
        assert entry.lane == LANE_SPARSE
        assert desk.opener.open(entry.body, box=BOX).header.lane == LANE_SPARSE
