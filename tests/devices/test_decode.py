"""What `veilleur decode` shows."""

import json
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.advertising import advertisement_bytes
from devices.decode import decode_advertisement, decode_frame
from devices.driver import FrameContext
from devices.drivers.cgm_session import SessionStart
from devices.drivers.weight_scale import WeightMeasurement
from devices.drivers.xiaomi_scale import WeightBroadcast
from devices.errors import DriverError, FrameError
from devices.radio import Advertisement
from devices.reading import Unit
from devices.wall_clock import DateTime

KNOWN = [0x2A08, 0x2A2B, 0x2A35, 0x2A49, 0x2A52, 0x2A9D, 0x2A9E, 0x2AA7, 0x2AA8, 0x2AAA, 0x2AAB]


def shown(characteristic: int, frame: str) -> Any:
    return json.loads(json.dumps(decode_frame(characteristic, bytes.fromhex(frame)).as_json(), allow_nan=False))


def test_a_blood_pressure_is_shown_with_its_readings_and_fields() -> None:
    assert shown(0x2A35, "1e 7800 5000 5d00 ea07 0b 16 08 3b 1e 4800 01 0400") == {
        "characteristic": "2A35",
        "readings": [
            {
                "quantity": quantity,
                "value": value,
                "unit": unit,
                "validity": "valid",
                "measured_at": "2026-11-22T08:59:30Z",
            }
            for quantity, value, unit in [
                ("blood_pressure_systolic", 120.0, "mm[Hg]"),
                ("blood_pressure_diastolic", 80.0, "mm[Hg]"),
                ("blood_pressure_mean", 93.0, "mm[Hg]"),
                ("pulse_rate", 72.0, "/min"),
            ]
        ],
        "fields": {
            "unit": "mm[Hg]",
            "time_stamp": "2026-11-22T08:59:30",
            "user_id": 1,
            "status": ["irregular_pulse"],
            "trailing": "",
        },
    }


def test_an_invalid_value_without_a_number_is_null_and_one_with_a_number_is_shown() -> None:
    values = [reading["value"] for reading in shown(0x2A35, "00 ff07 5000 9001")["readings"]]
    assert values == [None, 80.0, 400.0]
    assert shown(0x2A9D, "00 ffff")["readings"][0]["value"] is None
    assert shown(0x2A9D, "00 0000")["readings"][0]["value"] == 0.0


def test_values_are_in_canonical_units_whatever_the_device_speaks() -> None:
    imperial = WeightMeasurement(
        weight=Decimal(150), unit=Unit.POUND, bmi=Decimal("22.5"), height=Decimal("68.0"), trailing=b"\x01"
    )
    decoded = decode_frame(0x2A9D, bytes(imperial)).as_json()
    readings: Any = decoded["readings"]
    assert [(reading["value"], reading["unit"]) for reading in readings] == [(68.039, "kg"), (22.5, "kg/m2")]
    assert decoded["fields"] == {
        "unit": "[lb_av]",
        "successful": True,
        "time_stamp": None,
        "user_id": None,
        "height_m": 1.7272,
        "trailing": "01",
    }


def test_a_cgm_record_has_a_relative_time_only() -> None:
    decoded = shown(0x2AA7, "0f e3 b5f4 b30b 02 04 01 83ef 5f00 9fed")
    assert decoded["readings"][0]["measured_at"] is None
    assert decoded["fields"] == {
        "time_offset_minutes": 2995,
        "annunciation": ["battery_low", "calibration_recommended", "below_patient_low"],
        "trend_mg_dl_per_minute": -1.25,
        "quality_percent": 95.0,
        "crc": True,
        "trailing": "",
    }


def test_several_cgm_records_are_shown_each_and_special_values_by_name() -> None:
    decoded = shown(0x2AA7, "06 00 7800 b30b 08 01 7900 b80b ff07")
    assert [reading["value"] for reading in decoded["readings"]] == [120.0, 121.0]
    assert [record["trend_mg_dl_per_minute"] for record in decoded["fields"]["records"]] == [None, "NaN"]


def test_a_session_that_is_known_dates_its_records(context: FrameContext) -> None:
    readings: Any = decode_frame(0x2AA7, bytes.fromhex("06 00 7800 b80b"), context).as_json()["readings"]
    assert readings[0]["measured_at"] == "2026-11-22T08:00:00Z"


