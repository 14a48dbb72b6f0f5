"""Body Composition service: what is encoded is what is read, in one packet or in two."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.driver import FrameContext
from devices.drivers.body_composition import (
    BodyCompositionDriver,
    BodyCompositionFeature,
    BodyCompositionMeasurement,
    Features,
)
from devices.drivers.weight_scale import WeightScaleDriver
from devices.errors import FrameError
from devices.reading import Quantity, Reading, Unit
from devices.wall_clock import DateTime

FAT, WEIGHT = 0x2A9C, 0x2A9D
AT = DateTime(year=2026, month=11, day=22, hours=7, minutes=30, seconds=0)
octets = st.integers(0, 0xFF)
words = st.integers(0, 0xFFFF)
date_times = st.builds(DateTime, year=words, month=octets, day=octets, hours=octets, minutes=octets, seconds=octets)
TENTH = Decimal("0.1")
STEPS = {Unit.KILOGRAM: (Decimal("0.005"), Decimal("0.001")), Unit.POUND: (Decimal("0.01"), Decimal("0.1"))}


def stepped(step: Decimal) -> st.SearchStrategy[Decimal | None]:
    return st.none() | words.map(lambda count: count * step)


@st.composite
def measurements(draw: st.DrawFn) -> BodyCompositionMeasurement:
    unit = draw(st.sampled_from([Unit.KILOGRAM, Unit.POUND]))
    mass, length = STEPS[unit]
    return BodyCompositionMeasurement(
        body_fat=draw(st.none() | st.integers(0, 0xFFFE).map(lambda count: count * TENTH)),
        unit=unit,
        time_stamp=draw(st.none() | date_times),
        user_id=draw(st.none() | octets),
        basal_metabolism=draw(st.none() | words),
        muscle_percentage=draw(stepped(TENTH)),
        muscle_mass=draw(stepped(mass)),
        fat_free_mass=draw(stepped(mass)),
        soft_lean_mass=draw(stepped(mass)),
        body_water_mass=draw(stepped(mass)),
        impedance=draw(stepped(TENTH)),
        weight=draw(stepped(mass)),
        height=draw(stepped(length)),
        multiple_packets=draw(st.booleans()),
        trailing=draw(st.binary(max_size=3)),
    )


@given(measurements())
@settings(max_examples=200, deadline=None)
def test_a_measurement_comes_back_as_it_was(said: BodyCompositionMeasurement) -> None:
    assert BodyCompositionMeasurement.from_bytes(bytes(said)) == said


@given(measurements())
@settings(max_examples=50, deadline=None)
def test_a_measurement_cut_before_its_end_is_refused_and_awaits_nothing(said: BodyCompositionMeasurement) -> None:
    announced = len(bytes(said)) - len(said.trailing)
    for length in range(announced):
        with pytest.raises(FrameError, match="2A9C: truncated"):
            BodyCompositionMeasurement.from_bytes(bytes(said)[:length])
        assert BodyCompositionDriver().awaits(FAT, bytes(said)[:length]) is None


def test_the_fields_lie_where_the_specification_puts_them() -> None:
    # Made here from the GATT Specification Supplement: each field alone, behind the flag that announces it.
    def alone(hexadecimal: str) -> BodyCompositionMeasurement:
        return BodyCompositionMeasurement.from_bytes(bytes.fromhex(hexadecimal))

    nothing = alone("0000 0601")
    assert nothing == BodyCompositionMeasurement(body_fat=Decimal("26.2"))
    assert alone("0200 0601 ea070b16071e00") == replace(nothing, time_stamp=AT)
    assert alone("0400 0601 07") == replace(nothing, user_id=7)
    assert alone("0800 0601 1a1e") == replace(nothing, basal_metabolism=7706)
    assert alone("1000 0601 6d01") == replace(nothing, muscle_percentage=Decimal("36.5"))
    assert alone("2000 0601 4413") == replace(nothing, muscle_mass=Decimal("24.660"))
    assert alone("4000 0601 4413") == replace(nothing, fat_free_mass=Decimal("24.660"))
    assert alone("8000 0601 4413") == replace(nothing, soft_lean_mass=Decimal("24.660"))
    assert alone("0001 0601 4413") == replace(nothing, body_water_mass=Decimal("24.660"))
    assert alone("0002 0601 9c13") == replace(nothing, impedance=Decimal("502.0"))
    assert alone("0004 0601 b836") == replace(nothing, weight=Decimal("70.040"))
    assert alone("0008 0601 a406") == replace(nothing, height=Decimal("1.700"))
    assert alone("0010 0601") == replace(nothing, multiple_packets=True)
    assert alone("0108 0601 a402") == replace(nothing, unit=Unit.POUND, height=Decimal("67.6"))


def test_a_fat_that_would_say_failure_and_a_unit_of_no_scale_are_refused() -> None:
    with pytest.raises(OverflowError, match="failed"):
        bytes(BodyCompositionMeasurement(body_fat=Decimal("6553.5")))
    with pytest.raises(OverflowError):
        bytes(BodyCompositionMeasurement(body_fat=Decimal(20), weight=Decimal(400)))
    with pytest.raises(ValueError, match="kg or"):
        BodyCompositionMeasurement(body_fat=Decimal(20), unit=Unit.PERCENT)


@given(st.integers(0, 0x7FF).map(Features), st.integers(0, 15), st.integers(0, 7), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_feature_comes_back_as_it_was(features: Features, mass: int, height: int, trailing: bytes) -> None:
    feature = BodyCompositionFeature(
        features=features, mass_resolution=mass, height_resolution=height, trailing=trailing
    )
    assert BodyCompositionFeature.from_bytes(bytes(feature)) == feature


def test_a_feature_is_read_as_the_specification_lays_it_out() -> None:
    # Users, weight, 5 g steps (7), 1 mm steps (3); made here. Reserved bits are dropped.
    feature = BodyCompositionFeature.from_bytes(bytes.fromhex("02bafdff"))
    assert feature == BodyCompositionFeature(
        features=Features.MULTIPLE_USERS | Features.WEIGHT, mass_resolution=7, height_resolution=3
    )
    with pytest.raises(FrameError, match="2A9B: truncated"):
        BodyCompositionFeature.from_bytes(b"\x00\x00\x00")


def by_quantity(readings: tuple[Reading, ...]) -> dict[Quantity, str]:
    return {reading.quantity: str(reading.value) for reading in readings}


FIRST = BodyCompositionMeasurement(body_fat=Decimal("26.2"), time_stamp=AT, user_id=1, multiple_packets=True)
SECOND = BodyCompositionMeasurement(body_fat=Decimal("26.2"), weight=Decimal("70.04"), multiple_packets=True)


def test_only_the_first_of_two_packets_awaits_another(context: FrameContext) -> None:
    driver = BodyCompositionDriver()
    assert driver.awaits(FAT, bytes(FIRST)) == FAT
    assert driver.awaits(FAT, bytes(replace(FIRST, time_stamp=None))) == FAT
    assert driver.awaits(FAT, bytes(replace(SECOND, basal_metabolism=7000))) == FAT
    assert driver.awaits(FAT, bytes(SECOND)) is None
    assert driver.awaits(FAT, bytes(replace(FIRST, multiple_packets=False))) is None
    # The same bytes as a weight: another characteristic, of one packet always.
    assert driver.awaits(WEIGHT, bytes(FIRST)) is None


def test_a_result_has_one_key_whether_or_not_its_second_packet_came(context: FrameContext) -> None:
    driver = BodyCompositionDriver()
    half = driver.decode(FAT, bytes(FIRST), context)
    whole = driver.decode(FAT, bytes(FIRST), context, rest=bytes(SECOND))
    assert by_quantity(half) == {Quantity.BODY_FAT: "26.2"}
    assert by_quantity(whole) == {Quantity.BODY_FAT: "26.2", Quantity.BODY_WEIGHT: "70.040"}
    assert {reading.key for reading in (*half, *whole)} == {half[0].key}
    assert {reading.provenance.frame for reading in whole} == {bytes(FIRST) + bytes(SECOND)}


@pytest.mark.parametrize("other", [replace(FIRST, user_id=2), replace(SECOND, multiple_packets=False)])
def test_what_does_not_complete_a_packet_is_a_result_of_its_own(
    other: BodyCompositionMeasurement, context: FrameContext
) -> None:
    readings = BodyCompositionDriver().decode(FAT, bytes(FIRST), context, rest=bytes(other))
    assert len({reading.key for reading in readings}) == 2


def test_a_second_packet_without_its_first_says_nobodys_weight_of_no_day_and_is_refused(context: FrameContext) -> None:
    for frame, rest in ((SECOND, None), (SECOND, SECOND), (replace(FIRST, multiple_packets=False), SECOND)):
        with pytest.raises(FrameError, match="2A9C: the second of two packets without its first"):
            BodyCompositionDriver().decode(FAT, bytes(frame), context, rest=b"" if rest is None else bytes(rest))


def test_two_packets_in_two_units_are_refused(context: FrameContext) -> None:
    with pytest.raises(FrameError, match="2A9C: its two packets speak two units"):
        BodyCompositionDriver().decode(FAT, bytes(FIRST), context, rest=bytes(replace(SECOND, unit=Unit.POUND)))


def test_a_second_packet_that_is_cut_is_refused(context: FrameContext) -> None:
    with pytest.raises(FrameError, match="the weight"):
        BodyCompositionDriver().decode(FAT, bytes(FIRST), context, rest=bytes(SECOND)[:-1])


def test_a_weight_is_read_as_a_weight_scales(context: FrameContext) -> None:
    frame = bytes.fromhex("06b836ea070b16071e0003")
    driver = BodyCompositionDriver()
    readings = driver.decode(WEIGHT, frame, context)
    assert readings == WeightScaleDriver().decode(WEIGHT, frame, context)
    assert readings[0].provenance.user == 3
    assert driver.sequence(readings[0], context) is None
    assert set(driver.reads) == {0x2A9B, 0x2A9C}
    assert driver.value(FAT, bytes(FIRST), context) == FIRST


def test_no_failed_measurement_is_a_fat_of_zero(context: FrameContext) -> None:
    for body_fat in (None, Decimal(0)):
        said = BodyCompositionMeasurement(body_fat=body_fat, muscle_mass=Decimal(0), weight=Decimal(70))
        fat, weight = BodyCompositionDriver().decode(FAT, bytes(said), context)
        assert (fat.validity.value, fat.provenance.value, str(weight.value)) == ("invalid", None, "70.000")
