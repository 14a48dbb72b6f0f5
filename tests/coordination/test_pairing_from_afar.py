"""A device ordered from the desk: paired by the box, taken up by itself, read, also after a power cut.

The real box (`agent.daemon.run`) over virtual devices, the real inbox, and a broker with the shipped access rules.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent import daemon, radio_orders
from agent.devices_command import read_devices
from agent.key_places import open_vault
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.store_reader import StoreReader
from agent.taken_up import taken_up
from simulators.broker import Broker
from simulators.bumble_bonds import BumbleBonds
from simulators.bumble_radio import Backends
from simulators.patients import Pressure
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from tests.coordination.kit import BOX, PATIENT, Team, rows
from tests.coordination.order_kit import PINS, TeamAndBox
from tests.exchange.office import NURSE
from tests.simulators.kit import Room, adapter_of

pytestmark = [pytest.mark.broker, pytest.mark.process, pytest.mark.radio]

MONITOR = "C4:B0:00:00:00:02"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path / "broker") as started:
        yield started


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    yield made
    await made.close()


@asynccontextmanager
async def running(settings: Settings, room: Room, box: Backends) -> AsyncIterator[None]:
    """The box, which a power cut ends."""
    ready = asyncio.Event()
    bonds = BumbleBonds(adapter_of(box))
    work = daemon.run(settings, clock=room.clock, radio=room.radio(box), bonds=bonds, on_ready=ready.set)
    task = asyncio.create_task(work)
    waits = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([task, waits], return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), task
        yield
    finally:
        task.cancel()
        waits.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; it is looked at in a thread, so that the box goes on."""
    async with asyncio.timeout(90):
        while not await asyncio.to_thread(condition):
            await _a_moment()


async def _a_moment() -> None:
    await asyncio.sleep(0.05)


def order_pair(world: TeamAndBox) -> None:
    """Order the device to be paired for a patient, signed by a nurse."""
    asked = world.folder / "pair.json"
    world.desk_command("request", "pair", "--address", MONITOR, "--box", BOX, "--patient", PATIENT, "--out", str(asked))
    world.desk_command("sign", str(asked), "--key", str(world.folder / f"{NURSE}.key"), typed=PINS[NURSE])
    world.desk_command("send", str(asked))


def pressures(world: TeamAndBox) -> int:
    """How many systolic pressures of the patient the team has."""
    sql = (
        "SELECT count(*) FROM observation JOIN patient ON patient.id = patient_id"
        f" WHERE quantity = 'blood_pressure_systolic' AND pseudonym = '{PATIENT}'"
    )
    return int(str(rows(world.team.database, sql)[0][0]))


async def test_a_device_paired_from_the_desk_is_read_by_itself_also_after_a_power_cut(
    tmp_path: Path, team: Team, broker: Broker, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio_orders, "SETTLE_S", 0.2)
    world = TeamAndBox(tmp_path, team, broker)
    file = world.box / "agent.toml"
    text = re.sub(r"(?s)\n\[\[(devices|relays)\]\].*", "\n", file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    settings = read_settings(file)
    assert settings.watched == ()
    settings.state.mkdir(mode=0o700, exist_ok=True)
    monitor = BloodPressureMonitor(MONITOR, room.where, name="Veilleur BP")
    await room.switch_on(monitor)
    box = await room.box()

    def measure(systolic: int) -> None:
        monitor.take(Pressure(at=room.clock.now_ms(), systolic=systolic, diastolic=80, mean=93, pulse=70))

    with world.running_inbox():
        async with running(settings, room, box):
            await asyncio.to_thread(order_pair, world)
            await until(lambda: world.commands()[0]["state"] in {"applied", "refused"})
            (order,) = world.commands()
            answer = order["answer"]
            assert isinstance(answer, dict)
            assert order["state"] == "applied", answer
            assert answer["result"]["taken_up"] is True
            measure(131)
            await until(lambda: pressures(world) == 1)
        reader = StoreReader.open(settings.database, open_vault(settings))
        (taken,) = taken_up(reader)
        reader.close()
        assert (taken.address, taken.driver, taken.patient) == (MONITOR, "blood_pressure", PATIENT)
        assert file.read_text(encoding="utf-8") == text
        async with running(settings, room, box):
            measure(142)
            await until(lambda: pressures(world) == 2)
    (device,) = read_devices(settings, open_vault(settings), now=room.clock.now_ms())
    assert (device.address, device.patients) == (MONITOR, (PATIENT,))
