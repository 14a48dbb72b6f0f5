"""A virtual blood-glucose meter: standard service 0x1808, a memory of numbered results, and a clock of its own.

It sends nothing by itself: a box asks for what it stored. A strip that is put in switches the radio off, so that a
box hears of the new result by being let in again. Two clocks as the Glucose service has them: the base time, which
only a box sets, and the offset by which a person moved what is shown.

Source: Glucose Service 1.0.1 (GLS).
"""

import asyncio
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import ClassVar

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service

from devices import gatt
from devices.drivers.glucose_context import GlucoseContext, Meal
from devices.drivers.glucose_meter import Features, GlucoseFeature, GlucoseMeasurement, MeterStatus
from devices.drivers.glucose_sample import Fluid, SampleLocation
from devices.reading import Quantity, Unit, to_counts, to_value
from devices.record_access import FILTER_SEQUENCE_NUMBER
from simulators.faults import CLOCK_KNOBS, Fault, HangUp
from simulators.peripherals.peripheral import Circumstances, Properties, Taken
from simulators.peripherals.record_access import Record, RecordKeeper

_MINUTE = 60_000
_LOW_BATTERY = 10
_LARGEST = 0xFFFF
_STEPS = {Unit.MG_PER_DL: Decimal(1), Unit.MMOL_PER_L: Decimal("0.1")}
_MMOL = Decimal("18.0156")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One strip that somebody used.

    Attributes:
        at: ms UTC.
        count: glucose in 0.1 mg/dL, of blood or of the control solution.
        meal: what the person told the meter about it; None: nothing.
        control: whether the drop was control solution.
        status: what the meter has to say about the test.
    """

    at: int
    count: int
    meal: Meal | None = None
    control: bool = False
    status: MeterStatus = MeterStatus.NONE


class GlucoseMeter(RecordKeeper):
    """A meter that shows whole mg/dL or tenths of mmol/L."""

    kind: ClassVar[str] = "glucose_meter"
    service: ClassVar[int] = gatt.GLUCOSE_SERVICE
    measurement: ClassVar[int] = gatt.GLUCOSE_MEASUREMENT
    filter_type: ClassVar[int] = FILTER_SEQUENCE_NUMBER
    knobs: ClassVar[tuple[type[Fault], ...]] = (*RecordKeeper.knobs, HangUp, *CLOCK_KNOBS)

    def __init__(
        self,
        address: str,
        where: Circumstances,
        *,
        name: str,
        battery: int = 87,
        unit: Unit = Unit.MG_PER_DL,
        selective: bool = True,
        time_offset: int = 0,
        lingers: float = 8.0,
    ) -> None:
        """Put a meter together, its memory empty.

        Args:
            address: static random Bluetooth address, upper case.
            where: its surroundings.
            name: at most 20 characters, advertised.
            battery: percent.
            unit: MG_PER_DL or MMOL_PER_L.
            selective: False for one that answers only to "all records".
            time_offset: minutes by which a person put what is shown ahead of the base time.
            lingers: real seconds for which it stays connected when nothing more is asked.
        """
        self._unit = unit
        self._time_offset = time_offset
        self._lingers = lingers
        self._hangs_up = True
        self._next, self._reported = 1, 0
        self._leaving: asyncio.TimerHandle | None = None
        self._contexts = self._secured(gatt.GLUCOSE_MEASUREMENT_CONTEXT, Properties.NOTIFY)
        super().__init__(address, where, name=name, battery=battery, selective=selective)

    def wants_link(self) -> bool:
        """Return whether there is a result that no box was told yet."""
        return self._reported < self._next - 1

    def take(self, strip: Strip) -> None:
        """Test a drop, keep the result, and be found again."""
        sequence = self._next
        self._next = min(self._next + 1, _LARGEST)
        shown, shown_ms = self._dated(strip.at)
        base, _ = self._dated(strip.at - self._time_offset * _MINUTE)
        # Both clocks may be unset, and an offset from no date says nothing.
        offset = self._time_offset if self._time_offset and shown.local is not None else None
        measurement = GlucoseMeasurement(
            sequence=sequence,
            base_time=base,
            time_offset=offset,
            concentration=self._shown(strip.count),
            unit=self._unit,
            fluid=Fluid.CONTROL_SOLUTION if strip.control else Fluid.CAPILLARY_WHOLE_BLOOD,
            location=SampleLocation.CONTROL_SOLUTION if strip.control else SampleLocation.FINGER,
            status=self._status(strip),
            context_follows=strip.meal is not None,
        )
        self._memory[sequence] = self._record(measurement, strip.meal)
        reading = Taken(
            device=self.address,
            quantity=Quantity.GLUCOSE_CAPILLARY,
            count=to_counts(Quantity.GLUCOSE_CAPILLARY, self._shown(strip.count), self._unit),
            measured_at=shown_ms,
        )
        self._where.witness.taken([reading])
        if self._link is not None:
            self._hang_up()
        self._wants_changed.set()

    def reset(self) -> None:
        """Forget every result and number the next ones from the beginning, as a factory reset does."""
        self._forget_records()

    def _forget_records(self) -> None:
        super()._forget_records()
        self._next, self._reported = 1, 0

    def _record(self, measurement: GlucoseMeasurement, meal: Meal | None) -> Record:
        frames: Record = ((self._records, bytes(measurement)),)
        if meal is not None:
            frames += ((self._contexts, bytes(GlucoseContext(sequence=measurement.sequence, meal=meal))),)
        return frames

    def _shown(self, count: int) -> Decimal:
        milligrams = to_value(Quantity.GLUCOSE_CAPILLARY, count)
        value = milligrams if self._unit is Unit.MG_PER_DL else milligrams / _MMOL
        return value.quantize(_STEPS[self._unit], rounding=ROUND_HALF_EVEN)

    def _status(self, strip: Strip) -> MeterStatus | None:
        low = MeterStatus.BATTERY_LOW if self.battery <= _LOW_BATTERY else MeterStatus.NONE
        return strip.status | low or None

    def _services(self) -> list[Service]:
        feature = GlucoseFeature(features=Features.BATTERY_LOW | Features.STRIP_INSERTION_ERROR)
        own = [
            self._records,
            self._contexts,
            self._secured(gatt.GLUCOSE_FEATURE, Properties.READ, bytes(feature)),
            self._access,
        ]
        return [Service(UUID.from_16_bits(self.service), own), self._current_time_service()]

    def _on_request(self, link: Connection, written: bytes) -> None:
        self._stay()
        super()._on_request(link, written)

    def _on_answered(self, chosen: list[int]) -> None:
        self._reported = max([self._reported, *chosen])
        self._stay()
        if self._hangs_up:
            self._leaving = asyncio.get_running_loop().call_later(self._lingers, self._hang_up)

    def _on_disconnection(self, reason: int) -> None:
        self._stay()
        super()._on_disconnection(reason)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    async def _apply(self, fault: Fault) -> None:
        if isinstance(fault, HangUp):
            self._hangs_up = fault.hangs_up
        await super()._apply(fault)
