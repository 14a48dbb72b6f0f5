"""Devices that keep what they could not send: blood-pressure monitors and scales.

A record is indicated to a box that listens, oldest first, and forgotten when the confirmation has come; so a link
that drops in between sends it again later. Many such devices hang up right after their last record.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from bumble.device import Connection
from bumble.gatt import Characteristic

from simulators.faults import (
    CLOCK_KNOBS,
    ChangeBattery,
    CutLink,
    DuplicateFrames,
    Fault,
    HangUp,
    LoseBond,
    RecordOrder,
    RefuseConnections,
    ReplayMemory,
    Truncate,
)
from simulators.peripherals.peripheral import Circumstances, Peripheral, Properties, Taken

_REMEMBERED = 1000
"""Records that a device still has after it sent them."""


class StoreAndForward(Peripheral):
    """A device whose memory empties as it is read.

    Attributes:
        measurement: the number of its measurement characteristic.
    """

    measurement: ClassVar[int]
    knobs: ClassVar[tuple[type[Fault], ...]] = (
        CutLink,
        RefuseConnections,
        DuplicateFrames,
        Truncate,
        LoseBond,
        RecordOrder,
        ReplayMemory,
        HangUp,
        *CLOCK_KNOBS,
    )

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        battery: int = 87,
        hangs_up: bool = True,
    ) -> None:
        """Put a device together.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
            hangs_up: whether it disconnects right after its last record was confirmed.
        """
        self._unsent: deque[bytes] = deque()
        self._sent: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._fed = asyncio.Event()
        self._listening: Connection | None = None
        self._hangs_up = hangs_up
        self._records = self._secured(self.measurement, Properties.INDICATE)
        super().__init__(address, where, name=name, battery=battery)
        self._records.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)

    @property
    def unsent(self) -> int:
        """How many records are still to be sent."""
        return len(self._unsent)

    def wants_link(self) -> bool:
        """Return whether there is something to send."""
        return bool(self._unsent)

    def _keep(self, frame: bytes, readings: Sequence[Taken]) -> None:
        """Keep a record that was just taken until it is sent."""
        self._where.witness.taken(readings)
        self._unsent.append(frame)
        self._fed.set()
        self._wants_changed.set()

    def _on_subscription(self, link: Connection, _notify: bool, indicate: bool) -> None:  # noqa: FBT001 - Bumble's event
        listening, self._listening = self._listening, link if indicate else None
        if indicate and listening is not link:
            self._on_link(self._deliver(link), "delivery")

    async def _deliver(self, link: Connection) -> None:
        if self._sent and self._manners.replays_all():
            self._unsent.extendleft(reversed(self._sent))
            self._sent.clear()
        while self._listens(link):
            self._fed.clear()
            while self._unsent and self._listens(link):
                frame = self._unsent[-1 if self._manners.newest_first else 0]
                await self._send(link, self._indicate, frame)
                self._unsent.remove(frame)
                self._sent.append(frame)
                if not self._unsent and self._hangs_up:
                    self._hang_up()
            await self._fed.wait()

    def _listens(self, link: Connection) -> bool:
        """Return whether the box at the other end of this link still listens; Bumble indicates to nobody in silence."""
        return self._link is link and self._listening is link

    async def _indicate(self, link: Connection, frame: bytes) -> None:
        """Return when the box has confirmed."""
        await self._radio.gatt_server.indicate_subscriber(link, self._records, frame)

    async def _apply(self, fault: Fault) -> None:
        if isinstance(fault, HangUp):
            self._hangs_up = fault.hangs_up
            return
        if isinstance(fault, ChangeBattery) and not fault.keeps_records:
            self._unsent.clear()
            self._sent.clear()
        await super()._apply(fault)
