"""CGM service: what is encoded is what is read; CRCs; the session's start; the place of a record."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import gatt
from devices.driver import FrameContext
from devices.drivers.cgm import CgmDriver, CgmMeasurement, records_of
from devices.drivers.cgm_ops import SpecificOps
from devices.drivers.cgm_session import CgmFeature, Features, SessionRunTime, SessionStart
from devices.drivers.cgm_status import Annunciation, CgmStatus
from devices.errors import FrameError
from devices.medfloat import Special, decode_sfloat
from devices.reading import ClockTrust, Quality, Validity
from devices.wall_clock import UNKNOWN_DATE_TIME, DateTime

PARIS = ZoneInfo("Europe/Paris")
HOUR_MS = 3_600_000

octets = st.integers(0, 0xFF)
sfloats = st.integers(0, 0xFFFF).map(decode_sfloat)
date_times = st.builds(
    DateTime, year=st.integers(0, 0xFFFF), month=octets, day=octets, hours=octets, minutes=octets, seconds=octets
)
annunciations = st.lists(st.sampled_from(list(Annunciation)), max_size=5).map(lambda bits: Annunciation(sum(set(bits))))
measurements = st.builds(
    CgmMeasurement,
    glucose=sfloats,
    time_offset=st.integers(0, 0xFFFF),
    annunciation=annunciations,
    trend=st.none() | sfloats,
    quality=st.none() | sfloats,
    crc=st.booleans(),
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


@given(measurements, st.binary(max_size=1))
@settings(max_examples=200, deadline=None)
def test_a_record_comes_back_as_it_was(said: CgmMeasurement, trailing: bytes) -> None:
    said = replace(said, trailing=trailing)
    assert CgmMeasurement.from_bytes(bytes(said), crc=said.crc) == said
    assert CgmMeasurement.from_bytes(bytes(said)) == said


@given(st.lists(measurements, min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_records_that_share_a_notification_are_told_apart(said: list[CgmMeasurement]) -> None:
    frame = b"".join(bytes(record) for record in said)
    assert [CgmMeasurement.from_bytes(record) for record in records_of(frame)] == said


@given(measurements, st.data())
@settings(max_examples=100, deadline=None)
def test_one_flipped_bit_in_a_protected_record_is_never_a_value(said: CgmMeasurement, data: st.DataObject) -> None:
    frame = bytearray(bytes(replace(said, crc=True)))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        CgmDriver().decode(0x2AA7, bytes(frame), FrameContext(device="A", received_at=0, zone=PARIS, crc=True))


def test_a_promised_crc_that_is_missing_is_refused() -> None:
    bare = bytes(CgmMeasurement(glucose=Decimal(120), time_offset=5))
    with pytest.raises(FrameError, match="the E2E-CRC is missing"):
        CgmMeasurement.from_bytes(bare, crc=True)
    with pytest.raises(FrameError, match="2AAA: the E2E-CRC is missing"):
        SessionStart.from_bytes(bytes(SessionStart(date_time=UNKNOWN_DATE_TIME)), crc=True)


def test_without_crc_support_bytes_beyond_the_fields_are_reported_and_not_checked() -> None:
    record = bytes.fromhex("08 00 7800 0500 dead")
    assert CgmMeasurement.from_bytes(record, crc=False).trailing == b"\xde\xad"
    with pytest.raises(FrameError, match="wrong E2E-CRC"):
        CgmMeasurement.from_bytes(record)


def test_a_size_that_does_not_agree_with_the_record_is_refused() -> None:
    with pytest.raises(FrameError, match="size"):
        CgmMeasurement.from_bytes(bytes.fromhex("07 00 7800 0500"))
    with pytest.raises(FrameError, match="at least 6"):
        records_of(bytes.fromhex("05 00 7800 05"))
    with pytest.raises(FrameError, match="truncated"):
        records_of(bytes.fromhex("06 00 7800 0500 06 00"))


@given(st.integers(0, 0x1FFFF).map(Features), st.integers(0, 15), st.integers(0, 15), st.binary(max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_feature_comes_back_as_it_was(features: Features, fluid: int, place: int, trailing: bytes) -> None:
    feature = CgmFeature(features=features, fluid_type=fluid, sample_location=place, trailing=trailing)
    assert CgmFeature.from_bytes(bytes(feature)) == feature


def test_a_features_crc_counts_only_when_it_promises_one() -> None:
    # Made here from CGMS 3.2: trend and quality, interstitial fluid under the skin, no CRC (FFFF).
    plain = CgmFeature.from_bytes(bytes.fromhex("018001 59 ffff"))
    assert plain == CgmFeature(features=Features.CALIBRATION | Features.TREND | Features.QUALITY)
    protected = bytearray(bytes(CgmFeature(features=Features.E2E_CRC)))
    protected[3] ^= 1
    with pytest.raises(FrameError, match="2AA8: wrong E2E-CRC"):
        CgmFeature.from_bytes(bytes(protected))


@given(
    date_times,
    st.none() | st.integers(-48, 56),
    st.none() | st.sampled_from([0, 2, 4, 8]),
    st.booleans(),
    st.binary(max_size=1),
)
@settings(max_examples=100, deadline=None)
def test_a_session_start_comes_back_as_it_was(
    date_time: DateTime,
    zone: int | None,
    dst: int | None,
    crc: bool,  # noqa: FBT001 drawn
    trailing: bytes,
) -> None:
    start = SessionStart(date_time=date_time, time_zone=zone, dst_offset=dst, crc=crc, trailing=trailing)
    assert SessionStart.from_bytes(bytes(start), crc=crc) == start
    assert SessionStart.from_bytes(bytes(start)) == start


@pytest.mark.parametrize("moment", ["2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z", "2026-10-25T00:30:00Z"])
def test_a_session_start_with_its_offsets_is_the_moment_it_was_made_of(moment: str) -> None:
    start = SessionStart.of(at(moment), PARIS)
    assert start.start_ms(at("2026-12-01T00:00:00Z"), ZoneInfo("Pacific/Auckland")) == at(moment)


def test_a_session_start_in_an_unknown_zone_is_taken_in_the_patients() -> None:
    wall = DateTime(year=2026, month=7, day=15, hours=14, minutes=0, seconds=0)
    received = at("2026-07-20T00:00:00Z")
    assert SessionStart(date_time=wall).start_ms(received, PARIS) == at("2026-07-15T12:00:00Z")
    assert SessionStart(date_time=wall, time_zone=0).start_ms(received, PARIS) == at("2026-07-15T12:00:00Z")
    assert SessionStart(date_time=UNKNOWN_DATE_TIME).start_ms(received, PARIS) is None
    assert SessionStart(date_time=UNKNOWN_DATE_TIME, time_zone=4, dst_offset=0).start_ms(received, PARIS) is None


def test_offsets_that_the_specification_reserves_are_unknown() -> None:
    start = SessionStart.from_bytes(bytes.fromhex("ea07 07 0f 0e 00 00 80 03"))
    assert (start.time_zone, start.dst_offset) == (None, None)


@given(st.integers(0, 0xFFFF), st.booleans(), st.binary(max_size=1))
@settings(max_examples=50, deadline=None)
def test_a_run_time_comes_back_as_it_was(hours: int, crc: bool, trailing: bytes) -> None:  # noqa: FBT001 drawn
    run_time = SessionRunTime(hours=hours, crc=crc, trailing=trailing)
    assert SessionRunTime.from_bytes(bytes(run_time), crc=crc) == run_time
    assert SessionRunTime.from_bytes(bytes(run_time)) == run_time


@given(st.integers(0, 0xFFFF), annunciations, st.booleans(), st.binary(max_size=1))
@settings(max_examples=50, deadline=None)
def test_a_status_comes_back_as_it_was(
    time_offset: int,
    annunciation: Annunciation,
    crc: bool,  # noqa: FBT001 drawn
    trailing: bytes,
) -> None:
    status = CgmStatus(time_offset=time_offset, annunciation=annunciation, crc=crc, trailing=trailing)
    assert CgmStatus.from_bytes(bytes(status), crc=crc) == status
    assert CgmStatus.from_bytes(bytes(status)) == status


def test_a_status_always_has_three_octets_whose_reserved_bits_are_dropped() -> None:
    # Made here: offset 3000, session stopped and battery low, calibration required, above the device's range.
    status = CgmStatus.from_bytes(bytes.fromhex("b80b c3 c8 80"))
    assert status.annunciation == (
        Annunciation.SESSION_STOPPED
        | Annunciation.BATTERY_LOW
        | Annunciation.CALIBRATION_REQUIRED
        | Annunciation.ABOVE_DEVICE_RANGE
    )
    with pytest.raises(FrameError, match="2AA9: truncated"):
        CgmStatus.from_bytes(bytes.fromhex("b80b c3 c8"))


@given(st.binary(max_size=20), st.sampled_from([None, True, False]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_value_or_a_frame_error(frame: bytes, crc: bool | None) -> None:  # noqa: FBT001 drawn
    decoders = (
        lambda: CgmFeature.from_bytes(frame),
        lambda: SessionStart.from_bytes(frame, crc=crc),
        lambda: SessionRunTime.from_bytes(frame, crc=crc),
        lambda: CgmStatus.from_bytes(frame, crc=crc),
        lambda: SpecificOps.from_bytes(frame, crc=crc),
    )
    for decode in decoders:
        try:
            decode()
        except FrameError as error:
            assert error.frame == frame  # noqa: PT017 either outcome is right


def described(context: FrameContext, **values: bytes) -> FrameContext:
    numbers = {"feature": 0x2AA8, "start": 0x2AAA, "run_time": 0x2AAB, "status": 0x2AA9}
    return CgmDriver().describe({numbers[name]: value for name, value in values.items()}, context)


def test_a_sensor_describes_its_session(context: FrameContext) -> None:
    start = at("2026-11-21T06:00:00Z")
    known = described(
        context,
        feature=bytes(CgmFeature(features=Features.E2E_CRC)),
        start=bytes(SessionStart.of(start, PARIS, crc=True)),
        run_time=bytes(SessionRunTime(hours=240, crc=True)),
    )
    assert (known.crc, known.session_start, known.session_end) == (True, start, start + 240 * HOUR_MS)


def test_a_description_without_the_promised_crc_is_refused(context: FrameContext) -> None:
    with pytest.raises(FrameError, match="2AAA"):
        described(
            context,
            feature=bytes(CgmFeature(features=Features.E2E_CRC)),
            start=bytes(SessionStart.of(at("2026-11-21T06:00:00Z"), PARIS)),
        )


def test_a_sensor_that_was_never_told_the_time_is_told_it_first(context: FrameContext) -> None:
    driver = CgmDriver()
    unset = described(context, start=bytes(SessionStart(date_time=UNKNOWN_DATE_TIME)))
    assert (unset.crc, unset.session_start, unset.session_end) == (None, None, None)
    ((characteristic, value),) = driver.first_writes(unset)
    assert characteristic == gatt.CGM_SESSION_START_TIME
    assert SessionStart.from_bytes(value).start_ms(context.received_at, PARIS) == context.received_at
    assert driver.first_writes(context) == ()


def test_a_run_time_without_a_start_ends_nothing(context: FrameContext) -> None:
    assert described(context, run_time=bytes(SessionRunTime(hours=240))).session_end is None


@pytest.mark.parametrize(
    ("said", "end"),
    [
        (CgmStatus(time_offset=90, annunciation=Annunciation.SESSION_STOPPED), "2026-11-21T07:30:00Z"),
        (CgmStatus(time_offset=0xFFFF, annunciation=Annunciation.SESSION_STOPPED), "2026-11-22T08:00:00Z"),
        (CgmStatus(time_offset=90, annunciation=Annunciation.BATTERY_LOW), "2026-12-01T06:00:00Z"),
    ],
)
def test_a_session_that_was_stopped_is_over_whatever_its_run_time(
    context: FrameContext, said: CgmStatus, end: str
) -> None:
    known = described(
        context,
        start=bytes(SessionStart.of(at("2026-11-21T06:00:00Z"), PARIS)),
        run_time=bytes(SessionRunTime(hours=240)),
        status=bytes(said),
    )
    assert known.session_end == at(end)


def test_a_session_that_was_never_started_ends_nothing(context: FrameContext) -> None:
    stopped = bytes(CgmStatus(time_offset=0, annunciation=Annunciation.SESSION_STOPPED))
    known = described(context, start=bytes(SessionStart(date_time=UNKNOWN_DATE_TIME)), status=stopped)
    assert (known.session_start, known.session_end) == (None, None)


# What a vendor's device may show under the standard's numbers: 16 bytes of cipher (made here, of no device).
CIPHER = bytes.fromhex("8e3b0f5f2d6a914cc01df7a2387be455")
PROMISING = bytes(CgmFeature(features=Features.E2E_CRC))
STARTED = bytes(SessionStart.of(at("2026-11-21T06:00:00Z"), PARIS, crc=True))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"feature": CIPHER}, "2AA8: .*E2E-CRC"),
        ({"feature": bytes.fromhex("000000 00 0000")}, "2AA8: an E2E-CRC although none is promised"),
        ({"feature": bytes.fromhex("001000 59 ffff")}, "2AA8: wrong E2E-CRC"),
        ({"feature": b""}, "2AA8: truncated"),
        ({"feature": PROMISING, "start": CIPHER}, "2AAA: wrong E2E-CRC"),
        ({"feature": PROMISING, "start": STARTED, "run_time": CIPHER}, "2AAB: wrong E2E-CRC"),
        ({"feature": PROMISING, "start": STARTED, "status": CIPHER}, "2AA9: wrong E2E-CRC"),
    ],
)
def test_a_device_that_only_borrows_the_numbers_is_refused_with_a_reason(
    context: FrameContext, values: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(FrameError, match=reason):
        described(context, **values)


@given(st.binary(min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_bytes_of_another_protocol_are_no_record_of_a_sensor_that_promises_crcs(frame: bytes) -> None:
    protected = FrameContext(device="A", received_at=0, zone=PARIS, crc=True)
    try:
        readings = CgmDriver().decode(0x2AA7, frame, protected)
    except FrameError:
        return
    records = records_of(frame)
    assert len(readings) == len(records)
    assert all(bytes(CgmMeasurement.from_bytes(record, crc=True))[-2:] == record[-2:] for record in records)


@pytest.mark.parametrize(
    ("annunciation", "quality"),
    [
        (Annunciation.CALIBRATION_NOT_ALLOWED, Quality.WARMING_UP),
        (Annunciation.CALIBRATION_REQUIRED, Quality.WARMING_UP | Quality.CALIBRATION_RECOMMENDED),
        (Annunciation.NONE, Quality.NONE),
        (Annunciation.CALIBRATION_NOT_ALLOWED | Annunciation.SENSOR_MALFUNCTION, Quality.SENSOR_FAULT),
        (Annunciation.CALIBRATION_NOT_ALLOWED | Annunciation.SESSION_STOPPED, Quality.SESSION_STOPPED),
    ],
)
def test_a_sensor_without_a_number_that_cannot_be_calibrated_yet_is_warming_up(
    context: FrameContext, annunciation: Annunciation, quality: Quality
) -> None:
    frame = bytes(CgmMeasurement(glucose=Special.NAN, time_offset=5, annunciation=annunciation))
    (reading,) = CgmDriver().decode(0x2AA7, frame, context)
    assert (reading.validity, reading.quality) == (Validity.INVALID, quality)


def test_a_number_or_an_infinity_is_no_warming_up(context: FrameContext) -> None:
    for glucose, annunciation, validity in (
        (Decimal(120), Annunciation.CALIBRATION_NOT_ALLOWED, Validity.VALID),
        (Decimal(120), Annunciation.CALIBRATION_REQUIRED, Validity.CALIBRATING),
        (Special.POSITIVE_INFINITY, Annunciation.CALIBRATION_NOT_ALLOWED, Validity.OVERFLOW),
    ):
        frame = bytes(CgmMeasurement(glucose=glucose, time_offset=5, annunciation=annunciation))
        (reading,) = CgmDriver().decode(0x2AA7, frame, context)
        assert reading.validity is validity
        assert Quality.WARMING_UP not in reading.quality


def test_a_record_is_known_by_session_and_offset(context: FrameContext) -> None:
    driver = CgmDriver()
    frame = bytes(CgmMeasurement(glucose=Decimal(120), time_offset=2995))
    (reading,) = driver.decode(0x2AA7, frame, context)
    assert reading.key == f"{context.session_start}:2995"
    assert driver.sequence(reading, context) == 2995
    assert driver.sequence(reading, replace(context, session_start=1)) is None


def test_a_record_of_an_unknown_session_is_judged_at_arrival_and_numbered_by_nothing(context: FrameContext) -> None:
    driver, unknown = CgmDriver(), replace(context, session_start=None)
    frame = bytes(CgmMeasurement(glucose=Decimal(120), time_offset=5))
    (reading,) = driver.decode(0x2AA7, frame, unknown)
    assert (reading.measured_at, reading.clock) == (context.received_at, ClockTrust.UNKNOWN)
    assert driver.sequence(reading, unknown) is None


def test_a_record_from_the_future_keeps_its_place_and_its_claim(context: FrameContext) -> None:
    driver = CgmDriver()
    (reading,) = driver.decode(0x2AA7, bytes(CgmMeasurement(glucose=Decimal(120), time_offset=3100)), context)
    assert (reading.measured_at, reading.clock) == (context.received_at, ClockTrust.UNKNOWN)
    assert reading.provenance.device_time == "2026-11-22T10:40:00"
    assert driver.sequence(reading, context) == 3100
