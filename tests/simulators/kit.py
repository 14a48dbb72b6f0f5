"""A room in one process: virtual air, a clock, devices that are switched on, and a box's radio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice

from devices.backoff import Patience
from devices.bleak_radio import BleakRadio
from devices.driver import Resume
from devices.drivers import driver_named
from devices.reading import Reading
from devices.session import Session
from devices.source import DeviceEvent, DeviceEventKind, Source
from simulators.adapter import Adapter
from simulators.bumble_radio import Backends, start_host
from simulators.clock import AcceleratedClock
from simulators.link import Air, BoxController
from simulators.peripherals.peripheral import Circumstances, Peripheral, Taken

START = 1_772_352_000_000  # 2026-03-01T08:00:00Z
BOX_ADDRESS = "F0:F1:F2:F3:F4:F5"
WITHIN = 10.0
"""Real seconds after which a test gives up waiting."""


class Recorder:
    """Keeps what devices took and what happened, and lets a test wait for it."""

    def __init__(self) -> None:
        self.readings: list[Taken] = []
        self.events: list[tuple[str, str, str]] = []
        self._changed = asyncio.Condition()
        self._notifiers: set[asyncio.Task[None]] = set()

    def taken(self, readings: Sequence[Taken]) -> None:
        self.readings += readings
        self._notify()

    def happened(self, event: str, device: str, detail: str = "") -> None:
        self.events.append((event, device, detail))
        self._notify()

    def count(self, event: str) -> int:
        return sum(kind == event for kind, _, _ in self.events)

    def _notify(self) -> None:
        task = asyncio.ensure_future(self._wake())
        self._notifiers.add(task)
        task.add_done_callback(self._notifiers.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN), self._changed:
            await self._changed.wait_for(true)


class Frames:
    """Collects frames that bleak delivers, and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.all: list[bytes] = []
        self._more = asyncio.Event()

    def __call__(self, _characteristic: object, frame: bytearray) -> None:
        self.all.append(bytes(frame))
        self._more.set()

    async def until(self, number: int) -> list[bytes]:
        async with asyncio.timeout(WITHIN):
            while len(self.all) < number:
                self._more.clear()
                await self._more.wait()
        return self.all


class Room:
    """Where a test's devices and boxes are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.air = Air()
        self.clock = AcceleratedClock.starting_now(start_ms=START, speed=1)
        self.zone = ZoneInfo("Europe/Paris")
        self.witness = Recorder()
        self.where = Circumstances(
            air=self.air,
            clock=self.clock,
            zone=self.zone,
            witness=self.witness,
            advertising_seconds=0.02,
            awake_seconds=30.0,
        )
        self.controllers: list[BoxController] = []
        self._running: dict[Peripheral, asyncio.Task[None]] = {}
        self._radios: dict[Backends, BleakRadio] = {}

    async def switch_on(self, device: Peripheral) -> None:
        await device.start()
        self._running[device] = asyncio.create_task(device.run())

    async def switch_off(self, device: Peripheral) -> None:
        task = self._running.pop(device)
        task.cancel()
        await asyncio.wait({task})

    async def box(self, keystore: str = "bonds.json", address: str = BOX_ADDRESS) -> Backends:
        controller = BoxController("box", self.air)
        self.controllers.append(controller)
        box = await start_host(controller, controller, address=address, keystore=self.folder / keystore)
        controller.on_unplugged = partial(lose_controller, box)
        return box

    def radio(self, box: Backends) -> BleakRadio:
        """Return the one radio that all sessions of a box share."""
        made = BleakRadio(client_backend=box.client, scanner_backend=box.scanner)
        return self._radios.setdefault(box, made)

    async def close(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


async def find(box: Backends, address: str) -> BLEDevice:
    found = await BleakScanner.find_device_by_address(address, timeout=WITHIN, backend=box.scanner)
    assert found is not None
    return found


async def connected(box: Backends, address: str, *, pair: bool = False) -> BleakClient:
    client = BleakClient(await find(box, address), timeout=WITHIN, pair=pair, backend=box.client)
    await client.connect()
    return client


def adapter_of(box: Backends) -> Adapter:
    return box.adapter


def lose_controller(box: Backends) -> None:
    """Let a box's controller go, as when the other end of its socket closes."""
    adapter_of(box).device.host.on_transport_lost()  # type: ignore[no-untyped-call]


async def turns_of_the_loop(number: int = 50) -> None:
    """Let everything that is ready run, so many times over."""
    for _ in range(number):
        await asyncio.sleep(0)


class Diary:
    """A box's memory of one device: keeps each record once, and knows where its history goes on."""

    def __init__(self) -> None:
        self.readings: dict[tuple[str, str, str], Reading] = {}
        self.repeats = 0
        self.events: list[DeviceEvent] = []
        self._changed = asyncio.Condition()

    def resume(self) -> Resume:
        keys = [key.split(":") for _, key, _ in self.readings]
        numbered = [(int(start), int(offset)) for start, offset in keys if offset.isdigit() and len(offset) < 7]
        start, offset = max(numbered, default=(None, None))
        return Resume(session_start=start, sequence=offset)

    async def follow(self, session: Source) -> None:
        async for batch in session.batches():
            async with self._changed:
                for reading in batch.readings:
                    known = (reading.device, reading.key, reading.quantity.value)
                    self.repeats += known in self.readings
                    self.readings.setdefault(known, reading)
                self.events += batch.events
                self._changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN), self._changed:
            await self._changed.wait_for(true)

    def count(self, kind: DeviceEventKind) -> int:
        return sum(event.kind is kind for event in self.events)

    def known(self) -> list[tuple[str, str, int, int]]:
        """Return each reading as a device's ledger has it."""
        return sorted((r.device, r.quantity.value, r.count, r.measured_at) for r in self.readings.values())


def ledger(readings: Sequence[Taken]) -> list[tuple[str, str, int, int]]:
    return sorted((r.device, r.quantity.value, r.count, r.measured_at) for r in readings)


def session_of(room: Room, box: Backends, device: Peripheral, diary: Diary) -> Session:
    """Return the box's own session with a device, impatient."""
    return Session(
        radio=room.radio(box),
        driver=driver_named(device.kind),
        device=device.address,
        zone=room.zone,
        clock=room.clock,
        resume=diary.resume,
        patience=Patience(
            find=WITHIN, connect=5.0, quiet=0.05, record=0.3, abort=0.3, unheard=0.01, after_visit=0.01, first=0.02
        ),
    )


@asynccontextmanager
async def following(room: Room, box: Backends, device: Peripheral, diary: Diary) -> AsyncIterator[None]:
    """Let a box follow a device."""
    task = asyncio.create_task(diary.follow(session_of(room, box, device, diary)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            await task
