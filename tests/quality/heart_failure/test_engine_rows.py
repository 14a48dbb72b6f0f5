"""The box's own engine on simulated people says what the detector of the same rule says."""

from dataclasses import replace

import numpy as np
import pytest

from alerting.alert import Category
from alerting.care_protocol import CareProtocol
from benchmarks.quality.heart_failure import table
from benchmarks.quality.heart_failure.cohort import Cohort, simulate
from benchmarks.quality.heart_failure.detectors import RULES, log_odds, signals, weight_macd
from benchmarks.quality.heart_failure.engine_rows import (
    BEGUN,
    DAY,
    HOUR,
    POUNDS,
    TWO_KILOGRAMS,
    EngineAlert,
    _judge,
    _Life,
    agreement,
    judged,
    log_odds_twin,
    macd_twin,
    packaged,
    standing,
    told,
)
from benchmarks.quality.heart_failure.table import DisagreementError, People, engine_row, packaged_row
from devices.reading import Quantity
from tests.quality.heart_failure.kit import NOBODY, few, written


def here(cohort: Cohort, by: CareProtocol) -> list[EngineAlert]:
    """What `judged` returns, judged in this process."""
    return _judge(by, _Life.of(cohort, slice(0, cohort.patients)))


def mornings(cohort: Cohort) -> Cohort:
    return replace(cohort, in_the_evening=np.zeros_like(cohort.in_the_evening))


@pytest.mark.parametrize("name", [*table.TWINS, "weight, MACD 3/14"])
def test_alerts_stand_exactly_where_the_detector_is_beyond_when_all_weigh_in_the_morning(name: str) -> None:
    cohort = mornings(few())
    detector, threshold = {**RULES, "weight, MACD 3/14": (weight_macd, 0.7)}[name]
    twin = {**table.TWINS, "weight, MACD 3/14": macd_twin(700)}[name]
    found = agreement(cohort, here(cohort, twin.by), detector(signals(cohort)), threshold, twin)
    assert found.days > 5000
    assert found.differ == 0
    assert (detector(signals(cohort)) >= threshold).sum() > 50


def test_the_score_of_weight_alone_stands_exactly_where_the_detector_is_beyond() -> None:
    nothing = np.full(few().weight.shape, NOBODY)
    cohort = replace(mornings(few()), heart_rate=nothing, systolic=nothing, spo2=nothing)
    twin = log_odds_twin(3000)
    found = agreement(cohort, here(cohort, twin.by), log_odds(signals(cohort)), 3.0, twin)
    assert found.differ == 0
    assert (log_odds(signals(cohort)) >= 3).sum() > 50


def test_the_score_differs_near_its_threshold_only() -> None:
    cohort = mornings(simulate(patients=15, seed=3))
    twin = log_odds_twin(3000)
    alerts = here(cohort, twin.by)
    found = agreement(cohort, alerts, log_odds(signals(cohort)), 3.0, twin)
    strictly = agreement(cohort, alerts, log_odds(signals(cohort)), 3.0, replace(twin, within=0.0))
    assert found.differ == found.explained < 0.002 * found.days
    assert strictly.explained == 0


def test_an_hour_of_the_clock_explains_every_other_difference() -> None:
    cohort = few()
    detector, threshold = RULES["3 lb in 1 day or 5 lb in 3 days"]
    found = agreement(cohort, here(cohort, POUNDS.by), detector(signals(cohort)), threshold, POUNDS)
    assert 0 < found.differ == found.explained


def test_a_gain_of_exactly_two_kilograms_is_raised_on_its_day_and_ends_when_it_is_less() -> None:
    cohort = written(weight=[[80.0, NOBODY, 81.9, 82.0, 82.0, 82.0, 82.0]])
    (alert,) = here(cohort, TWO_KILOGRAMS.by)
    assert (alert.patient, alert.rule, alert.category) == (0, "two_kilograms", Category.CLINICAL)
    assert (alert.raised_at, alert.resolved_at) == (BEGUN + 3 * DAY + 8 * HOUR, BEGUN + 4 * DAY + 8 * HOUR)
    assert np.flatnonzero(told(cohort, [alert])).tolist() == [3]
    assert np.flatnonzero(standing(cohort, [alert])).tolist() == [3]


