"""A patient's page: what is drawn, what is not and why, how far a reading came, and who saw it."""

import csv
import gzip
import io
from importlib.resources import files
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordination.database import Moment, Presence
from coordination.desk.access import Role
from coordination.desk.chart_limits import thresholds
from coordination.desk.chart_parts import Raised, Sheet
from coordination.desk.charts import runs, thinned
from coordination.desk.gap_causes import causes_of
from coordination.desk.glucose_figures import Figures, TooFew, figures_of
from coordination.desk.models import Patient, PatientView
from coordination.desk.patient_charts import charts, in_order
from coordination.desk.readings import Series, readings_of
from coordination.desk.shown_values import Ruler
from coordination.silence import Watch
from devices.reading import Quantity, Unit
from tests.coordination.desk.kit import Desk, without_tokens
from tests.coordination.desk.readings_kit import (
    DAY,
    SCALE,
    SENSOR,
    known,
    packaged,
    reading,
    sensor,
    technical,
    weights,
)
from tests.coordination.kit import BOX, HOUR, MINUTE, OTHER_BOX, OTHER_PATIENT, PATIENT, START, gap

FROM_AGATA = {
    "mean": 108.23457943925234,
    "deviation": 22.606656481425432,
    "variation": 20.886722707795645,
    "gmi": 5.898971140186916,
    "shares": (0.0, 2.5233644859813085, 95.79439252336448, 1.6822429906542056, 0.0),
}
"""py_agata 0.0.8 (variability and time_in_ranges) on the recording that ships, laid on a grid of one minute with holes,
so that each of its 1 070 values counts once."""


def hall() -> Series:
    data = files("simulators").joinpath("recordings/hall_2018_excerpt.csv.gz").read_bytes()
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(data).decode())))
    times = np.array([row["time"] for row in rows], "datetime64[ms]").astype(np.int64)
    counts = [round(float(row["value"]) * 10) for row in rows]
    return Series.of(Quantity.GLUCOSE_INTERSTITIAL, list(zip(times.tolist(), counts, strict=True)))


def page_of(desk: Desk, patient: str = PATIENT, query: str = "", role: Role = Role.NURSE) -> str:
    return desk.client(role).get(f"/patients/{patient}{query}").content.decode()


# --- figures ----------------------------------------------------------------------------------------------


def test_figures_of_a_recording_are_those_of_a_published_tool() -> None:
    found = figures_of(hall(), period=4 * DAY)
    assert isinstance(found, Figures)
    for name in ("mean", "deviation", "variation", "gmi"):
        assert getattr(found, name) == pytest.approx(FROM_AGATA[name], rel=1e-9), name
    # The tool counts 70 itself as below; Battelino 2019, as this desk, counts it as in the target.
    of_seventy = np.count_nonzero(hall().counts == 700) / len(hall()) * 100
    assert of_seventy > 0
    very_low, low, target, high, very_high = found.shares
    theirs = (very_low, low + of_seventy, target - of_seventy, high, very_high)
    assert theirs == pytest.approx(FROM_AGATA["shares"], rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.integers(200, 5000), max_size=400),
    minutes=st.sampled_from([1, 3, 5, 15]),
)
def test_figures_are_numbers_or_a_reason_whatever_came(counts: list[int], minutes: int) -> None:
    rows = [(START + place * minutes * MINUTE, count) for place, count in enumerate(counts)]
    found = figures_of(Series.of(Quantity.GLUCOSE_INTERSTITIAL, rows), period=14 * DAY)
    if len(counts) * minutes < 24 * 60 or len(counts) < 2:
        assert isinstance(found, TooFew)
        assert 0 <= found.received < DAY
    else:
        assert isinstance(found, Figures)
        assert np.isfinite([found.mean, found.deviation, found.variation, found.gmi, found.active]).all()
        assert sum(found.shares) == pytest.approx(100)


