"""The radio over bleak itself, with a backend that does what BlueZ does to programs: hang, refuse, drop, say little.

What it does with devices that speak is shown over virtual peripherals (tests/simulators).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bleak.uuids import normalize_uuid_16

from devices.bleak_connection import BleakConnection, Limits
from devices.bleak_radio import BleakRadio
from devices.errors import RadioError
from devices.radio import Advertisement

ADDRESS = "C4:B0:00:00:00:01"
OTHER = "C4:B0:00:00:00:02"
VENDOR = "233bf000-5a34-1b6d-975c-000d5690abe4"


class Air:
    """What is heard, what goes wrong, and what happened, of one test."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.scanner: FakeScanner | None = None
        self.clients: list[FakeClient] = []
        self.scan_error: Exception | None = None
        self.stop_error: Exception | None = None
        self.scanning = asyncio.Event()
        self.idle = asyncio.Event()
        self.connecting = asyncio.Event()
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.connect_error: Exception | None = None
        self.outcome: Any = b"\x01"

    def say(self, address: str = ADDRESS, **changes: Any) -> None:
        """Let a device advertise."""
        assert self.scanner is not None
        data = AdvertisementData(
            **{
                "local_name": "BPM",
                "manufacturer_data": {0x0499: b"\x05"},
                "service_data": {normalize_uuid_16(0x181B): b"\x02", VENDOR: b"\x03"},
                "service_uuids": [normalize_uuid_16(0x1810), VENDOR],
                "tx_power": None,
                "rssi": -60,
                "platform_data": (),
                **changes,
            }
        )
        device = self.scanner.create_or_update_device(address, address, "BPM", None, data)
        self.scanner.call_detection_callbacks(device, data)


class FakeScanner(BaseBleakScanner):
    air: ClassVar[Air]

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: str, **_: Any) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        if self.air.scan_error is not None:
            raise self.air.scan_error
        if self.air.scanner is not None:
            raise BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"])
        self.air.log.append("scan")
        self.air.scanner = self
        self.air.scanning.set()
        self.air.idle.clear()

    async def stop(self) -> None:
        if self.air.scanner is self:
            self.air.log.append("stop")
            self.air.scanner = None
            self.air.scanning.clear()
            self.air.idle.set()
        if self.air.stop_error is not None:
            raise self.air.stop_error


class FakeClient(BaseBleakClient):
    air: ClassVar[Air]

    def __init__(self, device: Any, *, disconnected_callback: Any, timeout: float, **_: Any) -> None:
        super().__init__(device, disconnected_callback=disconnected_callback, timeout=timeout)
        self.connected = False
        self.notify: Callable[[bytearray], None] = lambda _: None
        self.air.clients.append(self)

    @property
    def mtu_size(self) -> int:
        return 23

    @property
    def is_connected(self) -> bool:
        return self.connected

    async def connect(self, pair: bool, **_: Any) -> None:  # noqa: FBT001 bleak's signature
        if self.air.scanner is not None:
            raise BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"])
        self.air.log.append(f"connect {self.address[-1]}")
        self.air.connecting.set()
        await self.air.may_connect.wait()
        if self.air.connect_error is not None:
            raise self.air.connect_error
        self.connected = True
        self.services = BleakGATTServiceCollection()
        service = BleakGATTService(None, 1, normalize_uuid_16(0x1810))
        self.services.add_service(service)
        for handle, (number, properties) in enumerate(
            [(0x2A35, ["indicate"]), (0x2A2B, ["read", "write"]), (0x2A2B, ["read"])], start=2
        ):
            self.services.add_characteristic(
                BleakGATTCharacteristic(
                    None,
                    handle,
                    normalize_uuid_16(number),
                    properties,  # type: ignore[arg-type]
                    lambda: 20,
                    service,
                )
            )

    def drop(self) -> None:
        self.connected = False
        if self._disconnected_callback:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        self.air.log.append(f"disconnect {self.address[-1]}")
        await self._act()
        self.connected = False

    async def _act(self) -> Any:
        """End as the test says: an error, never, or with a value."""
        outcome = self.air.outcome
        if outcome == "never":
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        await self._act()

    async def unpair(self) -> None:
        await self._act()

    async def read_gatt_char(self, characteristic: Any, **_: Any) -> bytearray:
        self.air.log.append(f"read handle {characteristic.handle}")
        return bytearray(await self._act())

    async def read_gatt_descriptor(self, descriptor: Any, **_: Any) -> bytearray:
        return bytearray(await self._act())

    async def write_gatt_char(self, characteristic: Any, data: Any, response: bool) -> None:  # noqa: FBT001 bleak's signature
        self.air.log.append(f"write {bytes(data).hex()} response {response}")
        await self._act()

    async def write_gatt_descriptor(self, descriptor: Any, data: Any) -> None:
        await self._act()

    async def start_notify(self, characteristic: Any, callback: Any, **_: Any) -> None:
        await self._act()
        self.notify = callback

    async def stop_notify(self, characteristic: Any) -> None:
        await self._act()


