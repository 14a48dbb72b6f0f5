import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from devices.clock import SystemClock
from devices.errors import RadioError
from devices.radio import Advertisement
from devices.recovering_radio import RecoveringRadio
from devices.recovery import LadderPatience, Step, StepError
from devices.source import DeviceEvent, DeviceEventKind
from devices.turnstile import TurnedAwayError

SENSOR = "C4:B0:00:00:00:01"
QUICK = LadderPatience(
    failures=2,
    failing=0.0,
    silence=60.0,
    step=0.5,
    links=0.5,
    settle=0.001,
    proof=0.02,
    between=0.005,
    again=0.02,
    cap=0.02,
)
DEAD, GONE, WELL = DeviceEventKind.ADAPTER_DEAD, DeviceEventKind.BLUETOOTH_GONE, DeviceEventKind.ADAPTER_RECOVERED


class SimulatedLink:
    """A link over which nothing comes but what the test sends."""

    def __init__(self) -> None:
        self.subscriber: Callable[[bytes], None] = lambda _: None

    def has(self, characteristic: int) -> bool:
        return characteristic == 0x2AA7

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset({"notify"}) if self.has(characteristic) else frozenset()

    async def read(self, characteristic: int) -> bytes:
        return b"\x01"

    async def write(self, characteristic: int, value: bytes) -> None:
        pass

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        self.subscriber = on_value

    async def pair(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


@dataclass
class SimulatedAdapter:
    """An adapter (a radio and what can be done about it) that is broken until the right step is taken.

    Attributes:
        broken: how: "fails" with errors, "deaf", "gone" with the service; None: it works.
        cure: the step that mends it.
        offered: what can be done about it.
        refusals: steps that are refused, and why.
        hangs: a step that never ends.
        log: what was done with it, in order.
        users: how many use it now.
        listened: how often anybody at all was listened for.
        asked: how often it was asked what is possible.
        refuses: whether it refuses to connect.
    """

    broken: str | None = None
    cure: Step | None = None
    offered: tuple[Step, ...] = (Step.POWER_CYCLE, Step.USB_RESET, Step.RESTART_BLUETOOTHD)
    refusals: dict[Step, str] = field(default_factory=dict)
    hangs: Step | None = None
    log: list[str] = field(default_factory=list)
    users: int = 0
    link: SimulatedLink = field(default_factory=SimulatedLink)
    present: bool = True
    listened: int = 0
    asked: int = 0
    refuses: bool = False

    # Radio

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        async with self.listen(address) as heard:
            try:
                async with asyncio.timeout(within):
                    return await anext(heard)
            except TimeoutError:
                return None

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncGenerator[Advertisement]]:
        self.users += 1
        self.listened += address is None
        heard = self._hear()
        try:
            yield heard
        finally:
            await heard.aclose()
            self.users -= 1

    async def _hear(self) -> AsyncGenerator[Advertisement]:
        while True:
            # At once, so that no timeout of a busy machine is taken for a scan that went well.
            self._answer()
            await asyncio.sleep(0.001)
            if self.broken != "deaf" and self.present:
                yield Advertisement(address=SENSOR)

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[SimulatedLink]:
        self._answer()
        if self.refuses:
            raise RadioError("connecting: not in reach", device=address)
        self.users += 1
        try:
            yield self.link
        finally:
            self.users -= 1

    def _answer(self) -> None:
        if self.broken in {"fails", "gone"}:
            raise RadioError("scanning: no answer", service_gone=self.broken == "gone")

    # AdapterControl

    async def steps(self) -> tuple[Step, ...]:
        self.asked += 1
        return self.offered

    async def take(self, step: Step) -> None:
        self.log.append(f"{step}{' among users' if self.users else ''}")
        if step is self.hangs:
            await asyncio.Event().wait()
        if step in self.refusals:
            raise StepError(self.refusals[step])
        if step is self.cure:
            self.broken = None


class Home:
    """A recovering radio that is watched, and what it said."""

    def __init__(self, adapter: SimulatedAdapter, patience: LadderPatience, *, expects: bool) -> None:
        self.adapter = adapter
        self.events: list[DeviceEvent] = []
        self._more = asyncio.Event()
        self.radio = RecoveringRadio(
            adapter,
            adapter,
            adapter="hci0",
            clock=SystemClock(),
            on_event=self._on_event,
            expects=lambda: expects,
            patience=patience,
            rng=random.Random(1),
        )
        self.tasks = [asyncio.create_task(self.radio.watch())]

    def _on_event(self, event: DeviceEvent) -> None:
        self.events.append(event)
        self._more.set()

    def seek(self) -> asyncio.Task[None]:
        """Look for the sensor over and over, as a session does."""

        async def seek() -> None:
            while True:
                with suppress(RadioError):
                    await self.radio.find(SENSOR, within=0.01)
                await asyncio.sleep(0.001)

        task = asyncio.create_task(seek())
        self.tasks.append(task)
        return task

    async def until(self, *kinds: DeviceEventKind) -> None:
        async with asyncio.timeout(10):
            while self.kinds() != list(kinds):
                self._more.clear()
                await self._more.wait()

    def kinds(self) -> list[DeviceEventKind]:
        return [event.kind for event in self.events]

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self.tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes


