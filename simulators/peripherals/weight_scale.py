"""A virtual weight scale: standard service 0x181D, unsent weighings at the next connection."""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Service

from devices import gatt
from devices.drivers.weight_scale import Features, WeightMeasurement, WeightScaleFeature
from devices.reading import Quantity
from simulators.patients import Weighing
from simulators.peripherals.peripheral import Properties, Taken
from simulators.peripherals.store_and_forward import StoreAndForward

_STEP_G = 5
"""The finest step that a frame can carry in kilograms (Weight Scale Service 1.0.1, 3.2.1.2)."""


class WeightScale(StoreAndForward):
    """A scale in kilograms that does not know heights and so gives no body mass index."""

    kind: ClassVar[str] = "weight_scale"
    service: ClassVar[int] = gatt.WEIGHT_SCALE_SERVICE
    measurement: ClassVar[int] = gatt.WEIGHT_MEASUREMENT

    def preload(self, weighings: Iterable[Weighing]) -> None:
        """Fill the memory with weighings of earlier days, oldest first, that no box has seen."""
        for weighing in weighings:
            self.take(weighing)

    def take(self, weighing: Weighing, *, user: int | None = None) -> None:
        """Weigh a person: keep the weighing until a box has it.

        Args:
            weighing: what the body does.
            user: index of the person in the scale, 255 for somebody whom it does not know; None: it names nobody.
        """
        time_stamp, measured_at = self._dated(weighing.at)
        grams = round(weighing.count / _STEP_G) * _STEP_G
        record = WeightMeasurement(weight=Decimal(grams) / 1000, time_stamp=time_stamp, user_id=user)
        reading = Taken(device=self.address, quantity=Quantity.BODY_WEIGHT, count=grams, measured_at=measured_at)
        self._keep(bytes(record), [reading])

    def _services(self) -> list[Service]:
        value = WeightScaleFeature(features=Features.TIME_STAMP | Features.MULTIPLE_USERS, weight_resolution=7)
        feature = self._secured(gatt.WEIGHT_SCALE_FEATURE, Properties.READ, bytes(value))
        return [Service(UUID.from_16_bits(self.service), [self._records, feature]), self._current_time_service()]
