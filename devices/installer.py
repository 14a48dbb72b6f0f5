"""Installer: the person at the box while a device is paired, and the keeper of bonds, as Protocols.

`bluez_bonds` keeps the bonds of a real box; who the person is (a terminal, options, a test) is the caller's matter.
Codes are shown and typed in, never logged and never kept.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

LARGEST_PASSKEY: Final = 999_999
"""Six decimal digits (Bluetooth Core Specification, volume 3, part H: passkey entry)."""


class Installer(Protocol):
    """Who answers while a device is paired. A call may take as long as a person does, and may be cancelled."""

    async def passkey(self, device: str) -> int | None:
        """Return the six digits that the device shows, 0 to 999999; None to give up."""
        ...

    async def confirm(self, device: str, code: str) -> bool:
        """Return whether the device shows the same code."""
        ...

    def show(self, device: str, code: str) -> None:
        """Show a code that is to be typed in at the device."""
        ...

    async def leave_pairing_mode(self, device: str) -> None:
        """Have the device taken out of its pairing mode and used as a patient does; return when that is done."""
        ...


class Bonds(Protocol):
    """The bonds that a box keeps. Every method may raise `RadioError`."""

    async def bonded(self, device: str) -> bool:
        """Return whether the box keeps a key of the device."""
        ...

    async def forget(self, device: str) -> bool:
        """Remove the box's half of a bond; return whether the device was known. Its own half stays in the device."""
        ...

    def attending(self, device: str, installer: Installer) -> AbstractAsyncContextManager[None]:
        """Let an installer answer what is asked while this one device is paired; others are refused."""
        ...
