"""What the tests of devices share: the arrival of a frame, the frames files, and a device in memory."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.backoff import Patience
from devices.driver import FrameContext, Resume
from devices.drivers import driver_named
from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.errors import RadioError
from devices.radio import Advertisement
from devices.reading import Quantity, Reading
from devices.record_access import Opcode, RecordRequest, RecordResponse, ResponseCode
from devices.session import Session
from devices.source import Batch, DeviceEvent, DeviceEventKind
from devices.wall_clock import CurrentTime
from tests.devices.kit import known_frames, ms


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "known" in metafunc.fixturenames:
        frames = known_frames()
        metafunc.parametrize("known", frames, ids=[f"{frame.driver}: {frame.name}" for frame in frames])


@pytest.fixture
def context() -> FrameContext:
    """A frame that arrives on 2026-11-22 at 08:00:00Z, in Paris; a CGM session of two days."""
    return FrameContext(
        device="C4:B0:00:00:00:01",
        received_at=ms("2026-11-22T08:00:00Z"),
        zone=ZoneInfo("Europe/Paris"),
        session_start=ms("2026-11-20T06:00:00Z"),
    )


class Store:
    """What a box keeps of the batches of one device: each record once, and what a session resumes from."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.readings: dict[tuple[str, str], Reading] = {}
        self.events: list[DeviceEvent] = []
        self.sizes: list[int] = []
        self.sessions: list[int] = []

    def keep(self, batch: Batch) -> None:
        for reading in batch.readings:
            self.readings.setdefault((reading.key, reading.quantity), reading)
        self.events += batch.events
        if batch.readings:
            self.sizes.append(len(batch.readings))
            self.log.append("persisted")

    @property
    def offsets(self) -> list[int]:
        """Time offsets of the newest CGM session, in the order in which they were persisted."""
        newest = max((key.partition(":")[0] for key, _ in self.readings), default="")
        return [int(key.partition(":")[2]) for key, _ in self.readings if key.startswith(f"{newest}:")]

    def kinds(self) -> list[DeviceEventKind]:
        return [event.kind for event in self.events]

    def resume(self) -> Resume:
        if not all(reading.quantity is Quantity.GLUCOSE_INTERSTITIAL for reading in self.readings.values()):
            return Resume()
        if not self.readings:
            return Resume()
        session = max(int(key.partition(":")[0]) for key, _ in self.readings)
        return Resume(session_start=session, sequence=max(self.offsets))


class ScriptedDevice:
    """A radio with one device in memory, whose link and answers go as the test says.

    `log` tells what was asked of it, in order: "connect", "read 2AA8", "subscribe 2AA7", "write 2A52 0101", ...
    """

    device = "C4:B0:00:00:00:01"

    def __init__(self, values: dict[int, bytes], properties: dict[int, set[str]], log: list[str]) -> None:
        self.values = values
        self.offered = properties
        self.log = log
        self.on_write: dict[int, Callable[[bytes], None]] = {}
        self.on_subscribed: Callable[[], None] = lambda: None
        self.absent = 0
        self.name: str | None = None
        self.find_error: RadioError | None = None
        self.connect_errors: list[RadioError] = []
        self.read_errors: dict[int, list[RadioError]] = {}
        self.subscribers: dict[int, Callable[[bytes], None]] = {}
        self._closed = asyncio.Event()
        self.open = False

    # Radio

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        await asyncio.sleep(0)
        if self.find_error is not None:
            error, self.find_error = self.find_error, None
            raise error
        if self.absent:
            self.absent -= 1
            return None
        return Advertisement(address=address, name=self.name)

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator["ScriptedDevice"]:
        self.log.append("connect")
        if self.connect_errors:
            raise self.connect_errors.pop(0)
        self._closed = asyncio.Event()
        self.open = True
        try:
            yield self
        finally:
            self.cut()
            self.log.append("closed")

    def cut(self) -> None:
        """End the link, as either side may."""
        self.open = False
        self.subscribers.clear()
        self._closed.set()

    # Connection

    def has(self, characteristic: int) -> bool:
        return characteristic in self.offered

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset(self.offered.get(characteristic, ()))

    async def read(self, characteristic: int) -> bytes:
        self._demand_link(f"read {characteristic:04X}")
        if self.read_errors.get(characteristic):
            raise self.read_errors[characteristic].pop(0)
        if characteristic not in self.values:
            raise RadioError("never written", device=self.device)
        return self.values[characteristic]

    async def write(self, characteristic: int, value: bytes) -> None:
        self._demand_link(f"write {characteristic:04X} {value.hex()}")
        if characteristic in self.on_write:
            self.on_write[characteristic](value)
        else:
            self.values[characteristic] = value

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        self._demand_link(f"subscribe {characteristic:04X}")
        self.subscribers[characteristic] = on_value
        self.on_subscribed()

    async def pair(self) -> None:
        self._demand_link("pair")

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def _demand_link(self, doing: str) -> None:
        if not self.open:
            raise RadioError("the link is closed", device=self.device)
        self.log.append(doing)

    def send(self, characteristic: int, frame: bytes) -> None:
        """Notify or indicate, when somebody listens."""
        if characteristic in self.subscribers:
            self.subscribers[characteristic](frame)


