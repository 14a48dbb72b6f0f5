"""From a device's number to a Reading: what says more than its number, and what is too large for any envelope."""

from decimal import Decimal

import msgspec
import pytest

from devices.conversion import Origin, reading_of
from devices.driver import FrameContext
from devices.drivers.cgm import CgmDriver, CgmMeasurement
from devices.drivers.cgm_status import Annunciation
from devices.drivers.glucose_meter import GlucoseMeasurement, GlucoseMeterDriver, MeterStatus
from devices.drivers.thermometer import TemperatureMeasurement, ThermometerDriver
from devices.medfloat import MedFloat, Special, decode_float
from devices.reading import Quality, Quantity, Unit, Validity, facts
from devices.wall_clock import DateTime, moment_of
from exchange.messages import ObservationRecord, observation
from exchange.messages import reading as travelled

LIMITS = facts(Quantity.GLUCOSE_CAPILLARY)
TAKEN = DateTime(year=2026, month=11, day=22, hours=8, minutes=30, seconds=0)


@pytest.mark.parametrize("number", [None, Special.NAN, Special.NRES, Special.RESERVED])
@pytest.mark.parametrize(
    ("status", "validity", "count"),
    [
        (MeterStatus.BELOW_DEVICE_RANGE, Validity.UNDERFLOW, LIMITS.low),
        (MeterStatus.ABOVE_DEVICE_RANGE, Validity.OVERFLOW, LIMITS.high),
        (MeterStatus.BELOW_DEVICE_RANGE | MeterStatus.STRIP_INSERTION_ERROR, Validity.INVALID, 0),
    ],
)
def test_a_meter_that_shows_lo_or_hi_instead_of_a_number_is_judged(
    context: FrameContext, number: MedFloat | None, status: MeterStatus, validity: Validity, count: int
) -> None:
    said = GlucoseMeasurement(sequence=7, base_time=TAKEN, concentration=number, status=status)
    (reading,) = GlucoseMeterDriver().decode(0x2A18, bytes(said), context)
    assert (reading.validity, reading.count, reading.provenance.value) == (validity, count, None)


def test_a_sensor_that_cannot_process_so_little_is_judged_though_it_has_no_number(context: FrameContext) -> None:
    said = CgmMeasurement(glucose=Special.NAN, time_offset=10, annunciation=Annunciation.BELOW_DEVICE_RANGE)
    (reading,) = CgmDriver().decode(0x2AA7, bytes(said), context)
    assert (reading.validity, reading.count) == (Validity.UNDERFLOW, LIMITS.low)


@pytest.mark.parametrize("raw", [0x7F7FFFFD, 0x7F800003, 0x80000001, 0x807FFFFD])
def test_the_most_extreme_numbers_that_a_device_can_say_still_travel(context: FrameContext, raw: int) -> None:
    said = decode_float(raw)
    (reading,) = ThermometerDriver().decode(0x2A1C, bytes(TemperatureMeasurement(temperature=said)), context)
    assert reading.validity is Validity.INVALID
    assert Quality.IMPLAUSIBLE in reading.quality
    assert Decimal(reading.provenance.value or "") == said
    sent = msgspec.json.encode(observation("p-1", reading))
    assert travelled(msgspec.json.decode(sent, type=ObservationRecord)) == reading


def test_the_longest_frame_that_travels_is_kept_and_no_more(context: FrameContext) -> None:
    origin = Origin(
        context=context, moment=moment_of(None, context.received_at, context.zone), key="k", frame=b"x" * 900
    )
    reading = reading_of(Quantity.BODY_WEIGHT, Decimal(70), Unit.KILOGRAM, origin)
    assert reading.provenance.frame == b"x" * 512
    sent = msgspec.json.encode(observation("p-1", reading))
    assert travelled(msgspec.json.decode(sent, type=ObservationRecord)) == reading
