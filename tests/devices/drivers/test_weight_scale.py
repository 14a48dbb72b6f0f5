"""Weight Scale service: what is encoded is what is read."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.driver import FrameContext
from devices.drivers.weight_scale import Features, WeightMeasurement, WeightScaleDriver, WeightScaleFeature
from devices.errors import FrameError
from devices.reading import Unit
from devices.wall_clock import DateTime

octets = st.integers(0, 0xFF)
date_times = st.builds(
    DateTime, year=st.integers(0, 0xFFFF), month=octets, day=octets, hours=octets, minutes=octets, seconds=octets
)
STEPS = {Unit.KILOGRAM: (Decimal("0.005"), Decimal("0.001")), Unit.POUND: (Decimal("0.01"), Decimal("0.1"))}


@st.composite
def measurements(draw: st.DrawFn) -> WeightMeasurement:
    unit = draw(st.sampled_from([Unit.KILOGRAM, Unit.POUND]))
    weight_step, height_step = STEPS[unit]
    extras = draw(st.booleans())
    return WeightMeasurement(
        weight=draw(st.none() | st.integers(0, 0xFFFE).map(lambda count: count * weight_step)),
        unit=unit,
        time_stamp=draw(st.none() | date_times),
        user_id=draw(st.none() | octets),
        bmi=draw(st.integers(0, 0xFFFF)) * Decimal("0.1") if extras else None,
        height=draw(st.integers(0, 0xFFFF)) * height_step if extras else None,
        trailing=draw(st.binary(max_size=3)),
    )


@given(measurements())
@settings(max_examples=200, deadline=None)
def test_a_measurement_comes_back_as_it_was(said: WeightMeasurement) -> None:
    assert WeightMeasurement.from_bytes(bytes(said)) == said


@given(measurements())
@settings(max_examples=50, deadline=None)
def test_a_measurement_cut_before_its_end_is_refused(said: WeightMeasurement) -> None:
    announced = len(bytes(said)) - len(said.trailing)
    for length in range(announced):
        with pytest.raises(FrameError, match="2A9D: truncated"):
            WeightMeasurement.from_bytes(bytes(said)[:length])


def test_values_are_rounded_half_even_to_the_scales_steps() -> None:
    said = WeightMeasurement(weight=Decimal("70.0425"), bmi=Decimal("22.85"), height=Decimal("1.7005"))
    heard = WeightMeasurement.from_bytes(bytes(said))
    assert (heard.weight, heard.bmi, heard.height) == (Decimal("70.040"), Decimal("22.8"), Decimal("1.700"))


@pytest.mark.parametrize("weight", ["327.675", "327.68", "400", "-1"])
def test_a_weight_that_the_field_cannot_say_is_refused(weight: str) -> None:
    with pytest.raises(OverflowError):
        bytes(WeightMeasurement(weight=Decimal(weight)))


def test_a_unit_of_no_scale_and_an_index_without_height_are_refused() -> None:
    with pytest.raises(ValueError, match="kg or"):
        WeightMeasurement(weight=Decimal(70), unit=Unit.CELSIUS)
    with pytest.raises(ValueError, match="together"):
        WeightMeasurement(weight=Decimal(70), bmi=Decimal(22))


@given(st.integers(0, 7).map(Features), st.integers(0, 15), st.integers(0, 7), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_feature_comes_back_as_it_was(features: Features, weight: int, height: int, trailing: bytes) -> None:
    feature = WeightScaleFeature(
        features=features, weight_resolution=weight, height_resolution=height, trailing=trailing
    )
    assert WeightScaleFeature.from_bytes(bytes(feature)) == feature


def test_a_feature_is_read_as_the_specification_lays_it_out() -> None:
    # Time stamps, index, 5 g steps (7), 1 mm steps (3); made here from WSS 3.1.1. Reserved bits are dropped.
    feature = WeightScaleFeature.from_bytes(bytes.fromhex("bd01f0ff"))
    assert feature == WeightScaleFeature(
        features=Features.TIME_STAMP | Features.BMI, weight_resolution=7, height_resolution=3
    )
    with pytest.raises(FrameError, match="2A9E: truncated"):
        WeightScaleFeature.from_bytes(b"\x00\x00\x00")


def test_the_driver_needs_nothing_else_from_the_scale(context: FrameContext) -> None:
    driver = WeightScaleDriver()
    assert driver.describe({}, context) == context
    assert driver.first_writes(context) == ()
    readings = driver.decode(0x2A9D, bytes(WeightMeasurement(weight=Decimal(70))), context)
    assert driver.sequence(readings[0], context) is None
