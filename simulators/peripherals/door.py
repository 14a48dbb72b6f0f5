"""Whom a virtual device lets in: anybody, nobody for a while, the box it bonded with last, or who types six digits.

It keeps the device's bonds in memory, as long as the device lives.
"""

import asyncio
from collections.abc import Callable

from bumble.device import Connection, Device
from bumble.hci import Address
from bumble.keys import MemoryKeyStore

from simulators.adapter import PasskeySession, just_works, showing_passkey
from simulators.faults import DoorFault, LoseBond, OutOfReach, RefuseConnections, RememberPeer, RequirePasskey
from simulators.link import DeviceController


class Door:
    """The way into one device."""

    def __init__(
        self,
        radio: Device,
        controller: DeviceController,
        *,
        connectable: bool,
        on_change: Callable[[], None],
        on_passkey: Callable[[str], None],
    ) -> None:
        """Open it to anybody who pairs (Just Works).

        Args:
            radio: the device's own.
            controller: under it.
            connectable: False for a device that never lets anybody in.
            on_change: called when the device can be found again, or not any more.
            on_passkey: gets the six digits when the device shows them.
        """
        self._radio = radio
        self._controller = controller
        self._connectable = connectable
        self._on_change = on_change
        self._on_passkey = on_passkey
        self._bonds = MemoryKeyStore()
        self._refusals = self._absences = 0
        self._keeps_to_peer = False
        self._peer: Address | None = None
        controller.refusing = not connectable
        radio.keystore = self._bonds
        radio.pairing_config_factory = lambda _: just_works()

    @property
    def absent(self) -> bool:
        """Whether the device is out of everybody's reach."""
        return self._absences > 0

    def watch(self, link: Connection) -> None:
        """Follow a link that was just opened: who bonds is remembered."""
        link.on(Connection.EVENT_PAIRING, lambda _: self._remember(link.peer_address))
        # Bumble would take another attempt on the same link for a continuation of the one that failed.
        link.on(Connection.EVENT_PAIRING_FAILURE, lambda _: self._radio.smp_manager.sessions.pop(link.handle, None))

    def _remember(self, peer: Address) -> None:
        self._peer = peer
        self._controller.only = peer if self._keeps_to_peer else None

    async def suffer(self, fault: DoorFault) -> bool:
        """Let a fault happen now; return whether it ends a link that is open."""
        match fault:
            case RefuseConnections(seconds=seconds):
                self._refuse(seconds)
            case OutOfReach(seconds=seconds):
                self._go_away(seconds)
            case LoseBond():
                await self.forget_bonds()
            case RememberPeer():
                self._keeps_to_peer = True
                self._controller.only = self._peer
            case RequirePasskey(passkey=passkey):
                self._radio.smp_manager.session_proxy = PasskeySession
                self._radio.pairing_config_factory = lambda _: showing_passkey(passkey, self._on_passkey)
        return isinstance(fault, OutOfReach | LoseBond)

    async def forget_bonds(self) -> None:
        """Know nobody any more."""
        await self._bonds.delete_all()
        self._peer = self._controller.only = None

    def _refuse(self, seconds: float) -> None:
        self._refusals += 1
        self._controller.refusing = True
        asyncio.get_running_loop().call_later(seconds, self._accept_again)

    def _accept_again(self) -> None:
        self._refusals -= 1
        self._controller.refusing = not self._connectable or self._refusals > 0

    def _go_away(self, seconds: float) -> None:
        self._refuse(seconds)
        self._absences += 1
        self._on_change()
        asyncio.get_running_loop().call_later(seconds, self._come_back)

    def _come_back(self) -> None:
        self._absences -= 1
        self._on_change()
