"""Pulse Oximeter service: what is encoded is what is read; what each status does to a value; which record is which."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import gatt
from devices.decode import decode_frame
from devices.driver import FrameContext, Resume
from devices.drivers.pulse_oximeter import Continuous, Features, PlxFeatures, PulseOximeterDriver, SpO2PR, SpotCheck
from devices.drivers.pulse_oximeter_status import MeasurementStatus, SensorStatus, remarks_of
from devices.errors import FrameError
from devices.medfloat import decode_sfloat
from devices.reading import ClockTrust, Quality, Validity
from devices.wall_clock import UNKNOWN_DATE_TIME, DateTime

SPOT, CONTINUOUS = gatt.PLX_SPOT_CHECK_MEASUREMENT, gatt.PLX_CONTINUOUS_MEASUREMENT

octets = st.integers(0, 0xFF)
sfloats = st.integers(0, 0xFFFF).map(decode_sfloat)
date_times = st.builds(
    DateTime, year=st.integers(0, 0xFFFF), month=octets, day=octets, hours=octets, minutes=octets, seconds=octets
)
pairs = st.builds(SpO2PR, spo2=sfloats, pulse_rate=sfloats)
measurement_statuses = st.integers(0, 0x7FF).map(lambda bits: MeasurementStatus(bits << 5))
sensor_statuses = st.integers(0, 0xFFFF).map(SensorStatus)
spot_checks = st.builds(
    SpotCheck,
    normal=pairs,
    time_stamp=st.none() | date_times,
    clock_set=st.booleans(),
    measurement_status=st.none() | measurement_statuses,
    sensor_status=st.none() | sensor_statuses,
    pulse_amplitude_index=st.none() | sfloats,
    trailing=st.binary(max_size=2),
)
continuous_values = st.builds(
    Continuous,
    normal=pairs,
    fast=st.none() | pairs,
    slow=st.none() | pairs,
    measurement_status=st.none() | measurement_statuses,
    sensor_status=st.none() | sensor_statuses,
    pulse_amplitude_index=st.none() | sfloats,
    trailing=st.binary(max_size=2),
)


@st.composite
def plx_features(draw: st.DrawFn) -> PlxFeatures:
    features = Features(draw(octets))
    return PlxFeatures(
        features=features,
        measurement_status=draw(measurement_statuses) if Features.MEASUREMENT_STATUS in features else None,
        sensor_status=draw(sensor_statuses) if Features.SENSOR_STATUS in features else None,
        trailing=draw(st.binary(max_size=2)),
    )


@given(spot_checks | continuous_values | plx_features())
@settings(max_examples=200, deadline=None)
def test_a_value_comes_back_as_it_was(said: SpotCheck | Continuous | PlxFeatures) -> None:
    assert type(said).from_bytes(bytes(said)) == said


@given(spot_checks | continuous_values | plx_features())
@settings(max_examples=50, deadline=None)
def test_a_value_cut_before_its_end_is_refused(said: SpotCheck | Continuous | PlxFeatures) -> None:
    announced = len(bytes(said)) - len(said.trailing)
    for length in range(announced):
        with pytest.raises(FrameError, match=r"2A5E|2A5F|2A60"):
            type(said).from_bytes(bytes(said)[:length])


def test_statuses_without_their_feature_are_refused() -> None:
    with pytest.raises(ValueError, match="measurement statuses"):
        PlxFeatures(features=Features(0), measurement_status=MeasurementStatus.NONE)
    with pytest.raises(ValueError, match="sensor statuses"):
        PlxFeatures(features=Features.SENSOR_STATUS)


def test_reserved_bits_are_dropped() -> None:
    said = PlxFeatures.from_bytes(bytes.fromhex("03ff 1f20 0100ff"))
    assert said.features == Features.MEASUREMENT_STATUS | Features.SENSOR_STATUS
    assert (said.measurement_status, said.sensor_status) == (
        MeasurementStatus.UNAVAILABLE,
        SensorStatus.EXTENDED_DISPLAY_UPDATE,
    )


@pytest.mark.parametrize(
    ("status", "validity", "quality"),
    [
        (MeasurementStatus.VALIDATED, Validity.VALID, Quality.NONE),
        (MeasurementStatus.FULLY_QUALIFIED, Validity.VALID, Quality.NONE),
        (MeasurementStatus.FROM_STORAGE, Validity.VALID, Quality.NONE),
        (MeasurementStatus.EARLY_ESTIMATE, Validity.QUESTIONABLE, Quality.STILL_MEASURING),
        (MeasurementStatus.DEMONSTRATION, Validity.INVALID, Quality.NONE),
        (MeasurementStatus.TESTING, Validity.INVALID, Quality.NONE),
        (MeasurementStatus.CALIBRATION_ONGOING, Validity.CALIBRATING, Quality.NONE),
        (MeasurementStatus.UNAVAILABLE, Validity.INVALID, Quality.NONE),
        (MeasurementStatus.QUESTIONABLE, Validity.QUESTIONABLE, Quality.NONE),
        (MeasurementStatus.INVALID, Validity.INVALID, Quality.NONE),
    ],
)
def test_what_the_oximeter_says_of_its_measurement(
    status: MeasurementStatus, validity: Validity, quality: Quality
) -> None:
    assert remarks_of(status, None, ended=True) == (validity, quality)
    assert remarks_of(status, SensorStatus.NONE, ended=False) == (validity, quality)


@pytest.mark.parametrize(
    ("status", "validity", "quality"),
    [
        (SensorStatus.EXTENDED_DISPLAY_UPDATE, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.EQUIPMENT_MALFUNCTION, Validity.INVALID, Quality.SENSOR_FAULT),
        (SensorStatus.PROCESSING_IRREGULARITY, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.INADEQUATE_SIGNAL, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.POOR_SIGNAL, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.LOW_PERFUSION, Validity.VALID, Quality.POOR_SIGNAL),
        (SensorStatus.ERRATIC_SIGNAL, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.NONPULSATILE_SIGNAL, Validity.INVALID, Quality.POOR_SIGNAL),
        (SensorStatus.QUESTIONABLE_PULSE, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.SIGNAL_ANALYSIS_ONGOING, Validity.QUESTIONABLE, Quality.STILL_MEASURING),
        (SensorStatus.SENSOR_INTERFERENCE, Validity.QUESTIONABLE, Quality.POOR_SIGNAL),
        (SensorStatus.SENSOR_UNCONNECTED_TO_USER, Validity.INVALID, Quality.POOR_SIGNAL),
        (SensorStatus.UNKNOWN_SENSOR, Validity.QUESTIONABLE, Quality.SENSOR_FAULT),
        (SensorStatus.SENSOR_DISPLACED, Validity.INVALID, Quality.IMPROPER_POSITION),
        (SensorStatus.SENSOR_MALFUNCTION, Validity.INVALID, Quality.SENSOR_FAULT),
        (SensorStatus.SENSOR_DISCONNECTED, Validity.INVALID, Quality.SENSOR_FAULT),
    ],
)
def test_what_the_oximeter_says_of_its_sensor(status: SensorStatus, validity: Validity, quality: Quality) -> None:
    assert remarks_of(None, status, ended=True) == (validity, quality)


@given(st.none() | measurement_statuses, st.none() | sensor_statuses, st.booleans())
@settings(max_examples=200, deadline=None)
def test_more_doubts_never_make_a_value_better(
    measurement: MeasurementStatus | None,
    sensor: SensorStatus | None,
    ended: bool,  # noqa: FBT001 drawn
) -> None:
    order = [Validity.VALID, Validity.QUESTIONABLE, Validity.CALIBRATING, Validity.INVALID]
    validity, quality = remarks_of(measurement, sensor, ended=ended)
    for flag in measurement or ():
        single, fact = remarks_of(flag, None, ended=ended)
        assert order.index(single) <= order.index(validity)
        assert fact in quality
    for bit in sensor or ():
        single, fact = remarks_of(None, bit, ended=ended)
        assert order.index(single) <= order.index(validity)
        assert fact in quality


def test_going_on_is_a_doubt_about_a_spot_check_only() -> None:
    ongoing = MeasurementStatus.ONGOING
    assert remarks_of(ongoing, None, ended=True) == (Validity.QUESTIONABLE, Quality.STILL_MEASURING)
    assert remarks_of(ongoing, None, ended=False) == (Validity.VALID, Quality.NONE)


def keys(said: SpotCheck, context: FrameContext) -> tuple[str, str]:
    """Return the record's key now and when it comes again an hour later."""
    later = replace(context, received_at=context.received_at + 3_600_000)
    first, second = (PulseOximeterDriver().decode(SPOT, bytes(said), where)[0].key for where in (context, later))
    return first, second