Watch = Callable[..., Home]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    homes: list[Home] = []

    def make(adapter: SimulatedAdapter, patience: LadderPatience = QUICK, *, expects: bool = False) -> Home:
        homes.append(Home(adapter, patience, expects=expects))
        return homes[-1]

    yield make
    for home in homes:
        await home.close()


async def eventually(true: Callable[[], bool], *, tick: Callable[[], Awaitable[object]] | None = None) -> None:
    """Give the loop turns until something is true."""
    async with asyncio.timeout(10):
        while not true():
            await (tick() if tick is not None else asyncio.sleep(0))


async def test_what_works_is_passed_on(watch: Watch) -> None:
    home = watch(SimulatedAdapter())
    async with home.radio.listen(SENSOR) as heard:
        assert [await anext(heard) for _ in range(3)] == [Advertisement(address=SENSOR)] * 3
    home.adapter.present = False
    assert await home.radio.find(SENSOR, within=0.005) is None
    assert home.adapter.users == 0


async def test_a_power_cycle_cures_what_scanning_anew_did_not(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="fails", cure=Step.POWER_CYCLE)
    home = watch(adapter)
    home.seek()
    await home.until(WELL)
    assert adapter.log == ["power_cycle"]
    (event,) = home.events
    assert event.device == "hci0"
    assert event.detail == "after scanning anew, switching the adapter off and on"
    assert await home.radio.find(SENSOR, within=1.0) == Advertisement(address=SENSOR)


async def test_when_nothing_helps_it_says_once_what_was_tried(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="fails", refusals={Step.USB_RESET: "not permitted to this program"})
    home = watch(adapter)
    home.seek()
    await home.until(DEAD)
    assert home.events[0].detail == (
        "scanning anew, switching the adapter off and on, resetting its USB device (not done: not permitted to this"
        " program), restarting the Bluetooth service"
    )
    climb = ["power_cycle", "usb_reset", "restart_bluetoothd"]
    await eventually(lambda: len(adapter.log) >= 9)
    assert adapter.log[:9] == climb * 3
    assert home.kinds() == [DEAD]
    adapter.broken = None
    await home.until(DEAD, WELL)
    adapter.broken = "fails"
    await home.until(DEAD, WELL, DEAD)


async def test_between_climbs_there_is_a_long_pause_and_no_busy_loop(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="fails")
    home = watch(adapter, replace(QUICK, again=3600.0, cap=3600.0))
    home.seek()
    await home.until(DEAD)
    assert (len(adapter.log), adapter.asked) == (3, 5)
    for _ in range(30):
        await asyncio.sleep(0.001)
    assert (len(adapter.log), adapter.asked) == (3, 5)


async def test_a_step_that_never_ends_is_left_and_the_next_one_taken(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="fails", hangs=Step.POWER_CYCLE, cure=Step.USB_RESET)
    home = watch(adapter, replace(QUICK, step=0.02))
    home.seek()
    await home.until(WELL)
    assert adapter.log == ["power_cycle", "usb_reset"]
    assert "no end within 0.02 s" in home.events[0].detail


async def test_without_the_service_only_the_service_is_restarted(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="gone", cure=Step.RESTART_BLUETOOTHD)
    home = watch(adapter)
    home.seek()
    await home.until(WELL)
    assert adapter.log == ["restart_bluetoothd"]


async def test_a_service_that_stays_away_is_said_and_its_return_too(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="gone", refusals={Step.RESTART_BLUETOOTHD: "not permitted to this program"})
    home = watch(adapter)
    home.seek()
    await home.until(GONE)
    assert home.events[0].detail == "restarting the Bluetooth service (not done: not permitted to this program)"
    adapter.broken = None
    await home.until(GONE, WELL)


async def test_a_machine_where_nothing_can_be_done_says_so(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="gone", offered=())
    home = watch(adapter)
    home.seek()
    await home.until(GONE)
    assert home.events[0].detail == ""


async def test_a_deaf_adapter_is_noticed_where_a_device_is_always_there(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="deaf", cure=Step.USB_RESET)
    home = watch(adapter, replace(QUICK, silence=0.05), expects=True)
    home.seek()
    await home.until(WELL)
    assert adapter.log == ["power_cycle", "usb_reset"]


async def test_a_patient_who_went_out_with_the_only_device_is_no_dead_adapter(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="deaf")
    home = watch(adapter, replace(QUICK, silence=0.005), expects=True)
    await eventually(lambda: len(adapter.log) >= 6, tick=lambda: asyncio.sleep(0.001))
    assert home.events == []


