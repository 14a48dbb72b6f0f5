import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.reading import ClockTrust, Quality, Quantity, Reading, Unit, Validity
from devices.relay_address import RelayForm
from devices.relay_entries import RelayFormatError, ascending, entries_of, reading_of_entry
from exchange.messages import ObservationRecord, observation, reading

AT = 1_795_334_400_000  # 2026-11-22T08:00:00Z
NOW = AT + 30_000

# As xDrip+ answered, of 2019-04-14; the first of a published answer of `/sgv.json?all_data=y`, its id changed.
XDRIP = (
    b'[{"_id":"2d99c394-0000-4c3f-8cf6-f75bde36ebe4","device":"Tomato","dateString":"2019-04-14T09:04:40.967-0500",'
    b'"sysTime":"2019-04-14T09:04:40.967-0500","date":1555250680967,"sgv":112,"delta":8.101,"direction":"FortyFiveUp",'
    b'"noise":1,"filtered":126705,"unfiltered":126705,"rssi":100,"type":"sgv","units_hint":"mgdl"}]'
)
# Made here, as Nightscout's OpenAPI description and its issues show entries.
NIGHTSCOUT: dict[str, Any] = {
    "_id": "5a819c340b2314345b842fd1",
    "device": "share2",
    "date": AT,
    "dateString": "2026-11-22T08:00:00.000Z",
    "sgv": 104,
    "direction": "Flat",
    "type": "sgv",
    "noise": 1,
}


def readings(body: bytes, form: RelayForm = RelayForm.NIGHTSCOUT) -> list[Reading]:
    found = [
        reading_of_entry(entry, form=form, device="relay:test", received_at=NOW, zone=ZoneInfo("Europe/Paris"))
        for entry in entries_of(body, most=2000)
    ]
    return [one for one in found if one is not None]


def read(form: RelayForm = RelayForm.NIGHTSCOUT, **changes: Any) -> Reading:
    return readings(json.dumps([{**NIGHTSCOUT, **changes}]).encode(), form)[0]


def test_an_entry_of_xdrip_is_interstitial_glucose_at_its_own_time() -> None:
    (one,) = readings(XDRIP, RelayForm.XDRIP)
    assert (one.quantity, one.value, one.unit) == (Quantity.GLUCOSE_INTERSTITIAL, Decimal("112.0"), Unit.MG_PER_DL)
    assert (one.measured_at, one.clock, one.received_at) == (1_555_250_680_967, ClockTrust.TRUSTED, NOW)
    assert one.validity is Validity.VALID
    assert one.provenance.source == "relay"
    assert (one.provenance.value, one.provenance.unit) == ("112", Unit.MG_PER_DL)
    assert one.provenance.device_time == "2019-04-14T16:04:40.967"
    assert one.provenance.frame == XDRIP[1:-1]


def test_the_unit_of_the_app_s_screen_changes_no_value() -> None:
    assert read(units_hint="mmol").count == read().count == 1040


def test_an_entry_that_names_its_own_unit_is_converted() -> None:
    assert read(units="mmol", sgv=5.5).count == 991
    assert read(units="mmol", sgv=5.5).provenance.unit is Unit.MMOL_PER_L
    assert read(units="mg/dl").count == 1040


@pytest.mark.parametrize("unit", ["g/l", 5, ""])
def test_an_unknown_unit_is_refused(unit: object) -> None:
    with pytest.raises(RelayFormatError, match="unknown unit"):
        read(units=unit)


@pytest.mark.parametrize("code", [-1, 0, 1, 2, 3, 5, 6, 9, 10, 12])
def test_a_code_of_the_sensor_is_no_glucose(code: int) -> None:
    one = read(sgv=code)
    assert (one.validity, one.count, one.quality) == (Validity.INVALID, 0, Quality.NONE)
    assert one.provenance.value == str(code)


@pytest.mark.parametrize("low", [13, 37, 38, 39])
def test_lower_than_the_sensor_measures_is_told_as_such(low: int) -> None:
    assert (read(sgv=low).validity, read(sgv=low).count) == (Validity.UNDERFLOW, 100)


def test_xdrip_s_mark_of_an_error_is_no_low_glucose() -> None:
    assert read(RelayForm.XDRIP, sgv=38).validity is Validity.INVALID
    assert read(device="xDrip-DexcomG6", sgv=38).validity is Validity.INVALID
    assert read(RelayForm.XDRIP, sgv=39).validity is Validity.UNDERFLOW


def test_high_is_told_as_such_and_a_sensor_that_measures_on_is_believed() -> None:
    assert (read(sgv=401).validity, read(sgv=401).count) == (Validity.OVERFLOW, 10_000)
    assert (read(sgv=450).validity, read(sgv=450).count) == (Validity.VALID, 4500)
    assert (read(sgv=40).validity, read(sgv=400).validity) == (Validity.VALID, Validity.VALID)


def test_mmol_in_the_place_of_mg_is_never_taken_for_glucose() -> None:
    one = read(sgv=5.6)
    assert (one.validity, one.quality) == (Validity.INVALID, Quality.IMPLAUSIBLE)


def test_heavy_noise_is_said() -> None:
    assert read(noise=4).quality is Quality.POOR_SIGNAL
    assert read(noise=3).quality is Quality.NONE
    assert read(noise="Heavy").quality is Quality.NONE


