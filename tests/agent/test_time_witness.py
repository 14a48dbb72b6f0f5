"""Who vouches for the time where the kernel may not be asked: a played systemd-timedated on a real D-Bus."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from dbus_fast import BusType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_property

from agent.box_clock import BoxClock
from agent.settings import ClockSettings
from agent.store import Store
from agent.time_keeper import TimeKeeper
from agent.time_witness import SELDOM_S, TimeWitness
from tests.agent.kit import BOX, MINUTE, START, Desk
from tests.agent.test_box_clock import HOUR, Machine
from tests.agent.test_pipeline import running
from tests.agent.test_time_put_right import FakeLink
from tests.bluez.kit import private_bus

NAME = "org.freedesktop.timedate1"


class Timedated(ServiceInterface):
    """As systemd's, with the one property that is asked for."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.synchronised = False
        self.asked = 0

    @dbus_property(access=PropertyAccess.READ, name="NTPSynchronized")
    def ntp_synchronized(self) -> DBusBool:
        self.asked += 1
        return self.synchronised


@asynccontextmanager
async def timedated(address: str) -> AsyncIterator[Timedated]:
    """Play it on the bus at an address."""
    service = Timedated()
    bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM)
    await bus.connect()
    bus.export("/org/freedesktop/timedate1", service)
    await bus.request_name(NAME)
    service.asked = 0  # when it is exported each property is looked at
    try:
        yield service
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


@pytest.fixture
async def bus(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="veilleur-") as folder:
        async with private_bus(Path(folder)) as machine:
            address = machine.environment["DBUS_SYSTEM_BUS_ADDRESS"]
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            yield address


async def test_it_is_asked_where_the_kernel_may_not_be(bus: str) -> None:
    witness = TimeWitness(may_ask_kernel=lambda: False)
    assert await witness.vouches() is None, "nobody there who can say"
    async with timedated(bus) as service:
        assert await witness.vouches() is False
        service.synchronised = True
        assert await witness.vouches() is True


async def test_it_is_not_asked_where_the_kernel_may_be(bus: str) -> None:
    async with timedated(bus) as service:
        assert await TimeWitness(may_ask_kernel=lambda: True).vouches() is None
        assert service.asked == 0


async def test_without_a_bus_nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    assert await TimeWitness(may_ask_kernel=lambda: False).vouches() is None


async def test_once_it_said_yes_it_is_asked_seldom_and_an_old_answer_vouches_for_no_leap(bus: str) -> None:
    now = 0.0
    witness = TimeWitness(may_ask_kernel=lambda: False, now=lambda: now)
    async with timedated(bus) as service:
        service.synchronised = True
        assert await witness.vouches() is True
        now = SELDOM_S - 1
        assert await witness.vouches() is False
        assert service.asked == 1
        now = SELDOM_S
        assert await witness.vouches() is True
        assert service.asked == 2


async def test_a_box_whose_kernel_may_not_be_asked_learns_the_time_all_the_same(
    tmp_path: Path, desk: Desk, bus: str
) -> None:
    machine = Machine(wall=START - 5 * HOUR)
    clock = BoxClock(machine, build_ms=0)
    async with running(tmp_path / "box.db", desk) as box, timedated(bus) as service:
        keeper = TimeKeeper(
            clock=clock,
            store=box.store,
            sealer=desk.sealer,
            link=cast("Any", FakeLink()),
            box=BOX,
            settings=ClockSettings(),
            witness=TimeWitness(may_ask_kernel=lambda: False).vouches,
        )
        await keeper.begin()
        machine.wall = START + MINUTE
        await keeper.look()
        assert not clock.trusted, "what nobody vouches for is not followed"
        assert not await box.store.call(Store.clock_trusted, machine.boot())
        service.synchronised = True
        await keeper.look()
        assert (clock.trusted, clock.now_ms()) == (True, START + MINUTE)
        assert await box.store.call(Store.clock_trusted, machine.boot()), "and so do those who look at the fleet"
