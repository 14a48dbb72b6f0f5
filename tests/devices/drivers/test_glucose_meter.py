"""Glucose service: what is encoded is what is read; units; contexts; the place of a record."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.driver import FrameContext, Resume
from devices.drivers.glucose_context import (
    Carbohydrate,
    Examiner,
    GlucoseContext,
    Health,
    Meal,
    Medication,
    MedicationUnit,
)
from devices.drivers.glucose_meter import (
    Features,
    GlucoseFeature,
    GlucoseMeasurement,
    GlucoseMeterDriver,
    MeterStatus,
)
from devices.drivers.glucose_sample import Fluid, SampleLocation, named, octet_of
from devices.errors import FrameError
from devices.fields import fields_of
from devices.medfloat import MedFloat, decode_sfloat
from devices.reading import ClockTrust, Quality, Unit, Validity
from devices.wall_clock import UNKNOWN_DATE_TIME, DateTime

octets = st.integers(0, 0xFF)
nibbles = st.integers(0, 15)
words = st.integers(0, 0xFFFF)
date_times = st.builds(DateTime, year=words, month=octets, day=octets, hours=octets, minutes=octets, seconds=octets)
raw_sfloats = words.map(decode_sfloat)


def scaled(said: MedFloat, power: int) -> MedFloat:
    return said.scaleb(power) if isinstance(said, Decimal) else said


@st.composite
def measurements(draw: st.DrawFn) -> GlucoseMeasurement:
    unit, power = draw(st.sampled_from([(Unit.MG_PER_DL, 5), (Unit.MMOL_PER_L, 3)]))
    concentration = draw(st.none() | raw_sfloats.map(lambda said: scaled(said, power)))
    return GlucoseMeasurement(
        sequence=draw(words),
        base_time=draw(date_times),
        time_offset=draw(st.none() | st.integers(-0x8000, 0x7FFF)),
        concentration=concentration,
        unit=unit,
        fluid=0 if concentration is None else draw(nibbles),
        location=0 if concentration is None else draw(nibbles),
        status=draw(st.none() | st.integers(0, 0x0FFF).map(MeterStatus)),
        context_follows=draw(st.booleans()),
        trailing=draw(st.binary(max_size=2)),
    )


@st.composite
def contexts(draw: st.DrawFn) -> GlucoseContext:
    unit, power = draw(st.sampled_from([(MedicationUnit.MILLIGRAM, 6), (MedicationUnit.MILLILITRE, 3)]))
    eats, judged, moves, takes = (draw(st.booleans()) for _ in range(4))
    return GlucoseContext(
        sequence=draw(words),
        extended=draw(st.none() | octets),
        carbohydrate=draw(octets) if eats else None,
        carbohydrate_g=scaled(draw(raw_sfloats), 3) if eats else None,
        meal=draw(st.none() | octets),
        tester=draw(nibbles) if judged else None,
        health=draw(nibbles) if judged else None,
        exercise_s=draw(words) if moves else None,
        exercise_percent=draw(octets) if moves else None,
        medication=draw(octets) if takes else None,
        medication_amount=scaled(draw(raw_sfloats), power) if takes else None,
        medication_unit=unit,
        hba1c_percent=draw(st.none() | raw_sfloats),
        trailing=draw(st.binary(max_size=2)),
    )


def taken(**changes: object) -> GlucoseMeasurement:
    """120 mg/dL from a finger at 08:59:30 in Paris, half a minute before the context's arrival."""
    said = GlucoseMeasurement(
        sequence=42,
        base_time=DateTime(year=2026, month=11, day=22, hours=8, minutes=59, seconds=30),
        concentration=Decimal(120),
        fluid=Fluid.CAPILLARY_WHOLE_BLOOD,
        location=SampleLocation.FINGER,
    )
    return replace(said, **changes)  # type: ignore[arg-type]


@given(measurements())
@settings(max_examples=200, deadline=None)
def test_a_measurement_comes_back_as_it_was(said: GlucoseMeasurement) -> None:
    assert GlucoseMeasurement.from_bytes(bytes(said)) == said