@pytest.fixture
async def air() -> Air:
    return Air()


@pytest.fixture
async def radio(air: Air) -> AsyncIterator[BleakRadio]:
    radio = BleakRadio(
        adapter="hci7",
        client_backend=type("BoundClient", (FakeClient,), {"air": air}),
        scanner_backend=type("BoundScanner", (FakeScanner,), {"air": air}),
        limits=Limits(procedure=0.2, pairing=0.2, closing=0.1),
    )
    async with asyncio.timeout(10):
        yield radio


async def heard(radio: BleakRadio, air: Air, address: str = ADDRESS) -> Advertisement | None:
    """Let the radio find a device that advertises again and again, as devices do."""
    search = asyncio.create_task(radio.find(address, within=5.0))
    while not search.done():
        if air.scanner is not None:
            air.say(address)
        await asyncio.sleep(0.001)
    return await search


async def test_an_advertisement_comes_in_the_houses_form(radio: BleakRadio, air: Air) -> None:
    assert await heard(radio, air) == Advertisement(
        address=ADDRESS,
        name="BPM",
        services=frozenset({0x1810}),
        service_data={0x181B: b"\x02"},
        manufacturer_data={0x0499: b"\x05"},
        rssi=-60,
    )


async def test_a_device_that_is_not_heard_is_none_and_the_scan_ends(radio: BleakRadio, air: Air) -> None:
    assert await radio.find(ADDRESS.lower(), within=0.05) is None
    # The scan ends in its own time, and the next look begins one of its own.
    assert await heard(radio, air) is not None
    assert air.log[:3] == ["scan", "stop", "scan"]
    await air.idle.wait()
    assert air.log == ["scan", "stop", "scan", "stop"]


async def test_all_that_seek_share_one_scan(radio: BleakRadio, air: Air) -> None:
    searches = [asyncio.create_task(radio.find(address, within=5.0)) for address in (ADDRESS, OTHER, ADDRESS)]
    await air.scanning.wait()
    for address in ("C4:B0:00:00:00:99", ADDRESS, OTHER, ADDRESS):
        air.say(address)
    found = await asyncio.gather(*searches)
    assert [advertisement.address for advertisement in found if advertisement] == [ADDRESS, OTHER, ADDRESS]
    assert air.log.count("scan") == 1


async def test_a_failing_adapter_is_an_error_for_all_that_seek(radio: BleakRadio, air: Air) -> None:
    air.scan_error = BleakError("No Bluetooth adapters found.")
    searches = [asyncio.create_task(radio.find(address, within=5.0)) for address in (ADDRESS, OTHER)]
    for search in searches:
        with pytest.raises(RadioError, match="scanning: No Bluetooth adapters found") as failed:
            await search
        assert failed.value.device is None
    air.scan_error = None
    assert await heard(radio, air) is not None