SETTLED = SpO2PR(spo2=Decimal(97), pulse_rate=Decimal(72))
MORNING = DateTime(year=2026, month=11, day=22, hours=8, minutes=0, seconds=0)
STORED = MeasurementStatus.FROM_STORAGE


def test_a_dated_spot_check_is_the_same_record_whenever_it_comes(context: FrameContext) -> None:
    first, again = keys(SpotCheck(normal=SETTLED, time_stamp=MORNING), context)
    assert first == again
    other, _ = keys(SpotCheck(normal=replace(SETTLED, spo2=Decimal(96)), time_stamp=MORNING), context)
    assert first != other


@pytest.mark.parametrize("time_stamp", [None, UNKNOWN_DATE_TIME])
def test_a_stored_spot_check_without_a_date_is_known_by_its_bytes(
    time_stamp: DateTime | None, context: FrameContext
) -> None:
    said = SpotCheck(normal=SETTLED, time_stamp=time_stamp, clock_set=False, measurement_status=STORED)
    first, again = keys(said, context)
    assert first == again


def test_a_stored_spot_check_by_an_unset_clock_that_runs_is_told_from_the_next(context: FrameContext) -> None:
    later = replace(MORNING, minutes=5)
    records = [
        SpotCheck(normal=SETTLED, time_stamp=at, clock_set=False, measurement_status=STORED) for at in (MORNING, later)
    ]
    (first, again), (other, _) = (keys(said, context) for said in records)
    assert first == again != other
    (reading, _) = PulseOximeterDriver().decode(SPOT, bytes(records[0]), context)
    assert (reading.clock, reading.measured_at) == (ClockTrust.UNKNOWN, context.received_at)
    assert reading.provenance.device_time == "2026-11-22T08:00:00"


def test_live_spot_checks_without_a_date_are_records_of_their_own(context: FrameContext) -> None:
    first, again = keys(SpotCheck(normal=SETTLED), context)
    assert first != again


def test_a_continuous_value_is_of_its_arrival_by_the_boxs_own_clock(context: FrameContext) -> None:
    (spo2, pulse) = PulseOximeterDriver().decode(CONTINUOUS, bytes(Continuous(normal=SETTLED)), context)
    assert (spo2.measured_at, spo2.clock) == (context.received_at, ClockTrust.TRUSTED)
    assert spo2.key == pulse.key
    assert PulseOximeterDriver().sequence(spo2, context) is None
    assert PulseOximeterDriver().resume_after(spo2.key) == Resume()


def test_every_averaging_is_shown() -> None:
    fast = SpO2PR(spo2=Decimal(93), pulse_rate=Decimal(80))
    shown = decode_frame(CONTINUOUS, bytes(Continuous(normal=SETTLED, fast=fast)))
    assert [reading["value"] for reading in shown.readings] == [97.0, 72.0]
    assert (shown.fields["fast"], shown.fields["slow"]) == ({"spo2": 93.0, "pulse_rate": 80.0}, None)
    assert shown.readings[0]["measured_at"] is None
