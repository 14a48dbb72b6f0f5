"""What a device says about itself besides its measurements: battery, maker, model.

Nothing depends on it, so nothing waits for it: a device that does not answer in a moment is not asked again.
"""

import asyncio
from typing import Final

from devices import gatt
from devices.errors import RadioError
from devices.radio import Connection
from devices.source import DeviceFacts

LOW_BATTERY: Final = 10
"""Percent, inclusive: at and below it a battery is called low. A default of the house; devices differ."""

_LONGEST: Final = 40
"""Characters kept of a name."""


class About:
    """What one device was asked; it outlives a connection."""

    def __init__(self, *, within: float) -> None:
        """Begin without having asked; an answer is waited for `within` real seconds."""
        self._within = within
        self._silent: set[int] = set()
        self._introduced = False

    async def battery(self, link: Connection) -> int | None:
        """Return the battery in percent; None when the device does not say."""
        said = await self._ask(link, gatt.BATTERY_LEVEL)
        return said[0] if said and said[0] <= 100 else None

    async def introduction(self, link: Connection) -> DeviceFacts | None:
        """Return how the device names itself, once."""
        if self._introduced:
            return None
        self._introduced = True
        return DeviceFacts(
            manufacturer=_text(await self._ask(link, gatt.MANUFACTURER_NAME)),
            model=_text(await self._ask(link, gatt.MODEL_NUMBER)),
            firmware=_text(await self._ask(link, gatt.FIRMWARE_REVISION)),
        )

    async def _ask(self, link: Connection, characteristic: int) -> bytes | None:
        if characteristic in self._silent or "read" not in link.properties(characteristic):
            return None
        try:
            async with asyncio.timeout(self._within):
                return await link.read(characteristic)
        except (RadioError, TimeoutError):
            self._silent.add(characteristic)
            return None


def _text(said: bytes | None) -> str | None:
    return None if said is None else printable(said.decode("utf-8", "replace"))


def printable(name: str | None) -> str | None:
    """Return a name as a device spells it, without what cannot be shown; None when nothing is left.

    Whoever stands near the box chooses it: it could hold line breaks and what commands a terminal.
    """
    shown = "".join(letter for letter in name or "" if letter.isprintable()).strip()
    return shown[:_LONGEST] or None