@given(contexts())
@settings(max_examples=200, deadline=None)
def test_a_context_comes_back_as_it_was(said: GlucoseContext) -> None:
    assert GlucoseContext.from_bytes(bytes(said)) == said


@given(st.integers(0, 0x07FF).map(Features), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_feature_comes_back_as_it_was(features: Features, trailing: bytes) -> None:
    feature = GlucoseFeature(features=features, trailing=trailing)
    assert GlucoseFeature.from_bytes(bytes(feature)) == feature


@given(st.binary(max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_value_or_a_frame_error(frame: bytes) -> None:
    for value in (GlucoseMeasurement, GlucoseContext, GlucoseFeature):
        try:
            value.from_bytes(frame)
        except FrameError as error:
            assert error.frame == frame  # noqa: PT017 either outcome is right


def test_reserved_bits_of_a_feature_are_dropped() -> None:
    assert GlucoseFeature.from_bytes(bytes.fromhex("01f8")) == GlucoseFeature(features=Features.BATTERY_LOW)


def test_every_field_of_a_context_is_named() -> None:
    # Made here: 60 g of breakfast before a meal, oneself without health issues, 30 minutes at half of what one can,
    # 5 mL of rapid insulin, HbA1c 6.5 %.
    said = GlucoseContext.from_bytes(bytes.fromhex("ff 2c00 00 01 3cd0 01 51 0807 32 01 05d0 41f0"))
    assert said == GlucoseContext(
        sequence=44,
        extended=0,
        carbohydrate=Carbohydrate.BREAKFAST,
        carbohydrate_g=Decimal(60),
        meal=Meal.BEFORE_MEAL,
        tester=Examiner.SELF,
        health=Health.NO_ISSUES,
        exercise_s=1800,
        exercise_percent=50,
        medication=Medication.RAPID_ACTING_INSULIN,
        medication_amount=Decimal(5),
        medication_unit=MedicationUnit.MILLILITRE,
        hba1c_percent=Decimal("6.5"),
    )
    shown = fields_of(said)
    assert (shown["meal"], shown["tester"], shown["medication_unit"]) == ("before_meal", "self", "mL")


def test_reserved_numbers_are_kept_as_numbers() -> None:
    said = GlucoseContext.from_bytes(bytes.fromhex("02 2c00 09"))
    assert (said.meal, fields_of(said)["meal"]) == (9, 9)
    assert named(Fluid, 11) == 11


def test_milligrams_are_kilograms_on_the_air() -> None:
    # 2 mg = 2e-6 kg: mantissa 2, exponent -6.
    said = GlucoseContext.from_bytes(bytes.fromhex("10 2c00 04 02a0"))
    assert (said.medication_amount, said.medication_unit) == (Decimal(2), MedicationUnit.MILLIGRAM)


@pytest.mark.parametrize(
    "half",
    [
        {"carbohydrate": 1},
        {"carbohydrate_g": Decimal(1)},
        {"tester": 1},
        {"exercise_percent": 1},
        {"medication_amount": Decimal(1)},
    ],
)
def test_half_a_pair_is_a_fault_of_the_house(half: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="in pairs"):
        GlucoseContext(sequence=1, **half)  # type: ignore[arg-type]


def test_a_measurement_in_another_unit_or_without_its_value_is_a_fault_of_the_house() -> None:
    with pytest.raises(ValueError, match="mg/dL or mmol/L, not kg"):
        taken(unit=Unit.KILOGRAM)
    with pytest.raises(ValueError, match="come with a concentration"):
        taken(concentration=None)


@pytest.mark.parametrize(("fluid", "location"), [(16, 0), (0, 16), (-1, 0)])
def test_a_fluid_or_location_beyond_its_nibble_is_refused(fluid: int, location: int) -> None:
    with pytest.raises(OverflowError):
        octet_of(fluid, location)


@given(st.integers(1, 2047), st.integers(-1, 1))
@settings(max_examples=50, deadline=None)
def test_concentrations_are_converted_exactly(mantissa: int, exponent: int) -> None:
    shown = Decimal(mantissa).scaleb(exponent)
    for unit in (Unit.MG_PER_DL, Unit.MMOL_PER_L):
        said = GlucoseMeasurement.from_bytes(bytes(taken(concentration=shown, unit=unit)))
        assert said.concentration == shown


def decoded(context: FrameContext, said: GlucoseMeasurement, rest: bytes = b"") -> tuple[Validity, Quality, bytes]:
    (reading,) = GlucoseMeterDriver().decode(0x2A18, bytes(said), context, rest=rest)
    return reading.validity, reading.quality, reading.provenance.frame


def test_a_context_is_kept_with_the_frame_that_it_belongs_to(context: FrameContext) -> None:
    said, own, other = taken(context_follows=True), bytes.fromhex("02 2a00 01"), bytes.fromhex("02 2b00 01")
    assert decoded(context, said, own) == (Validity.VALID, Quality.BEFORE_MEAL, bytes(said) + own)
    assert decoded(context, said, other) == (Validity.VALID, Quality.NONE, bytes(said))


def test_the_device_s_own_number_and_time_are_kept(context: FrameContext) -> None:
    (reading,) = GlucoseMeterDriver().decode(
        0x2A18, bytes(taken(concentration=Decimal("6.7"), unit=Unit.MMOL_PER_L, time_offset=-5)), context
    )
    assert (reading.provenance.value, reading.provenance.unit) == ("6.7", Unit.MMOL_PER_L)
    assert reading.provenance.device_time == "2026-11-22T08:54:30"


def test_a_measurement_that_announces_its_context_awaits_it() -> None:
    driver = GlucoseMeterDriver()
    announcing = bytes(taken(context_follows=True))
    assert driver.awaits(0x2A18, announcing) == 0x2A34
    assert driver.awaits(0x2A18, bytes(taken())) is None
    assert driver.awaits(0x2A18, announcing[:9]) is None
    assert driver.awaits(0x2A34, bytes.fromhex("12 2a00")) is None


def test_a_record_is_known_by_number_and_base_time(context: FrameContext) -> None:
    driver = GlucoseMeterDriver()
    (before,) = driver.decode(0x2A18, bytes(taken()), context)
    (after,) = driver.decode(0x2A18, bytes(taken(time_offset=60)), context)
    assert before.key == after.key == "00042:2026-11-22T08:59:30"
    assert driver.sequence(before, context) == 42
    assert driver.resume_after(before.key) == Resume(sequence=42, key=before.key)
    assert driver.resume_after("a key of another driver") == Resume()


def test_keys_sort_as_the_records_do(context: FrameContext) -> None:
    driver = GlucoseMeterDriver()
    keys = [driver.decode(0x2A18, bytes(taken(sequence=number)), context)[0].key for number in (9, 10, 99, 65535)]
    assert keys == sorted(keys)


def test_results_of_a_meter_without_a_date_are_told_apart_after_a_reset(context: FrameContext) -> None:
    driver = GlucoseMeterDriver()
    first, second, again = (
        driver.decode(0x2A18, bytes(taken(base_time=UNKNOWN_DATE_TIME, concentration=Decimal(value))), context)[0]
        for value in (120, 130, 120)
    )
    assert first.key != second.key
    assert first.key == again.key
    assert driver.sequence(first, context) == 42


def test_a_meter_needs_nothing_before_its_records(context: FrameContext) -> None:
    driver = GlucoseMeterDriver()
    assert driver.describe({}, context) == context
    assert driver.first_writes(context) == ()
    assert driver.value(0x2A51, b"\x00\x04", context) == GlucoseFeature(features=Features.MULTIPLE_BONDS)


def test_a_time_that_the_meter_doubts_is_kept_as_its_claim(context: FrameContext) -> None:
    (reading,) = GlucoseMeterDriver().decode(0x2A18, bytes(taken(status=MeterStatus.TIME_FAULT)), context)
    assert (reading.measured_at, reading.clock) == (context.received_at, ClockTrust.UNKNOWN)
    assert reading.provenance.device_time == "2026-11-22T08:59:30"
    assert datetime.fromisoformat(reading.key.partition(":")[2]) == datetime(2026, 11, 22, 8, 59, 30)  # noqa: DTZ001 a wall clock
