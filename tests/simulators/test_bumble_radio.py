"""bleak over Bumble behaves as bleak over BlueZ does, also when things go wrong."""

import asyncio

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)

from devices.wall_clock import CurrentTime
from simulators.bumble_radio import open_host
from simulators.faults import LoseBond, RefuseConnections
from simulators.hci_socket import serve_hci
from simulators.patients import Pressure
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from tests.simulators.kit import (
    BOX_ADDRESS,
    START,
    WITHIN,
    Frames,
    Room,
    adapter_of,
    connected,
    find,
    lose_controller,
    turns_of_the_loop,
)

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:02"
CURRENT_TIME, MEASUREMENT, BATTERY = "2a2b", "2a35", "2a19"


async def monitor(room: Room, *, records: int = 0, hangs_up: bool = False) -> BloodPressureMonitor:
    device = BloodPressureMonitor(ADDRESS, room.where, name="Veilleur BP", hangs_up=hangs_up)
    for number in range(records):
        device.take(Pressure(at=START + number * 60_000, systolic=1200, diastolic=800, mean=930, pulse=700))
    await room.switch_on(device)
    return device


async def test_a_scan_hears_name_and_service(room: Room) -> None:
    await monitor(room)
    box = await room.box()
    found = await BleakScanner.discover(0.2, return_adv=True, backend=box.scanner)
    device, heard = found[ADDRESS]
    assert device.name == heard.local_name == "Veilleur BP"
    assert heard.service_uuids == ["00001810-0000-1000-8000-00805f9b34fb"]


async def test_a_second_scan_is_refused_as_bluez_does(room: Room) -> None:
    box = await room.box()
    async with BleakScanner(backend=box.scanner):
        with pytest.raises(BleakDBusError, match="InProgress"):
            await BleakScanner(backend=box.scanner).start()
    async with BleakScanner(backend=box.scanner):
        pass


async def test_what_needs_no_bond_is_read_without_one(room: Room) -> None:
    await monitor(room)
    box = await room.box()
    client = await connected(box, ADDRESS)
    assert await client.read_gatt_char(BATTERY) == bytes([87])
    assert client.name == "Veilleur BP"
    assert client.mtu_size > 23
    await client.disconnect()
    assert not (room.folder / "bonds.json").exists()


async def test_a_secured_value_bonds_by_itself(room: Room) -> None:
    await monitor(room)
    client = await connected(await room.box(), ADDRESS)
    assert CurrentTime.from_bytes(bytes(await client.read_gatt_char(CURRENT_TIME))).date_time.year == 2026
    assert (room.folder / "bonds.json").exists()
    await client.disconnect()


async def test_the_switch_of_a_secured_measurement_is_secured_too(room: Room) -> None:
    await monitor(room, records=1)
    client = await connected(await room.box(), ADDRESS)
    frames = Frames()
    await client.start_notify(MEASUREMENT, frames)
    assert len(await frames.until(1)) == 1
    assert (room.folder / "bonds.json").exists()
    await client.disconnect()


async def test_a_bond_survives_a_box_that_is_killed(room: Room) -> None:
    await monitor(room)
    client = await connected(await room.box(), ADDRESS, pair=True)
    assert client.is_connected
    room.controllers[0].vanish()
    await room.witness.until(lambda: room.witness.count("disconnected") == 1)

    again = await connected(await room.box(), ADDRESS)
    # Encrypted already: a bonded device is not paired with once more.
    await again.read_gatt_char(CURRENT_TIME)
    await again.pair()
    await again.disconnect()


async def test_a_forgotten_bond_fails_in_bluez_words_and_another_box_may_still_come(room: Room) -> None:
    device = await monitor(room)
    box = await room.box()
    await (await connected(box, ADDRESS, pair=True)).disconnect()
    await device.suffer(LoseBond(device=ADDRESS))
    with pytest.raises(BleakDBusError, match="le-connection-key-missing"):
        await connected(box, ADDRESS)
    await room.witness.until(lambda: room.witness.count("disconnected") == 2)

    client = await connected(await room.box("others.json", "F0:F1:F2:F3:F4:F6"), ADDRESS, pair=True)
    await client.disconnect()


async def test_after_unpairing_the_box_bonds_anew(room: Room) -> None:
    device = await monitor(room)
    box = await room.box()
    await (await connected(box, ADDRESS, pair=True)).disconnect()
    await device.suffer(LoseBond(device=ADDRESS))
    with pytest.raises(BleakDBusError):
        await connected(box, ADDRESS)
    client = BleakClient(await find(box, ADDRESS), backend=box.client)
    await client.unpair()
    await client.connect()
    await client.read_gatt_char(CURRENT_TIME)
    await client.disconnect()


async def test_an_absent_device_times_out_and_the_attempt_is_given_up(room: Room) -> None:
    device = await monitor(room)
    box = await room.box()
    found = await find(box, ADDRESS)
    await device.suffer(RefuseConnections(device=ADDRESS, seconds=60))
    # A device that is there but lets nobody in: the link fails, nothing hangs.
    with pytest.raises(BleakError):
        await BleakClient(found, timeout=WITHIN, backend=box.client).connect()

    await room.switch_off(device)
    with pytest.raises(TimeoutError):
        await BleakClient(found, timeout=0.1, backend=box.client).connect()
    other = await monitor(room)
    client = BleakClient(found, timeout=WITHIN, backend=box.client)
    await client.connect()
    await client.disconnect()
    assert other.address == ADDRESS


