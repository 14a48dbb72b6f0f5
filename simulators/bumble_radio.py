"""bleak over Bumble: the box's real bleak code, with virtual devices instead of BlueZ behind it.

bleak takes a backend as a *type*, so `open_host` yields a pair of types that are bound to one adapter. They behave
as BlueZ does where a program can tell the difference:

- a bonded device is encrypted when `connect` returns; one that forgot its bond fails with BlueZ's own words;
- a value that needs encryption raises the link's security by pairing, and is then asked for once more;
- a second scan at the same time is refused; connections are opened one after the other;
- nothing but `BleakError` and `TimeoutError` comes out, and a call that waits when the link drops ends at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from bleak import BleakScanner
from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)
from bleak.uuids import normalize_uuid_str
from bumble import core, hci
from bumble.att import ATT_Error
from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement, Device
from bumble.transport import open_transport
from bumble.transport.common import TransportLostError, TransportSink, TransportSource

from simulators.adapter import Adapter, OpenLink

T = TypeVar("T")

_MTU = 517
_NOT_ENCRYPTED = frozenset(
    {
        BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
    }
)


_KEY_MISSING = frozenset({hci.HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR, hci.HCI_ErrorCode.AUTHENTICATION_FAILURE_ERROR})


class Backends(NamedTuple):
    """What `BleakClient(..., backend=)` and `BleakScanner(..., backend=)` take, and the adapter behind both."""

    client: "type[BumbleClient]"
    scanner: "type[BumbleScanner]"

    @property
    def adapter(self) -> Adapter:
        """The adapter that they use now."""
        return self.client.adapter

    def use(self, adapter: Adapter) -> None:
        """Use another adapter from now on, as when the one before was opened anew."""
        self.client.adapter = self.scanner.adapter = adapter


@asynccontextmanager
async def open_host(hci_spec: str, *, address: str, keystore: Path) -> AsyncIterator[Backends]:
    """Open the controller behind a Bumble transport and yield bleak backends that use it.

    Args:
        hci_spec: a Bumble transport, such as "unix:/run/home.sock".
        address: the box's own static random address, such as "F0:F1:F2:F3:F4:F5".
        keystore: JSON file of the box's bonds, made when missing; it survives a box that is killed.

    Raises:
        BleakBluetoothNotAvailableError: nobody answers there.
    """
    try:
        transport = await open_transport(hci_spec)
    except (OSError, core.BaseBumbleError) as error:
        raise _not_available(f"no Bluetooth controller at {hci_spec}: {error}") from error
    async with transport:
        yield await start_host(transport.source, transport.sink, address=address, keystore=keystore)


async def start_host(source: TransportSource, sink: TransportSink, *, address: str, keystore: Path) -> Backends:
    """Start a host on a controller that is at hand, and return bleak backends that use it.

    Raises:
        BleakBluetoothNotAvailableError: the controller is gone.
    """
    adapter = Adapter(source, sink, address=address, keystore=keystore)
    await _translated(adapter.start())
    return Backends(
        client=type("BumbleClient", (BumbleClient,), {"adapter": adapter}),
        scanner=type("BumbleScanner", (BumbleScanner,), {"adapter": adapter}),
    )


def _not_available(reason: str) -> BleakError:
    return BleakBluetoothNotAvailableError(reason, BleakBluetoothNotAvailableReason.NO_BLUETOOTH)


async def _translated(procedure: Awaitable[T]) -> T:
    """Return what a Bumble procedure returns, with its errors as bleak's and Bumble's error as their cause.

    Raises:
        BleakError: the controller, the link, the device or the bond failed.
        TimeoutError: nobody answered in time.
    """
    try:
        return await procedure
    except ATT_Error as error:
        raise BleakGATTProtocolError(int(error.error_code)) from error
    except core.TimeoutError as error:
        raise TimeoutError(str(error)) from error
    except TransportLostError as error:
        raise _not_available(str(error)) from error
    except core.BaseBumbleError as error:
        raise BleakError(str(error)) from error


def _uuid(uuid: UUID) -> str:
    return normalize_uuid_str(uuid.to_hex_str("-" if len(uuid.uuid_bytes) > 4 else ""))


class BumbleScanner(BaseBleakScanner):
    """Hears what virtual devices advertise."""

    adapter: ClassVar[Adapter]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,
        **_: Any,  # noqa: ANN401 - options of other platforms
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode == "active"
        self._running = False

    async def start(self) -> None:
        """Begin to hear.

        Raises:
            BleakError: another scan runs, or the controller is gone.
        """
        self.seen_devices = {}
        try:
            await _translated(self.adapter.start_scan(active=self._active))
        except BleakError as error:
            if isinstance(error.__cause__, core.InvalidStateError):
                raise BleakDBusError("org.bluez.Error.InProgress", ["Operation already in progress"]) from error
            raise
        self._running = True
        self.adapter.device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)

    async def stop(self) -> None:
        """Hear no more; at once when it does not hear."""
        if self._running:
            self._running = False
            self.adapter.device.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
            await _translated(self.adapter.stop_scan())

    def _on_advertisement(self, heard: Advertisement) -> None:
        data = _advertisement_data(heard)
        if self.is_allowed_uuid(data.service_uuids):
            address = heard.address.to_string(False)
            device = self.create_or_update_device(address, address, data.local_name, heard.address, data)
            self.call_detection_callbacks(device, data)


def _advertisement_data(heard: Advertisement) -> AdvertisementData:
    """Return what was heard in bleak's form: names, 16-bit services and their data, manufacturer data, power."""
    kind = AdvertisingData.Type
    name: str | None = None
    manufacturer: dict[int, bytes] = {}
    service_data: dict[str, bytes] = {}
    services: dict[str, None] = {}  # each once: an advertisement and its scan response may say the same
    tx_power: int | None = None
    for ad_type, value in heard.data.ad_structures:
        if ad_type in {kind.COMPLETE_LOCAL_NAME, kind.SHORTENED_LOCAL_NAME}:
            name = value.decode(errors="replace")
        elif ad_type == kind.MANUFACTURER_SPECIFIC_DATA:
            manufacturer[int.from_bytes(value[:2], "little")] = bytes(value[2:])
        elif ad_type == kind.SERVICE_DATA_16_BIT_UUID:
            service_data[_uuid(UUID.from_bytes(value[:2]))] = bytes(value[2:])
        elif ad_type in {
            kind.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
            kind.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
        }:
            services |= dict.fromkeys(_uuid(UUID.from_bytes(value[at : at + 2])) for at in range(0, len(value), 2))
        elif ad_type == kind.TX_POWER_LEVEL:
            tx_power = int.from_bytes(value[:1], "little", signed=True)
    return AdvertisementData(name, manufacturer, service_data, list(services), tx_power, heard.rssi, (heard,))


