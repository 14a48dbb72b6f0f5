"""One open link over bleak: read, write, subscribe, pair, each with a hard timeout and an end when the link ends.

Whatever goes wrong comes out as a `RadioError`, which says when the bond is lost and when there is no Bluetooth
service at all. The adapter (scans, turns, connecting) is `bleak_radio`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bleak.uuids import normalize_uuid_16
from dbus_fast.errors import AuthError, DBusError

from devices.bluez_bus import is_service_gone
from devices.errors import RadioError
from devices.gatt import characteristic_name

_T = TypeVar("_T")

# AssertionError: bleak asserts that its D-Bus connection is there, also when it has just gone.
FAILURES: Final = (BleakError, DBusError, AuthError, TimeoutError, EOFError, OSError, AssertionError)

_REFUSED: Final = frozenset(
    {
        BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
        BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
    }
)
_BOND_WORDS: Final = ("key-missing", "key missing", "key_missing", "not paired", "authentication")
"""What BlueZ's and the controller's words have in common when a key is missing or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a procedure may take, in real seconds, before it counts as failed."""

    procedure: float = 15.0
    """Reading, writing, subscribing; starting or stopping a scan."""
    pairing: float = 60.0
    """Bonding; somebody may have to press a button."""
    closing: float = 10.0
    """Closing a link."""


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
                with as_radio_error(self._address, doing):
                    return running.result()
            why = "the link was lost" if closed in done else f"no answer in {seconds:g} s"
            raise RadioError(f"{doing}: {why}", device=self._address)
        finally:
            for task in (running, closed):
                task.cancel()
            # Collected, so that a failure after the fact is not reported as never retrieved.
            await asyncio.gather(running, closed, return_exceptions=True)


@contextmanager
def as_radio_error(device: str | None, doing: str) -> Iterator[None]:
    """Turn whatever bleak and D-Bus raise into a RadioError.

    Raises:
        RadioError: something failed.
    """
    try:
        yield
    except FAILURES as error:
        said = str(error) or type(error).__name__
        gone = _is_service_gone(error)
        if gone:
            said = "no Bluetooth service (BlueZ over D-Bus) answers on this machine"
        raise RadioError(
            f"{doing}: {said}", device=device, bond_lost=_is_bond_lost(error), service_gone=gone
        ) from error


def _is_service_gone(error: BaseException) -> bool:
    """Return whether neither D-Bus nor BlueZ answers at all."""
    if isinstance(error, BleakDBusError):
        return is_service_gone(error.dbus_error)
    if isinstance(error, DBusError):
        return is_service_gone(error.type)
    return isinstance(error, FileNotFoundError | ConnectionRefusedError)


def _is_bond_lost(error: BaseException) -> bool:
    """Return whether the device refused our key, has none, or wants one that we do not have."""
    if isinstance(error, BleakGATTProtocolError):
        return error.code in _REFUSED
    if isinstance(error, BleakDBusError):
        said = f"{error.dbus_error} {error.dbus_error_details or ''}".lower()
        return any(words in said for words in _BOND_WORDS)
    return isinstance(error, BleakError) and any(words in str(error).lower() for words in _BOND_WORDS)