async def test_a_silence_of_a_whole_day_is_told(watch: Watch) -> None:
    home = watch(SimulatedAdapter(broken="deaf"), replace(QUICK, silence=0.005, deaf=0.05), expects=True)
    await home.until(DEAD)
    assert "switching the adapter off and on" in home.events[0].detail


async def test_a_scale_that_nobody_stands_on_is_no_dead_adapter(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="deaf")
    home = watch(adapter, replace(QUICK, silence=0.005))
    looks = 0
    for _ in range(10):
        looks += await home.radio.find(SENSOR, within=0.01) is None
    assert looks == 10
    assert (home.events, adapter.log, adapter.listened) == ([], [], 0)


async def test_an_adapter_that_hears_anybody_at_all_is_not_deaf(watch: Watch) -> None:
    adapter = SimulatedAdapter()
    home = watch(adapter, replace(QUICK, silence=0.005), expects=True)
    await eventually(lambda: adapter.listened > 3, tick=lambda: asyncio.sleep(0.001))
    assert (home.events, adapter.log) == ([], [])


async def test_values_over_a_link_show_that_the_adapter_works(watch: Watch) -> None:
    adapter = SimulatedAdapter(present=False)
    home = watch(adapter, replace(QUICK, silence=0.2, proof=0.001), expects=True)
    values: list[bytes] = []
    async with home.radio.connect(SENSOR, within=1.0) as link:
        await link.pair()
        assert link.has(0x2AA7)
        assert link.properties(0x2AA7) == {"notify"}
        await link.subscribe(0x2AA7, values.append)
        for _ in range(30):
            adapter.link.subscriber(b"v")
            await asyncio.sleep(0.01)
        assert await link.read(0x2AA8) == b"\x01"
        await link.write(0x2A52, b"\x01")
        await link.wait_closed()
    assert values == [b"v"] * 30
    assert (home.events, adapter.listened) == ([], 0)


async def test_no_step_is_taken_while_somebody_uses_the_adapter(watch: Watch) -> None:
    adapter = SimulatedAdapter()
    home = watch(adapter)
    left = asyncio.Event()

    async def stay_connected() -> None:
        async with home.radio.connect(SENSOR, within=1.0):
            await left.wait()

    async def listen() -> None:
        async with home.radio.listen(None) as heard:
            async for _ in heard:
                pass

    connected = asyncio.create_task(stay_connected())
    listening = asyncio.create_task(listen())
    await eventually(lambda: adapter.users == 2, tick=lambda: asyncio.sleep(0.001))
    adapter.broken, adapter.cure = "fails", Step.POWER_CYCLE
    with pytest.raises(RadioError):
        await listening
    home.seek()
    await eventually(lambda: adapter.users == 1 and adapter.log == [], tick=lambda: asyncio.sleep(0.001))
    left.set()
    await connected
    await home.until(WELL)
    assert adapter.log == ["power_cycle"]


async def test_a_link_that_never_ends_is_not_waited_for_for_ever(watch: Watch) -> None:
    adapter = SimulatedAdapter()
    home = watch(adapter, replace(QUICK, links=0.02))
    async with home.radio.connect(SENSOR, within=1.0):
        adapter.broken, adapter.cure = "fails", Step.POWER_CYCLE
        home.seek()
        await home.until(WELL)
    assert adapter.log == ["power_cycle among users"]


async def test_whoever_listens_is_turned_away_for_a_step(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="deaf")
    home = watch(adapter, replace(QUICK, silence=0.01), expects=True)
    with pytest.raises(TurnedAwayError):
        async with home.radio.listen(None) as heard:
            await anext(heard)


async def test_failures_of_a_device_are_not_the_adapter_s(watch: Watch) -> None:
    adapter = SimulatedAdapter()
    home = watch(adapter)

    adapter.refuses = True
    for _ in range(10):
        with pytest.raises(RadioError):
            async with home.radio.connect(SENSOR, within=1.0):
                pass
    await asyncio.sleep(0.01)
    assert (home.events, adapter.log) == ([], [])


async def test_an_error_of_whoever_uses_a_link_is_not_the_adapter_s(watch: Watch) -> None:
    home = watch(SimulatedAdapter())
    for _ in range(5):
        with pytest.raises(RadioError, match="mine"):
            async with home.radio.connect(SENSOR, within=1.0):
                raise RadioError("mine")
    await asyncio.sleep(0.01)
    assert home.adapter.log == []


async def test_a_control_that_hangs_or_fails_leaves_scanning_anew(watch: Watch) -> None:
    adapter = SimulatedAdapter(broken="fails")

    async def no_steps() -> tuple[Step, ...]:
        raise RadioError("no D-Bus")

    adapter.steps = no_steps  # type: ignore[method-assign]
    home = watch(adapter)
    home.seek()
    await home.until(DEAD)
    assert home.events[0].detail == "scanning anew"
