"""The adapter's control over a real D-Bus of its own, where BlueZ's adapter and systemd are played by this test."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dbus_fast import BusType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusObjectPath, DBusStr
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from devices.bluez_adapter import BluezAdapter
from devices.recovery import Step, StepError
from tests.bluez.kit import private_bus

NOT_ALLOWED = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"


class Adapter(ServiceInterface):
    def __init__(self, machine: "Played") -> None:
        super().__init__("org.bluez.Adapter1")
        self.machine = machine

    @dbus_property(name="Powered")
    def powered(self) -> DBusBool:
        return self.machine.powered

    @powered.setter
    def set_powered(self, on: DBusBool) -> None:
        self.machine.asked.append("on" if on else "off")
        if self.machine.refusal is not None:
            raise DBusError(self.machine.refusal, "refused")
        self.machine.powered = on and not self.machine.stuck


class Systemd(ServiceInterface):
    def __init__(self, machine: "Played") -> None:
        super().__init__("org.freedesktop.systemd1.Manager")
        self.machine = machine

    @dbus_method(name="RestartUnit")
    def restart_unit(self, unit: DBusStr, mode: DBusStr) -> DBusObjectPath:
        self.machine.asked.append(f"restart {unit} {mode}")
        if self.machine.refusal is not None:
            raise DBusError(self.machine.refusal, "Interactive authentication required.")
        self.machine.later(self.machine.on_restart)
        return "/org/freedesktop/systemd1/job/1"


@dataclass
class Played:
    """What a machine runs."""

    asked: list[str] = field(default_factory=list)
    powered: bool = True
    stuck: bool = False
    refusal: str | None = None
    on_restart: Callable[[], object] = lambda: None
    buses: dict[str, MessageBus] = field(default_factory=dict)
    tasks: list[asyncio.Task[object]] = field(default_factory=list)

    async def run(self, name: str, path: str, interface: ServiceInterface) -> None:
        bus = self.buses[name] = MessageBus(bus_type=BusType.SYSTEM)
        await bus.connect()
        bus.export(path, interface)
        await bus.request_name(name)

    async def bluez(self, adapter: str = "hci0") -> None:
        await self.run("org.bluez", f"/org/bluez/{adapter}", Adapter(self))

    async def systemd(self) -> None:
        await self.run("org.freedesktop.systemd1", "/org/freedesktop/systemd1", Systemd(self))

    async def end(self, name: str) -> None:
        bus = self.buses.pop(name)
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def restart(self) -> None:
        await self.end("org.bluez")
        self.powered = False
        await self.bluez()

    def later(self, do: Callable[[], object]) -> None:
        async def run() -> object:
            outcome = do()
            return await outcome if asyncio.iscoroutine(outcome) else outcome

        self.tasks.append(asyncio.create_task(run()))


@pytest.fixture
async def played(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Played]:
    with tempfile.TemporaryDirectory(prefix="veilleur-") as folder:
        async with private_bus(Path(folder)) as machine:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", machine.environment["DBUS_SYSTEM_BUS_ADDRESS"])
            made = Played()
            yield made
            await asyncio.gather(*made.tasks)
            for name in list(made.buses):
                await made.end(name)


@pytest.fixture
def control() -> BluezAdapter:
    return BluezAdapter("hci0", off=0.0, within=10.0, pause=0.01)


async def test_an_adapter_is_switched_off_and_on(played: Played, control: BluezAdapter) -> None:
    await played.bluez()
    assert await control.steps() == (Step.POWER_CYCLE,)
    await control.take(Step.POWER_CYCLE)
    assert played.asked == ["off", "on"]
    assert played.powered


async def test_an_adapter_that_stays_off_is_said(played: Played, control: BluezAdapter) -> None:
    await played.bluez()
    played.stuck = True
    with pytest.raises(StepError, match="switched off"):
        await control.take(Step.POWER_CYCLE)


async def test_an_adapter_that_refuses_is_switched_on_all_the_same(played: Played, control: BluezAdapter) -> None:
    await played.bluez()
    played.refusal = "org.bluez.Error.Busy"
    with pytest.raises(StepError, match="refused"):
        await control.take(Step.POWER_CYCLE)
    assert played.asked == ["off", "on"]


async def test_an_adapter_that_is_not_there_has_no_steps(played: Played, control: BluezAdapter) -> None:
    await played.bluez("hci7")
    assert await control.steps() == ()
    with pytest.raises(StepError):
        await control.take(Step.POWER_CYCLE)


async def test_the_service_is_restarted_and_its_adapter_switched_on(played: Played, control: BluezAdapter) -> None:
    await played.bluez()
    await played.systemd()
    played.on_restart = played.restart
    assert await control.steps() == (Step.POWER_CYCLE, Step.RESTART_BLUETOOTHD)
    await control.take(Step.RESTART_BLUETOOTHD)
    assert played.asked[0] == "restart bluetooth.service replace"
    assert played.powered


async def test_a_service_that_is_gone_can_be_restarted(played: Played, control: BluezAdapter) -> None:
    await played.systemd()
    played.on_restart = played.bluez
    assert await control.steps() == (Step.RESTART_BLUETOOTHD,)
    await control.take(Step.RESTART_BLUETOOTHD)
    assert played.powered


async def test_a_service_that_does_not_come_up_again_is_said(played: Played) -> None:
    await played.bluez()
    await played.systemd()
    control = BluezAdapter("hci0", within=0.1, pause=0.01)
    with pytest.raises(StepError, match="did not bring"):
        await control.take(Step.RESTART_BLUETOOTHD)


async def test_a_restart_that_is_not_permitted_is_an_answer(played: Played, control: BluezAdapter) -> None:
    await played.systemd()
    played.refusal = NOT_ALLOWED
    with pytest.raises(StepError, match=r"^not permitted to this program$"):
        await control.take(Step.RESTART_BLUETOOTHD)


async def test_steps_of_others_are_refused(played: Played, control: BluezAdapter) -> None:
    with pytest.raises(StepError):
        await control.take(Step.USB_RESET)
    assert played.asked == []


async def test_without_d_bus_nothing_is_possible_and_nothing_raises(
    control: BluezAdapter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    assert await control.steps() == ()
    with pytest.raises(StepError):
        await control.take(Step.POWER_CYCLE)