@pytest.mark.parametrize(
    ("characteristic", "frame", "fields"),
    [
        (0x2A08, "ea07 0b 16 09 00 00 ff", {"date_time": "2026-11-22T09:00:00", "trailing": "ff"}),
        (
            0x2A2B,
            "ea07 0b 16 09 00 00 07 80 02",
            {
                "date_time": "2026-11-22T09:00:00",
                "day_of_week": 7,
                "fractions256": 128,
                "adjust_reason": ["external_reference"],
                "trailing": "",
            },
        ),
        (0x2A49, "2100", {"features": ["body_movement", "multiple_bonds"], "trailing": ""}),
        (
            0x2A9E,
            "bd010000",
            {"features": ["time_stamp", "bmi"], "weight_resolution": 7, "height_resolution": 3, "trailing": ""},
        ),
        (
            0x2A52,
            "01 03 01 b90b",
            {"opcode": 1, "operator": 3, "filter_type": 1, "operands": [3001], "trailing": ""},
        ),
        (0x2A52, "05 00 2000", {"number_of_records": 32, "trailing": ""}),
        (0x2A52, "06 00 01 06", {"request": 1, "code": 6, "succeeded": True, "trailing": ""}),
        (
            0x2AA8,
            "018001 59 ffff",
            {
                "features": ["calibration", "trend", "quality"],
                "fluid_type": 9,
                "sample_location": 5,
                "trailing": "",
            },
        ),
        (
            0x2AAA,
            "ea07 07 0f 0e 00 00 04 04",
            {
                "date_time": "2026-07-15T14:00:00",
                "time_zone_minutes": 60,
                "dst_offset_minutes": 60,
                "session_start": "2026-07-15T12:00:00Z",
                "crc": False,
                "trailing": "",
            },
        ),
        (
            0x2AAA,
            "0000 00 00 00 00 00 80 ff",
            {
                "date_time": "0000-00-00T00:00:00",
                "time_zone_minutes": None,
                "dst_offset_minutes": None,
                "session_start": None,
                "crc": False,
                "trailing": "",
            },
        ),
        (0x2AAB, "6801", {"hours": 360, "crc": False, "trailing": ""}),
    ],
)
def test_other_characteristics_show_their_fields(characteristic: int, frame: str, fields: dict[str, Any]) -> None:
    # Made here, byte by byte from the specifications.
    assert shown(characteristic, frame) == {
        "characteristic": f"{characteristic:04X}",
        "readings": [],
        "fields": fields,
    }


def test_a_wrong_crc_is_refused_without_being_told_that_there_is_one() -> None:
    frame = bytearray(bytes(SessionStart.of(1_790_000_000_000, ZoneInfo("Europe/Paris"), crc=True)))
    frame[0] ^= 1
    with pytest.raises(FrameError, match="2AAA: wrong E2E-CRC"):
        decode_frame(0x2AAA, bytes(frame))


def test_an_unknown_characteristic_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DriverError) as refused:
        decode_frame(0x2A6E, b"\x00\x50")
    assert str(refused.value).startswith("2A6E ")
    assert all(f"{number:04X}" in str(refused.value) for number in KNOWN)


@pytest.mark.parametrize("characteristic", KNOWN, ids=lambda number: f"{number:04X}")
@given(frame=st.binary(max_size=64))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_shown_or_refused(characteristic: int, frame: bytes) -> None:
    try:
        decoded = decode_frame(characteristic, frame)
    except FrameError as error:
        assert error.frame in frame  # noqa: PT017 either outcome is right
    else:
        json.dumps(decoded.as_json(), allow_nan=False)


def test_an_advertisement_is_shown_with_its_driver_and_what_it_says() -> None:
    weighing = WeightBroadcast(
        weight=Decimal("70.04"),
        time_stamp=DateTime(year=2026, month=11, day=22, hours=8, minutes=0, seconds=0),
        settled=True,
    )
    heard = Advertisement(address="", name="MI SCALE2", service_data={0x181D: bytes(weighing)})
    said = decode_advertisement(advertisement_bytes(heard))
    assert said["advertisement"] == {
        "name": "MI SCALE2",
        "services": [],
        "service_data": {"181D": bytes(weighing).hex()},
        "manufacturer_data": {},
    }
    assert (said["driver"], said["refused"]) == ("xiaomi_scale", None)
    (reading,) = cast("list[dict[str, object]]", said["readings"])
    assert (reading["quantity"], reading["value"], reading["unit"]) == ("body_weight", 70.04, "kg")


def test_an_advertisement_that_nobody_reads_says_why() -> None:
    said = decode_advertisement(advertisement_bytes(Advertisement(address="", services=frozenset({0x1234}))))
    assert said["driver"] is None
    assert "no driver reads" in str(said["refused"])


def test_a_live_value_has_no_time_of_its_own() -> None:
    (reading,) = shown(0x2A37, "0048")["readings"]
    assert (reading["value"], reading["measured_at"]) == (72.0, None)
