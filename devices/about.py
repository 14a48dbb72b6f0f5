"""What a device says about itself besides its measurements: battery, maker, model.

Nothing depends on it, so nothing waits for it: what a device does not answer in a moment it is not asked again. Where
it was the link that failed, or the device refused, it is asked a few times more.
"""

import asyncio
from collections import Counter
from typing import Final

from devices import gatt
from devices.errors import RadioError
from devices.radio import Connection
from devices.source import DeviceFacts

LOW_BATTERY: Final = 10
"""Percent, inclusive: at and below it a battery is called low. A default of the house; devices differ."""

_LONGEST: Final = 40
"""Characters kept of a name."""

_NAMES: Final = (gatt.MANUFACTURER_NAME, gatt.MODEL_NUMBER, gatt.FIRMWARE_REVISION)

_ATTEMPTS: Final = 3
"""Failures in a row after which a device is not asked any more."""


class About:
    """What one device was asked; it outlives a connection.

    Attributes:
        model: how it last named its model; None until it has.
    """

    def __init__(self, *, within: float) -> None:
        """Begin without having asked; an answer is waited for `within` real seconds."""
        self._within = within
        self._silent: set[int] = set()
        self._failed: Counter[int] = Counter()
        self._introduced = False
        self.model: str | None = None

    async def battery(self, link: Connection) -> int | None:
        """Return the battery in percent; None when the device does not say."""
        said = await self._ask(link, gatt.BATTERY_LEVEL)
        return said[0] if said and said[0] <= 100 else None

    async def introduction(self, link: Connection) -> DeviceFacts | None:
        """Return how the device names itself, once it has said all that it says; until then what it said this time."""
        if self._introduced:
            return None
        said = {characteristic: await self._ask(link, characteristic) for characteristic in _NAMES}
        self._introduced = all(name is not None or not self._answers(link, number) for number, name in said.items())
        self.model = _text(said[gatt.MODEL_NUMBER]) or self.model
        return DeviceFacts(
            manufacturer=_text(said[gatt.MANUFACTURER_NAME]),
            model=_text(said[gatt.MODEL_NUMBER]),
            firmware=_text(said[gatt.FIRMWARE_REVISION]),
        )

    def _answers(self, link: Connection, characteristic: int) -> bool:
        """Return whether it is worth asking."""
        return characteristic not in self._silent and "read" in link.properties(characteristic)

    async def _ask(self, link: Connection, characteristic: int) -> bytes | None:
        if not self._answers(link, characteristic):
            return None
        try:
            async with asyncio.timeout(self._within):
                said = await link.read(characteristic)
        except TimeoutError:
            self._silent.add(characteristic)
            return None
        except RadioError:
            self._failed[characteristic] += 1
            if self._failed[characteristic] >= _ATTEMPTS:
                self._silent.add(characteristic)
            return None
        del self._failed[characteristic]
        return said


def _text(said: bytes | None) -> str | None:
    return None if said is None else printable(said.decode("utf-8", "replace"))


def printable(name: str | None) -> str | None:
    """Return a name as a device spells it, without what cannot be shown; None when nothing is left.

    Whoever stands near the box chooses it: it could hold line breaks and what commands a terminal.
    """
    shown = "".join(letter for letter in name or "" if letter.isprintable()).strip()
    return shown[:_LONGEST] or None
