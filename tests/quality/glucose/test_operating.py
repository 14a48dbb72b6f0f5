from dataclasses import replace

from benchmarks.quality.glucose.forecasts import People
from benchmarks.quality.glucose.operating import FALSE_A_DAY, FOLDS, enough_recall, few_false, folds
from benchmarks.quality.glucose.outcomes import Outcome
from benchmarks.quality.glucose.traces import MINUTE, Cohort
from tests.quality.glucose.kit import wave

FEW = f"false <= {FALSE_A_DAY} a day"


def row(seen: int, false: int) -> list[Outcome]:
    return [Outcome(events=10, leads=(MINUTE,) * seen, true=seen, false=false, days=10.0)]


ROWS = [row(2, 0), row(6, 2), row(7, 2), row(7, 3), row(9, 12), row(10, 9), row(10, 30)]


def test_enough_recall_has_the_fewest_false_alarms() -> None:
    assert enough_recall(ROWS) == 5
    assert enough_recall(ROWS[:4]) is None


def test_few_false_has_the_best_recall() -> None:
    assert few_false(ROWS) == 2
    assert sum(one.false for one in ROWS[3]) / 10 > FALSE_A_DAY


def test_people_without_events_choose_nothing() -> None:
    assert few_false([[Outcome(events=0, leads=(), true=0, false=0, days=3.0)]]) is None


def test_folds_are_the_same_in_any_order_and_of_even_size() -> None:
    people = [f"made-{number}" for number in range(23)]
    found = folds(people)
    assert found == folds(people[::-1])
    assert sorted(list(found.values()).count(fold) for fold in range(FOLDS)) == [4, 4, 5, 5, 5]


def test_nobody_chooses_their_own_threshold() -> None:
    """Whatever a person's readings are, the threshold for that person stays the same, and others' change."""
    traces = tuple(wave(patient=f"made-{number}", readings=150 + 7 * number) for number in range(10))
    flat = replace(traces[0], counts=tuple(750 + 30 * (index % 3) for index in range(len(traces[0].counts))))
    chosen = []
    for people in (traces, (flat, *traces[1:])):
        asked = People(Cohort(name="made", traces=people, simulated=True), 1)
        choices = asked.chosen("threshold", asked.watched("threshold"))
        chosen.append(next(one for one in choices if one.point == FEW and one.chosen_on == "others").by_patient)
    assert chosen[0]["made-0"] == chosen[1]["made-0"]
    assert chosen[0] != chosen[1]
