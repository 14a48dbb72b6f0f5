"""Taking up a device while the box runs: who is told of it, one task an address, and what is not taken up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.readers import Readers
from agent.settings import Device, Settings, Watched
from agent.store_thread import StoreThread
from agent.taken_up import TakenUp, taken_up
from devices.source import Batch
from tests.agent.command_kit import CGM, ManualClock, settings_of
from tests.agent.kit import PATIENT, START, open_store
from tests.agent.test_taken_up import MONITOR, OTHER, given
from tests.exchange.office import Office


class Parts:
    """Everything that readers talk to: remembers what it was told."""

    def __init__(self) -> None:
        self.met: list[tuple[str, str]] = []
        self.lasting: list[str] = []
        self.reading: list[str] = []
        self.given: list[tuple[str, str]] = []
        self.more = asyncio.Event()
        self.broken = False

    async def take_up(self, device: Watched) -> bool:
        if self.broken:
            raise OSError("the disk is busy")
        self.met.append((device.address, self.owner(device)))
        return True

    def expect(self, lasting: list[str]) -> None:
        self.lasting += lasting

    async def ingest(self, device: Watched, _batch: Batch) -> None:
        self.given.append((device.address, self.owner(device)))
        self.more.set()

    def of_device(self, device: Device) -> Any:
        parts = self

        class Source:
            async def batches(self) -> AsyncIterator[Batch]:
                parts.reading.append(device.address)
                try:
                    yield Batch()
                    await asyncio.Event().wait()
                finally:
                    parts.reading.remove(device.address)

        return Source()

    @staticmethod
    def owner(device: Watched) -> str:
        return device.people[-1].patient.pseudonym

    async def until_given(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.given) < count:
                self.more.clear()
                await self.more.wait()


@pytest.fixture
def box_settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, Office())
    return replace(settings, patients=(*settings.patients, replace(settings.patients[0], pseudonym=OTHER)))


async def test_a_device_is_read_for_whom_it_was_given_to_last_by_one_task(
    tmp_path: Path, box_settings: Settings
) -> None:
    parts, store, clock = Parts(), StoreThread(), ManualClock()
    await store.open(lambda: open_store(tmp_path / "veilleur.db"))
    whole: Any = parts
    readers = Readers(
        settings=box_settings,
        named=[CGM],
        sources=whole,
        links=whole,
        pipeline=whole,
        judging=whole,
        store=store,
        clock=clock,
    )
    early = asyncio.create_task(readers.take_up(given()))
    async with asyncio.TaskGroup() as group:
        # What is ordered before the first readers are there waits for them.
        assert readers.begin(group) == 1
        assert await early
        await parts.until_given(2)
        assert sorted(parts.reading) == [CGM, MONITOR]
        assert await readers.take_up(given(OTHER, at=START + 1))
        await parts.until_given(3)
        assert parts.given[-1] == (MONITOR, OTHER)
        assert sorted(parts.reading) == [CGM, MONITOR]
        assert parts.met == [(MONITOR, PATIENT)] * 2 + [(MONITOR, OTHER)] * 2
        parts.broken = True
        with pytest.raises(OSError, match="busy"):
            await readers.take_up(given(PATIENT, at=START + 2))
        parts.broken = False
        assert sorted(parts.reading) == [CGM, MONITOR], "whoever read it goes on"
        assert await readers.take_up(given(OTHER, at=START + 3))
        await parts.until_given(4)
        assert not await readers.take_up(given(OTHER, address=CGM)), "the settings name it"
        assert not await readers.take_up(given("patient-gone")), "nobody of that name is watched here"
        sensor = TakenUp(address="C4:B0:00:00:00:07", driver="cgm", patient=PATIENT, given_on=START)
        assert await readers.take_up(sensor)
        assert parts.lasting == [sensor.address]
        to_others = [given(OTHER, at=START + 1), given(PATIENT, at=START + 2), given(OTHER, at=START + 3)]
        assert await store.call(taken_up) == (given(), *to_others, sensor), "what failed is taken up at the next start"
        for task in readers._tasks.values():
            task.cancel()
    await store.close()
