"""Pairing a device with the box, step by step, with the proof that it holds. Any radio will do.

Connect, see that the device offers what its driver needs, bond, hang up; have the device taken out of its pairing
mode; find it again, connect, and read what only a bonded box may read. A read made in pairing mode proves nothing:
some devices keep a bond only when the box comes back (docs/pairing.md).

Rules of this room:

- A device that is bonded already is only proved. Nothing that it may forget once told is taken from it then: its
  measurements are listened to only where they can be asked for again.
- A bond is never removed here.
- A device that only broadcasts needs no bond: it is proved by hearing what its driver can read.
- What a new device sends during the proof is counted and not kept: it is a trial, and nobody's measurement yet.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from devices.clock import Clock
from devices.driver import BroadcastDriver, Driver, FrameContext, StoredRecords
from devices.drivers import BROADCASTS, DRIVERS
from devices.errors import FrameError, RadioError
from devices.gatt import BATTERY_LEVEL, RECORD_ACCESS_CONTROL_POINT, characteristic_name
from devices.installer import Bonds, Installer
from devices.quirks import Words
from devices.radio import Connection, Radio
from devices.survey import Sighting

_TRIES: Final = 3
"""Attempts at a link: the first often fails in a home full of radio, and `veilleur run` may hold the adapter."""
_COUNTED: Final = 64
"""Frames kept during the proof, only to count the readings in them."""


class PairingState(StrEnum):
    """How a pairing ended."""

    PROVED = "proved"
    BONDED_NOT_PROVED = "bonded_not_proved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of pairing one device.

    Attributes:
        device: its address.
        state: how it ended.
        why: what happened, one clause.
        advice: the next step, one sentence; None when there is none.
        read: characteristics that were read or listened to over the proving link, such as "2A35".
        readings: trial measurements that came meanwhile and were not kept.
    """

    device: str
    state: PairingState
    why: Words
    advice: Words | None = None
    read: tuple[str, ...] = ()
    readings: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingPatience:
    """Durations, in real seconds."""

    connect: float = 30.0
    again: float = 90.0
    """To hear the device again without its pairing mode: somebody has to use it."""
    listen: float = 5.0
    """For a trial measurement over the proving link."""
    pause: float = 1.0
    """Between two attempts at a link."""


