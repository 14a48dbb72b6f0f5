"""A virtual thermometer: standard service 0x1809, unsent measurements at the next connection.

While it still measures it shows an intermediate temperature (0x2A1E) to whoever listens to that, as many do: a display
that rises, and nobody's temperature.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from devices import gatt
from devices.drivers.thermometer import MeasurementInterval, Site, TemperatureMeasurement, TemperatureType
from devices.reading import Quantity, Unit, to_counts, to_value
from simulators.peripherals.peripheral import Circumstances, Properties, Taken
from simulators.peripherals.store_and_forward import StoreAndForward

_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """A body under the thermometer: `at` in ms UTC, `count` in 0.01 Cel."""

    at: int
    count: int


class Thermometer(StoreAndForward):
    """A thermometer that shows tenths of a degree."""

    kind: ClassVar[str] = "thermometer"
    service: ClassVar[int] = gatt.HEALTH_THERMOMETER_SERVICE
    measurement: ClassVar[int] = gatt.TEMPERATURE_MEASUREMENT

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        battery: int = 87,
        hangs_up: bool = True,
        unit: Unit = Unit.CELSIUS,
        site: Site | None = Site.EAR,
    ) -> None:
        """Put a thermometer together.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
            hangs_up: whether it disconnects right after its last record was confirmed.
            unit: CELSIUS or FAHRENHEIT.
            site: where it measures; None: it does not say.
        """
        self._unit = unit
        self._site = site
        self._intermediate = self._secured(gatt.INTERMEDIATE_TEMPERATURE, Properties.NOTIFY)
        super().__init__(address, where, name=name, battery=battery, hangs_up=hangs_up)

    def take(self, temperature: Temperature) -> None:
        """Measure once: keep the result until a box has it."""
        time_stamp, measured_at = self._dated(temperature.at)
        shown = self._shown(temperature.count)
        record = TemperatureMeasurement(
            temperature=shown, unit=self._unit, time_stamp=time_stamp, temperature_type=self._site
        )
        reading = Taken(
            device=self.address,
            quantity=Quantity.BODY_TEMPERATURE,
            count=to_counts(Quantity.BODY_TEMPERATURE, shown, self._unit),
            measured_at=measured_at,
        )
        self._keep(bytes(record), [reading])

    async def show(self, count: int) -> None:
        """Show what it has reached so far, `count` in 0.01 Cel, to a box that listens to the display."""
        frame = bytes(TemperatureMeasurement(temperature=self._shown(count), unit=self._unit))
        await self._radio.gatt_server.notify_subscribers(self._intermediate, frame)

    def _shown(self, count: int) -> Decimal:
        celsius = to_value(Quantity.BODY_TEMPERATURE, count)
        value = celsius if self._unit is Unit.CELSIUS else celsius * 9 / 5 + 32
        return value.quantize(_TENTH)

    def _services(self) -> list[Service]:
        interval = self._secured(gatt.MEASUREMENT_INTERVAL, Properties.READ, bytes(MeasurementInterval(seconds=0)))
        offered: list[Characteristic[bytes]] = [self._records, self._intermediate, interval]
        if self._site is not None:
            place = TemperatureType(number=self._site, site=self._site)
            offered.append(self._secured(gatt.TEMPERATURE_TYPE, Properties.READ, bytes(place)))
        return [Service(UUID.from_16_bits(self.service), offered), self._current_time_service()]
