"""The radio over bleak; `bleak_connection` is one open link of it, and no other file of the box imports bleak.

Rules of this room, each learnt from what BlueZ does to programs that break it:

- One adapter does one thing at a time: a scan stops before a connection is opened, connections wait in a queue,
  and all that seek a device share one scan (otherwise: InProgress).
- A connection is opened to the `BLEDevice` that a scan heard, never to a bare address.
- A device that is still connected from before a crash does not advertise: it is found among the connected ones.
- Scans are passive (they ask devices for nothing) only while everybody who listens can be served so: `listening`.
- Every procedure has a hard timeout, because a D-Bus call may never return, and ends when the link ends.
- Whatever goes wrong comes out as a `RadioError`, which says when the bond is lost.

Not here: what to read or write, when to try again, and the pairing agent (BlueZ asks the system's).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from bleak import BleakAdapter, BleakClient, BleakScanner
from bleak.args.bluez import BlueZAdapterArgs, BlueZClientArgs, BlueZScannerArgs, OrPattern, OrPatternLike
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

from devices.bleak_connection import FAILURES, BleakConnection, Limits, as_radio_error
from devices.bluez_watch import SURELY_REFUSED, counting_lost_links, watching
from devices.drivers import DRIVERS
from devices.errors import RadioError
from devices.listening import PATTERNS, Ear, Mode, ScanMode
from devices.radio import Advertisement

_log = logging.getLogger(__name__)

_PATTERNS: Final[list[OrPatternLike]] = [
    OrPattern(position, AdvertisementDataType(kind), content) for position, kind, content in PATTERNS
]

_SERVICES: Final = ["1800", "1801", *sorted({f"{driver.service:04x}" for driver in DRIVERS})]
"""What a connected device may have: any of ours, or what nearly all have. BlueZ may know of either only."""

_SIG_PREFIX, _SIG_SUFFIX = "0000", "-0000-1000-8000-00805f9b34fb"


class BleakRadio:
    """One Bluetooth adapter, through bleak (`devices.radio.Radio`)."""

    def __init__(
        self,
        *,
        adapter: str | None = None,
        client_backend: type[BaseBleakClient] | None = None,
        scanner_backend: type[BaseBleakScanner] | None = None,
        limits: Limits | None = None,
        passive: bool | None = None,
    ) -> None:
        """Take an adapter.

        Args:
            adapter: such as "hci0"; None: the system's default.
            client_backend: what bleak's clients speak through; None: what bleak chooses for this system.
            scanner_backend: what bleak's scanners listen through; None: what bleak chooses for this system.
            limits: hard timeouts.
            passive: whether passive scanning is tried; None: where bleak chooses the scanner.
        """
        self._adapter = adapter
        self._client_backend = client_backend
        self._scanner_backend = scanner_backend
        self._limits = limits or Limits()
        self._turn = asyncio.Lock()
        self._known: dict[str, BLEDevice] = {}
        self._ears: list[Ear] = []
        self._mode = ScanMode(allowed=scanner_backend is None if passive is None else passive)
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
        async with self._hearing(Ear(address)) as heard:
            try:
                async with asyncio.timeout(within):
                    return await anext(heard)
            except TimeoutError:
                self._mode.missed(heard)
                return None

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        """Hear a device's advertisements, or everybody's, while the context is open.

        Args:
            address: whose; None: everybody's.

        Raises:
            RadioError: from the iterator: the adapter failed.
        """
        ear = Ear(None if address is None else address.upper(), broadcast=True)
        async with self._hearing(ear):
            yield ear

    @asynccontextmanager
    async def _hearing(self, ear: Ear) -> AsyncIterator[Ear]:
        self._ears.append(ear)
        self._reconsider()
        if self._scan is None or self._scan.done():
            self._scan = asyncio.create_task(self._listen(), name="radio scan")
        try:
            yield ear
        finally:
            self._ears.remove(ear)
            if not self._ears:
                self._give_way.set()
            self._reconsider()

    def _reconsider(self) -> None:
        """End a scan that has another mode than those who listen need now."""
        if self._mode.running is not None and self._mode.running != self._mode.wanted(self._ears):
            self._give_way.set()

    async def _still_connected(self, address: str) -> bool:
        """Return whether the system holds a link to the device, as it does after this program was killed."""
        if self._client_backend is not None:
            return False
        with as_radio_error(None, "looking for connected devices"):
            async with asyncio.timeout(self._limits.procedure):
                chosen: BlueZAdapterArgs = {} if self._adapter is None else {"adapter": self._adapter}
                adapter = await BleakAdapter.get(bluez=chosen)
                for device in await adapter.get_connected_devices(_SERVICES):
                    if device.address.upper() == address:
                        self._known[address] = device
                        return True
        return False

    async def _listen(self) -> None:
        """Scan while anybody seeks a device, giving way to connections."""
        try:
            while self._ears:
                async with self._turn:
                    self._give_way.clear()
                    # The event may have been set before the turn came: look at its reasons again.
                    if self._ears and not self._connecting:
                        await self._listen_for_a_turn()
        except RadioError as error:
            for ear in self._ears:
                ear.fail(error)

    async def _listen_for_a_turn(self) -> None:
        with as_radio_error(None, "scanning"):
            async with self._watching() as lost:
                scanner = await self._start_scan()
                try:
                    async with asyncio.timeout(self._mode.trial(self._ears)):
                        await self._turn_ends(lost)
                except TimeoutError:
                    self._mode.end_trial(self._ears)
                finally:
                    self._mode.running = None
                    await self._stop(scanner)

    def _watching(self) -> AbstractAsyncContextManager[asyncio.Future[RadioError]]:
        """Watch over a scan where it is BlueZ that scans: BlueZ tells no scanner that it cannot hear any more."""
        if self._scanner_backend is None:
            return watching(self._adapter)
        return nullcontext(asyncio.get_running_loop().create_future())

    async def _turn_ends(self, lost: asyncio.Future[RadioError]) -> None:
        """Wait until somebody needs the adapter, nobody listens any more, or another kind of scan is needed.

        Raises:
            RadioError: the scan cannot hear any more.
        """
        lost.add_done_callback(lambda _: self._give_way.set())
        await self._give_way.wait()
        if lost.done():
            raise lost.result()

    async def _start_scan(self) -> BleakScanner:
        """Return a running scanner, a passive one where that is wanted and works."""
        chosen: BlueZScannerArgs = {} if self._adapter is None else {"adapter": self._adapter}
        if self._mode.wanted(self._ears) == "passive":
            patterns: BlueZScannerArgs = {**chosen, "or_patterns": _PATTERNS}
            scanner = BleakScanner(self._heard, None, "passive", bluez=patterns, backend=self._scanner_backend)
            try:
                await self._start(scanner, "passive")
            except FAILURES as error:
                self._mode.forbid(str(error) or type(error).__name__)
            else:
                return scanner
        scanner = BleakScanner(self._heard, bluez=chosen, backend=self._scanner_backend)
        await self._start(scanner, "active")
        return scanner

    async def _start(self, scanner: BleakScanner, mode: Mode) -> None:
        self._mode.running = mode
        try:
            async with asyncio.timeout(self._limits.procedure):
                await scanner.start()
        except BaseException:
            self._mode.running = None
            await self._stop(scanner)
            raise

    async def _stop(self, scanner: BleakScanner) -> None:
        async with asyncio.timeout(self._limits.procedure):
            await scanner.stop()

    def _heard(self, device: BLEDevice, data: AdvertisementData) -> None:
        address = device.address.upper()
        listening = [ear for ear in self._ears if ear.address in {None, address}]
        if not listening:
            return
        self._known[address] = device
        self._mode.heard(address, bonded=_is_bonded(device))
        advertisement = _advertisement(address, data)
        for ear in listening:
            ear.put(advertisement)
        self._reconsider()

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
        with as_radio_error(address, "connecting"):
            client = BleakClient(
                self._known[address],
                disconnected_callback=connection.on_closed,
                timeout=within,
                bluez=chosen,
                backend=self._client_backend,
            )
            async with self._turn_to_connect(), self._noticing_a_dead_key(address):
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
            except FAILURES as error:
                # The caller is done with the link either way; the adapter drops it when it hears nothing.
                _log.debug("closing the link failed: %s", type(error).__name__)

    @asynccontextmanager
    async def _noticing_a_dead_key(self, address: str) -> AsyncIterator[None]:
        """Tell a bonded device that refuses our key from one that is hard to reach.

        Raises:
            RadioError: it opened one link after the other, and each was closed again.
        """
        if self._client_backend is not None or not _is_bonded(self._known[address]):
            yield
            return
        async with counting_lost_links(address) as lost:
            try:
                yield
            except FAILURES as error:
                if lost.count < SURELY_REFUSED:
                    raise
                why = f"connecting: {lost.count} links were opened and closed again, as by a device without our key"
                raise RadioError(why, device=address, bond_lost=True) from error

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


def _is_bonded(device: BLEDevice) -> bool:
    """Return whether BlueZ says that it keeps a key of the device; other systems do not say."""
    properties = device.details.get("props", {}) if isinstance(device.details, dict) else {}
    return bool(properties.get("Bonded", properties.get("Paired", False)))


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
