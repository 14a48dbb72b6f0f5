"""Virtual pulse oximeters: standard service 0x1822, both kinds that there are.

`PulseOximeter` gives one spot-check when the finger leaves, as Masimo's do, and before that, where it is made so, a
continuous value for each that it feels. `StoringOximeter` keeps its spot-checks and sends all of them whenever it is
asked through record access, which in this service knows no choice.

Source: Pulse Oximeter Service 1.0.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, Service

from devices import gatt
from devices.drivers.pulse_oximeter import Continuous, Features, PlxFeatures, SpO2PR, SpotCheck
from devices.drivers.pulse_oximeter_status import MeasurementStatus, SensorStatus
from devices.medfloat import Special
from devices.reading import Quantity, to_value
from simulators.faults import CLOCK_KNOBS, Fault
from simulators.peripherals.peripheral import Circumstances, Properties, Taken
from simulators.peripherals.record_access import Record, RecordKeeper
from simulators.peripherals.store_and_forward import StoreAndForward


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """A finger in the oximeter.

    Attributes:
        at: ms UTC.
        spo2: in 0.1 %.
        pulse: in 0.1 /min.
        perfusion: in 0.1 %; None: the oximeter does not tell it.
        status: what the oximeter has to say about its signal.
    """

    at: int
    spo2: int
    pulse: int
    perfusion: int | None = None
    status: SensorStatus = SensorStatus.NONE


class PulseOximeter(StoreAndForward):
    """An oximeter that can be found while a finger is in it, and until a box has what it measured."""

    kind: ClassVar[str] = "pulse_oximeter"
    service: ClassVar[int] = gatt.PULSE_OXIMETER_SERVICE
    measurement: ClassVar[int] = gatt.PLX_SPOT_CHECK_MEASUREMENT

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        battery: int = 87,
        hangs_up: bool = True,
        continuous: bool = False,
    ) -> None:
        """Put an oximeter together, without a finger.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
            hangs_up: whether it disconnects right after its last spot-check was confirmed.
            continuous: whether it sends continuous values too.
        """
        self._felt: Saturation | None = None
        self._stream = self._secured(gatt.PLX_CONTINUOUS_MEASUREMENT, Properties.NOTIFY) if continuous else None
        super().__init__(address, where, name=name, battery=battery, hangs_up=hangs_up)

    @property
    def heard(self) -> bool:
        """Whether a box listens to its spot-checks, and to its continuous values if it has them."""
        return self._subscribed(self._records) and (self._stream is None or self._subscribed(self._stream))

    def wants_link(self) -> bool:
        """Return whether a finger is in it or a spot-check is to be sent."""
        return self._felt is not None or super().wants_link()

    def feel(self, saturation: Saturation) -> None:
        """Feel a finger: show this, and tell a box that listens to continuous values."""
        self._felt = saturation
        self._wants_changed.set()
        link = self._link
        if link is not None and self._stream is not None and self._subscribed(self._stream):
            value = Continuous(
                normal=_pair(saturation),
                sensor_status=saturation.status,
                pulse_amplitude_index=_perfusion(saturation),
            )
            self._where.witness.taken(_taken(self.address, saturation, measured_at=0))
            self._on_link(self._send(link, self._notify, bytes(value)), "continuous value")

    def withdraw(self) -> None:
        """Take the finger out: the last that was felt is the spot-check, and is sent. Nothing happens without one."""
        felt, self._felt = self._felt, None
        if felt is None:
            return
        time_stamp, measured_at = self._dated(felt.at)
        record = SpotCheck(
            normal=_pair(felt),
            time_stamp=time_stamp,
            clock_set=not self.clock.unset,
            measurement_status=MeasurementStatus.FULLY_QUALIFIED,
            sensor_status=felt.status,
            pulse_amplitude_index=_perfusion(felt),
        )
        self._keep(bytes(record), _taken(self.address, felt, measured_at=measured_at))

    def lose_finger(self) -> None:
        """Let the finger slip out without a measurement: a box that listens to continuous values is told."""
        self._felt = None
        self._wants_changed.set()
        link = self._link
        if link is not None and self._stream is not None and self._subscribed(self._stream):
            nothing = SpO2PR(spo2=Special.NAN, pulse_rate=Special.NAN)
            value = Continuous(normal=nothing, sensor_status=SensorStatus.SENSOR_UNCONNECTED_TO_USER)
            self._on_link(self._send(link, self._notify, bytes(value)), "no finger")

    def take(self, saturation: Saturation) -> None:
        """Measure once, from the finger's coming to its leaving."""
        self.feel(saturation)
        self.withdraw()

    async def _notify(self, link: Connection, frame: bytes) -> None:
        if self._stream is not None:
            await self._radio.gatt_server.notify_subscriber(link, self._stream, frame)

    def _services(self) -> list[Service]:
        offered: list[Characteristic[bytes]] = [self._records, _features(self, Features.TIME_STAMP)]
        if self._stream is not None:
            offered.append(self._stream)
        return [Service(UUID.from_16_bits(self.service), offered), self._current_time_service()]


