import json

import pytest

from benchmarks.quality.glucose import forecasts
from benchmarks.quality.glucose.operating import Watched
from benchmarks.quality.glucose.traces import Cohort, cohorts
from tests.quality.glucose.kit import wave


def test_every_row_says_whether_people_were_simulated_and_readings_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Cohort(name="made", traces=(wave(readings=450), wave("made-2", readings=450)), simulated=True)
    monkeypatch.setattr(forecasts, "cohorts", lambda _: (made.every(3),))
    monkeypatch.setattr(forecasts, "LEVELS", {1: 70.0})
    forecasts.tables()
    printed = capsys.readouterr().out
    assert "2 SIMULATED people" in printed
    assert "one reading in 3 kept" in printed
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert {row["method"] for row in rows} >= {"ar2", "holt_ar2", "kalman", "random", "always"}
    for row in rows:
        assert (row["simulated"], row["decimated"], row["cadence_min"], row["level"]) == (True, 3, 15, 1)
        assert row["chosen_on"] == "given", "too few people to choose a threshold on some for others"
        assert {"value", "low", "high"} == row["recall"].keys() == row["precision"].keys() == row["false_a_day"].keys()
    engine = [row for row in rows if row["method"].startswith("engine's")]
    assert [row["method"] for row in engine] == [
        "engine's ar2",
        "engine's kalman",
        "engine's kalman",
    ]
    for row in engine:
        held = row["held_against_reference"]
        assert held["raised"] >= held["same"] > 0
        assert held["different"] == 0
    always = next(row for row in rows if row["method"] == "always")
    assert always["recall"]["value"] == 1


def test_alarms_that_their_risks_did_not_foresee_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    people = forecasts.People(Cohort(name="made", traces=(wave(),), simulated=True), 1)
    monkeypatch.setattr(Watched, "alarms", lambda *_: [1])
    with pytest.raises(forecasts.ForeseenError, match="holt_ar2"):
        people.rows(("holt_ar2",))


def test_without_a_folder_the_excerpt_that_ships_is_scored() -> None:
    (fine, coarse) = cohorts(None)
    assert [one.patient for one in fine.traces] == ["hall-2133-015"]
    assert (fine.cadence, coarse.cadence, coarse.decimated, fine.simulated) == (5, 15, 3, False)
    assert coarse.traces[0].times == fine.traces[0].times[::3]
