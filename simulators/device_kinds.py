"""Every kind of virtual device, by name: how one is made, and how somebody uses it.

What a person's body does is a `Sample`: numbers by quantity at a moment. Each kind measures of it what it can. So a
home and a story need to know no device.

A newcomer adds a virtual device by one function here and its name in `KINDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from devices.drivers.glucose_context import Meal
from devices.reading import Quantity, Unit
from simulators.errors import HomeError
from simulators.patients import Glucose, Pressure, Weighing
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from simulators.peripherals.body_composition import BodyCompositionScale, BodyWeighing
from simulators.peripherals.cgm import GlucoseSensor
from simulators.peripherals.glucose_meter import GlucoseMeter, Strip
from simulators.peripherals.heart_rate import Beat, HeartRateStrap
from simulators.peripherals.peripheral import Circumstances, Peripheral
from simulators.peripherals.pulse_oximeter import PulseOximeter, Saturation, StoringOximeter
from simulators.peripherals.thermometer import Temperature, Thermometer
from simulators.peripherals.weight_scale import WeightScale
from simulators.peripherals.xiaomi_scale import XiaomiScale

Name = Annotated[str, Meta(min_length=1, max_length=20)]
Percent = Annotated[int, Meta(ge=0, le=100)]
S = TypeVar("S", bound=Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a body is like when somebody takes a device to it.

    Attributes:
        at: ms UTC.
        counts: values in quanta; a device takes those that it measures.
        user: index of the person in the device, None where nobody said who they are.
    """

    at: int
    counts: Mapping[Quantity, int]
    user: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A device that somebody wants.

    Attributes:
        address: static random Bluetooth address, upper case.
        where: its surroundings.
        options: as its kind has them; `name` is what it advertises.
        began_at: ms UTC at which a sensor was put on.
    """

    address: str
    where: Circumstances
    options: Mapping[str, object]
    began_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A device, put together and not yet switched on; `take` uses it once."""

    device: Peripheral
    take: Callable[[Sample], None]