class StoringOximeter(RecordKeeper):
    """An oximeter with a memory of spot-checks, dated or not, that are sent when all of them are asked for."""

    kind: ClassVar[str] = "pulse_oximeter"
    service: ClassVar[int] = gatt.PULSE_OXIMETER_SERVICE
    measurement: ClassVar[int] = gatt.PLX_SPOT_CHECK_MEASUREMENT
    filter_type: ClassVar[int] = 0
    knobs: ClassVar[tuple[type[Fault], ...]] = (*RecordKeeper.knobs, *CLOCK_KNOBS)

    def __init__(self, address: str, where: Circumstances, *, name: str, battery: int = 87, dated: bool = True) -> None:
        """Put an oximeter together, its memory empty.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
            dated: whether its spot-checks have a time.
        """
        self._dates = dated
        self._untold = 0
        super().__init__(address, where, name=name, battery=battery, selective=False)

    def wants_link(self) -> bool:
        """Return whether there is a spot-check that no box was told yet."""
        return self._untold > 0

    def take(self, saturation: Saturation) -> None:
        """Measure once, and keep it for whoever asks."""
        time_stamp, measured_at = self._dated(saturation.at)
        record = SpotCheck(
            normal=_pair(saturation),
            time_stamp=time_stamp if self._dates else None,
            clock_set=self._dates and not self.clock.unset,
            measurement_status=MeasurementStatus.FULLY_QUALIFIED | MeasurementStatus.FROM_STORAGE,
            sensor_status=saturation.status,
            pulse_amplitude_index=_perfusion(saturation),
        )
        self._memory[len(self._memory) + 1] = ((self._records, bytes(record)),)
        self._untold += 1
        readings = _taken(self.address, saturation, measured_at=measured_at if self._dates else 0)
        self._where.witness.taken(readings)
        self._wants_changed.set()

    def _on_answered(self, chosen: list[int]) -> None:
        self._untold = len(self._memory) - len(chosen)

    async def _send_record(self, link: Connection, record: Record) -> None:
        async def indicate(listener: Connection, frame: bytes) -> None:
            await self._indicate(listener, self._records, frame)

        for _, frame in record:
            await self._send(link, indicate, frame)

    def _services(self) -> list[Service]:
        # In this service records are indicated, not notified.
        self._records = self._secured(self.measurement, Properties.INDICATE)
        features = Features.STORAGE | Features.TIME_STAMP if self._dates else Features.STORAGE
        offered = [self._records, _features(self, features), self._access]
        return [Service(UUID.from_16_bits(self.service), offered), self._current_time_service()]


def _features(oximeter: PulseOximeter | StoringOximeter, features: Features) -> Characteristic[bytes]:
    statuses = Features.MEASUREMENT_STATUS | Features.SENSOR_STATUS | Features.PULSE_AMPLITUDE_INDEX
    value = PlxFeatures(
        features=features | statuses,
        measurement_status=MeasurementStatus.FULLY_QUALIFIED | MeasurementStatus.FROM_STORAGE,
        sensor_status=SensorStatus.POOR_SIGNAL | SensorStatus.SENSOR_UNCONNECTED_TO_USER,
    )
    return oximeter._secured(gatt.PLX_FEATURES, Properties.READ, bytes(value))  # noqa: SLF001 both kinds are of this file


def _pair(saturation: Saturation) -> SpO2PR:
    """Return what an oximeter shows: whole numbers."""
    return SpO2PR(spo2=Decimal(round(saturation.spo2 / 10)), pulse_rate=Decimal(round(saturation.pulse / 10)))


def _perfusion(saturation: Saturation) -> Decimal | None:
    return None if saturation.perfusion is None else to_value(Quantity.PERFUSION_INDEX, saturation.perfusion)


def _taken(device: str, saturation: Saturation, *, measured_at: int) -> Sequence[Taken]:
    counts = {
        Quantity.SPO2: round(saturation.spo2 / 10) * 10,
        Quantity.PULSE_RATE: round(saturation.pulse / 10) * 10,
    }
    if saturation.perfusion is not None:
        counts[Quantity.PERFUSION_INDEX] = saturation.perfusion
    return [
        Taken(device=device, quantity=quantity, count=count, measured_at=measured_at)
        for quantity, count in counts.items()
    ]