def test_an_alert_that_stands_at_the_end_stands_on_the_last_day() -> None:
    cohort = written(weight=[[80.0, 80.0, NOBODY, 82.5]])
    (alert,) = here(cohort, TWO_KILOGRAMS.by)
    assert alert.resolved_at is None
    assert np.flatnonzero(standing(cohort, [alert])).tolist() == [3]


def test_readings_carry_the_counts_that_devices_showed() -> None:
    cohort = few()
    counts = {
        (one.quantity, one.measured_at): one.count
        for one in _Life.of(cohort, slice(0, 1)).readings(0, {Quantity.BODY_WEIGHT, Quantity.SPO2})
    }
    day = int(
        np.flatnonzero(np.isfinite(cohort.weight[0]) & np.isfinite(cohort.spo2[0]) & ~cohort.in_the_evening[0])[0]
    )
    at = BEGUN + day * DAY + 8 * HOUR
    assert counts[Quantity.BODY_WEIGHT, at] == round(1000 * cohort.weight[0, day])
    assert counts[Quantity.SPO2, at - HOUR // 6] == round(10 * cohort.spo2[0, day])
    assert {quantity for quantity, _ in counts} == {Quantity.BODY_WEIGHT, Quantity.SPO2}


def test_other_processes_judge_the_same() -> None:
    cohort = written(weight=[[80.0, 80.0, 82.5], [80.0, 80.0, 80.0], *[[70.0, 72.0, 72.0]] * 60])
    found = judged(cohort, TWO_KILOGRAMS.by, processes=1)
    assert found == here(cohort, TWO_KILOGRAMS.by)
    assert [one.patient for one in found] == [0, *range(2, 62)]


def test_an_engine_that_differs_without_a_reason_has_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = mornings(few())
    monkeypatch.setattr(table, "judged", here)
    with pytest.raises(DisagreementError, match="the row is refused: engine and detector of 2 kg in 3 days differ on"):
        engine_row(People("accepted", cohort), "2 kg in 3 days", *RULES["2 kg in 3 days"], POUNDS)


def test_the_engines_row_counts_the_alerts_it_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table, "judged", here)
    row = engine_row(People("accepted", few()), "2 kg in 3 days", *RULES["2 kg in 3 days"], TWO_KILOGRAMS)
    assert row.name == "engine: 2 kg in 3 days"
    days = np.count_nonzero(told(few(), here(few(), TWO_KILOGRAMS.by)))
    assert row.outcomes.alerts.value == pytest.approx(days / few().patient_years.sum())
    assert capsys.readouterr().out.startswith("simulated | engine and detector of 2 kg in 3 days differ on")


def test_the_shipped_protocol_has_a_row_with_every_alert_a_nurse_receives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = simulate(patients=8, seed=3)
    alerts = here(cohort, packaged())
    monkeypatch.setattr(table, "judged", lambda _people, _by: alerts)
    row = packaged_row(People("accepted", cohort))
    assert {one.category for one in alerts} == {Category.CLINICAL, Category.TECHNICAL}
    received = [one for one in alerts if one.told_at is not None]
    assert row.outcomes.alerts_a_day == pytest.approx(len(received) / cohort.at_home.sum())
    assert row.outcomes.alerts.value / 365.25 < row.outcomes.alerts_a_day
    said = capsys.readouterr().out
    assert all(one.rule in said for one in alerts if one.told_at is not None)


def test_an_alert_that_the_protocol_held_back_is_no_alert_for_the_nurse() -> None:
    cohort = written(weight=[[80.0, 80.0, 82.5]])
    (alert,) = here(cohort, TWO_KILOGRAMS.by)
    assert told(cohort, [alert]).sum() == 1
    assert told(cohort, [replace(alert, told_at=None)]).sum() == 0
    assert told(cohort, [replace(alert, category=Category.TECHNICAL)]).sum() == 0
    assert standing(cohort, [replace(alert, told_at=None)]).sum() == 1