@pytest.mark.parametrize(("ahead", "clock"), [(300_000, ClockTrust.TRUSTED), (300_001, ClockTrust.UNKNOWN)])
def test_a_date_in_the_future_is_not_believed(ahead: int, clock: ClockTrust) -> None:
    one = read(date=NOW + ahead)
    assert one.clock is clock
    assert one.measured_at == (NOW if clock is ClockTrust.UNKNOWN else NOW + ahead)


def test_a_clock_that_has_lost_its_time_is_not_believed() -> None:
    for date in (0, 1_795_334_400, -5, 9e15):
        one = read(date=date, dateString=None)
        assert (one.measured_at, one.clock) == (NOW, ClockTrust.UNKNOWN)


def test_an_entry_with_only_a_written_date_has_that_time() -> None:
    assert read(date=None).measured_at == AT
    assert read(date=None, dateString="2026-11-22T09:00:00+01:00").measured_at == AT
    for text in ("2026-11-22T08:00:00", "yesterday", 7, "0001-01-01T00:00:00+23:59"):
        assert read(date=None, dateString=text).clock is ClockTrust.UNKNOWN


def test_the_key_is_the_same_whenever_the_same_entry_comes_again() -> None:
    assert read(units_hint="mgdl", noise=2, delta=1.0).key == read().key
    assert read(sgv=110).key == read().key
    assert read(date=AT + 1).key != read().key
    assert read(_id="5a819c340b2314345b842fd2").key != read().key


def test_without_an_id_the_value_and_what_measured_it_tell_entries_apart() -> None:
    assert read(_id=None).key == read(_id=None, units_hint="mgdl").key
    assert read(_id=None, sgv=110).key != read(_id=None).key
    assert read(_id=None, device="other").key != read(_id=None).key


def test_entries_of_other_types_are_passed_over_and_an_unnamed_type_is_taken() -> None:
    mixed = [{**NIGHTSCOUT, "type": "mbg"}, {**NIGHTSCOUT, "type": 3}, {"type": "cal", "sgv": 100}]
    assert readings(json.dumps(mixed).encode()) == []
    brief = {name: value for name, value in NIGHTSCOUT.items() if name != "type"}
    assert len(readings(json.dumps([brief]).encode())) == 1


@pytest.mark.parametrize("sgv", ["104", None, True, [], 1e300, -1e6])
def test_an_entry_without_a_possible_number_is_refused_alone(sgv: object) -> None:
    entries = entries_of(json.dumps([{**NIGHTSCOUT, "sgv": sgv}, NIGHTSCOUT]).encode(), most=2)
    assert entries[0].fault is not None
    assert entries[1].fault is None
    with pytest.raises(RelayFormatError):
        reading_of_entry(
            entries[0], form=RelayForm.XDRIP, device="relay:test", received_at=NOW, zone=ZoneInfo("Europe/Paris")
        )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"status":401}', b"null", b"[" * 500_000, b"[{}", b'["\\ud800"', b"\xff"]
)
def test_what_is_no_list_of_entries_is_refused(body: bytes) -> None:
    with pytest.raises(RelayFormatError):
        entries_of(body, most=2000)


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(RelayFormatError, match="more than 2"):
        entries_of(b"[{},{},{}]", most=2)


def test_the_frame_of_a_long_entry_is_not_kept() -> None:
    assert read(aaps="x" * 600).provenance.frame == b""


def test_the_sensor_s_name_is_taken_when_it_is_one() -> None:
    names: list[object] = ["G6 Native", "x" * 100, "", "two\nlines", 5, None]
    body = json.dumps([{**NIGHTSCOUT, "device": name} for name in names]).encode()
    assert [entry.model for entry in entries_of(body, most=10)] == ["G6 Native", "x" * 64, None, None, None, None]


def test_entries_are_put_in_the_order_of_their_dates() -> None:
    body = json.dumps([{**NIGHTSCOUT, "date": date, "dateString": None} for date in (3, None, 1, 2)]).encode()
    assert [entry.at for entry in ascending(entries_of(body, most=10))] == [1, 2, 3, None]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ENTRY = st.fixed_dictionaries(
    {},
    optional={
        name: _JSON
        | st.sampled_from(["sgv", "mmol", AT, 112, 5.5, "2026-11-22T08:00:00Z", -(2**70), 2**70, 1e300, 10**400])
        for name in ("_id", "type", "sgv", "date", "dateString", "device", "noise", "units")
    },
)


def taken(body: bytes) -> list[Reading]:
    try:
        entries = entries_of(body, most=2000)
    except RelayFormatError:
        return []
    kept = []
    for entry in ascending(entries):
        assert entry.model is None or len(entry.model) <= 64
        try:
            one = reading_of_entry(
                entry, form=RelayForm.XDRIP, device="relay:test", received_at=NOW, zone=ZoneInfo("Europe/Paris")
            )
        except RelayFormatError:
            continue
        kept += [] if one is None else [one]
    return kept


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_reading_or_a_refusal(body: bytes) -> None:
    taken(body)
    taken(b"[" + body + b"]")


@given(st.lists(_ENTRY, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_reading_that_can_travel_or_a_refusal(items: list[dict[str, Any]]) -> None:
    for one in taken(json.dumps(items).encode()):
        assert one.measured_at <= NOW + 300_000
        record = observation("p", one)
        assert isinstance(record, ObservationRecord)
        assert reading(record) == one
        assert len(record.key) <= 128
        assert len(record.frame) <= 512
        assert len(record.device_value or "") <= 64
