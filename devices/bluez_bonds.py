"""The bonds of a real box, which BlueZ keeps (`devices.installer.Bonds`).

A bond has two halves. Removing the box's half (`RemoveDevice`) wipes its key for good, while the device keeps its own
and then ignores whoever pairs anew: a program that removes before each visit works exactly once (reported in
ble-scale-sync #168). So nothing here removes a bond unless an installer asks for it.

Source: BlueZ, org.bluez.Device(5) and org.bluez.Adapter(5).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from devices.bluez_agent import Capability, PairingAgent, registered
from devices.bluez_bus import BluezBus, BluezCallError, system_bus
from devices.installer import Installer


class BluezBonds:
    """The bonds of one adapter, or of all of them."""

    def __init__(self, *, adapter: str | None = None) -> None:
        """Take an adapter, such as "hci0"; None: whichever knows the device."""
        self._adapter = adapter

    async def bonded(self, device: str) -> bool:
        """Return whether the box keeps a key of the device.

        Raises:
            RadioError: BlueZ does not answer.
        """
        async with system_bus() as bus:
            found = await self._known(bus, device)
        # Older services do not tell the bonded apart from the paired.
        return any(properties.get("Bonded", properties.get("Paired", False)) for properties in found.values())

    async def forget(self, device: str) -> bool:
        """Remove the box's half of a bond; return whether the device was known.

        Raises:
            RadioError: BlueZ does not answer, or refuses.
        """
        async with system_bus() as bus:
            found = await self._known(bus, device)
            for path, properties in found.items():
                try:
                    await bus.call(properties["Adapter"], "org.bluez.Adapter1", "RemoveDevice", "o", path)
                except BluezCallError as error:
                    if error.name != "org.bluez.Error.DoesNotExist":
                        raise
        return bool(found)

    @asynccontextmanager
    async def attending(self, device: str, installer: Installer) -> AsyncIterator[None]:
        """Let an installer answer what BlueZ asks while this one device is paired.

        Raises:
            RadioError: BlueZ does not answer, or refuses an agent.
        """
        async with system_bus() as bus, registered(bus, PairingAgent(device, installer), Capability.ALL):
            yield

    async def _known(self, bus: BluezBus, device: str) -> dict[str, dict[str, Any]]:
        return {
            path: properties
            for path, properties in (await bus.devices()).items()
            if properties.get("Address", "").upper() == device.upper()
            and (self._adapter is None or path.startswith(f"/org/bluez/{self._adapter}/"))
        }
