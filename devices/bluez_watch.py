"""What BlueZ does not tell to a program that scans: that it has gone, or that its adapter was switched off or pulled.

A scan then goes on for ever and hears nothing. This room waits for the signals that say so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dbus_fast import Message

from devices.bluez_bus import BLUEZ, system_bus
from devices.errors import RadioError

_DBUS: Final = "org.freedesktop.DBus"
_ADAPTER: Final = "org.bluez.Adapter1"


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
