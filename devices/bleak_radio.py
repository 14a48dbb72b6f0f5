"""The radio over bleak: the only file of the box that imports it.

Rules of this room, each learnt from what BlueZ does to programs that break it:

- One adapter does one thing at a time: a scan stops before a connection is opened, connections wait in a queue,
  and all that seek a device share one scan (otherwise: InProgress).
- A connection is opened to the `BLEDevice` that a scan heard, never to a bare address.
- A device that is still connected from before a crash does not advertise: it is found among the connected ones.
- Every procedure has a hard timeout, because a D-Bus call may never return, and ends when the link ends.
- Whatever goes wrong comes out as a `RadioError`, which says when the bond is lost.

Not here: what to read or write, when to try again, and the pairing agent (BlueZ asks the system's).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from bleak import BleakAdapter, BleakClient, BleakScanner
from bleak.args.bluez import BlueZAdapterArgs, BlueZClientArgs, BlueZScannerArgs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bleak.uuids import normalize_uuid_16
from dbus_fast.errors import AuthError, DBusError

from devices.errors import RadioError
from devices.gatt import characteristic_name
from devices.radio import Advertisement

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# AssertionError: bleak asserts that its D-Bus connection is there, also when it has just gone.
_FAILURES: Final = (BleakError, DBusError, AuthError, TimeoutError, EOFError, OSError, AssertionError)

_REFUSED: Final = frozenset(
    {
        BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
    }
)
_BOND_WORDS: Final = ("key-missing", "key missing", "key_missing", "not paired", "authentication")
"""What BlueZ's and the controller's words have in common when a key is missing or refused."""

_SIG_PREFIX, _SIG_SUFFIX = "0000", "-0000-1000-8000-00805f9b34fb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a procedure may take, in real seconds, before it counts as failed."""

    procedure: float = 15.0
    """Reading, writing, subscribing; starting or stopping a scan."""
    pairing: float = 60.0
    """Bonding; somebody may have to press a button."""
    closing: float = 10.0
    """Closing a link."""


