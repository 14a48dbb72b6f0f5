"""The box's own radio and session through bleak's BlueZ backend, with no radio: scan, read, lose, find again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.backoff import Patience
from devices.bleak_connection import Limits
from devices.bleak_radio import BleakRadio
from devices.clock import SystemClock
from devices.driver import Resume
from devices.drivers import driver_named
from devices.errors import RadioError
from devices.radio import Advertisement
from devices.reading import Quantity
from devices.session import Session
from devices.source import Batch, DeviceEventKind
from tests.bluez.kit import DEVICE, WITHIN, Device, Machine

pytestmark = pytest.mark.process

MONITOR: dict[str, dict[str, dict[str, Any]]] = {
    "1810": {
        "2A35": {"flags": ["indicate"]},
        "2A49": {"flags": ["read"], "value": "0000"},
    },
    "1805": {"2A2B": {"flags": ["read", "write"], "value": "ea070101080000010000"}},
    "180F": {"2A19": {"flags": ["read"], "value": "57"}},
    "180A": {"2A29": {"flags": ["read"], "value": b"Made here".hex()}},
}
FIRST = bytes.fromhex("1e780050005d00ea070b160800004600010000")
"""Made here: 120/80, mean 93 mmHg on 2026-11-22 at 08:00:00, pulse 70, user 1."""
SECOND = bytes.fromhex("1e820055006000ea070b160805004600010000")
"""Made here: 130/85, mean 96 mmHg, five minutes later."""


class Kept:
    """What the box keeps of one device."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._more = asyncio.Condition()

    async def follow(self, session: Session) -> None:
        async for batch in session.batches():
            async with self._more:
                self.batches.append(batch)
                self._more.notify_all()

    async def until_systolic(self, *values: int) -> None:
        async with asyncio.timeout(WITHIN), self._more:
            await self._more.wait_for(lambda: self.systolic() == list(values))

    async def until_event(self, kind: DeviceEventKind) -> None:
        async with asyncio.timeout(WITHIN), self._more:
            await self._more.wait_for(lambda: kind in self.kinds())

    def systolic(self) -> list[int]:
        readings = [reading for batch in self.batches for reading in batch.readings]
        return [int(r.value) for r in readings if r.quantity is Quantity.BLOOD_PRESSURE_SYSTOLIC]

    def kinds(self) -> list[DeviceEventKind]:
        return [event.kind for batch in self.batches for event in batch.events]


def radio() -> BleakRadio:
    return BleakRadio(adapter="hci0", limits=Limits(procedure=5.0, pairing=5.0, closing=5.0))


@asynccontextmanager
async def following(kept: Kept, through: BleakRadio) -> AsyncIterator[None]:
    session = Session(
        radio=through,
        driver=driver_named("blood_pressure"),
        device=DEVICE,
        zone=ZoneInfo("Europe/Paris"),
        clock=SystemClock(),
        resume=Resume,
        patience=Patience(find=2.0, connect=5.0, begin=0.05, quiet=0.05, unheard=0.05, after_visit=0.05, first=0.1),
    )
    task = asyncio.create_task(kept.follow(session))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def monitor(machine: Machine) -> Device:
    return await machine.device(MONITOR, name="Monitor")


async def test_a_monitor_is_found_read_left_and_read_again(machine: Machine) -> None:
    await machine.bluez()
    device, kept = await monitor(machine), Kept()
    async with following(kept, radio()):
        await device.until("subscribed", "2A35")
        await device.push("2A35", FIRST)
        await kept.until_systolic(120)
        await device.until("confirmed", "2A35")
        await device.until("written", "2A2B")
        await device.until("read", "2A29")
        await device.hang_up()
        await kept.until_event(DeviceEventKind.DISCONNECTED)
        await device.until("subscribed", "2A35", times=2)
        await device.push("2A35", SECOND)
        await kept.until_systolic(120, 130)
    said = [batch.facts for batch in kept.batches if batch.facts is not None]
    assert 0x57 in [facts.battery for facts in said]
    assert "Made here" in [facts.manufacturer for facts in said]


async def test_an_adapter_that_is_switched_off_is_told_at_once_and_read_again_when_it_is_back(machine: Machine) -> None:
    await machine.bluez()
    through = radio()
    search = asyncio.create_task(through.find("C4:B0:00:00:00:99", within=WITHIN))
    await machine.until("Discovering", True)
    await machine.power("hci0", on=False)
    with pytest.raises(RadioError, match="switched off") as failed:
        await search
    assert (failed.value.device, failed.value.service_gone) == (None, False)
    with pytest.raises(RadioError, match="Ready") as failed:
        await through.find(DEVICE, within=WITHIN)
    assert (failed.value.device, failed.value.service_gone) == (None, False)
    await machine.power("hci0", on=True)
    await monitor(machine)
    assert await through.find(DEVICE, within=WITHIN) is not None


async def test_an_adapter_that_is_pulled_is_told_at_once(machine: Machine) -> None:
    await machine.bluez()
    search = asyncio.create_task(radio().find("C4:B0:00:00:00:99", within=WITHIN))
    await machine.until("Discovering", True)
    await machine.call("/org/bluezoo", "org.bluezoo.Manager1", "RemoveAdapter", "y", 0)
    with pytest.raises(RadioError) as failed:
        await search
    assert (failed.value.device, failed.value.service_gone) == (None, False)


async def test_a_bluetooth_service_that_dies_is_told_at_once_and_found_when_it_is_back(machine: Machine) -> None:
    bluez = await machine.bluez()
    through = radio()
    search = asyncio.create_task(through.find("C4:B0:00:00:00:99", within=WITHIN))
    await machine.until("Discovering", True)
    await bluez.kill()
    with pytest.raises(RadioError) as failed:
        await search
    assert (failed.value.device, failed.value.service_gone) == (None, True)
    with pytest.raises(RadioError) as failed:
        await through.find(DEVICE, within=WITHIN)
    assert failed.value.service_gone
    await machine.bluez()
    await monitor(machine)
    assert await through.find(DEVICE, within=WITHIN) is not None


async def test_a_machine_without_bluetooth_service_is_told(machine: Machine) -> None:
    with pytest.raises(RadioError, match="no Bluetooth service") as failed:
        await radio().find(DEVICE, within=WITHIN)
    assert failed.value.service_gone


async def test_a_link_that_a_killed_box_left_open_is_found_and_read(machine: Machine) -> None:
    await machine.bluez()
    device, kept = await monitor(machine), Kept()
    await machine.connect_and_die(DEVICE)
    assert await radio().find(DEVICE, within=WITHIN) == Advertisement(address=DEVICE), "without being heard"
    async with following(kept, radio()):
        await device.until("subscribed", "2A35")
        await device.push("2A35", FIRST)
        await kept.until_systolic(120)


async def test_passive_scanning_is_tried_once_and_given_up_where_bluez_has_none(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="devices")
    await machine.bluez()
    await monitor(machine)
    through = radio()
    for _ in range(2):
        async with through.listen(DEVICE) as heard:
            async with asyncio.timeout(WITHIN):
                for _ in range(4):
                    assert (await anext(heard)).services == {0x1810}
    assert caplog.text.count("passive scanning does not work here") == 1
