"""The tasks that read devices and relays, one each; and taking up a device that was paired while the box runs.

Not here: what a source is (sources), and what becomes of what it gives (pipeline).
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

from agent.commanded_judging import CommandedJudging
from agent.logs import DEVICE, EVENT, REASON
from agent.pipeline import Pipeline
from agent.settings import Settings, Watched
from agent.sources import Sources, always_there
from agent.store_thread import StoreThread
from agent.taken_up import TakenUp, device_of, take_up
from devices.clock import Clock
from devices.slots import SlottedRadio
from devices.source import Source

logger = logging.getLogger(__name__)


class Readers:
    """Everything that gives the box readings, each in a task of its own."""

    def __init__(
        self,
        *,
        settings: Settings,
        named: Sequence[str],
        sources: Sources,
        links: SlottedRadio,
        pipeline: Pipeline,
        judging: CommandedJudging,
        store: StoreThread,
        clock: Clock,
    ) -> None:
        """Make a source of each device and relay; `named` are the addresses that the settings file itself names.

        Raises:
            SecretError, RelayAddressError: a relay cannot be asked.
        """
        self._named = frozenset(named)
        self._patients = {patient.pseudonym: patient for patient in settings.patients}
        self._sources = sources
        self._links = links
        self._pipeline = pipeline
        self._judging = judging
        self._store = store
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._begun = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._first: list[tuple[Watched, Source]] = [
            *((device, sources.of_device(device)) for device in settings.devices),
            *((relay, sources.of_relay(relay)) for relay in settings.relays),
        ]

    def begin(self, group: asyncio.TaskGroup) -> int:
        """Read all of them for as long as the group lasts; return how many there are."""
        self._group = group
        for watched, source in self._first:
            self._read(group, watched, source)
        self._begun.set()
        return len(self._first)

    async def take_up(self, new: TakenUp) -> bool:
        """Read a device that was given to somebody from now on, also after a stop; whether it is read as they asked.

        One that the settings name is read as they say, and nothing is read for somebody who is not watched here.
        """
        await self._begun.wait()
        group = self._group
        if group is None or new.address in self._named or new.patient not in self._patients:
            return False
        taken = await self._store.persist(take_up, new, now_ms=self._clock.now_ms())
        device = device_of(taken, new.address, self._patients)
        if device is None:
            return False
        # Whoever reads it now goes on until all that may fail is done.
        source = self._sources.of_device(device)
        await self._pipeline.take_up(device)
        await self._judging.take_up(device)
        self._links.expect(always_there([device]))
        before = self._tasks.get(new.address)
        if before is not None:
            before.cancel()
            await asyncio.wait([before])
        self._read(group, device, source)
        logger.info("a device that was paired is read", extra={EVENT: "taken_up", DEVICE: _tail(device.address)})
        return True

    def _read(self, group: asyncio.TaskGroup, watched: Watched, source: Source) -> None:
        name = f"device {watched.address}"
        self._tasks[watched.address] = group.create_task(_pump(watched, source, self._pipeline), name=name)


async def _pump(device: Watched, source: Source, pipeline: Pipeline) -> None:
    async with aclosing(source.batches()) as batches:
        async for batch in batches:
            for event in batch.events:
                keys = {EVENT: event.kind, DEVICE: _tail(event.device), REASON: event.detail or None}
                logger.info("device: %s", event.kind, extra=keys)
            await pipeline.ingest(device, batch)


def _tail(address: str) -> str:
    """Return the end of an address: enough for an installer, too little to follow a person."""
    return address[-5:]
