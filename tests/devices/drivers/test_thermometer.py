"""Health Thermometer service: what is encoded is what is read; what is on the way is never a measurement."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import gatt
from devices.decode import decode_frame
from devices.driver import FrameContext, Resume
from devices.drivers.thermometer import (
    MeasurementInterval,
    Site,
    TemperatureMeasurement,
    TemperatureType,
    ThermometerDriver,
)
from devices.errors import FrameError
from devices.medfloat import decode_float
from devices.radio import Advertisement
from devices.reading import Unit
from devices.wall_clock import DateTime

octets = st.integers(0, 0xFF)
date_times = st.builds(
    DateTime, year=st.integers(0, 0xFFFF), month=octets, day=octets, hours=octets, minutes=octets, seconds=octets
)
measurements = st.builds(
    TemperatureMeasurement,
    temperature=st.integers(0, 0xFFFFFFFF).map(decode_float),
    unit=st.sampled_from([Unit.CELSIUS, Unit.FAHRENHEIT]),
    time_stamp=st.none() | date_times,
    temperature_type=st.none() | octets,
    trailing=st.binary(max_size=3),
)


@given(measurements, st.sampled_from([gatt.TEMPERATURE_MEASUREMENT, gatt.INTERMEDIATE_TEMPERATURE]))
@settings(max_examples=200, deadline=None)
def test_a_measurement_comes_back_as_it_was(said: TemperatureMeasurement, characteristic: int) -> None:
    assert TemperatureMeasurement.from_bytes(bytes(said), characteristic=characteristic) == said


@given(measurements)
@settings(max_examples=50, deadline=None)
def test_a_measurement_cut_before_its_end_is_refused_by_its_own_name(said: TemperatureMeasurement) -> None:
    announced = len(bytes(said)) - len(said.trailing)
    for length in range(announced):
        with pytest.raises(FrameError, match="2A1C: truncated"):
            TemperatureMeasurement.from_bytes(bytes(said)[:length])
        with pytest.raises(FrameError, match="2A1E: truncated"):
            decode_frame(gatt.INTERMEDIATE_TEMPERATURE, bytes(said)[:length])


@given(octets, st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_type_comes_back_as_it_was(number: int, trailing: bytes) -> None:
    frame = bytes((number,)) + trailing
    said = TemperatureType.from_bytes(frame)
    assert bytes(said) == frame
    assert said == TemperatureType(number=number, site=Site(number) if 1 <= number <= 9 else None, trailing=trailing)


@given(st.integers(0, 0xFFFF), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_an_interval_comes_back_as_it_was(seconds: int, trailing: bytes) -> None:
    said = MeasurementInterval(seconds=seconds, trailing=trailing)
    assert MeasurementInterval.from_bytes(bytes(said)) == said


def test_a_short_type_and_a_short_interval_are_refused() -> None:
    with pytest.raises(FrameError, match="2A1D: truncated"):
        TemperatureType.from_bytes(b"")
    with pytest.raises(FrameError, match="2A21: truncated"):
        MeasurementInterval.from_bytes(b"\x00")


def test_a_unit_that_no_thermometer_speaks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Cel or \[degF\]"):
        TemperatureMeasurement(temperature=Decimal(310), unit=Unit.PERCENT)


@pytest.mark.parametrize(("number", "site"), [(None, None), (0, None), (2, "body"), (8, "toe"), (10, None)])
def test_the_site_is_named_where_it_is_known(number: int | None, site: str | None) -> None:
    assert TemperatureMeasurement(temperature=Decimal(37), temperature_type=number).site == site


def test_the_intermediate_temperature_is_shown_and_never_listened_to() -> None:
    shown = decode_frame(gatt.INTERMEDIATE_TEMPERATURE, bytes.fromhex("04 6e0100ff 03"))
    assert shown.readings == ()
    assert shown.fields == {
        "temperature": 36.6,
        "unit": "Cel",
        "time_stamp": None,
        "temperature_type": 3,
        "trailing": "",
    }
    assert ThermometerDriver().measurements == (gatt.TEMPERATURE_MEASUREMENT,)


def test_the_same_record_sent_twice_has_the_same_key_and_another_one_has_not(context: FrameContext) -> None:
    at = DateTime(year=2026, month=11, day=22, hours=8, minutes=0, seconds=0)
    first = bytes(TemperatureMeasurement(temperature=Decimal("38.5"), time_stamp=at))
    other = bytes(TemperatureMeasurement(temperature=Decimal("38.6"), time_stamp=at))
    later = replace(context, received_at=context.received_at + 60_000)
    driver = ThermometerDriver()
    ((one,), (again,), (another,)) = (
        driver.decode(0x2A1C, first, context),
        driver.decode(0x2A1C, first, later),
        driver.decode(0x2A1C, other, context),
    )
    assert one.key == again.key != another.key
    assert driver.sequence(one, context) is None
    assert driver.resume_after(one.key) == Resume()


def test_the_driver_claims_a_thermometer_only() -> None:
    driver = ThermometerDriver()
    assert driver.claims(Advertisement(address="A", services=frozenset({0x1809})))
    assert not driver.claims(Advertisement(address="A", services=frozenset({0x1810})))
