"""Blood Pressure service: what is encoded is what is read."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import gatt
from devices.decode import decode_frame
from devices.driver import FrameContext
from devices.drivers.blood_pressure import (
    BloodPressureDriver,
    BloodPressureFeature,
    BloodPressureMeasurement,
    Features,
    IntermediateCuffPressure,
    MeasurementStatus,
)
from devices.errors import FrameError
from devices.medfloat import decode_sfloat
from devices.reading import Quality, Unit, Validity
from devices.wall_clock import DateTime

octets = st.integers(0, 0xFF)
sfloats = st.integers(0, 0xFFFF).map(decode_sfloat)
date_times = st.builds(
    DateTime, year=st.integers(0, 0xFFFF), month=octets, day=octets, hours=octets, minutes=octets, seconds=octets
)
measurements = st.builds(
    BloodPressureMeasurement,
    systolic=sfloats,
    diastolic=sfloats,
    mean=sfloats,
    unit=st.sampled_from([Unit.MM_HG, Unit.K_PA]),
    time_stamp=st.none() | date_times,
    pulse_rate=st.none() | sfloats,
    user_id=st.none() | octets,
    status=st.none() | st.integers(0, 0x3F).map(MeasurementStatus),
    trailing=st.binary(max_size=3),
)


@given(measurements)
@settings(max_examples=200, deadline=None)
def test_a_measurement_comes_back_as_it_was(said: BloodPressureMeasurement) -> None:
    assert BloodPressureMeasurement.from_bytes(bytes(said)) == said


@given(measurements)
@settings(max_examples=50, deadline=None)
def test_a_measurement_cut_before_its_end_is_refused(said: BloodPressureMeasurement) -> None:
    announced = len(bytes(said)) - len(said.trailing)
    for length in range(announced):
        with pytest.raises(FrameError, match="2A35: truncated"):
            BloodPressureMeasurement.from_bytes(bytes(said)[:length])


@given(measurements)
@settings(max_examples=100, deadline=None)
def test_a_cuff_pressure_comes_back_as_it_was(said: BloodPressureMeasurement) -> None:
    cuff = IntermediateCuffPressure(
        cuff_pressure=said.systolic,
        unit=said.unit,
        time_stamp=said.time_stamp,
        pulse_rate=said.pulse_rate,
        user_id=said.user_id,
        status=said.status,
        trailing=said.trailing,
    )
    assert IntermediateCuffPressure.from_bytes(bytes(cuff)) == cuff
    # What stands where the two other pressures are counts for nothing.
    assert IntermediateCuffPressure.from_bytes(bytes(said)) == cuff
    for length in range(len(bytes(cuff)) - len(cuff.trailing)):
        with pytest.raises(FrameError, match="2A36: truncated"):
            IntermediateCuffPressure.from_bytes(bytes(cuff)[:length])


def test_a_cuff_still_filling_is_shown_and_never_listened_to() -> None:
    shown = decode_frame(gatt.INTERMEDIATE_CUFF_PRESSURE, bytes.fromhex("04 7e00 ff07 ff07 4800"))
    assert shown.readings == ()
    assert (shown.fields["cuff_pressure"], shown.fields["pulse_rate"]) == (126.0, 72.0)
    assert BloodPressureDriver().measurements == (gatt.BLOOD_PRESSURE_MEASUREMENT,)


@pytest.mark.parametrize(("user_id", "user"), [(None, None), (0, 0), (254, 254), (255, None)])
def test_the_monitors_user_goes_with_the_reading_unless_it_is_unknown(
    user_id: int | None, user: int | None, context: FrameContext
) -> None:
    said = BloodPressureMeasurement(systolic=Decimal(120), diastolic=Decimal(80), mean=Decimal(93), user_id=user_id)
    readings = BloodPressureDriver().decode(0x2A35, bytes(said), context)
    assert {reading.provenance.user for reading in readings} == {user}


def test_a_unit_that_no_cuff_speaks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mm\[Hg\] or kPa"):
        BloodPressureMeasurement(systolic=Decimal(120), diastolic=Decimal(80), mean=Decimal(93), unit=Unit.PERCENT)


@given(st.integers(0, 0x1FF).map(Features), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_feature_comes_back_as_it_was(features: Features, trailing: bytes) -> None:
    feature = BloodPressureFeature(features=features, trailing=trailing)
    assert BloodPressureFeature.from_bytes(bytes(feature)) == feature


def test_reserved_feature_bits_are_dropped_and_a_short_feature_is_refused() -> None:
    assert BloodPressureFeature.from_bytes(b"\x01\xfe").features == Features.BODY_MOVEMENT
    with pytest.raises(FrameError, match="2A49: truncated"):
        BloodPressureFeature.from_bytes(b"\x01")


@pytest.mark.parametrize(
    ("status", "quality"),
    [
        (MeasurementStatus.BODY_MOVEMENT, Quality.BODY_MOVEMENT),
        (MeasurementStatus.CUFF_TOO_LOOSE, Quality.CUFF_TOO_LOOSE),
        (MeasurementStatus.IMPROPER_POSITION, Quality.IMPROPER_POSITION),
    ],
)
def test_what_spoils_a_measurement_makes_all_of_it_questionable(
    status: MeasurementStatus, quality: Quality, context: FrameContext
) -> None:
    said = BloodPressureMeasurement(
        systolic=Decimal(120), diastolic=Decimal(80), mean=Decimal(93), pulse_rate=Decimal(70), status=status
    )
    readings = BloodPressureDriver().decode(0x2A35, bytes(said), context)
    assert [(reading.validity, reading.quality) for reading in readings] == [(Validity.QUESTIONABLE, quality)] * 4


def test_the_same_record_sent_twice_has_the_same_key_and_another_one_has_not(context: FrameContext) -> None:
    at = DateTime(year=2026, month=11, day=22, hours=8, minutes=0, seconds=0)
    first = BloodPressureMeasurement(systolic=Decimal(120), diastolic=Decimal(80), mean=Decimal(93), time_stamp=at)
    other = BloodPressureMeasurement(systolic=Decimal(121), diastolic=Decimal(80), mean=Decimal(93), time_stamp=at)
    later = FrameContext(device=context.device, received_at=context.received_at + 60_000, zone=context.zone)
    driver = BloodPressureDriver()
    assert driver.decode(0x2A35, bytes(first), context)[0].key == driver.decode(0x2A35, bytes(first), later)[0].key
    assert driver.decode(0x2A35, bytes(first), context)[0].key != driver.decode(0x2A35, bytes(other), context)[0].key


def test_the_driver_needs_nothing_else_from_the_monitor(context: FrameContext) -> None:
    driver = BloodPressureDriver()
    assert driver.describe({}, context) == context
    assert driver.first_writes(context) == ()
    said = BloodPressureMeasurement(systolic=Decimal(120), diastolic=Decimal(80), mean=Decimal(93))
    assert driver.sequence(driver.decode(0x2A35, bytes(said), context)[0], context) is None
