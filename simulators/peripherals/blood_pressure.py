"""A virtual blood-pressure monitor: standard service 0x1810, unsent measurements at the next connection."""

from decimal import Decimal
from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Service

from devices import gatt
from devices.drivers.blood_pressure import (
    BloodPressureFeature,
    BloodPressureMeasurement,
    Features,
    MeasurementStatus,
)
from devices.reading import Quantity
from simulators.patients import Pressure
from simulators.peripherals.peripheral import Properties, Taken
from simulators.peripherals.store_and_forward import StoreAndForward


class BloodPressureMonitor(StoreAndForward):
    """An upper-arm monitor for one person, in whole mm[Hg], that also gives the mean and the pulse."""

    kind: ClassVar[str] = "blood_pressure"
    service: ClassVar[int] = gatt.BLOOD_PRESSURE_SERVICE
    measurement: ClassVar[int] = gatt.BLOOD_PRESSURE_MEASUREMENT

    def take(self, pressure: Pressure) -> None:
        """Inflate the cuff once: keep the measurement until a box has it."""
        time_stamp, measured_at = self._dated(pressure.at)
        values = {
            Quantity.BLOOD_PRESSURE_SYSTOLIC: pressure.systolic,
            Quantity.BLOOD_PRESSURE_DIASTOLIC: pressure.diastolic,
            Quantity.BLOOD_PRESSURE_MEAN: pressure.mean,
            Quantity.PULSE_RATE: pressure.pulse,
        }
        # A monitor shows whole numbers; the quantum of all four quantities is a tenth.
        shown = {quantity: round(count / 10) for quantity, count in values.items()}
        record = BloodPressureMeasurement(
            systolic=Decimal(shown[Quantity.BLOOD_PRESSURE_SYSTOLIC]),
            diastolic=Decimal(shown[Quantity.BLOOD_PRESSURE_DIASTOLIC]),
            mean=Decimal(shown[Quantity.BLOOD_PRESSURE_MEAN]),
            pulse_rate=Decimal(shown[Quantity.PULSE_RATE]),
            time_stamp=time_stamp,
            status=MeasurementStatus.NONE,
        )
        readings = [
            Taken(device=self.address, quantity=quantity, count=number * 10, measured_at=measured_at)
            for quantity, number in shown.items()
        ]
        self._keep(bytes(record), readings)

    def _services(self) -> list[Service]:
        features = Features.BODY_MOVEMENT | Features.IRREGULAR_PULSE | Features.PULSE_RANGE
        feature = self._secured(
            gatt.BLOOD_PRESSURE_FEATURE, Properties.READ, bytes(BloodPressureFeature(features=features))
        )
        return [Service(UUID.from_16_bits(self.service), [self._records, feature]), self._current_time_service()]
