"""Xiaomi scales: what their advertisements say, compared with the package that Home Assistant reads them with."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from home_assistant_bluetooth import BluetoothServiceInfo
from hypothesis import given, settings
from hypothesis import strategies as st
from xiaomi_ble import XiaomiBluetoothDeviceData

from devices.driver import FrameContext
from devices.drivers.xiaomi_scale import (
    Broadcast,
    CompositionBroadcast,
    ScaleUnit,
    WeightBroadcast,
    XiaomiScaleDriver,
)
from devices.errors import FrameError
from devices.radio import Advertisement
from devices.reading import ClockTrust, Reading, Validity
from devices.wall_clock import UNKNOWN_DATE_TIME, DateTime

KG, LB, JIN = ScaleUnit.KILOGRAM, ScaleUnit.POUND, ScaleUnit.JIN
STEPS = {KG: Decimal("0.005"), LB: Decimal("0.01"), JIN: Decimal("0.01")}
ARRIVAL = int(datetime(2026, 11, 22, 8, tzinfo=UTC).timestamp()) * 1000
CONTEXT = FrameContext(device="C4:B0:00:00:00:01", received_at=ARRIVAL, zone=ZoneInfo("Europe/Paris"))
AT = DateTime(year=2026, month=11, day=22, hours=8, minutes=59, seconds=0)
octets, words = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
date_times = st.builds(DateTime, year=words, month=octets, day=octets, hours=octets, minutes=octets, seconds=octets)


@st.composite
def weights(draw: st.DrawFn) -> WeightBroadcast:
    unit = draw(st.sampled_from(ScaleUnit))
    return WeightBroadcast(
        weight=draw(words) * STEPS[unit],
        unit=unit,
        time_stamp=draw(date_times),
        settled=draw(st.booleans()),
        removed=draw(st.booleans()),
        unexplained=draw(octets) & 0x4E,
    )


@st.composite
def compositions(draw: st.DrawFn) -> CompositionBroadcast:
    unit = draw(st.sampled_from(ScaleUnit))
    return CompositionBroadcast(
        weight=draw(words) * STEPS[unit],
        unit=unit,
        time_stamp=draw(date_times),
        settled=draw(st.booleans()),
        removed=draw(st.booleans()),
        has_impedance=draw(st.booleans()),
        impedance=draw(words),
        unexplained=draw(words) & 0x1DFE,
    )


def heard(said: Broadcast | bytes, service: int | None = None) -> Advertisement:
    number = service or (0x181D if isinstance(said, WeightBroadcast) else 0x181B)
    return Advertisement(address=CONTEXT.device, services=frozenset({number}), service_data={number: bytes(said)})


def read(said: Broadcast, context: FrameContext = CONTEXT) -> tuple[Reading, ...]:
    return XiaomiScaleDriver().decode_advertisement(heard(said), context)


SETTLED = CompositionBroadcast(weight=Decimal("70.04"), time_stamp=AT, settled=True, unexplained=0x0402)


@given(weights())
@settings(max_examples=100, deadline=None)
def test_a_weight_comes_back_as_it_was(said: WeightBroadcast) -> None:
    assert WeightBroadcast.from_bytes(bytes(said)) == said


@given(compositions())
@settings(max_examples=100, deadline=None)
def test_a_composition_comes_back_as_it_was(said: CompositionBroadcast) -> None:
    assert CompositionBroadcast.from_bytes(bytes(said)) == said


@given(st.one_of(weights(), compositions()))
@settings(max_examples=200, deadline=None)
def test_another_reader_of_these_scales_finds_the_same_weight(said: Broadcast) -> None:
    """xiaomi-ble reports a result while somebody stands on the scale; this driver also what lingers after."""
    number = 0x181D if isinstance(said, WeightBroadcast) else 0x181B
    oracle = XiaomiBluetoothDeviceData().update(
        BluetoothServiceInfo(
            name="",
            address=CONTEXT.device,
            rssi=-60,
            manufacturer_data={},
            service_data={f"0000{number:04x}-0000-1000-8000-00805f9b34fb": bytes(said)},
            service_uuids=[],
            source="",
        )
    )
    values = {key.key: value.native_value for key, value in oracle.entity_values.items()}
    kilograms = [float(reading.value) for reading in read(replace(said, removed=False))]
    if not said.removed:
        assert kilograms == pytest.approx([values["mass"]] if "mass" in values else [], abs=0.0006)
    elif kilograms:
        assert kilograms == pytest.approx([values["mass_non_stabilized"]], abs=0.0006)
    if isinstance(said, CompositionBroadcast) and "impedance" in values:
        assert (said.has_impedance, said.impedance) == (True, values["impedance"])


def test_nothing_is_said_before_the_weight_settles_or_once_the_scale_is_empty() -> None:
    assert read(replace(SETTLED, settled=False)) == ()
    assert read(replace(SETTLED, weight=Decimal(0))) == ()
    (reading,) = read(SETTLED)
    assert (str(reading.value), reading.validity, reading.clock) == ("70.040", Validity.VALID, ClockTrust.TRUSTED)
    assert reading.measured_at == ARRIVAL - 60_000


def test_one_weighing_is_one_record_from_settling_to_long_after() -> None:
    states = [
        SETTLED,
        replace(SETTLED, has_impedance=True, impedance=502),
        replace(SETTLED, has_impedance=True, impedance=502, removed=True),
    ]
    later = replace(CONTEXT, received_at=ARRIVAL + 3 * 3_600_000)
    keys = {read(said, context)[0].key for said in states for context in (CONTEXT, later)}
    assert len(keys) == 1
    assert read(replace(SETTLED, weight=Decimal("70.05")))[0].key not in keys
    assert read(replace(SETTLED, time_stamp=replace(AT, seconds=1)))[0].key not in keys


@pytest.mark.parametrize(
    ("unit", "weight", "kilograms"), [(KG, "70.04", "70.040"), (LB, "154.41", "70.039"), (JIN, "140.07", "70.035")]
)
def test_every_unit_of_the_display_is_converted_exactly(unit: ScaleUnit, weight: str, kilograms: str) -> None:
    for said in (SETTLED, WeightBroadcast(weight=Decimal(0), time_stamp=AT, settled=True)):
        (reading,) = read(replace(said, unit=unit, weight=Decimal(weight)))
        assert str(reading.value) == kilograms


def test_what_weighs_less_than_any_patient_is_kept_and_never_judged() -> None:
    assert read(replace(SETTLED, weight=Decimal("9.995")))[0].validity is Validity.QUESTIONABLE
    assert read(replace(SETTLED, weight=Decimal(10)))[0].validity is Validity.VALID
    # 0.5 kg is below what any living person can weigh.
    assert read(replace(SETTLED, weight=Decimal("0.5")))[0].validity is Validity.INVALID


@pytest.mark.parametrize(
    ("shown", "before", "clock"),
    [
        (AT, 60, ClockTrust.TRUSTED),
        (replace(AT, hours=7), 60, ClockTrust.CORRECTED),  # the clock shows UTC
        (replace(AT, hours=8, minutes=30), 1800, ClockTrust.TRUSTED),
        (replace(AT, hours=8, minutes=29), 0, ClockTrust.UNKNOWN),
        (replace(AT, hours=9, minutes=5), -300, ClockTrust.TRUSTED),
        (replace(AT, hours=9, minutes=6), 0, ClockTrust.UNKNOWN),
        (replace(AT, year=1970), 0, ClockTrust.UNKNOWN),
        (UNKNOWN_DATE_TIME, 0, ClockTrust.UNKNOWN),
    ],
)
def test_a_clock_is_believed_when_it_shows_just_now(shown: DateTime, before: int, clock: ClockTrust) -> None:
    (reading,) = read(replace(SETTLED, time_stamp=shown))
    assert (reading.measured_at, reading.clock) == (ARRIVAL - before * 1000, clock)
    assert reading.provenance.device_time == str(shown)


def test_a_result_without_a_date_is_one_record_within_the_hour_and_another_on_another_day() -> None:
    undated = replace(SETTLED, time_stamp=UNKNOWN_DATE_TIME)
    keys = [
        read(undated, replace(CONTEXT, received_at=ARRIVAL + minutes * 60_000))[0].key for minutes in (0, 59, 24 * 60)
    ]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("service", "payload", "reason"),
    [
        (0x181B, "0226" + "00" * 10, "181B: truncated: the weight"),
        (0x181B, "0226" + "00" * 12, "181B: 1 bytes too many"),
        (0x181B, "0360" + "00" * 11, "181B: pounds and jin at once"),
        (0x181D, "01", "181D: truncated: the weight"),
        (0x181D, "22" + "00" * 10, "181D: 1 bytes too many"),
        (0x181D, "31" + "00" * 9, "181D: pounds and jin at once"),
    ],
)
def test_what_is_not_the_makers_format_is_refused(service: int, payload: str, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        XiaomiScaleDriver().decode_advertisement(heard(bytes.fromhex(payload), service), CONTEXT)


def test_random_service_data_is_readings_or_a_frame_error() -> None:
    dice = random.Random(1)
    refused = 0
    for _ in range(2000):
        said = heard(dice.randbytes(dice.randrange(16)), dice.choice([0x181B, 0x181D]))
        try:
            XiaomiScaleDriver().decode_advertisement(said, CONTEXT)
        except FrameError:
            refused += 1
    assert 0 < refused < 2000


def test_an_advertisement_without_service_data_says_nothing() -> None:
    silent = Advertisement(address=CONTEXT.device, name="MIBFS", services=frozenset({0x181B}))
    assert XiaomiScaleDriver().decode_advertisement(silent, CONTEXT) == ()
    assert not XiaomiScaleDriver().claims(silent)


@pytest.mark.parametrize(
    "said", [replace(SETTLED, weight=Decimal(400)), WeightBroadcast(weight=Decimal(-1), time_stamp=AT)]
)
def test_a_weight_that_the_field_cannot_say_is_refused(said: Broadcast) -> None:
    with pytest.raises(OverflowError):
        bytes(said)
