"""A virtual heart-rate strap: standard service 0x180D, one notification a beat or so while it is worn.

It has neither memory nor clock: what nobody listens to is gone, and what it sends has no date. Taken off, it says once
that it feels no skin, and goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service

from devices import gatt
from devices.drivers.heart_rate import BodySensorLocation, HeartRateMeasurement, Location
from devices.reading import Quantity
from simulators.faults import CutLink, DuplicateFrames, Fault, LoseBond, RefuseConnections, Truncate
from simulators.peripherals.peripheral import Circumstances, Peripheral, Properties, Taken

_PER_SECOND = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A heart under the strap: `rate` in 0.1 /min, `intervals` from beat to beat in ms since the last one told."""

    rate: int
    intervals: tuple[int, ...] = ()


class HeartRateStrap(Peripheral):
    """A chest strap that feels whether it touches the skin, in whole beats a minute."""

    kind: ClassVar[str] = "heart_rate"
    service: ClassVar[int] = gatt.HEART_RATE_SERVICE
    knobs: ClassVar[tuple[type[Fault], ...]] = (CutLink, RefuseConnections, DuplicateFrames, Truncate, LoseBond)

    def __init__(self, address: str, where: Circumstances, *, name: str, battery: int = 87) -> None:
        """Put a strap together, not worn.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
        """
        self._worn = False
        self._rate = self._secured(gatt.HEART_RATE_MEASUREMENT, Properties.NOTIFY)
        super().__init__(address, where, name=name, battery=battery)

    @property
    def heard(self) -> bool:
        """Whether a box listens to it."""
        return self._subscribed(self._rate)

    def wants_link(self) -> bool:
        """Return whether it is worn."""
        return self._worn

    def put_on(self) -> None:
        """Wear it: it can be found until it is taken off."""
        self._worn = True
        self._wants_changed.set()

    def take(self, beat: Beat) -> None:
        """Feel a heart, putting it on first where need be: tell a box that listens, and nobody later."""
        if not self._worn:
            self.put_on()
        shown = round(beat.rate / 10)
        frame = HeartRateMeasurement(
            heart_rate=shown,
            contact=True,
            rr_intervals_1024=tuple(round(interval * _PER_SECOND / 1000) for interval in beat.intervals) or None,
        )
        reading = Taken(device=self.address, quantity=Quantity.HEART_RATE, count=shown * 10, measured_at=0)
        self._tell(bytes(frame), [reading], leaving=False)

    def take_off(self) -> None:
        """Say that there is no skin, and go."""
        self._worn = False
        self._tell(bytes(HeartRateMeasurement(heart_rate=0, contact=False)), [], leaving=True)

    def _tell(self, frame: bytes, readings: Sequence[Taken], *, leaving: bool) -> None:
        link = self._link
        if link is not None and self.heard:
            self._where.witness.taken(readings)
            self._on_link(self._say(link, frame, leaving=leaving), "heart rate")
        elif link is not None and leaving:
            self._hang_up()

    async def _say(self, link: Connection, frame: bytes, *, leaving: bool) -> None:
        await self._send(link, self._notify, frame)
        if leaving:
            await link.drain()
            self._hang_up()

    async def _notify(self, link: Connection, frame: bytes) -> None:
        await self._radio.gatt_server.notify_subscriber(link, self._rate, frame)

    def _services(self) -> list[Service]:
        place = BodySensorLocation(number=Location.CHEST, location=Location.CHEST)
        location = self._secured(gatt.BODY_SENSOR_LOCATION, Properties.READ, bytes(place))
        return [Service(UUID.from_16_bits(self.service), [self._rate, location])]