class ScriptedSensor(ScriptedDevice):
    """A CGM with a memory of records by time offset.

    Attributes:
        memory: what is stored, by time offset.
        answers: what becomes of the next requests, one each; then they are served. Given the frames that would be
            sent, it returns what is sent: frames, CUT, SILENT, or a response.
    """

    CUT = "cut"
    SILENT = "silent"

    def __init__(self, log: list[str], *, start: int, zone: ZoneInfo) -> None:
        feature = bytes(CgmFeature(features=Features.E2E_CRC))
        readable = {"read"}
        super().__init__(
            {
                0x2AA8: feature,
                0x2AAA: bytes(SessionStart.of(start, zone, crc=True)),
                0x2AAB: bytes(SessionRunTime(hours=360, crc=True)),
            },
            {
                0x2AA7: {"notify"},
                0x2AA8: readable,
                0x2AAA: {"read", "write"},
                0x2AAB: readable,
                0x2A52: {"write", "indicate"},
            },
            log,
        )
        self.memory: dict[int, bytes] = {}
        self.answers: list[Callable[[list[bytes]], list[Any]]] = []
        self.requests: list[RecordRequest] = []
        self.on_write[0x2A52] = self._on_request

    def measure(self, offset: int, glucose: int = 120, *, live: bool = False) -> bytes:
        """Take a value, store it, and notify it when it is live."""
        frame = bytes(CgmMeasurement(glucose=Decimal(glucose), time_offset=offset, crc=True))
        self.memory[offset] = frame
        if live:
            self.send(0x2AA7, frame)
        return frame

    def respond(self, code: int, opcode: int = Opcode.REPORT_STORED_RECORDS) -> None:
        self.send(0x2A52, bytes(RecordResponse(request=opcode, code=code)))

    def _on_request(self, written: bytes) -> None:
        request = RecordRequest.from_bytes(written)
        self.requests.append(request)
        if request.opcode == Opcode.ABORT_OPERATION:
            asyncio.get_running_loop().call_soon(self.respond, ResponseCode.SUCCESS, request.opcode)
            return
        first = request.operands[0] if request.operands else 0
        frames = [self.memory[offset] for offset in sorted(self.memory) if offset >= first]
        script: list[Any] = [*frames, ResponseCode.SUCCESS if frames else ResponseCode.NO_RECORDS_FOUND]
        if self.answers:
            script = self.answers.pop(0)(frames)
        self._play(script)

    def _play(self, script: list[Any]) -> None:
        """Send one thing after another, each in its own turn of the loop, while the link is open."""
        if not script or not self.open:
            return
        step, *rest = script
        if step == self.CUT:
            self.cut()
        elif isinstance(step, bytes):
            self.send(0x2AA7, step)
        elif callable(step):
            step()
        elif step != self.SILENT:
            self.respond(step)
        asyncio.get_running_loop().call_soon(self._play, rest)


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self, now: int) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return max(0.0, (at_ms - self.now) / 1000)


@dataclass
class Bench:
    """A session over a scripted device, with a box that keeps what comes."""

    clock: SetClock
    zone: ZoneInfo
    log: list[str]
    store: Store
    patience: Patience

    def session(self, radio: ScriptedDevice, driver: str, **changes: Any) -> Session:
        return Session(
            **{
                "radio": radio,
                "driver": driver_named(driver),
                "device": radio.device,
                "zone": self.zone,
                "clock": self.clock,
                "resume": self.store.resume,
                "patience": self.patience,
                "rng": random.Random(1),
                **changes,
            }
        )

    async def follow(self, session: Session, until: Callable[[], bool]) -> None:
        """Keep what comes until the test has seen enough."""
        async with asyncio.timeout(10), aclosing(session.batches()) as batches:
            async for batch in batches:
                self.store.keep(batch)
                if until():
                    return


@pytest.fixture
def bench() -> Bench:
    log: list[str] = []
    patience = Patience(
        find=0.5,
        connect=0.5,
        begin=0.1,
        quiet=0.02,
        record=0.1,
        abort=0.05,
        history_retry=60.0,
        unheard=0.001,
        after_visit=0.001,
        first=0.001,
        cap=0.002,
        cap_brief=0.002,
        refused=0.001,
    )
    clock = SetClock(ms("2026-11-22T08:00:00Z"))
    return Bench(clock=clock, zone=ZoneInfo("Europe/Paris"), log=log, store=Store(log), patience=patience)


@pytest.fixture
def sensor(bench: Bench) -> ScriptedSensor:
    """A CGM whose session started two days before the bench's time, with nothing in its memory."""
    return ScriptedSensor(bench.log, start=ms("2026-11-20T08:00:00Z"), zone=bench.zone)


@pytest.fixture
def monitor(bench: Bench) -> ScriptedDevice:
    """A blood-pressure monitor with a Current Time that can be set and read."""
    now = bytes(CurrentTime.of(bench.clock.now, bench.zone))
    return ScriptedDevice({0x2A2B: now}, {0x2A35: {"indicate"}, 0x2A2B: {"read", "write"}}, bench.log)
