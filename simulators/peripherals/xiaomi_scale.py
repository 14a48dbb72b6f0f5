"""A virtual Xiaomi scale: it says in its advertisements what it weighs, to everybody, and lets nobody connect.

While somebody stands on it, it advertises a weight that still moves, then the settled one; after that the same result
with the "removed" bit for a while, as real ones do for minutes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from bumble import data_types
from bumble.core import UUID, AdvertisingData
from bumble.gatt import Service

from devices import gatt
from devices.drivers.xiaomi_scale import Broadcast, CompositionBroadcast, ScaleUnit, WeightBroadcast
from devices.reading import Quantity, Unit, to_counts
from simulators.faults import CLOCK_KNOBS, Fault
from simulators.patients import Weighing
from simulators.peripherals.peripheral import Circumstances, Peripheral, Taken

_IMPEDANCE = 500
"""Ohm, of whoever stands on it barefoot."""
_KILOGRAMS = {
    ScaleUnit.KILOGRAM: (Decimal(1), Unit.KILOGRAM, Decimal("0.05")),
    ScaleUnit.POUND: (Decimal("0.45359237"), Unit.POUND, Decimal("0.1")),
    ScaleUnit.JIN: (Decimal("0.5"), Unit.KILOGRAM, Decimal("0.1")),
}
"""Of each unit of the display: how much it is, what a box converts from, and the step that is shown."""
_LONGEST = 31
"""Bytes of an advertisement (Bluetooth Core Specification, legacy advertising)."""


class XiaomiScale(Peripheral):
    """A scale that broadcasts."""

    kind: ClassVar[str] = "xiaomi_scale"
    service: ClassVar[int] = gatt.BODY_COMPOSITION_SERVICE
    knobs: ClassVar[tuple[type[Fault], ...]] = CLOCK_KNOBS
    connectable: ClassVar[bool] = False

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        battery: int = 87,
        electrodes: bool = True,
        unit: ScaleUnit = ScaleUnit.KILOGRAM,
        settling_seconds: float = 1.0,
        standing_seconds: float = 3.0,
        lingering_seconds: float = 30.0,
    ) -> None:
        """Put a scale together.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: advertised as far as there is room for it.
            battery: percent, told to nobody.
            electrodes: whether it measures an impedance, as a Mi Body Composition Scale does.
            unit: of its display.
            settling_seconds: real seconds until the weight has settled.
            standing_seconds: real seconds from then until the person leaves.
            lingering_seconds: real seconds for which the result is advertised after that.
        """
        self._electrodes = electrodes
        self._unit = unit
        self._durations = (settling_seconds, standing_seconds, lingering_seconds)
        self._speaking = False
        self._scheduled: list[asyncio.TimerHandle] = []
        super().__init__(address, where, name=name, battery=battery)

    def wants_link(self) -> bool:
        """Return whether it has something to advertise."""
        return self._speaking

    def take(self, weighing: Weighing) -> None:
        """Weigh a person: advertise what follows from now on."""
        factor, converted_from, step = _KILOGRAMS[self._unit]
        shown = round(Decimal(weighing.count) / 1000 / factor / step) * step
        time_stamp, measured_at = self._dated(weighing.at)
        weight = shown * factor if converted_from is Unit.KILOGRAM else shown
        count = to_counts(Quantity.BODY_WEIGHT, weight, converted_from)
        self._where.witness.taken(
            [Taken(device=self.address, quantity=Quantity.BODY_WEIGHT, count=count, measured_at=measured_at)]
        )
        moving: Broadcast
        if self._electrodes:
            moving = CompositionBroadcast(weight=shown - step, unit=self._unit, time_stamp=time_stamp)
            settled: Broadcast = replace(moving, weight=shown, settled=True, has_impedance=True, impedance=_IMPEDANCE)
        else:
            moving = WeightBroadcast(weight=shown - step, unit=self._unit, time_stamp=time_stamp)
            settled = replace(moving, weight=shown, settled=True)
        self._play(moving, settled)

    def _play(self, moving: Broadcast, settled: Broadcast) -> None:
        self._stop()
        settling, standing, lingering = self._durations
        self._say(moving)
        self._after(settling, lambda: self._say(settled))
        self._after(settling + standing, lambda: self._say(replace(settled, removed=True)))
        self._after(settling + standing + lingering, self._fall_silent)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._scheduled.append(asyncio.get_running_loop().call_later(seconds, act))

    def _stop(self) -> None:
        for handle in self._scheduled:
            handle.cancel()
        self._scheduled.clear()

    def _say(self, said: Broadcast) -> None:
        self._speaking = True
        number = gatt.BODY_COMPOSITION_SERVICE if self._electrodes else gatt.WEIGHT_SCALE_SERVICE
        self._broadcast({number: bytes(said)})

    def _fall_silent(self) -> None:
        self._speaking = False
        self._broadcast({})
        self._where.witness.happened("silent", self.address)

    def _leave(self) -> None:
        self._stop()
        super()._leave()

    def _services(self) -> list[Service]:
        return []

    def _advertisement(self) -> bytes:
        flags = AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
        number = gatt.BODY_COMPOSITION_SERVICE if self._electrodes else gatt.WEIGHT_SCALE_SERVICE
        said = bytes(
            AdvertisingData(
                [
                    data_types.Flags(flags),
                    data_types.CompleteListOf16BitServiceUUIDs([UUID.from_16_bits(number)]),
                    *(
                        data_types.ServiceData16BitUUID(UUID.from_16_bits(service), payload)
                        for service, payload in self._data.items()
                    ),
                ]
            )
        )
        room = _LONGEST - len(said) - 2
        return said + bytes(AdvertisingData([data_types.ShortenedLocalName(self._name[:room])]))