def test_how_many_readings_a_day_needs_follows_the_sensors_cadence() -> None:
    day_at_15 = [(START + place * 15 * MINUTE, 1000 + place) for place in range(96)]
    assert isinstance(figures_of(Series.of(Quantity.GLUCOSE_INTERSTITIAL, day_at_15), period=DAY), Figures)
    few_at_5 = [(START + place * 5 * MINUTE, 1000 + place) for place in range(96)]
    assert figures_of(Series.of(Quantity.GLUCOSE_INTERSTITIAL, few_at_5), period=DAY) == TooFew(received=8 * HOUR)


def test_below_a_day_there_are_no_statistics_and_the_page_says_why(desk: Desk) -> None:
    sensor(desk, begin=START, end=START + 9 * HOUR)
    desk.clock.now = START + 9 * HOUR
    page = page_of(desk)
    assert "Données insuffisantes : 9\u00a0h\u00a000 reçues, 24 h nécessaires." in page
    assert "GMI" not in page
    assert "nan" not in without_tokens(page).lower().replace("dominant", "")


def test_a_sensor_worn_too_rarely_is_shown_with_that_said(desk: Desk) -> None:
    sensor(desk, begin=START, end=START + 3 * DAY)
    desk.clock.now = START + 3 * DAY
    page = page_of(desk)
    assert "À lire avec prudence : capteur actif 21 % du temps, 70 % nécessaires." in page
    assert "Données insuffisantes : 3\u00a0j\u00a00\u00a0h reçues, 5 jours nécessaires." in page


# --- gaps -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(
    times=st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True),
    longest=st.integers(1, 3_000),
)
def test_no_line_is_drawn_over_a_gap(times: list[int], longest: int) -> None:
    parts = runs(((float(at), 1.0) for at in times), longest=longest)
    assert sorted(times) == [at for part in parts for at, _ in part]
    for part in parts:
        assert all(after[0] - before[0] <= longest for before, after in pairwise(part))
    for before, after in pairwise(parts):
        assert after[0][0] - before[-1][0] > longest


def _causes(desk: Desk, quantity: Quantity, device: str, begin: int, end: int) -> str:
    patient = Patient.objects.get(pseudonym=PATIENT)
    causes = causes_of(patient, {device: {quantity}}, begin=begin, now=desk.clock.now)
    return causes.of(quantity, begin, end).words.fr


def test_a_gap_says_that_its_box_lost_it(desk: Desk) -> None:
    desk.receive(gap((5, 8)))
    assert _causes(desk, Quantity.GLUCOSE_INTERSTITIAL, SENSOR, START, START + HOUR) == "perdu, boîtier plein"


def test_a_gap_says_why_its_device_was_silent_and_not_anothers(desk: Desk) -> None:
    sensor(desk, begin=START, end=START + HOUR)
    desk.receive(technical("out_of_reach", SENSOR, at=START + 2 * HOUR))
    desk.clock.now = START + 5 * HOUR
    desk.receive(reading(START + 5 * HOUR, 820, Quantity.BODY_WEIGHT, Unit.KILOGRAM, device=SCALE))
    assert _causes(desk, Quantity.GLUCOSE_INTERSTITIAL, SENSOR, START + HOUR, START + 4 * HOUR) == "hors de portée"
    assert _causes(desk, Quantity.BODY_WEIGHT, SCALE, START + HOUR, START + 4 * HOUR) == "non mesuré"
    page = page_of(desk)
    assert "hors de portée (à voir avec l&#39;aidant)" in page


def test_a_gap_during_which_the_box_was_silent_says_so(desk: Desk) -> None:
    desk.receive(reading(START, 1000, Quantity.GLUCOSE_INTERSTITIAL, Unit.MG_PER_DL, device=SENSOR))
    watch = Watch(desk.boxes.settings().protocols)
    for hours in range(60):
        desk.database.watch(watch.judge, moment=Moment(at=START + hours * HOUR, fresh=HOUR))
    desk.clock.now = START + 60 * HOUR
    assert _causes(desk, Quantity.GLUCOSE_INTERSTITIAL, SENSOR, START, desk.clock.now) == "boîtier muet"
    assert "boîtier muet" in page_of(desk)


