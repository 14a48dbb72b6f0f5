"""Heart Rate service: what is encoded is what is read, here and in bumble."""

from dataclasses import replace

import pytest
from bumble.profiles.heart_rate_service import HeartRateService
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import gatt
from devices.decode import decode_frame
from devices.driver import ClockSetting, FrameContext
from devices.drivers.heart_rate import BodySensorLocation, HeartRateDriver, HeartRateMeasurement, Location
from devices.errors import FrameError
from devices.radio import Advertisement
from devices.reading import ClockTrust, Validity

Oracle = HeartRateService.HeartRateMeasurement

words = st.integers(0, 0xFFFF)
measurements = st.builds(
    HeartRateMeasurement,
    heart_rate=words,
    contact=st.none() | st.booleans(),
    energy_expended_kj=st.none() | words,
    rr_intervals_1024=st.none() | st.lists(words, max_size=9).map(tuple),
)


def as_oracle(said: HeartRateMeasurement) -> Oracle:
    intervals = said.rr_intervals_1024
    return Oracle(
        heart_rate=said.heart_rate,
        sensor_contact_detected=said.contact,
        energy_expended=said.energy_expended_kj,
        rr_intervals=None if intervals is None else tuple(interval / 1024 for interval in intervals),
    )


@given(measurements, st.binary(max_size=1))
@settings(max_examples=200, deadline=None)
def test_a_measurement_comes_back_as_it_was(said: HeartRateMeasurement, trailing: bytes) -> None:
    said = replace(said, trailing=trailing)
    assert HeartRateMeasurement.from_bytes(bytes(said)) == said


@given(measurements)
@settings(max_examples=200, deadline=None)
def test_bumbles_heart_rate_profile_reads_and_writes_the_same(said: HeartRateMeasurement) -> None:
    assert Oracle.from_bytes(bytes(said)) == as_oracle(said)
    assert bytes(as_oracle(said)) == bytes(said)


@given(st.binary(min_size=1, max_size=16))
@settings(max_examples=200, deadline=None)
def test_any_frame_means_the_same_to_bumbles_profile(frame: bytes) -> None:
    try:
        said = HeartRateMeasurement.from_bytes(frame)
    except FrameError:
        return
    # bumble does not bear an odd byte at the end.
    assert Oracle.from_bytes(frame[: len(frame) - len(said.trailing)]) == as_oracle(said)


@given(measurements)
@settings(max_examples=50, deadline=None)
def test_a_measurement_cut_within_its_fields_is_refused(said: HeartRateMeasurement) -> None:
    fixed = len(bytes(said)) - 2 * len(said.rr_intervals_1024 or ())
    for length in range(fixed):
        with pytest.raises(FrameError, match="2A37: truncated"):
            HeartRateMeasurement.from_bytes(bytes(said)[:length])


@given(st.integers(0, 0xFF), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_location_comes_back_as_it_was(number: int, trailing: bytes) -> None:
    frame = bytes((number,)) + trailing
    said = BodySensorLocation.from_bytes(frame)
    assert bytes(said) == frame
    assert said.location == (Location(number) if number <= 6 else None)


def test_a_location_of_no_byte_is_refused() -> None:
    with pytest.raises(FrameError, match="2A38: truncated"):
        BodySensorLocation.from_bytes(b"")


def test_intervals_from_beat_to_beat_are_shown_and_kept_with_the_reading(context: FrameContext) -> None:
    frame = bytes.fromhex("16 3c 0004 eb03")
    shown = decode_frame(gatt.HEART_RATE_MEASUREMENT, frame)
    assert shown.fields["rr_intervals_1024"] == [1024, 1003]
    (reading,) = HeartRateDriver().decode(gatt.HEART_RATE_MEASUREMENT, frame, context)
    assert reading.provenance.frame == frame


def test_what_is_decoded_without_having_arrived_has_no_time() -> None:
    (reading,) = decode_frame(gatt.HEART_RATE_MEASUREMENT, b"\x00\x48").readings
    assert (reading["value"], reading["measured_at"]) == (72.0, None)


def test_a_value_is_of_its_arrival_by_the_boxs_own_clock(context: FrameContext) -> None:
    driver = HeartRateDriver()
    later = replace(context, received_at=context.received_at + 1_000)
    (first,), (second,) = (driver.decode(0x2A37, b"\x00\x48", where) for where in (context, later))
    assert (first.measured_at, first.clock) == (context.received_at, ClockTrust.TRUSTED)
    assert (second.measured_at, second.clock) == (context.received_at + 1_000, ClockTrust.TRUSTED)
    assert first.key != second.key
    assert driver.clock_setting is ClockSetting.NONE


@pytest.mark.parametrize("frame", ["04 48", "06 00", "00 00", "05 4800"])
def test_off_the_skin_or_without_a_beat_there_is_no_heart_rate(frame: str, context: FrameContext) -> None:
    (reading,) = HeartRateDriver().decode(0x2A37, bytes.fromhex(frame), context)
    assert (reading.validity, reading.count, reading.provenance.value) == (Validity.INVALID, 0, None)


def test_only_what_is_nothing_else_is_a_strap() -> None:
    driver = HeartRateDriver()
    assert driver.claims(Advertisement(address="A", services=frozenset({0x180D, 0x180F})))
    for besides in (0x1808, 0x1809, 0x1810, 0x181B, 0x181D, 0x181F, 0x1822):
        assert not driver.claims(Advertisement(address="A", services=frozenset({0x180D, besides})))
    assert not driver.claims(Advertisement(address="A", services=frozenset({0x180F})))
