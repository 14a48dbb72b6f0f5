"""What every virtual device can do to a box: ask for a passkey, show a wrong time, go away, change its battery."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakDBusError, BleakError
from bumble.gatt import Service

from devices.wall_clock import CurrentTime, DateTime
from simulators.faults import (
    Ailment,
    ChangeBattery,
    Cure,
    CutLink,
    Fault,
    KeepClock,
    LoseBond,
    OutOfReach,
    RememberPeer,
    RequirePasskey,
    SetBattery,
    SetClock,
    SkewClock,
    UnsetClock,
)
from simulators.patients import Weighing
from simulators.peripherals.peripheral import Peripheral
from simulators.peripherals.weight_scale import WeightScale
from tests.simulators.kit import START, WITHIN, Frames, Room, adapter_of, connected, find, turns_of_the_loop

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:03"
CURRENT_TIME, DATE_TIME, BATTERY, WEIGHT = "2a2b", "2a08", "2a19", "2a9d"


async def scale(room: Room, *, records: int = 0) -> WeightScale:
    device = WeightScale(ADDRESS, room.where, name="scale", hangs_up=False)
    for number in range(records):
        device.take(Weighing(at=START + number * 60_000, count=80_000 + number * 100))
    await room.switch_on(device)
    return device


async def shown(client: BleakClient) -> DateTime:
    return CurrentTime.from_bytes(bytes(await client.read_gatt_char(CURRENT_TIME))).date_time


class Fingers:
    """Somebody who types in what they believe the device shows."""

    def __init__(self, *answers: int | None) -> None:
        self._answers = iter(answers)
        self.asked: list[str] = []

    async def __call__(self, address: str) -> int | None:
        self.asked.append(address)
        return next(self._answers)


async def test_a_device_with_a_passkey_bonds_with_who_types_it_in(room: Room) -> None:
    device = await scale(room)
    await device.suffer(RequirePasskey(device=ADDRESS, passkey=42))
    box = await room.box()
    fingers = adapter_of(box).ask_passkey = Fingers(42)
    client = await connected(box, ADDRESS, pair=True)
    assert fingers.asked == [ADDRESS]
    assert ("passkey", ADDRESS, "000042") in room.witness.events
    assert (await shown(client)).year == 2026
    await client.disconnect()
    again = await connected(box, ADDRESS)
    await again.read_gatt_char(CURRENT_TIME)
    await again.disconnect()
    assert fingers.asked == [ADDRESS]


@pytest.mark.parametrize("answer", [43, 0, None, 999_999])
async def test_a_wrong_passkey_fails_in_bluez_words_and_may_be_tried_again(room: Room, answer: int | None) -> None:
    device = await scale(room)
    await device.suffer(RequirePasskey(device=ADDRESS, passkey=123_456))
    box = await room.box()
    adapter_of(box).ask_passkey = Fingers(answer, 123_456)
    client = await connected(box, ADDRESS)
    with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
        await client.pair()
    assert not (room.folder / "bonds.json").exists()
    await client.pair()
    await client.read_gatt_char(CURRENT_TIME)
    await client.disconnect()


async def test_where_nobody_can_type_a_device_with_a_passkey_is_not_paired(room: Room) -> None:
    device = await scale(room)
    await device.suffer(RequirePasskey(device=ADDRESS, passkey=123_456))
    client = await connected(await room.box(), ADDRESS)
    with pytest.raises(BleakDBusError, match="AuthenticationFailed"):
        await client.read_gatt_char(CURRENT_TIME)
    await client.disconnect()


async def test_where_somebody_can_type_other_devices_are_paired_as_before(room: Room) -> None:
    await scale(room)
    box = await room.box()
    fingers = adapter_of(box).ask_passkey = Fingers()
    client = await connected(box, ADDRESS, pair=True)
    await client.read_gatt_char(CURRENT_TIME)
    await client.disconnect()
    assert fingers.asked == []


async def test_the_battery_runs_down_and_is_changed(room: Room) -> None:
    device = await scale(room, records=2)
    box = await room.box()
    client = await connected(box, ADDRESS, pair=True)
    await device.suffer(SetBattery(device=ADDRESS, percent=4))
    assert await client.read_gatt_char(BATTERY) == b"\x04"
    await device.suffer(ChangeBattery(device=ADDRESS))
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    client = await connected(box, ADDRESS)
    assert await client.read_gatt_char(BATTERY) == b"\x64"
    assert (await shown(client)).year == 1970
    assert device.unsent == 2
    await client.disconnect()


async def test_a_battery_change_may_cost_the_bond_the_records_and_the_time(room: Room) -> None:
    device = await scale(room, records=2)
    box = await room.box()
    client = await connected(box, ADDRESS, pair=True)
    change = ChangeBattery(device=ADDRESS, keeps_bond=False, keeps_records=False, clock=None)
    await device.suffer(change)
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    with pytest.raises(BleakDBusError, match="le-connection-key-missing"):
        await connected(box, ADDRESS)
    assert device.unsent == 0
    client = await connected(await room.box("others.json", "F0:F1:F2:F3:F4:F6"), ADDRESS, pair=True)
    assert (await shown(client)).year == 0
    await client.disconnect()


@pytest.mark.parametrize(
    ("fault", "year"),
    [
        (SetClock(device=ADDRESS, shows=datetime(1970, 1, 1)), 1970),  # noqa: DTZ001 a wall clock has no zone
        (SetClock(device=ADDRESS, shows=datetime(2094, 7, 1, 12)), 2094),  # noqa: DTZ001 a wall clock has no zone
        (UnsetClock(device=ADDRESS), 0),
    ],
)
async def test_a_clock_may_show_anything_until_it_is_set(room: Room, fault: Fault, year: int) -> None:
    device = await scale(room)
    await device.suffer(fault)
    client = await connected(await room.box(), ADDRESS)
    assert (await shown(client)).year == year
    device.take(Weighing(at=room.clock.now_ms(), count=80_000))
    assert (room.witness.readings[-1].measured_at == 0) == (year == 0)
    await client.write_gatt_char(CURRENT_TIME, bytes(CurrentTime.of(room.clock.now_ms(), room.zone)), response=True)
    assert (await shown(client)).year == 2026
    await client.disconnect()


async def test_a_stubborn_clock_says_that_it_was_set_and_keeps_its_time(room: Room) -> None:
    device = await scale(room)
    await device.suffer(SkewClock(device=ADDRESS, seconds=3 * 3600))
    await device.suffer(KeepClock(device=ADDRESS))
    client = await connected(await room.box(), ADDRESS)
    before = await shown(client)
    await client.write_gatt_char(CURRENT_TIME, bytes(CurrentTime.of(room.clock.now_ms(), room.zone)), response=True)
    assert (await shown(client)).hours == before.hours
    assert device.clock_offset_ms == 3 * 3_600_000
    await client.disconnect()


async def test_a_device_may_have_date_time_instead_of_current_time(room: Room) -> None:
    device = WeightScale(ADDRESS, replace(room.where, date_time=True), name="scale")
    await room.switch_on(device)
    await device.suffer(SetClock(device=ADDRESS, shows=datetime(2019, 1, 1)))  # noqa: DTZ001 a wall clock has no zone
    client = await connected(await room.box(), ADDRESS)
    assert client.services.get_characteristic(CURRENT_TIME) is None
    assert DateTime.from_bytes(bytes(await client.read_gatt_char(DATE_TIME))).year == 2019
    await client.write_gatt_char(DATE_TIME, bytes(DateTime.of(room.clock.now_ms(), room.zone)), response=True)
    assert abs(device.clock_offset_ms) < 5_000
    with pytest.raises(BleakError):
        await client.write_gatt_char(DATE_TIME, b"\x00", response=True)
    await client.disconnect()


async def test_a_device_that_is_carried_away_is_gone_and_comes_back(room: Room) -> None:
    device = await scale(room)
    box = await room.box()
    client = await connected(box, ADDRESS)
    await device.suffer(OutOfReach(device=ADDRESS, seconds=0.5))
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert not client.is_connected
    assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.1, backend=box.scanner) is None
    await (await connected(box, ADDRESS)).disconnect()


async def test_a_device_may_talk_to_nobody_but_the_box_it_knows(room: Room) -> None:
    device = await scale(room)
    await device.suffer(RememberPeer(device=ADDRESS))
    first, second = await room.box(), await room.box("others.json", "F0:F1:F2:F3:F4:F6")
    await (await connected(first, ADDRESS, pair=True)).disconnect()
    with pytest.raises(BleakError):
        await connected(second, ADDRESS)
    await (await connected(first, ADDRESS)).disconnect()
    await device.suffer(LoseBond(device=ADDRESS))
    await (await connected(second, ADDRESS, pair=True)).disconnect()


@pytest.mark.parametrize(
    ("fault", "heard", "kept"),
    [
        (CutLink(device=ADDRESS, after_frames=0), 0, 3),
        (CutLink(device=ADDRESS, after_frames=1), 1, 3),
        (CutLink(device=ADDRESS, after_frames=2, confirmed=True), 2, 1),
        (CutLink(device=ADDRESS, after_frames=3, confirmed=True), 3, 0),
    ],
)
async def test_a_link_is_lost_before_in_and_after_a_transfer(room: Room, fault: CutLink, heard: int, kept: int) -> None:
    device = await scale(room, records=3)
    client = await connected(await room.box(), ADDRESS, pair=True)
    await device.suffer(fault)
    frames = Frames()
    await client.start_notify(WEIGHT, frames)
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert len(frames.all) == heard
    assert device.unsent == kept


class Beacon(Peripheral):
    """A device that says all in its advertisements."""

    kind: ClassVar[str] = "beacon"
    service: ClassVar[int] = 0x181B
    knobs: ClassVar[tuple[type[Fault], ...]] = ()
    connectable: ClassVar[bool] = False

    def _services(self) -> list[Service]:
        return []

    def wants_link(self) -> bool:
        return bool(self._data)

    def say(self, payload: bytes) -> None:
        self._broadcast({self.service: payload})


async def test_a_beacon_is_heard_and_lets_nobody_in(room: Room) -> None:
    device = Beacon(ADDRESS, room.where, name="beacon")
    await room.switch_on(device)
    box = await room.box()
    heard: asyncio.Queue[dict[str, bytes]] = asyncio.Queue()
    async with BleakScanner(lambda _, data: heard.put_nowait(data.service_data), backend=box.scanner):
        for payload in (b"\x01\x02", b"\x03"):
            device.say(payload)
            async with asyncio.timeout(WITHIN):
                while await heard.get() != {"0000181b-0000-1000-8000-00805f9b34fb": payload}:
                    pass
    with pytest.raises(BleakError):
        await BleakClient(await find(box, ADDRESS), timeout=WITHIN, backend=box.client).connect()


async def test_a_deaf_adapter_hears_again_after_it_was_switched_off_and_on(room: Room) -> None:
    await scale(room)
    box = await room.box()
    client = await connected(box, ADDRESS, pair=True)
    room.controllers[0].fall_ill(Ailment.DEAF, Cure.RESET)
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)
    assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.1, backend=box.scanner) is None
    assert not client.is_connected
    await adapter_of(box).power_cycle()
    client = await connected(box, ADDRESS)
    await client.read_gatt_char(CURRENT_TIME)
    await client.disconnect()


async def test_what_waits_for_a_silent_adapter_ends_when_it_is_switched_off(room: Room) -> None:
    await scale(room)
    box = await room.box()
    client = await connected(box, ADDRESS, pair=True)
    scanner = BleakScanner(backend=box.scanner)
    room.controllers[0].fall_ill(Ailment.SILENT, Cure.RESET)
    waiting = [asyncio.create_task(scanner.start()), asyncio.create_task(client.read_gatt_char(BATTERY))]
    await turns_of_the_loop()
    await adapter_of(box).power_cycle()
    async with asyncio.timeout(WITHIN):
        for task in waiting:
            with pytest.raises(BleakError):
                await task
    assert not client.is_connected
    client = await connected(box, ADDRESS)
    await client.disconnect()


async def test_an_adapter_that_stays_silent_is_told_apart_from_one_that_is_gone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.adapter._COMMAND_SECONDS", 0.1)
    box = await room.box()
    room.controllers[0].fall_ill(Ailment.SILENT, Cure.RESTART)
    with pytest.raises(BleakError, match="does not answer"):
        await BleakScanner(backend=box.scanner).start()
    with pytest.raises(Exception, match="does not answer"):
        await adapter_of(box).power_cycle()
    room.controllers[0].fall_ill(Ailment.GONE, Cure.RESTART)
    with pytest.raises(BleakBluetoothNotAvailableError):
        await BleakScanner(backend=box.scanner).start()