def test_nothing_is_expected_before_follow_up_began(desk: Desk) -> None:
    _ = desk.database
    before = START - 30 * DAY
    assert _causes(desk, Quantity.BODY_WEIGHT, SCALE, before, before + DAY) == "avant le suivi"


# --- charts -----------------------------------------------------------------------------------------------


def test_charts_follow_the_protocol_and_one_without_readings_says_why(desk: Desk) -> None:
    protocol = packaged("heart_failure")
    order = in_order(protocol, [Quantity.SPO2, Quantity.BODY_WEIGHT])
    assert (
        order.index(Quantity.BODY_WEIGHT) < order.index(Quantity.BLOOD_PRESSURE_SYSTOLIC) < order.index(Quantity.SPO2)
    )
    weights(desk, 1, 2, 3, now=START + 4 * DAY, patient=OTHER_PATIENT, box=OTHER_BOX)
    desk.clock.now = START + 4 * DAY
    status = msgspec.structs.replace(
        desk.boxes.status(box=OTHER_BOX), protocols={OTHER_PATIENT: known(desk, "heart_failure")}
    )
    desk.boxes.store(desk.database, Presence(status=status, retained=False), at=desk.clock.now)
    page = page_of(desk, OTHER_PATIENT)
    assert page.index(">Poids<") < page.index(">Tension<")
    assert "Aucune mesure reçue sur cette période : non mesuré" in page


def test_a_gain_in_three_days_is_a_curve_of_what_would_have_raised_it() -> None:
    rows = [(START + day * DAY, 80_000 + 100 * day) for day in range(6)]
    series = Series.of(Quantity.BODY_WEIGHT, rows)
    found = thresholds(packaged("heart_failure"), Quantity.BODY_WEIGHT, series, Ruler.of(Quantity.BODY_WEIGHT, None))
    (curve,) = found.curves
    assert "+2,0\u00a0kg en 3\u00a0j" in curve.words
    # Of the fifth day: the lowest of the three and a half days before it, and two kilograms.
    assert dict(curve.points)[float(START + 5 * DAY)] == pytest.approx(80.2 + 2.0)


def test_a_patient_of_whom_nothing_came_has_a_page_that_says_so(desk: Desk) -> None:
    _ = desk.database
    page = page_of(desk)
    assert "Aucune mesure reçue de ce patient pour l&#39;instant." in page
    assert "nan" not in without_tokens(page).lower()


SPARSE = [(23_040 + 1_440 * day, 1_040) for day in range(5)]
"""One reading a day: enough days for a profile, and at no hour enough readings."""


def test_days_of_one_reading_each_have_no_profile_and_the_page_says_why() -> None:
    found = {
        Quantity.GLUCOSE_INTERSTITIAL: Series.of(
            Quantity.GLUCOSE_INTERSTITIAL, [(START + at * MINUTE, count) for at, count in SPARSE]
        )
    }
    sheet = Sheet(found=found, days=14, now=START + 30 * DAY, zone="Europe/Paris", protocol=packaged("diabetes_cgm"))
    (shown,) = [one for one in charts(sheet) if one.name == "agp"]
    assert shown.picture is None
    assert "trop peu à chaque heure du jour" in str(shown.missing)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 30 * 24 * 60), st.integers(-(2**40), 2**40)), max_size=30, unique_by=lambda row: row[0]
    )
)
@example(rows=SPARSE)
def test_a_chart_holds_no_impossible_number_whatever_a_box_sent(rows: list[tuple[int, int]]) -> None:
    found = {
        quantity: Series.of(quantity, [(START + at * MINUTE, count) for at, count in rows])
        for quantity in (Quantity.GLUCOSE_INTERSTITIAL, Quantity.BODY_WEIGHT)
        if rows
    }
    sheet = Sheet(found=found, days=14, now=START + 30 * DAY, zone="Europe/Paris", protocol=packaged("heart_failure"))
    for chart in charts(sheet):
        drawn = str(chart.picture or "")
        assert "nan" not in drawn
        assert "inf" not in drawn.replace("info", "")


