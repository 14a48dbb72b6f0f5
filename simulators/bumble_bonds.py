"""The bonds of a box in the simulated world (`devices.installer.Bonds`), kept by its simulated adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devices.installer import Installer
from simulators.adapter import Adapter


class BumbleBonds:
    """The bonds of one simulated adapter."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    async def bonded(self, device: str) -> bool:
        """Return whether the box keeps a key of the device."""
        return await self._adapter.bonded(device)

    async def forget(self, device: str) -> bool:
        """Remove the box's half of a bond; return whether there was one."""
        known = await self._adapter.bonded(device)
        await self._adapter.forget(device)
        return known

    @asynccontextmanager
    async def attending(self, device: str, installer: Installer) -> AsyncIterator[None]:
        """Let an installer type in the passkey of this one device; another one gets none."""

        async def ask(address: str) -> int | None:
            return await installer.passkey(device) if address.upper() == device.upper() else None

        before, self._adapter.ask_passkey = self._adapter.ask_passkey, ask
        try:
            yield
        finally:
            self._adapter.ask_passkey = before
