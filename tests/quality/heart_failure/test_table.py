"""The table: nothing is scored on people who are not accepted, and every row says that they are simulated."""

import json
from functools import partial

import numpy as np
import pytest

from benchmarks.quality.heart_failure import table
from benchmarks.quality.heart_failure.acceptance import accept
from benchmarks.quality.heart_failure.cohort import pooled
from benchmarks.quality.heart_failure.outcomes import Estimate, Outcomes, outcomes
from benchmarks.quality.heart_failure.parameters import TEXTBOOK
from benchmarks.quality.heart_failure.rows import Row, print_rows
from tests.quality.heart_failure.kit import written


def row(*, seen: float, unexplained: float) -> Row:
    def about(value: float) -> Estimate:
        return Estimate(value=value, low=value - 1, high=value + 1)

    found = outcomes(written(events=[(0, 50)]), np.zeros((1, 100), dtype=bool))
    worth = Outcomes(
        seen=about(seen),
        seen_30=about(seen),
        unexplained=about(unexplained),
        alerts=about(1.0),
        precision_14=found.precision_14,
        precision_30=found.precision_30,
        lead=about(5.0),
        alerts_a_day=1 / 365.25,
        by_course=found.by_course,
    )
    return Row(people="accepted", name="MACD", aim=0.9, threshold=0.99, outcomes=worth, chance=3.0, area=0.6)


@pytest.fixture
def nothing_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(*_args: object, **_more: object) -> Row:
        raise AssertionError("a detector was scored")

    monkeypatch.setattr(table, "score", score)


@pytest.mark.usefixtures("nothing_scored")
def test_too_few_people_end_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(table, "PATIENTS", 25)
    with pytest.raises(SystemExit, match="the simulated cohort is refused, nothing is scored: 100 patients of 4 seeds"):
        table.figures()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("nothing_scored")
def test_textbook_people_end_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(table, "PATIENTS", 150)
    monkeypatch.setattr(table, "accept", partial(accept, patients=600))
    monkeypatch.setattr(table, "pooled", partial(pooled, parameters=TEXTBOOK))
    with pytest.raises(SystemExit, match=r"nothing is scored: .*window area, weight is 0.9"):
        table.figures()
    assert capsys.readouterr().out == ""


def test_every_line_says_simulated_and_where_it_can_be_had_again(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([row(seen=25, unexplained=0.9), row(seen=36, unexplained=0.9)], rerun="make quality")
    head, first, second, *lines = capsys.readouterr().out.splitlines()
    assert "unexplained/year" in head
    assert first.startswith("simulated | MACD @ 0.9 ")
    assert "25 (24-26)" in first
    assert "leak until explained" not in first
    assert "leak until explained" in second
    documents = [json.loads(line) for line in lines]
    assert [one["data"] for one in documents] == ["simulated", "simulated"]
    assert [one["suspect"] for one in documents] == [False, True]
    assert documents[0]["seen"] == {"value": 25, "low": 24, "high": 26}
    assert documents[0]["precision_30"]["value"] is None
    assert documents[0]["rerun"] == "make quality"
    assert documents[0]["machine"]


def test_many_alerts_may_see_much() -> None:
    assert not row(seen=40, unexplained=4.6).suspect
    assert row(seen=40, unexplained=0.95).suspect
