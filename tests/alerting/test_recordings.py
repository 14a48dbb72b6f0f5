"""Recordings, good and bad."""

import contextlib
import gzip
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.errors import RecordingError
from alerting.recordings import read_lines, read_recording
from devices.reading import ClockTrust, Quality, Quantity, Unit, Validity

HEADER = "patient,time,quantity,value,unit\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.csv"


def refused(file: Path, text: str | bytes) -> RecordingError:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RecordingError) as caught:
        read_recording(file)
    assert f"{file.name}, line {caught.value.line}: " in str(caught.value)
    return caught.value


def test_readings_come_by_patient_in_canonical_order_and_once(file: Path) -> None:
    file.write_text(
        HEADER
        + "zoe,2026-03-03T07:31:00,body_weight,71.2,kg\n"
        + "\n"
        + "adam,2026-03-03T09:00:00+01:00,glucose_interstitial,5.5,mmol/L\n"
        + "zoe,2026-03-02 07:30:00.250,body_weight,157,[lb_av]\n"
        + "zoe,2026-03-03T07:31:00Z,body_weight,71.200,kg\n",
        encoding="utf-8",
    )
    recording = read_recording(file)
    assert list(recording.readings) == ["adam", "zoe"]
    (glucose,) = recording.readings["adam"]
    assert (glucose.quantity, glucose.count, glucose.measured_at) == (
        Quantity.GLUCOSE_INTERSTITIAL,
        991,
        1_772_524_800_000,
    )
    assert (glucose.clock, glucose.device, glucose.key) == (ClockTrust.TRUSTED, "file", "1772524800000:991")
    assert (glucose.provenance.source, glucose.provenance.value, glucose.provenance.unit) == (
        "file",
        "5.5",
        Unit.MMOL_PER_L,
    )
    assert [one.count for one in recording.readings["zoe"]] == [71_214, 71_200]
    assert recording.readings["zoe"][0].measured_at % 1000 == 250
    assert (recording.implausible, recording.set_aside) == (0, {})


def test_gzip_columns_in_another_order_and_a_byte_order_mark_are_read(file: Path) -> None:
    packed = file.with_suffix(".csv.gz")
    packed.write_bytes(
        gzip.compress(b"\xef\xbb\xbfunit,value,quantity,time,patient\r\nkg,70,body_weight,2026-03-03T07:31:00,a\r\n")
    )
    assert [one.count for one in read_recording(packed).readings["a"]] == [70_000]


def test_an_implausible_value_is_kept_as_invalid_and_counted(file: Path) -> None:
    file.write_text(HEADER + "a,2026-03-03T07:31:00,body_weight,900,kg\n", encoding="utf-8")
    recording = read_recording(file)
    (reading,) = recording.readings["a"]
    assert (reading.validity, reading.quality, reading.count) == (Validity.INVALID, Quality.IMPLAUSIBLE, 900_000)
    assert recording.implausible == 1


def test_a_quantity_of_no_device_of_ours_is_set_aside_and_counted(file: Path) -> None:
    line = "a,2026-03-03T07:31:00,glucose_truth,90,mg/dL\n"
    file.write_text(HEADER + line + line, encoding="utf-8")
    recording = read_recording(file)
    assert (recording.readings, recording.set_aside) == ({}, {"glucose_truth": 2})


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("a,2026-03-03T07:31:00,body_weight,11,stone", "body_weight has no unit 'stone'; it can be in kg, [lb_av]"),
        ("a,2026-03-03T07:31:00,body_weight,11,mmol/L", "no unit 'mmol/L'"),
        ("a,2026-03-03T07:31:00,body_weight,,kg", "not a number"),
        ("a,2026-03-03T07:31:00,body_weight,nan,kg", "not a number"),
        ("a,2026-03-03T07:31:00,body_weight,1e9,kg", "not a number"),
        ('a,2026-03-03T07:31:00,body_weight,"71,2",kg', "not a number"),
        ("a,yesterday,body_weight,71,kg", "the time 'yesterday'"),
        ("a,9999-12-31T23:59:59-23:59,body_weight,71,kg", "the time '9999"),
        ("a,2026-03-03,body_weight,71,kg", "the time '2026-03-03'"),
        (",2026-03-03T07:31:00,body_weight,71,kg", "pseudonym"),
        ("a" * 65 + ",2026-03-03T07:31:00,body_weight,71,kg", "pseudonym"),
        ("a,2026-03-03T07:31:00,body_weight,71", "4 fields instead of 5"),
        ("a,2026-03-03T07:31:00,body_weight,71,kg,more", "6 fields instead of 5"),
        ('a,"2026', "end of data"),
    ],
)
def test_a_malformed_line_is_refused_and_named(file: Path, line: str, word: str) -> None:
    good = "a,2026-03-03T07:30:00,body_weight,70,kg\n"
    error = refused(file, HEADER + good + line)
    assert error.line == 3
    assert word in str(error)


