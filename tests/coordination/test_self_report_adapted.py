"""Other thresholds for a follow-up by questionnaire: two people's, and what becomes of the alerts that stand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.backtest import backtest
from alerting.engine import Engine
from alerting.protocol_change import NO_LONGER_TRUE
from coordination.handling import close, take, turn
from coordination.outcomes import Said
from coordination.packs import FaultyError
from coordination.self_report import adapted
from coordination.self_report_judging import ATTEMPTS, NOT_JUDGED, follow_one
from coordination.sql import Sql
from tests.coordination.followed import DAY, NURSE, ZONE, Followed, packs
from tests.coordination.kit import HOUR, PATIENT, START, Team


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    made = Followed(Team(tmp_path))
    yield made
    made.close()


def events(followed: Followed) -> list[tuple[object, ...]]:
    """Return what was said of each alert by now, in its order."""
    return followed.sql.execute(
        "SELECT rule_id, alert_event.kind, raised_at, resolved_at FROM alert_event JOIN alert ON alert.id = alert_id"
        " WHERE origin = 'team' ORDER BY alert_event.id"
    ).fetchall()


def test_what_is_an_alert_by_other_thresholds_only_is_raised_when_they_begin_to_hold(followed: Followed) -> None:
    followed.answer(START + HOUR, effort=2)
    followed.answer(START + DAY, effort=2)
    followed.look(START + DAY)
    assert events(followed) == []
    at = START + 3 * DAY
    followed.adapt(at, seen=1, dyspnoea_marked__threshold="2 points", dyspnoea_marked__end_threshold="2 points")
    followed.look(at)
    assert events(followed) == [("dyspnoea_marked", "raised", at, None)]
    followed.look(at + HOUR)
    followed.answer(at + 2 * HOUR, effort=1)
    followed.look(at + 2 * HOUR)
    assert [(rule, kind) for rule, kind, *_ in events(followed)] == [
        ("dyspnoea_marked", "raised"),
        ("dyspnoea_marked", "resolved"),
    ]


def test_what_is_none_by_other_thresholds_is_ended_and_says_why(followed: Followed) -> None:
    followed.answer(START + HOUR, lying=2)
    followed.look(START + HOUR)
    at = START + DAY
    followed.adapt(at, seen=1, orthopnoea_marked__threshold="3 points", orthopnoea_marked__end_threshold="3 points")
    assert [kind for _, kind, *_ in events(followed)] == ["raised"], "until it was judged, what stood stands"
    followed.look(at)
    assert [(rule, ended) for rule, _, _, ended in events(followed)] == [("orthopnoea_marked", at)] * 2
    text = followed.sql.execute("SELECT text_fr FROM alert WHERE rule_id = 'orthopnoea_marked'").fetchone()[0]
    assert text == NO_LONGER_TRUE.fr


def test_what_is_an_alert_by_both_goes_on_as_the_same_and_stays_seen(followed: Followed) -> None:
    followed.answer(START + HOUR, effort=3)
    followed.look(START + HOUR)
    before = followed.told()
    at = START + 2 * HOUR
    followed.adapt(at, seen=1, orthopnoea_marked__threshold="1 point", orthopnoea_marked__end_threshold="1 point")
    followed.look(at)
    assert followed.told() == before
    followed.adapt(at + HOUR, seen=3, no_answers__expected="3 days")
    followed.look(at + HOUR)
    assert followed.told() == before
    followed.look(START + 5 * DAY)
    assert followed.told() == before, "a grace of two days"
    followed.look(START + 5 * DAY + 2 * HOUR)
    assert [rule for _, rule, *_ in followed.told() if rule == "no_answers"] == ["no_answers"]


def waiting(followed: Followed, rule: str) -> list[tuple[object, ...]]:
    """Return (alert, whether somebody has it) of what waits of a rule."""
    return [
        tuple(row)
        for row in followed.sql.execute("SELECT alert_id, state FROM problem WHERE rule_id = ?", (rule,)).fetchall()
    ]


def close_all(followed: Followed, at: int) -> None:
    """Let a nurse close whatever waits."""
    for (alert,) in followed.sql.execute("SELECT id FROM alert WHERE state < 2").fetchall():
        with followed.within() as connection:
            take(connection, alert, turn(NURSE, at), handled=handled_of(connection, alert))
            said = Said.ADVISED
            assert close(connection, alert, turn(NURSE, at), handled=handled_of(connection, alert), said=said)


def handled_of(connection: Sql, alert: str) -> int:
    return int(connection.execute("SELECT handled FROM alert WHERE id = ?", (alert,)).fetchone()[0])


def lying(points: int) -> dict[str, object]:
    return {f"orthopnoea_marked__{key}": f"{points} points" for key in ("threshold", "end_threshold")}


def test_back_under_the_thresholds_of_before_the_alert_of_before_waits(followed: Followed) -> None:
    followed.answer(START + HOUR, lying=1)
    followed.answer(START + DAY, lying=2)
    followed.look(START + DAY)
    ((first, _),) = waiting(followed, "orthopnoea_marked")
    followed.adapt(START + 2 * DAY, seen=1, **lying(1))
    followed.look(START + 2 * DAY)
    ((second, _),) = waiting(followed, "orthopnoea_marked")
    assert second != first
    followed.adapt(START + 3 * DAY, seen=3, **lying(2))
    followed.look(START + 3 * DAY)
    assert waiting(followed, "orthopnoea_marked") == [(first, 0)]


def test_what_ended_and_was_closed_under_other_thresholds_waits_again_under_those_of_before(
    followed: Followed,
) -> None:
    followed.answer(START + HOUR, lying=2)
    followed.look(START + HOUR)
    ((alert, _),) = waiting(followed, "orthopnoea_marked")
    followed.adapt(START + DAY, seen=1, **lying(3))
    followed.look(START + DAY)
    close_all(followed, START + DAY)
    assert waiting(followed, "orthopnoea_marked") == []
    followed.adapt(START + 2 * DAY, seen=3, **lying(2))
    followed.look(START + 2 * DAY)
    assert waiting(followed, "orthopnoea_marked") == [(alert, 0)]


def test_what_went_on_as_another_and_was_closed_lends_nothing_to_a_later_one(followed: Followed) -> None:
    followed.answer(START + HOUR, lying=1)
    followed.answer(START + DAY, lying=2)
    followed.look(START + DAY)
    followed.adapt(START + 2 * DAY, seen=1, **lying(1))
    followed.look(START + 2 * DAY)
    followed.answer(START + 3 * DAY)
    followed.look(START + 3 * DAY)
    close_all(followed, START + 3 * DAY)
    followed.adapt(START + 4 * DAY, seen=3, **lying(3))
    followed.answer(START + 4 * DAY, lying=2)
    followed.look(START + 4 * DAY)
    assert waiting(followed, "orthopnoea_marked") == []
    followed.adapt(START + 5 * DAY, seen=5, **lying(2))
    followed.look(START + 5 * DAY)
    ((_, state),) = waiting(followed, "orthopnoea_marked")
    assert state == 0
    assert [one[:2] for one in events(followed) if one[0] == "orthopnoea_marked"][-1] == ("orthopnoea_marked", "raised")


def test_an_answer_that_nobody_had_judged_is_not_swallowed_by_a_change(followed: Followed) -> None:
    followed.look(START)
    followed.answer(START + HOUR, lying=2)
    followed.answer(START + 2 * HOUR)
    followed.adapt(START + DAY, seen=1, no_answers__expected="3 days")
    followed.look(START + DAY)
    assert [kind for rule, kind, *_ in events(followed) if rule == "orthopnoea_marked"] == ["raised", "resolved"]


@settings(max_examples=25, deadline=None)
@given(
    answers=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8),
    changed=st.integers(0, 8),
    threshold=st.integers(2, 3),
    legs=st.integers(1, 3),
)
def test_what_stands_after_a_change_is_what_would_stand_had_it_held_from_the_beginning(
    answers: list[tuple[int, int, int]],
    changed: int,
    threshold: int,
    legs: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    followed = Followed(Team(tmp_path_factory.mktemp("team")))
    # What is compared does not depend on whether the disk keeps it.
    followed.sql.execute("PRAGMA synchronous = OFF")
    now = START
    for number, (effort, lying, swollen) in enumerate([*answers, answers[-1]]):
        if number == min(changed, len(answers)):
            followed.adapt(
                now,
                seen=1,
                dyspnoea_marked__threshold=f"{threshold} points",
                dyspnoea_marked__end_threshold=f"{threshold} points",
                oedema_marked__threshold=f"{legs} points",
                oedema_marked__end_threshold=f"{legs} points",
                no_answers__expected="8 days",
            )
            followed.look(now)
        now += DAY
        followed.answer(now, effort=effort, lying=lying, legs=swollen)
        followed.look(now)
    found = backtest(followed.holding, {PATIENT: followed.readings()}, zone=ZONE, since=START, until=now)
    standing = {(one.rule, one.onset) for one in found if one.resolved_at is None}
    # One whose onset moved goes on as the one that supersedes it.
    told = followed.sql.execute(
        "SELECT rule_id, onset FROM alert WHERE origin = 'team' AND resolved_at IS NULL"
        " AND id NOT IN (SELECT supersedes FROM alert WHERE supersedes IS NOT NULL)"
    )
    assert {(str(rule), int(onset)) for rule, onset in told.fetchall()} == standing
    followed.close()


def test_thresholds_beyond_what_the_physician_allows_are_refused(followed: Followed) -> None:
    with pytest.raises(FaultyError) as refused:
        adapted(followed.pathway, {("dyspnoea_marked", "threshold"): "1 point"}, packs=packs)
    assert "rules.dyspnoea_marked.threshold" in {fault.key for fault in refused.value.faults}


def test_other_thresholds_that_cannot_judge_end_nothing_and_are_told(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.answer(START + HOUR, lying=2)
    followed.look(START + HOUR)
    at = START + DAY
    followed.adapt(at, seen=1, orthopnoea_marked__threshold="3 points", orthopnoea_marked__end_threshold="3 points")

    def broken(*_: object, **__: object) -> tuple[()]:
        raise RuntimeError("cannot be judged")

    monkeypatch.setattr(Engine, "feed", broken)
    for _ in range(ATTEMPTS):
        with pytest.raises(RuntimeError):
            follow_one(followed.within, followed.patient, now=at)
    follow_one(followed.within, followed.patient, now=at)
    kinds = {rule: kind for _, rule, kind, *_ in followed.told()}
    assert kinds == {"orthopnoea_marked": "raised", NOT_JUDGED: "raised"}