class PairingWalk:
    """Pairs devices through one radio."""

    def __init__(
        self,
        *,
        radio: Radio,
        bonds: Bonds,
        installer: Installer,
        clock: Clock,
        zone: ZoneInfo,
        patience: PairingPatience | None = None,
    ) -> None:
        """Take what it needs.

        Args:
            radio: the adapter.
            bonds: what the box keeps of them.
            installer: who answers and handles the device.
            clock: the box's time.
            zone: of the patient, in which a device's clock is read.
            patience: durations.
        """
        self._radio = radio
        self._bonds = bonds
        self._installer = installer
        self._clock = clock
        self._zone = zone
        self._patience = patience or PairingPatience()

    async def pair(self, sighting: Sighting) -> Outcome:
        """Pair a device that was heard, and prove it.

        Raises:
            RadioError: the adapter or the Bluetooth service failed, not the device.
        """
        device = sighting.address
        broadcasting = next((driver for driver in BROADCASTS if driver is sighting.driver), None)
        if broadcasting is not None:
            return await self._hear(device, broadcasting)
        driver = next((driver for driver in DRIVERS if driver is sighting.driver), None)
        if driver is None:
            why = sighting.refused or Words(fr="aucun pilote ne le lit", en="no driver reads it")
            return Outcome(device=device, state=PairingState.REFUSED, why=why, advice=_ANOTHER_DEVICE)
        fresh = not await self._bonds.bonded(device)
        if fresh:
            refused = await self._bond(device, driver)
            if refused is not None:
                return refused
        if not await self._bonds.bonded(device):
            # Battery and description are given to anybody: read over such a link they would prove nothing.
            return _unproved(device, _NO_KEY, _ANOTHER_DEVICE)
        return await self._prove(device, driver, fresh=fresh)

    async def _hear(self, device: str, driver: BroadcastDriver) -> Outcome:
        """Prove a device that only broadcasts."""
        context = FrameContext(device=device, received_at=self._clock.now_ms(), zone=self._zone)
        why = Words(fr="il n'a rien diffusé", en="it broadcast nothing")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.again), self._radio.listen(device) as heard:
                async for advertisement in heard:
                    if not driver.claims(advertisement):
                        continue
                    try:
                        readings = driver.decode_advertisement(advertisement, context)
                    except FrameError as error:
                        why = Words(fr=f"sa diffusion n'est pas lisible ({error})", en=f"it broadcasts {error}")
                        continue
                    return Outcome(device=device, state=PairingState.PROVED, why=_HEARD, readings=len(readings))
        return Outcome(device=device, state=PairingState.REFUSED, why=why, advice=_USE_IT_NEARBY)

    # Bonding

    async def _bond(self, device: str, driver: Driver) -> Outcome | None:
        """Bond with a device; return why that failed, None when it did not."""
        try:
            async with self._bonds.attending(device, self._installer), self._link(device) as link:
                lacking = _lacking(driver, link)
                if lacking is not None:
                    return Outcome(device=device, state=PairingState.REFUSED, why=lacking, advice=_ANOTHER_DEVICE)
                await link.pair()
        except RadioError as error:
            if error.device is None:
                raise
            why = Words(fr=f"l'appairage a échoué ({error})", en=f"pairing failed ({error})")
            return Outcome(device=device, state=PairingState.REFUSED, why=why, advice=_PAIR_AGAIN)
        return None

    @asynccontextmanager
    async def _link(self, device: str) -> AsyncIterator[Connection]:
        """Open a link; what fails on the way is tried again a few times, except when the device refuses our key.

        Raises:
            RadioError: it could not be opened.
        """
        async with AsyncExitStack() as stack:
            yield await self._open(stack, device)

    async def _open(self, stack: AsyncExitStack, device: str) -> Connection:
        for _ in range(_TRIES - 1):
            try:
                return await stack.enter_async_context(self._radio.connect(device, within=self._patience.connect))
            except RadioError as error:
                if error.device is None or error.bond_lost:
                    raise
            await asyncio.sleep(self._patience.pause)
        return await stack.enter_async_context(self._radio.connect(device, within=self._patience.connect))

    # Proving

    async def _prove(self, device: str, driver: Driver, *, fresh: bool) -> Outcome:
        await self._installer.leave_pairing_mode(device)
        if await self._radio.find(device, within=self._patience.again) is None:
            return _unproved(device, _NOT_HEARD_AGAIN, _USE_IT)
        proof = _Proof(driver, FrameContext(device=device, received_at=self._clock.now_ms(), zone=self._zone))
        try:
            async with self._link(device) as link:
                await proof.take(link, fresh=fresh, listen=self._patience.listen)
        except RadioError as error:
            if error.device is None:
                raise
            if error.bond_lost:
                return _unproved(device, _BOND_NOT_KEPT, _FORGET)
            # A device that hangs up once it has given what it had has proved its bond.
            if not proof.is_given:
                why = Words(fr=f"la liaison a échoué ({error})", en=f"the link failed ({error})")
                return _unproved(device, why, _USE_IT)
        except FrameError as error:
            why = Words(fr=f"il se décrit mal ({error})", en=f"it describes itself wrongly ({error})")
            return _unproved(device, why, _ANOTHER_DEVICE)
        if not proof.is_given:
            return _unproved(device, _NOTHING_TO_READ, _FIRST_MEASUREMENT)
        read = tuple(characteristic_name(number) for number in proof.read)
        return Outcome(device=device, state=PairingState.PROVED, why=_PROVED, read=read, readings=proof.readings)