async def test_a_cancelled_attempt_leaves_the_adapter_free(room: Room) -> None:
    device = await monitor(room)
    box = await room.box()
    found = await find(box, ADDRESS)
    await room.switch_off(device)
    attempt = asyncio.create_task(BleakClient(found, timeout=WITHIN, backend=box.client).connect())
    await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await monitor(room)
    client = await connected(box, ADDRESS)
    await client.disconnect()


async def test_an_address_that_nobody_has_is_not_found(room: Room) -> None:
    box = await room.box()
    with pytest.raises(BleakDeviceNotFoundError):
        await BleakClient("C4:B0:00:00:00:99", timeout=0.1, backend=box.client).connect()


async def test_a_call_that_waits_when_the_link_drops_ends(room: Room) -> None:
    device = await monitor(room)
    gone = asyncio.Event()
    box = await room.box()
    client = BleakClient(await find(box, ADDRESS), lambda _: gone.set(), backend=box.client)
    await client.connect()
    reading = asyncio.create_task(client.read_gatt_char(BATTERY))
    waiting = asyncio.create_task(client.read_gatt_char(CURRENT_TIME))
    await asyncio.sleep(0)
    device.cut_link()
    async with asyncio.timeout(WITHIN):
        for task in (reading, waiting):
            with pytest.raises(BleakError, match=r"disconnected|Not connected"):
                await task
        await gone.wait()
    assert not client.is_connected
    with pytest.raises(BleakError):
        await client.read_gatt_char(BATTERY)
    await client.disconnect()


async def test_a_cancelled_read_does_not_give_its_answer_to_the_next_one(room: Room) -> None:
    await monitor(room)
    client = await connected(await room.box(), ADDRESS, pair=True)
    for _ in range(5):
        reading = asyncio.create_task(client.read_gatt_char(CURRENT_TIME))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await client.read_gatt_char(BATTERY) == bytes([87])
    await client.disconnect()


async def test_a_refusal_of_the_device_carries_its_code(room: Room) -> None:
    await monitor(room)
    client = await connected(await room.box(), ADDRESS)
    with pytest.raises(BleakGATTProtocolError) as refused:
        await client.write_gatt_char(CURRENT_TIME, b"\x00", response=True)
    assert refused.value.code == 0x80
    assert refused.value.code is not BleakGATTProtocolErrorCode.UNLIKELY_ERROR
    await client.disconnect()


async def test_values_stop_when_nobody_wants_them_any_more(room: Room) -> None:
    device = await monitor(room, records=1)
    client = await connected(await room.box(), ADDRESS)
    frames = Frames()
    await client.start_notify(MEASUREMENT, frames)
    await frames.until(1)
    await client.stop_notify(MEASUREMENT)
    device.take(Pressure(at=START, systolic=1300, diastolic=800, mean=930, pulse=700))
    await client.read_gatt_char(BATTERY)
    assert len(frames.all) == 1
    assert device.unsent == 1
    await client.disconnect()


async def test_a_controller_that_goes_away_ends_every_call(room: Room) -> None:
    await monitor(room)
    socket = room.folder / "hci.sock"
    changes: list[bool] = []
    async with asyncio.timeout(WITHIN):
        async with serve_hci(socket, room.air, changes.append):
            keeper = open_host(f"unix:{socket}", address=BOX_ADDRESS, keystore=room.folder / "bonds.json")
            box = await keeper.__aenter__()
            client = await connected(box, ADDRESS)
            scanner = BleakScanner(backend=box.scanner)
            await scanner.start()
            waiting = asyncio.create_task(client.read_gatt_char(BATTERY))
            attempt = asyncio.create_task(BleakClient("C4:B0:00:00:00:99", timeout=60, backend=box.client).connect())
            await asyncio.sleep(0)
        with pytest.raises(BleakError):
            await waiting
        with pytest.raises(BleakError):
            await attempt
        assert not client.is_connected
        await client.disconnect()
        await scanner.stop()
        with pytest.raises(BleakBluetoothNotAvailableError):
            await BleakScanner(backend=box.scanner).start()
        await keeper.__aexit__(None, None, None)
    assert changes == [True, False]
    with pytest.raises(BleakBluetoothNotAvailableError, match="no Bluetooth controller"):
        async with open_host(f"unix:{socket}", address=BOX_ADDRESS, keystore=room.folder / "bonds.json"):
            pass


async def test_whoever_is_cancelled_while_the_controller_goes_is_cancelled(room: Room) -> None:
    device = await monitor(room)
    box = await room.box()
    found = await find(box, ADDRESS)
    await room.switch_off(device)
    attempt = asyncio.create_task(BleakClient(found, timeout=60, backend=box.client).connect())
    await turns_of_the_loop()
    assert room.controllers[0].pending_le_connection is not None
    lose_controller(box)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt


async def test_a_controller_that_goes_just_after_an_answer_is_gone(room: Room) -> None:
    box = await room.box()
    host = adapter_of(box).device.host
    scanning = asyncio.create_task(BleakScanner(backend=box.scanner).start())
    async with asyncio.timeout(WITHIN):
        while host.pending_response is None or not host.pending_response.done():
            await turns_of_the_loop(1)
    lose_controller(box)
    await asyncio.wait({scanning}, timeout=WITHIN)
    assert scanning.done()
    with pytest.raises(BleakBluetoothNotAvailableError):
        await BleakScanner(backend=box.scanner).start()