# --- devices and the way ----------------------------------------------------------------------------------


def test_a_silent_device_says_its_probable_cause_and_who_looks_after_it(desk: Desk) -> None:
    weights(desk, 3, now=START + 5 * DAY)
    desk.receive(technical("battery_low", SCALE, at=START + 3 * DAY))
    desk.clock.now = START + 5 * DAY
    page = page_of(desk)
    assert "muet depuis 3\u00a0j" in page
    assert "Cause probable :</b> pile faible, à voir avec l&#39;aidant" in page
    assert "Fait technique battery_low." in page


def test_the_way_of_the_last_and_of_any_chosen_reading_is_told(desk: Desk) -> None:
    weights(desk, 2, 1, now=START)
    page = page_of(desk)
    assert "dernière mesure" in page
    assert "82,01\u00a0kg" in page
    chosen = page_of(desk, query=f"?grandeur=body_weight&mesure={START - 2 * DAY}")
    assert "mesure choisie" in chosen
    assert "82,02\u00a0kg" in chosen
    assert "82,01\u00a0kg</b>" in page_of(desk, query="?grandeur=body_weight&mesure=99999999999999999999")


def test_a_reading_is_seen_by_whoever_first_opened_the_page_after_it_came(desk: Desk) -> None:
    weights(desk, 1, now=START)
    first, second = desk.client(Role.NURSE, name="C. Martin"), desk.client(Role.PHYSICIAN, name="Dr Roy")
    desk.clock.now = START + HOUR
    first.get(f"/patients/{PATIENT}")
    desk.clock.now = START + 2 * HOUR
    page = second.get(f"/patients/{PATIENT}").content.decode()
    assert "par C. Martin" in page
    first.get(f"/patients/{PATIENT}")
    assert PatientView.objects.count() == 2
    assert BOX in page


@settings(deadline=None, max_examples=50)
@given(
    heights=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    most=st.integers(8, 60),
)
def test_a_line_that_is_thinned_keeps_its_ends_and_its_extremes(heights: list[float], most: int) -> None:
    run = [(float(at), height) for at, height in enumerate(heights)]
    found = thinned(run, most)
    assert (found[0], found[-1]) == (run[0], run[-1])
    assert {min(height for _, height in found), max(height for _, height in found)} == {min(heights), max(heights)}
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert len(found) <= max(most + 4, 1)
    assert set(found) <= set(run)


def test_the_list_says_of_whom_nothing_came_for_longest_and_not_of_their_box(desk: Desk) -> None:
    weights(desk, 5, now=START)
    weights(desk, 1, now=START, patient=OTHER_PATIENT, box=OTHER_BOX)
    nurse = desk.client(Role.NURSE)
    page = nurse.get("/patients?tri=donnees").content.decode()
    assert page.index(f">{PATIENT}<") < page.index(f">{OTHER_PATIENT}<")
    assert "il y a 5\u00a0j" in page
    assert 'aria-sort="ascending"' in page


def test_alerts_that_lie_close_keep_their_shapes_and_the_newest_its_words(desk: Desk) -> None:
    weights(desk, *range(10), now=START)
    series = readings_of(Patient.objects.get(pseudonym=PATIENT), begin=START - 30 * DAY, end=START)
    close = [Raised(at=START - 3 * DAY + hour * HOUR, quantity=Quantity.BODY_WEIGHT) for hour in range(5)]
    alone = [Raised(at=START - 9 * DAY, quantity=Quantity.BODY_WEIGHT)]
    sheet = Sheet(found=series, days=14, now=START, zone="Europe/Paris", protocol=None, raised=[*close, *alone])
    (chart,) = charts(sheet)
    wide, narrow = str(chart.picture).split("</svg>")[:2]
    for drawn in (wide, narrow):
        assert drawn.count('class="mk"') == 6
        assert drawn.count('class="mkt"') == 2