class _Proof:
    """What a device gives to a box that it knows."""

    def __init__(self, driver: Driver, context: FrameContext) -> None:
        self._driver = driver
        self._context = context
        self._frames: list[tuple[int, bytes]] = []
        self.read: list[int] = []

    @property
    def is_given(self) -> bool:
        """Whether anything was read or listened to."""
        return bool(self.read)

    @property
    def readings(self) -> int:
        """How many readings came of their own accord; frames that say nothing alone do not count."""
        found = 0
        for characteristic, frame in self._frames:
            with suppress(FrameError):
                found += len(self._driver.decode(characteristic, frame, self._context))
        return found

    async def take(self, link: Connection, *, fresh: bool, listen: float) -> None:
        """Read what describes the device, and listen to its measurements where that costs none.

        Raises:
            RadioError: the link failed, or the device refused.
            FrameError: it describes itself in bytes that its specification does not allow.
        """
        values: dict[int, bytes] = {}
        for characteristic in (*self._driver.described_by, BATTERY_LEVEL):
            if "read" in link.properties(characteristic):
                values[characteristic] = await link.read(characteristic)
                self.read.append(characteristic)
        values.pop(BATTERY_LEVEL, None)
        self._context = self._driver.describe(values, self._context)
        keeps = self._driver.stored_records is not StoredRecords.NONE and link.has(RECORD_ACCESS_CONTROL_POINT)
        if fresh or keeps:
            for characteristic in self._driver.measurements:
                if link.has(characteristic):
                    await link.subscribe(characteristic, self._listener(characteristic))
                    self.read.append(characteristic)
            with suppress(TimeoutError):
                async with asyncio.timeout(listen):
                    await link.wait_closed()

    def _listener(self, characteristic: int) -> Callable[[bytes], None]:
        def on_value(frame: bytes) -> None:
            if len(self._frames) < _COUNTED:
                self._frames.append((characteristic, frame))

        return on_value


def _lacking(driver: Driver, link: Connection) -> Words | None:
    """Return what a device lacks that its driver needs, None when it lacks nothing."""
    if not any(link.has(number) for number in driver.measurements):
        names = ", ".join(characteristic_name(number) for number in driver.measurements)
        return Words(fr=f"il n'offre pas {names}", en=f"it does not offer {names}")
    if driver.stored_records is StoredRecords.REQUIRED and not link.has(RECORD_ACCESS_CONTROL_POINT):
        name = characteristic_name(RECORD_ACCESS_CONTROL_POINT)
        return Words(fr=f"il n'offre pas {name}", en=f"it does not offer {name}")
    return None


def _unproved(device: str, why: Words, advice: Words) -> Outcome:
    return Outcome(device=device, state=PairingState.BONDED_NOT_PROVED, why=why, advice=advice)


_PROVED: Final = Words(
    fr="retrouvé et lu hors de son mode appairage : le lien tient",
    en="found again and read without its pairing mode: the bond holds",
)
_HEARD: Final = Words(
    fr="il diffuse ses mesures, et elles sont lisibles : rien à appairer",
    en="it broadcasts its measurements, and they can be read: nothing to pair",
)
_NO_KEY: Final = Words(
    fr="il s'est laissé lire, mais n'a laissé au boîtier aucune clé à garder",
    en="it let itself be read, but left the box no key to keep",
)
_NOT_HEARD_AGAIN: Final = Words(
    fr="il n'a pas été réentendu hors de son mode appairage", en="it was not heard again without its pairing mode"
)
_BOND_NOT_KEPT: Final = Words(
    fr="il ne reconnaît plus le boîtier : il n'a pas gardé le lien, ou l'a perdu",
    en="it does not know this box any more: it did not keep the bond, or lost it",
)
_NOTHING_TO_READ: Final = Words(
    fr="il est lié, mais n'a rien que l'on puisse lire sans risquer de perdre une mesure",
    en="it is bonded, but has nothing that can be read without risking a measurement",
)
_ANOTHER_DEVICE: Final = Words(
    fr="Prendre un appareil de la liste de docs/devices.", en="Use a device that is listed in docs/devices."
)
_USE_IT_NEARBY: Final = Words(
    fr="Prendre une mesure près du boîtier, puis recommencer.", en="Take a measurement near the box, then try again."
)
_USE_IT: Final = Words(
    fr="Quitter le mode appairage, prendre une mesure près du boîtier, puis recommencer avec la même adresse.",
    en="Leave the pairing mode, take a measurement near the box, then try again with the same address.",
)
_PAIR_AGAIN: Final = Words(
    fr="Vérifier le code que l'appareil affiche, effacer ses anciens appairages, le remettre en mode appairage, puis "
    "recommencer.",
    en="Check the code that the device shows, clear its old pairings, put it into pairing mode again, then try again.",
)
_FORGET: Final = Words(
    fr="Effacer le lien des deux côtés (« veilleur pair --forget ADRESSE », puis dans l'appareil), et appairer à neuf.",
    en="Remove the bond on both sides ('veilleur pair --forget ADDRESS', then in the device), and pair anew.",
)
_FIRST_MEASUREMENT: Final = Words(
    fr="La première mesure le dira : la vérifier avec « veilleur status ».",
    en="The first measurement will tell: check it with 'veilleur status'.",
)