async def test_a_scan_gives_way_to_a_connection_and_goes_on_after_it(radio: BleakRadio, air: Air) -> None:
    await heard(radio, air)
    search = asyncio.create_task(radio.find(OTHER, within=5.0))
    await air.scanning.wait()
    async with radio.connect(ADDRESS, within=1.0):
        await air.scanning.wait()
        air.say(OTHER)
        assert await search is not None
    assert air.log[2:] == ["scan", "stop", "connect 1", "scan", "stop", "disconnect 1"]


async def test_connections_wait_for_each_other_and_come_before_a_waiting_scan(radio: BleakRadio, air: Air) -> None:
    await heard(radio, air, OTHER)
    await heard(radio, air)
    air.may_connect.clear()
    air.log.clear()

    async def visit(address: str) -> None:
        async with radio.connect(address, within=1.0):
            pass

    first = asyncio.create_task(visit(ADDRESS))
    await air.connecting.wait()
    search = asyncio.create_task(radio.find("C4:B0:00:00:00:03", within=5.0))
    await asyncio.sleep(0)
    second = asyncio.create_task(visit(OTHER))
    await asyncio.sleep(0)
    air.may_connect.set()
    await asyncio.gather(first, second)
    await air.scanning.wait()
    search.cancel()
    connects = [entry for entry in air.log if entry.startswith(("connect", "scan"))]
    assert connects == ["connect 1", "connect 2", "scan"]


async def test_a_device_that_was_never_heard_is_not_connected_to(radio: BleakRadio) -> None:
    with pytest.raises(RadioError, match="not heard") as refused:
        async with radio.connect(ADDRESS, within=1.0):
            pass
    assert refused.value.device == ADDRESS


async def test_a_connection_that_never_comes_ends_in_time(radio: BleakRadio, air: Air) -> None:
    await heard(radio, air)
    air.may_connect.clear()
    with pytest.raises(RadioError, match="connecting: TimeoutError"):
        async with radio.connect(ADDRESS, within=-0.9):
            pass