class BumbleClient(BaseBleakClient):
    """Speaks GATT to one virtual device. Every method raises `BleakError` when the link is not, or no longer, open."""

    adapter: ClassVar[Adapter]

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        **_: Any,  # noqa: ANN401 - options of other platforms
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        self._found = address_or_ble_device if isinstance(address_or_ble_device, BLEDevice) else None
        self._link: OpenLink | None = None
        self._securing = asyncio.Lock()
        self._callbacks: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        """The advertised name, or the address with dashes."""
        return (self._found.name if self._found else None) or self.address.replace(":", "-")

    @property
    def mtu_size(self) -> int:
        """The negotiated ATT MTU in bytes."""
        return self._open.peer.gatt_client.mtu

    @property
    def is_connected(self) -> bool:
        """Whether the link is open and its services are known."""
        return self._link is not None

    @property
    def _open(self) -> OpenLink:
        if self._link is None:
            raise BleakError("Not connected")
        return self._link

    async def connect(self, pair: bool, **_: Any) -> None:  # noqa: ANN401, FBT001 - bleak's signature
        """Open a link, encrypt it when bonded, and discover the services.

        Raises:
            TimeoutError: it took longer than the client's timeout.
            BleakError: there is no such device, it forgot its bond, or it went away meanwhile.
        """
        if self.is_connected:
            raise BleakError("Client is already connected")
        found = self._found = self._found or await self._find()
        async with asyncio.timeout(self._timeout):
            link = await _translated(self.adapter.open_link(found.details, within=self._timeout))
            self._link = link
            link.when_gone(self._on_gone)
            try:
                if await self.adapter.bonded(self._key):
                    await self._encrypt(link)
                elif pair:
                    await self.pair()
                self.services = await self._discover(link)
            except BaseException:
                await link.close()
                raise

    async def _find(self) -> BLEDevice:
        scanner = type("BumbleScanner", (BumbleScanner,), {"adapter": self.adapter})
        found = await BleakScanner.find_device_by_address(self.address, timeout=self._timeout, backend=scanner)
        if found is None:
            raise BleakDeviceNotFoundError(self.address, f"Device with address {self.address} was not found.")
        return found

    async def _encrypt(self, link: OpenLink) -> None:
        try:
            await _translated(link.run(link.connection.encrypt()))
        except BleakError as error:
            cause = error.__cause__
            if isinstance(cause, core.BaseError) and cause.error_code in _KEY_MISSING and not link.gone.is_set():
                # The kernel drops such a link, and this is what BlueZ then answers to Connect().
                raise BleakDBusError("org.bluez.Error.Failed", ["le-connection-key-missing"]) from error
            raise

    async def _discover(self, link: OpenLink) -> BleakGATTServiceCollection:
        await _translated(link.run(link.peer.request_mtu(_MTU)))
        await _translated(link.run(link.peer.discover_all()))  # type: ignore[no-untyped-call]
        collection = BleakGATTServiceCollection()
        for service in link.peer.services:
            parent = BleakGATTService(service, service.handle, _uuid(service.uuid))
            collection.add_service(parent)
            for proxy in service.characteristics:
                properties = list(gatt_char_props_to_strs(int(proxy.properties)))
                item = BleakGATTCharacteristic(
                    proxy, proxy.handle, _uuid(proxy.uuid), properties, lambda: self.mtu_size - 3, parent
                )
                collection.add_characteristic(item)
                for descriptor in proxy.descriptors:
                    collection.add_descriptor(
                        BleakGATTDescriptor(descriptor, descriptor.handle, _uuid(descriptor.type), item)
                    )
        return collection

    def _on_gone(self) -> None:
        self._link = self.services = None
        self._callbacks.clear()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        """Close the link; at once when there is none.

        Raises:
            TimeoutError: it was still open after 10 seconds.
        """
        if self._link is not None:
            await self._link.close()

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 - bleak's signature
        """Bond, with a passkey where the device wants one and somebody can type it in; at once when already bonded."""
        link = self._open
        async with self._securing:
            if await self.adapter.bonded(self._key):
                return
            try:
                await _translated(link.run(link.connection.pair()))
            except BleakError as error:
                if isinstance(error.__cause__, core.ProtocolError):
                    raise BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"]) from error
                raise

    async def unpair(self) -> None:
        """Forget the bond and close the link."""
        await self.adapter.forget(self._key)
        await self.disconnect()

    @property
    def _key(self) -> str:
        return str(self._found.details) if self._found else self.address

    async def _secured(self, procedure: Callable[[OpenLink], Coroutine[Any, Any, T]]) -> T:
        """Run a GATT procedure; when it needs encryption that the link lacks, pair and run it once more."""
        link = self._open
        try:
            return await _translated(link.run(procedure(link)))
        except BleakGATTProtocolError as error:
            if error.code not in _NOT_ENCRYPTED or link.connection.is_encrypted:
                raise
        await self.pair()
        return await _translated(link.run(procedure(link)))

    async def read_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        *,
        use_cached: bool = False,  # noqa: ARG002 - the device itself is always asked
        **_: Any,  # noqa: ANN401 - bleak's signature
    ) -> bytearray:
        """Read a value."""
        return bytearray(await self._secured(lambda link: link.peer.gatt_client.read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self,
        descriptor: BleakGATTDescriptor,
        *,
        use_cached: bool = False,  # noqa: ARG002 - the device itself is always asked
        **_: Any,  # noqa: ANN401 - bleak's signature
    ) -> bytearray:
        """Read a descriptor."""
        return bytearray(await self._secured(lambda link: link.peer.gatt_client.read_value(descriptor.handle)))

    async def write_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        data: SizedBuffer,
        response: bool,  # noqa: FBT001 - bleak's signature
    ) -> None:
        """Write a value, with or without response."""
        value = bytes(data)
        await self._secured(lambda link: link.peer.gatt_client.write_value(characteristic.handle, value, response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        """Write a descriptor."""
        value = bytes(data)
        await self._secured(lambda link: link.peer.gatt_client.write_value(descriptor.handle, value, True))

    async def start_notify(
        self,
        characteristic: BleakGATTCharacteristic,
        callback: NotifyCallback,
        **_: Any,  # noqa: ANN401 - bleak's signature
    ) -> None:
        """Enable notifications, or indications where there are no notifications."""

        def on_value(value: bytes) -> None:
            callback(bytearray(value))

        await self._secured(lambda link: link.peer.gatt_client.subscribe(characteristic.obj, on_value))
        self._callbacks[characteristic.handle] = on_value

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Disable notifications and indications."""
        on_value = self._callbacks.pop(characteristic.handle, None)
        await self._secured(lambda link: link.peer.gatt_client.unsubscribe(characteristic.obj, on_value))