class _Options(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be chosen of any device: what it advertises as its name, and its battery in percent."""

    name: Name
    battery: Percent = 87


class _ForwardingOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one that hangs up, or not, after its last record."""

    hangs_up: bool = True


class _SensorOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of a sensor: how far ahead the clock was that its session was started by, and how long it warms up."""

    clock_offset_s: int = 0
    warm_up_minutes: Annotated[int, Meta(ge=0, le=1440)] = 0


class _MeterOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of a meter: its unit, whether it chooses among its records, how its shown time was moved, how long it stays."""

    unit: Unit = Unit.MG_PER_DL
    selective: bool = True
    time_offset: int = 0
    lingers: Annotated[float, Meta(ge=0)] = 8.0
    meal: str | None = None


class _CompositionOptions(_ForwardingOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of a scale that knows its users: their consent codes by index, and how it sends what it has."""

    codes: dict[int, int]
    two_packets: bool = False
    shows_live: bool = False
    answers_consent: bool = True


class _BroadcastOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of a scale that broadcasts: whether it has electrodes, and how many real seconds a weight takes to settle."""

    electrodes: bool = True
    settling_seconds: Annotated[float, Meta(ge=0)] = 1.0


class _ThermometerOptions(_ForwardingOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of a thermometer: Cel or [degF]."""

    unit: Unit = Unit.CELSIUS


class _OximeterOptions(_ForwardingOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of an oximeter: whether it keeps its spot-checks and sends them when asked."""

    stores: bool = False


def _chosen(kind: type[S], order: Order) -> S:
    try:
        return msgspec.convert(dict(order.options), kind, strict=True, str_keys=True)
    except msgspec.ValidationError as error:
        raise HomeError(f"an option is refused: {error}") from error


def _cgm(order: Order) -> Installed:
    wanted = _chosen(_SensorOptions, order)
    device = GlucoseSensor(
        order.address,
        order.where,
        name=wanted.name,
        session_start=order.began_at,
        battery=wanted.battery,
        clock_offset_s=wanted.clock_offset_s,
        warm_up_minutes=wanted.warm_up_minutes,
    )
    return Installed(
        device=device,
        take=lambda sample: device.take(
            Glucose(at=sample.at, count=sample.counts[Quantity.GLUCOSE_INTERSTITIAL]),
        ),
    )


def _blood_pressure(order: Order) -> Installed:
    wanted = _chosen(_ForwardingOptions, order)
    device = BloodPressureMonitor(
        order.address, order.where, name=wanted.name, battery=wanted.battery, hangs_up=wanted.hangs_up
    )

    def take(sample: Sample) -> None:
        high = sample.counts[Quantity.BLOOD_PRESSURE_SYSTOLIC]
        low = sample.counts[Quantity.BLOOD_PRESSURE_DIASTOLIC]
        mean = sample.counts.get(Quantity.BLOOD_PRESSURE_MEAN, low + (high - low) // 3)
        pulse = sample.counts[Quantity.PULSE_RATE]
        device.take(Pressure(at=sample.at, systolic=high, diastolic=low, mean=mean, pulse=pulse))

    return Installed(device=device, take=take)


def _weight_scale(order: Order) -> Installed:
    wanted = _chosen(_ForwardingOptions, order)
    device = WeightScale(order.address, order.where, name=wanted.name, battery=wanted.battery, hangs_up=wanted.hangs_up)
    return Installed(
        device=device,
        take=lambda sample: device.take(_weighing(sample), user=sample.user),
    )


def _weighing(sample: Sample) -> Weighing:
    return Weighing(at=sample.at, count=sample.counts[Quantity.BODY_WEIGHT])


def _body_composition(order: Order) -> Installed:
    wanted = _chosen(_CompositionOptions, order)
    device = BodyCompositionScale(
        order.address,
        order.where,
        name=wanted.name,
        codes=wanted.codes,
        battery=wanted.battery,
        two_packets=wanted.two_packets,
        shows_live=wanted.shows_live,
        answers_consent=wanted.answers_consent,
        hangs_up=wanted.hangs_up,
    )

    def take(sample: Sample) -> None:
        counts = sample.counts
        device.take(
            BodyWeighing(
                at=sample.at,
                weight=counts[Quantity.BODY_WEIGHT],
                fat=counts.get(Quantity.BODY_FAT),
                muscle=counts.get(Quantity.MUSCLE_MASS, 0),
                water=counts.get(Quantity.BODY_WATER_MASS, 0),
                user=sample.user,
            )
        )

    return Installed(device=device, take=take)


def _xiaomi_scale(order: Order) -> Installed:
    wanted = _chosen(_BroadcastOptions, order)
    device = XiaomiScale(
        order.address,
        order.where,
        name=wanted.name,
        battery=wanted.battery,
        electrodes=wanted.electrodes,
        settling_seconds=wanted.settling_seconds,
    )
    return Installed(device=device, take=lambda sample: device.take(_weighing(sample)))


def _thermometer(order: Order) -> Installed:
    wanted = _chosen(_ThermometerOptions, order)
    device = Thermometer(
        order.address,
        order.where,
        name=wanted.name,
        battery=wanted.battery,
        hangs_up=wanted.hangs_up,
        unit=wanted.unit,
    )
    return Installed(
        device=device,
        take=lambda sample: device.take(
            Temperature(at=sample.at, count=sample.counts[Quantity.BODY_TEMPERATURE]),
        ),
    )


def _pulse_oximeter(order: Order) -> Installed:
    wanted = _chosen(_OximeterOptions, order)
    device: PulseOximeter | StoringOximeter
    if wanted.stores:
        device = StoringOximeter(order.address, order.where, name=wanted.name, battery=wanted.battery)
    else:
        device = PulseOximeter(
            order.address, order.where, name=wanted.name, battery=wanted.battery, hangs_up=wanted.hangs_up
        )

    def take(sample: Sample) -> None:
        counts = sample.counts
        device.take(
            Saturation(
                at=sample.at,
                spo2=counts[Quantity.SPO2],
                pulse=counts[Quantity.PULSE_RATE],
                perfusion=counts.get(Quantity.PERFUSION_INDEX),
            )
        )

    return Installed(device=device, take=take)


def _heart_rate(order: Order) -> Installed:
    wanted = _chosen(_Options, order)
    device = HeartRateStrap(order.address, order.where, name=wanted.name, battery=wanted.battery)
    return Installed(device=device, take=lambda sample: device.take(Beat(rate=sample.counts[Quantity.HEART_RATE])))


def _glucose_meter(order: Order) -> Installed:
    wanted = _chosen(_MeterOptions, order)
    try:
        meal = None if wanted.meal is None else Meal[wanted.meal.upper()]
    except KeyError as error:
        names = ", ".join(item.name.lower() for item in Meal)
        raise HomeError(f"a meal is one of {names}, not {wanted.meal!r}") from error
    device = GlucoseMeter(
        order.address,
        order.where,
        name=wanted.name,
        battery=wanted.battery,
        unit=wanted.unit,
        selective=wanted.selective,
        time_offset=wanted.time_offset,
        lingers=wanted.lingers,
    )
    return Installed(
        device=device,
        take=lambda sample: device.take(
            Strip(at=sample.at, count=sample.counts[Quantity.GLUCOSE_CAPILLARY], meal=meal),
        ),
    )


KINDS: Mapping[str, Callable[[Order], Installed]] = {
    "cgm": _cgm,
    "blood_pressure": _blood_pressure,
    "weight_scale": _weight_scale,
    "body_composition": _body_composition,
    "xiaomi_scale": _xiaomi_scale,
    "glucose_meter": _glucose_meter,
    "pulse_oximeter": _pulse_oximeter,
    "thermometer": _thermometer,
    "heart_rate": _heart_rate,
}


def install(kind: str, order: Order) -> Installed:
    """Put a device together.

    Args:
        kind: the name of the driver that reads it.
        order: what is wanted; without a name it advertises its kind.

    Raises:
        HomeError: there is no such kind, or it has no such option.
    """
    make = KINDS.get(kind)
    if make is None:
        raise HomeError(f"there is no virtual {kind!r}; there are {', '.join(KINDS)}")
    return make(replace(order, options={"name": kind.replace("_", " "), **order.options}))