@pytest.mark.parametrize(
    ("error", "bond_lost"),
    [
        (BleakDBusError("org.bluez.Error.Failed", ["le-connection-key-missing"]), True),
        (BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"]), True),
        (BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"]), True),
        (BleakError("HCI_Error PIN_OR_KEY_MISSING"), True),
        (BleakDBusError("org.bluez.Error.Failed", ["le-connection-abort-by-local"]), False),
        (BleakDBusError("org.bluez.Error.InProgress", []), False),
        (BleakError("device disconnected"), False),
        (EOFError(), False),
        (OSError("no bus"), False),
        (AssertionError(), False),
    ],
)
async def test_whatever_connecting_raises_is_a_radio_error_that_knows_a_lost_bond(
    radio: BleakRadio,
    air: Air,
    error: Exception,
    bond_lost: bool,  # noqa: FBT001 a parameter
) -> None:
    await heard(radio, air)
    air.connect_error = error
    with pytest.raises(RadioError, match="connecting: ") as failed:
        async with radio.connect(ADDRESS, within=1.0):
            pass
    assert (failed.value.bond_lost, failed.value.device) == (bond_lost, ADDRESS)


@pytest.fixture
async def link(radio: BleakRadio, air: Air) -> AsyncIterator[BleakConnection]:
    await heard(radio, air)
    async with radio.connect(ADDRESS, within=1.0) as link:
        yield link


async def test_a_link_offers_what_the_device_has_and_the_first_of_several(link: BleakConnection, air: Air) -> None:
    assert (link.has(0x2A35), link.has(0x2A37)) == (True, False)
    assert link.properties(0x2A2B) == {"read", "write"}
    assert link.properties(0x2A37) == frozenset()
    assert await link.read(0x2A2B) == b"\x01"
    await link.write(0x2A2B, b"\x02\x03")
    await link.pair()
    assert air.log[-2:] == ["read handle 3", "write 0203 response True"]


async def test_frames_are_handed_on_as_bytes(link: BleakConnection, air: Air) -> None:
    frames: list[bytes] = []
    await link.subscribe(0x2A35, frames.append)
    air.clients[-1].notify(bytearray(b"\x00\x01"))
    assert frames == [b"\x00\x01"]
    assert type(frames[0]) is bytes


PROCEDURES: list[tuple[str, Callable[[BleakConnection], Any]]] = [
    ("reading 2A2B", lambda link: link.read(0x2A2B)),
    ("writing 2A2B", lambda link: link.write(0x2A2B, b"")),
    ("subscribing to 2A35", lambda link: link.subscribe(0x2A35, lambda _: None)),
    ("pairing", lambda link: link.pair()),
]


@pytest.mark.parametrize(("doing", "procedure"), PROCEDURES, ids=[doing for doing, _ in PROCEDURES])
async def test_a_procedure_that_hangs_ends_in_time_or_with_the_link(
    link: BleakConnection, air: Air, doing: str, procedure: Callable[[BleakConnection], Any]
) -> None:
    air.outcome = "never"
    with pytest.raises(RadioError, match=f"{doing}: no answer in 0.2 s"):
        await procedure(link)
    asyncio.get_running_loop().call_later(0.02, air.clients[-1].drop)
    with pytest.raises(RadioError, match=f"{doing}: the link was lost"):
        await procedure(link)
    with pytest.raises(RadioError, match="the link is closed"):
        await procedure(link)


@pytest.mark.parametrize(("doing", "procedure"), PROCEDURES, ids=[doing for doing, _ in PROCEDURES])
@pytest.mark.parametrize(
    ("code", "bond_lost"),
    [
        (BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION, True),
        (BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION, True),
        (BleakGATTProtocolErrorCode.UNLIKELY_ERROR, False),
    ],
)
async def test_what_a_device_refuses_is_a_radio_error_that_knows_a_lost_bond(
    link: BleakConnection,
    air: Air,
    doing: str,
    procedure: Callable[[BleakConnection], Any],
    code: BleakGATTProtocolErrorCode,
    bond_lost: bool,  # noqa: FBT001 a parameter
) -> None:
    air.outcome = BleakGATTProtocolError(code)
    with pytest.raises(RadioError, match=doing) as failed:
        await procedure(link)
    assert (failed.value.bond_lost, failed.value.device) == (bond_lost, ADDRESS)


async def test_an_absent_characteristic_is_said(link: BleakConnection) -> None:
    with pytest.raises(RadioError, match="the device has no 2A37"):
        await link.read(0x2A37)


async def test_a_dropped_link_wakes_who_waits_for_it(link: BleakConnection, air: Air) -> None:
    waiting = asyncio.create_task(link.wait_closed())
    await asyncio.sleep(0)
    assert not waiting.done()
    air.clients[-1].drop()
    await waiting


@pytest.mark.parametrize("outcome", ["never", BleakError("gone")], ids=["hangs", "fails"])
async def test_closing_ends_whatever_the_adapter_does(radio: BleakRadio, air: Air, outcome: Any) -> None:
    await heard(radio, air)
    async with radio.connect(ADDRESS, within=1.0) as link:
        air.outcome = outcome
    assert air.log[-1] == "disconnect 1"
    await link.wait_closed()


async def test_a_cancelled_visit_closes_its_link(radio: BleakRadio, air: Air) -> None:
    await heard(radio, air)
    opened = asyncio.Event()

    async def visit() -> None:
        async with radio.connect(ADDRESS, within=1.0) as link:
            opened.set()
            await link.wait_closed()

    task = asyncio.create_task(visit())
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert air.log[-1] == "disconnect 1"


class FakeBluez:
    """The devices that the system holds links to."""

    connected: ClassVar[list[BLEDevice]] = []
    asked_for: ClassVar[list[Any]] = []

    @classmethod
    async def get(cls, *, bluez: Any) -> "FakeBluez":
        cls.asked_for.append(bluez)
        return cls()

    async def get_connected_devices(self, services: list[str]) -> list[BLEDevice]:
        return self.connected if {"1810", "1801"} <= set(services) else []


async def test_a_device_still_connected_from_before_a_crash_is_found_without_being_heard(
    air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.bleak_radio.BleakAdapter", FakeBluez)
    monkeypatch.setattr(FakeBluez, "connected", [BLEDevice(OTHER, None, None), BLEDevice(ADDRESS, None, None)])
    scanner = type("BoundScanner", (FakeScanner,), {"air": air})
    for adapter, asked in ((None, {}), ("hci7", {"adapter": "hci7"})):
        radio = BleakRadio(adapter=adapter, scanner_backend=scanner)
        assert await radio.find(ADDRESS, within=0.05) == Advertisement(address=ADDRESS)
        assert FakeBluez.asked_for[-1] == asked
        assert await radio.find("C4:B0:00:00:00:03", within=0.05) is None
    assert "scan" in air.log


async def test_a_system_without_bluetooth_is_a_radio_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(**_: Any) -> Any:
        raise FileNotFoundError("no D-Bus")

    monkeypatch.setattr("devices.bleak_radio.BleakAdapter.get", missing)
    with pytest.raises(RadioError, match="looking for connected devices: no Bluetooth service"):
        await BleakRadio().find(ADDRESS, within=0.05)


class ModalScanner(FakeScanner):
    """A scanner that says how it listens, and may be unable to listen passively."""

    refuses: ClassVar[list[Exception]] = []

    def __init__(self, detection_callback: Any, service_uuids: Any, scanning_mode: str, **options: Any) -> None:
        super().__init__(detection_callback, service_uuids, scanning_mode)
        self.mode = scanning_mode
        if scanning_mode == "passive":
            assert options["bluez"]["or_patterns"], "BlueZ wants patterns"

    async def start(self) -> None:
        if self.mode == "passive" and self.refuses:
            raise self.refuses[0]
        await super().start()
        self.air.log[-1] = self.mode


def passive_radio(air: Air, *, refuses: Exception | None = None) -> BleakRadio:
    scanner = type("BoundScanner", (ModalScanner,), {"air": air, "refuses": [refuses] if refuses else []})
    client = type("BoundClient", (FakeClient,), {"air": air})
    limits = Limits(procedure=0.2, pairing=0.2, closing=0.1)
    return BleakRadio(client_backend=client, scanner_backend=scanner, limits=limits, passive=True)


async def logged(air: Air, *entries: str) -> None:
    """Wait until exactly this has happened."""
    for _ in range(5000):
        if air.log == list(entries):
            return
        await asyncio.sleep(0.001)
    raise AssertionError(air.log)


async def test_a_broadcast_is_heard_actively_once_and_passively_from_then_on(air: Air) -> None:
    radio = passive_radio(air)
    async with asyncio.timeout(10), radio.listen(ADDRESS) as heard_here:
        await logged(air, "active")
        air.say()
        await anext(heard_here)
        await logged(air, "active", "stop", "passive")
        air.say()
        await anext(heard_here)
        # A device that nobody knows cannot be found so: everybody's scan changes for it, and back.
        search = asyncio.create_task(radio.find(OTHER, within=5.0))
        await logged(air, "active", "stop", "passive", "stop", "active")
        air.say(OTHER)
        await search
        await logged(air, "active", "stop", "passive", "stop", "active", "stop", "passive")


async def test_a_system_that_cannot_listen_passively_is_asked_once_and_said_once(
    air: Air, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    radio = passive_radio(air, refuses=BleakError("needs BlueZ >= 5.56 with --experimental enabled"))
    async with asyncio.timeout(10):
        for _ in range(2):
            async with radio.listen(ADDRESS) as heard_here:
                for _ in range(3):
                    await air.scanning.wait()
                    air.say()
                    await anext(heard_here)
                    await asyncio.sleep(0)
            await air.idle.wait()
    assert set(air.log) == {"active", "stop"}
    assert caplog.text.count("passive scanning does not work here") == 1
    assert "--experimental" in caplog.text


async def test_who_seeks_everybody_is_served_actively(air: Air) -> None:
    radio = passive_radio(air)
    async with asyncio.timeout(10), radio.listen(None) as everybody:
        for _ in range(3):
            await air.scanning.wait()
            air.say()
            await anext(everybody)
    assert "passive" not in air.log
