"""What is in the air around a box, for whoever installs it: each device once, with who reads it, or why nobody does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

from devices.about import printable
from devices.driver import AnyDriver
from devices.drivers import ALL, driver_for
from devices.errors import DriverError
from devices.quirks import Quirk, Words, quirk_of
from devices.radio import Advertisement, Radio


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One device that was heard.

    Attributes:
        heard: all that it said, with its strongest signal.
        driver: what reads it; None: nothing does.
        refused: why nothing does; None when something does.
    """

    heard: Advertisement
    driver: AnyDriver | None
    refused: Words | None

    @property
    def address(self) -> str:
        """Bluetooth address, upper case."""
        return self.heard.address

    @property
    def name(self) -> str | None:
        """What it calls itself, fit to be shown."""
        return printable(self.heard.name)

    @property
    def quirk(self) -> Quirk | None:
        """What is known of its model besides its specification."""
        return quirk_of(self.heard)

    @property
    def signal(self) -> Words:
        """How well it is heard. The bounds are the house's own: what they mean depends on adapter and walls."""
        for bound, words in _SIGNALS:
            if self.heard.rssi >= bound:
                return words
        return Words(fr="très faible", en="very weak")


_SIGNALS = (
    (-60, Words(fr="fort", en="strong")),
    (-75, Words(fr="bon", en="good")),
    (-85, Words(fr="faible", en="weak")),
)


async def survey(radio: Radio, *, seconds: float, until: str | None = None) -> tuple[Sighting, ...]:
    """Listen to everybody and return who was heard, those that are read first, then by signal.

    Args:
        radio: the adapter.
        seconds: real seconds to listen.
        until: address of a device that is looked for: when something reads it, listening ends.

    Raises:
        RadioError: the adapter failed.
    """
    seen: dict[str, Advertisement] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), radio.listen(None) as heard:
            await _gather(heard, seen, until)
    sightings = [_sighting(advertisement) for advertisement in seen.values()]
    return tuple(sorted(sightings, key=lambda item: (item.driver is None, -item.heard.rssi, item.address)))


MOST = 200
"""Devices that are told of, the strongest ones: one that makes up addresses must not hide the one in the hand."""


async def _gather(heard: AsyncIterator[Advertisement], seen: dict[str, Advertisement], until: str | None) -> None:
    async for advertisement in heard:
        address = advertisement.address
        known = seen.get(address)
        seen[address] = advertisement if known is None else _both(known, advertisement)
        if len(seen) > MOST:
            del seen[min((other for other in seen if other != until), key=lambda other: seen[other].rssi)]
        if address == until and _sighting(seen[address]).driver is not None:
            return


def _both(one: Advertisement, other: Advertisement) -> Advertisement:
    """Return what two advertisements of a device say together: its answer to a scan may say what it itself does not."""
    return replace(
        other,
        name=other.name or one.name,
        services=one.services | other.services,
        service_data={**one.service_data, **other.service_data},
        manufacturer_data={**one.manufacturer_data, **other.manufacturer_data},
        rssi=max(one.rssi, other.rssi),
    )


def _sighting(heard: Advertisement) -> Sighting:
    try:
        driver = driver_for(heard)
    except DriverError:
        return Sighting(heard=heard, driver=None, refused=_why_refused(heard))
    quirk = quirk_of(heard)
    if quirk is not None and quirk.drivers and driver.name not in quirk.drivers:
        # Some advertise another of their services than the one that they are read by.
        driver = next((known for known in ALL if known.name in quirk.drivers), driver)
    return Sighting(heard=heard, driver=driver, refused=None)


def _why_refused(heard: Advertisement) -> Words:
    quirk = quirk_of(heard)
    if quirk is not None and quirk.refused is not None:
        return quirk.refused
    claiming = " + ".join(driver.name for driver in ALL if driver.claims(heard))
    if claiming:
        return Words(fr=f"plusieurs pilotes le réclament ({claiming})", en=f"several drivers claim it ({claiming})")
    return Words(fr="aucun pilote ne le lit", en="no driver reads it")