class BleakRadio:
    """One Bluetooth adapter, through bleak (`devices.radio.Radio`)."""

    def __init__(
        self,
        *,
        adapter: str | None = None,
        client_backend: type[BaseBleakClient] | None = None,
        scanner_backend: type[BaseBleakScanner] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Take an adapter.

        Args:
            adapter: such as "hci0"; None: the system's default.
            client_backend: what bleak's clients speak through; None: what bleak chooses for this system.
            scanner_backend: what bleak's scanners listen through; None: what bleak chooses for this system.
            limits: hard timeouts.
        """
        self._adapter = adapter
        self._client_backend = client_backend
        self._scanner_backend = scanner_backend
        self._limits = limits or Limits()
        self._turn = asyncio.Lock()
        self._known: dict[str, BLEDevice] = {}
        self._sought: dict[str, list[asyncio.Future[Advertisement]]] = {}
        self._give_way = asyncio.Event()
        self._connecting = 0
        self._scan: asyncio.Task[None] | None = None

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        """Return the device's next advertisement, or None when it was not heard within `within` real seconds.

        Raises:
            RadioError: the adapter failed.
        """
        address = address.upper()
        if await self._still_connected(address):
            return Advertisement(address=address)
        heard: asyncio.Future[Advertisement] = asyncio.get_running_loop().create_future()
        self._sought.setdefault(address, []).append(heard)
        if self._scan is None or self._scan.done():
            self._scan = asyncio.create_task(self._listen(), name="radio scan")
        try:
            async with asyncio.timeout(within):
                return await heard
        except TimeoutError:
            return None
        finally:
            self._sought[address].remove(heard)
            if not self._sought[address]:
                del self._sought[address]
            if not self._sought:
                self._give_way.set()

    async def _still_connected(self, address: str) -> bool:
        """Return whether the system holds a link to the device, as it does after this program was killed."""
        if self._client_backend is not None:
            return False
        with _as_radio_error(None, "looking for connected devices"):
            async with asyncio.timeout(self._limits.procedure):
                chosen: BlueZAdapterArgs = {} if self._adapter is None else {"adapter": self._adapter}
                adapter = await BleakAdapter.get(bluez=chosen)
                for device in await adapter.get_connected_devices():
                    if device.address.upper() == address:
                        self._known[address] = device
                        return True
        return False

    async def _listen(self) -> None:
        """Scan while anybody seeks a device, giving way to connections."""
        try:
            while self._sought:
                async with self._turn:
                    self._give_way.clear()
                    # The event may have been set before the turn came: look at its reasons again.
                    if self._sought and not self._connecting:
                        await self._listen_for_a_turn()
        except RadioError as error:
            for waiting in self._sought.values():
                for heard in waiting:
                    if not heard.done():
                        heard.set_exception(RadioError(str(error)))

    async def _listen_for_a_turn(self) -> None:
        chosen: BlueZScannerArgs = {} if self._adapter is None else {"adapter": self._adapter}
        with _as_radio_error(None, "scanning"):
            scanner = BleakScanner(self._heard, bluez=chosen, backend=self._scanner_backend)
            try:
                async with asyncio.timeout(self._limits.procedure):
                    await scanner.start()
                await self._give_way.wait()
            finally:
                async with asyncio.timeout(self._limits.procedure):
                    await scanner.stop()

    def _heard(self, device: BLEDevice, data: AdvertisementData) -> None:
        address = device.address.upper()
        waiting = self._sought.get(address)
        if not waiting:
            return
        self._known[address] = device
        advertisement = _advertisement(address, data)
        for heard in waiting:
            if not heard.done():
                heard.set_result(advertisement)

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator["BleakConnection"]:
        """Open a link; a bonded device is encrypted before this returns.

        Args:
            address: a device that `find` has heard.
            within: real seconds, the turn at the adapter not counted.

        Raises:
            RadioError: never heard, not reachable, or the bond is lost.
        """
        address = address.upper()
        if address not in self._known:
            raise RadioError("connecting: not heard since the start", device=address)
        connection = BleakConnection(address, self._limits)
        chosen: BlueZClientArgs = {} if self._adapter is None else {"adapter": self._adapter}
        with _as_radio_error(address, "connecting"):
            client = BleakClient(
                self._known[address],
                disconnected_callback=connection.on_closed,
                timeout=within,
                bluez=chosen,
                backend=self._client_backend,
            )
            async with self._turn_to_connect():
                # More than bleak's own timeout, which does not cover every wait on D-Bus.
                async with asyncio.timeout(within + 1.0):
                    await client.connect()
                connection.opened(client)
        try:
            yield connection
        finally:
            connection.on_closed(client)
            try:
                async with asyncio.timeout(self._limits.closing):
                    await client.disconnect()
            except _FAILURES as error:
                # The caller is done with the link either way; the adapter drops it when it hears nothing.
                _log.debug("closing the link failed: %s", type(error).__name__)

    @asynccontextmanager
    async def _turn_to_connect(self) -> AsyncIterator[None]:
        """Hold the adapter, before any scan that runs or waits."""
        self._connecting += 1
        self._give_way.set()
        try:
            async with self._turn:
                yield
        finally:
            self._connecting -= 1


class BleakConnection:
    """One open link (`devices.radio.Connection`)."""

    def __init__(self, address: str, limits: Limits) -> None:
        self._address = address
        self._limits = limits
        self._client: BleakClient | None = None
        self._closed = asyncio.Event()
        self._characteristics: dict[str, BleakGATTCharacteristic] = {}

    def opened(self, client: BleakClient) -> None:
        """Take the connected client and its characteristics; of several with one number, the first counts.

        Raises:
            BleakError: it is not connected any more.
        """
        self._client = client
        for characteristic in client.services.characteristics.values():
            self._characteristics.setdefault(characteristic.uuid, characteristic)

    def on_closed(self, _client: BleakClient) -> None:
        """Note that the link is gone: what waits for it ends."""
        self._closed.set()

    def has(self, characteristic: int) -> bool:
        """Return whether the device offers the characteristic."""
        return normalize_uuid_16(characteristic) in self._characteristics

    def properties(self, characteristic: int) -> frozenset[str]:
        """Return such as {"read", "notify", "indicate", "write"}; empty when absent."""
        found = self._characteristics.get(normalize_uuid_16(characteristic))
        return frozenset() if found is None else frozenset(found.properties)

    async def read(self, characteristic: int) -> bytes:
        """Read a value.

        Raises:
            RadioError: absent, refused, too slow, or the link is gone.
        """
        client, found = self._resolve(characteristic)
        doing = f"reading {characteristic_name(characteristic)}"
        return bytes(await self._run(client.read_gatt_char(found), doing, self._limits.procedure))

    async def write(self, characteristic: int, value: bytes) -> None:
        """Write with response.

        Raises:
            RadioError: absent, refused, too slow, or the link is gone.
        """
        client, found = self._resolve(characteristic)
        doing = f"writing {characteristic_name(characteristic)}"
        await self._run(client.write_gatt_char(found, value, response=True), doing, self._limits.procedure)

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        """Enable notifications or indications, whichever the characteristic has.

        Raises:
            RadioError: absent, refused, too slow, or the link is gone.
        """
        client, found = self._resolve(characteristic)

        def on_frame(_: BleakGATTCharacteristic, frame: bytearray) -> None:
            on_value(bytes(frame))

        doing = f"subscribing to {characteristic_name(characteristic)}"
        await self._run(client.start_notify(found, on_frame), doing, self._limits.procedure)

    async def pair(self) -> None:
        """Bond (Just Works); at once when already bonded.

        Raises:
            RadioError: refused, too slow, or the link is gone.
        """
        await self._run(self._open.pair(), "pairing", self._limits.pairing)

    async def wait_closed(self) -> None:
        """Return when the link is gone, whoever closed it."""
        await self._closed.wait()

    @property
    def _open(self) -> BleakClient:
        if self._client is None or self._closed.is_set():
            raise RadioError("the link is closed", device=self._address)
        return self._client

    def _resolve(self, characteristic: int) -> tuple[BleakClient, BleakGATTCharacteristic]:
        client = self._open
        found = self._characteristics.get(normalize_uuid_16(characteristic))
        if found is None:
            raise RadioError(f"the device has no {characteristic_name(characteristic)}", device=self._address)
        return client, found

    async def _run(self, procedure: Coroutine[object, object, _T], doing: str, seconds: float) -> _T:
        """Run a procedure until it ends, its time is up or the link is gone.

        Raises:
            RadioError: any but the first.
        """
        running = asyncio.ensure_future(procedure)
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            done, _ = await asyncio.wait({running, closed}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if running in done:
                with _as_radio_error(self._address, doing):
                    return running.result()
            why = "the link was lost" if closed in done else f"no answer in {seconds:g} s"
            raise RadioError(f"{doing}: {why}", device=self._address)
        finally:
            for task in (running, closed):
                task.cancel()
            # Collected, so that a failure after the fact is not reported as never retrieved.
            await asyncio.gather(running, closed, return_exceptions=True)


@contextmanager
def _as_radio_error(device: str | None, doing: str) -> Iterator[None]:
    """Turn whatever bleak and D-Bus raise into a RadioError.

    Raises:
        RadioError: something failed.
    """
    try:
        yield
    except _FAILURES as error:
        said = str(error) or type(error).__name__
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            said = "no Bluetooth service (BlueZ over D-Bus) answers on this machine"
        raise RadioError(f"{doing}: {said}", device=device, bond_lost=_is_bond_lost(error)) from error


def _is_bond_lost(error: BaseException) -> bool:
    """Return whether the device refused our key, has none, or wants one that we do not have."""
    if isinstance(error, BleakGATTProtocolError):
        return error.code in _REFUSED
    if isinstance(error, BleakDBusError):
        said = f"{error.dbus_error} {error.dbus_error_details or ''}".lower()
        return any(words in said for words in _BOND_WORDS)
    return isinstance(error, BleakError) and any(words in str(error).lower() for words in _BOND_WORDS)


def _advertisement(address: str, data: AdvertisementData) -> Advertisement:
    """Return what was heard in the house's form: only services with a 16-bit number are kept."""
    services = (_assigned(uuid) for uuid in data.service_uuids)
    payloads = ((_assigned(uuid), bytes(payload)) for uuid, payload in data.service_data.items())
    return Advertisement(
        address=address,
        name=data.local_name,
        services=frozenset(number for number in services if number is not None),
        service_data={number: payload for number, payload in payloads if number is not None},
        manufacturer_data={number: bytes(payload) for number, payload in data.manufacturer_data.items()},
        rssi=data.rssi,
    )


def _assigned(uuid: str) -> int | None:
    """Return the 16-bit number of a full UUID; None when it is a vendor's own."""
    uuid = uuid.lower()
    if uuid.startswith(_SIG_PREFIX) and uuid.endswith(_SIG_SUFFIX):
        return int(uuid[4:8], 16)
    return None