_PIECES = st.sampled_from(
    ("a", "2026-03-03T07:31:00", "body_weight", "71.2", "kg", ",", ",", '"', "\n", "\0", "\r", "9" * 12)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(_PIECES, st.text(max_size=4)), max_size=20))
def test_any_text_is_read_or_refused_and_nothing_else(pieces: list[str]) -> None:
    lines = io.StringIO(HEADER + "".join(pieces))
    with contextlib.suppress(RecordingError):
        assert all(patient for patient, _ in read_lines(lines, name="any", set_aside=Counter(), remarks=[]))


def test_other_columns_are_refused(file: Path) -> None:
    for header in ("", "patient,time,quantity,value\n", HEADER.replace("unit", "unit,more"), "a" + HEADER):
        assert refused(file, header).line == 1


@pytest.mark.parametrize(
    ("header", "french", "english"),
    [
        ("patient;time;quantity;value;unit", "séparés par des points-virgules", "separated by semicolons"),
        ("patient;date;grandeur;valeur;unité", "séparés par des points-virgules", "separated by semicolons"),
        ("patient\tdate", "séparés par des tabulations", "separated by tabs"),
        ("patient,date,valeur", "(ici : patient, date, valeur)", "(here: patient, date, valeur)"),
        ("", "(ici : rien)", "(here: nothing)"),
    ],
)
def test_a_spreadsheets_header_is_refused_with_what_to_write(
    file: Path, header: str, french: str, english: str
) -> None:
    why = refused(file, header + "\np1;2026-03-03 08:00;poids;71,2;kg\n").why
    assert french in why.fr
    assert english in why.en
    for said in (why.fr, why.en):
        assert "patient,time,quantity,value,unit" in said.replace(", ", ",")
        assert "\n" not in said
    assert "virgules" in why.fr


def test_an_error_of_the_text_is_said_in_french_too(file: Path) -> None:
    broken = refused(file, HEADER + 'a,"2026').why
    assert "CSV bien formé" in broken.fr
    assert "unexpected end" not in broken.fr
    comma = refused(file, HEADER + "a,2026-03-03T07:31:00,body_weight,71,2,kg").why
    assert ("avec un point, 71.2" in comma.fr, "with a point, 71.2" in comma.en) == (True, True)


@pytest.mark.parametrize(
    ("quantity", "value", "spoken", "unit"),
    [
        ("blood_pressure_systolic", "120", "mmHg", Unit.MM_HG),
        ("body_temperature", "37.2", "°C", Unit.CELSIUS),
        ("body_temperature", "98.6", "°F", Unit.FAHRENHEIT),
        ("body_weight", "157", "lb", Unit.POUND),
    ],
)
def test_units_may_be_written_as_in_a_protocol(file: Path, quantity: str, value: str, spoken: str, unit: Unit) -> None:
    lines = [f"{place},2026-03-03T07:31:00,{quantity},{value},{text}\n" for place, text in enumerate((spoken, unit))]
    file.write_text(HEADER + "".join(lines), encoding="utf-8")
    (first,), (second,) = read_recording(file).readings.values()
    assert first == second
    assert first.provenance.unit is unit


def test_text_that_is_not_utf8_names_its_line(file: Path) -> None:
    assert refused(file, HEADER.encode() + b"\xe9,2026-03-03T07:31:00,body_weight,71,kg\n").line == 2


def test_a_gzip_file_cut_short_or_damaged_is_refused(file: Path) -> None:
    packed = file.with_suffix(".csv.gz")
    whole = gzip.compress((HEADER + "a,2026-03-03T07:31:00,body_weight,71,kg\n" * 1000).encode())
    for damaged in (whole[:-4], b"no gzip at all", whole[:20] + b"\xff\xff" + whole[22:]):
        assert "gzip" in str(refused(packed, damaged))
