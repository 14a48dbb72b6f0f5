"""What BlueZ does not tell to a program that scans or connects, and what its signals say all the same.

A scan goes on for ever and hears nothing when BlueZ has gone, or its adapter was switched off or pulled. A device that
forgot its bond lets every link be opened and refuses our key, whereupon the link is closed: BlueZ calls that
`le-connection-abort-by-local`, and bleak, for which this is a poor link, tries again until its time is up (reported in
ble-scale-sync #229 and #290).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dbus_fast import Message

from devices.bluez_bus import BLUEZ, DEVICE, system_bus
from devices.errors import RadioError

_DBUS: Final = "org.freedesktop.DBus"
_ADAPTER: Final = "org.bluez.Adapter1"

SURELY_REFUSED: Final = 3
"""So many links to a bonded device that open and close again in one attempt are no accident of the air any more."""


class _Watch:
    """Looks at signals for the one that ends a scan."""

    def __init__(self, adapter: str | None) -> None:
        self._adapter = adapter
        self.why: asyncio.Future[RadioError] = asyncio.get_running_loop().create_future()

    def look_at(self, message: Message) -> None:
        """Look at one message."""
        match message.member, message.body:
            case "NameOwnerChanged", [name, str(), ""] if name == BLUEZ:
                self.end("the Bluetooth service has gone", service_gone=True)
            case "InterfacesRemoved", [str() as path, list() as interfaces]:
                if _ADAPTER in interfaces and self._is_ours(path):
                    self.end("the Bluetooth adapter has gone")
            case "PropertiesChanged", [interface, dict() as changed, list()] if interface == _ADAPTER:
                if "Powered" in changed and not changed["Powered"].value and self._is_ours(message.path or ""):
                    self.end("the Bluetooth adapter was switched off")

    def _is_ours(self, path: str) -> bool:
        return path.startswith("/org/bluez/hci") and self._adapter in {None, path.rpartition("/")[2]}

    def end(self, why: str, *, service_gone: bool = False) -> None:
        """Say, once, why the scan cannot hear any more."""
        if not self.why.done():
            self.why.set_result(RadioError(f"scanning: {why}", service_gone=service_gone))


@asynccontextmanager
async def watching(adapter: str | None) -> AsyncIterator[asyncio.Future[RadioError]]:
    """Watch over a scan that begins afterwards; what is yielded is done, with the reason, when it hears no more.

    Args:
        adapter: the one that scans, such as "hci0"; None: any.

    Raises:
        RadioError: the bus is not there.
    """
    watch = _Watch(adapter)
    async with system_bus() as bus:
        bus.listen(watch.look_at)
        for rule in (
            f"sender='{_DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
            f"sender='{BLUEZ}',member='InterfacesRemoved'",
            f"sender='{BLUEZ}',member='PropertiesChanged',arg0='{_ADAPTER}'",
        ):
            await bus.match(rule)
        closed = asyncio.create_task(bus.closed())
        closed.add_done_callback(lambda _: watch.end("D-Bus has gone", service_gone=True))
        try:
            yield watch.why
        finally:
            closed.cancel()


class LinksLost:
    """Counts how often the link to one device was open and closed again."""

    def __init__(self, address: str) -> None:
        self.count = 0
        self._path = "/dev_" + address.upper().replace(":", "_")
        self._open = False

    def look_at(self, message: Message) -> None:
        """Look at one message."""
        if message.member != "PropertiesChanged" or not (message.path or "").endswith(self._path):
            return
        connected = message.body[1].get("Connected") if message.body[0] == DEVICE else None
        if connected is not None:
            self.count += self._open and not connected.value
            self._open = connected.value


@asynccontextmanager
async def counting_lost_links(address: str) -> AsyncIterator[LinksLost]:
    """Count the links to a device that are opened and lost while the context is open.

    Raises:
        RadioError: the bus is not there.
    """
    lost = LinksLost(address)
    async with system_bus() as bus:
        bus.listen(lost.look_at)
        await bus.match(f"sender='{BLUEZ}',member='PropertiesChanged',arg0='{DEVICE}'")
        yield lost
