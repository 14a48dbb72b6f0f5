"""A radio that lets a device be bonded once: one whose key the box had and has no more is not bonded anew.

Bonding without a code asks nobody. A program that does so whenever a key is missing would take the readings of whoever
answers to the address of a device that was forgotten. So once the box has kept a key of a device, only an installer
bonds it again (`veilleur pair`), and until then it is told that the bond is lost (docs/adr/0016).

Not here: pairing with an installer (`pairing`), and keys, which the system keeps.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from devices.errors import RadioError
from devices.installer import Bonds
from devices.radio import Advertisement, Connection, Radio


class BondedOnce:
    """Another radio, but for devices that the box kept a key of and keeps none any more (`devices.radio.Radio`)."""

    def __init__(
        self, radio: Radio, bonds: Bonds, *, was_kept: Callable[[str], bool], on_kept: Callable[[str], None]
    ) -> None:
        """Take a radio.

        Args:
            radio: which.
            bonds: what the box keeps of its devices.
            was_kept: answers whether the box ever kept a key of the device with this address.
            on_kept: told of each device whose key the box keeps.
        """
        self._radio = radio
        self._bonds = bonds
        self._was_kept = was_kept
        self._on_kept = on_kept

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        """Return the device's next advertisement, or None when it was not heard within `within` real seconds."""
        return await self._radio.find(address, within=within)

    def listen(self, address: str | None) -> AbstractAsyncContextManager[AsyncIterator[Advertisement]]:
        """Hear a device's advertisements, or everybody's when `address` is None, while the context is open."""
        return self._radio.listen(address)

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[Connection]:
        """Open a link, unless the link would have to be bonded again.

        Raises:
            RadioError: as the radio's own, or the box has lost its key of the device.
        """
        if await self._bonds.bonded(address):
            self._on_kept(address)
        elif self._was_kept(address):
            why = "connecting: the box keeps no key of it any more, and bonds with nobody again by itself"
            raise RadioError(why, device=address, bond_lost=True)
        async with self._radio.connect(address, within=within) as link:
            yield link
