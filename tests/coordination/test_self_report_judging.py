"""Answers judged at the team: once, whatever dies, comes late or is dated anew, and as a backtest judges them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerting.engine import Engine
from alerting.protocol_file import read_protocol
from coordination import self_report_judging
from coordination.answers import Answers, keep
from coordination.place import Place
from coordination.questionnaire_links import find, make
from coordination.replaying import Verdict, replay
from coordination.self_report import end
from coordination.self_report_judging import ATTEMPTS, NOT_JUDGED, follow_one
from coordination.self_report_worker import Worker
from devices.reading import Reading
from tests.coordination.followed import DAY, NURSE, Followed
from tests.coordination.kit import (
    HOUR,
    OTHER_BOX,
    OTHER_PATIENT,
    START,
    ManualClock,
    Team,
    glucose,
    rows,
)


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    made = Followed(Team(tmp_path))
    yield made
    made.close()


def test_of_two_who_send_the_same_link_at_once_one_is_taken(followed: Followed) -> None:
    asked = followed.pathway.questionnaire
    with followed.within() as connection:
        token = make(connection, followed.patient, asked, by="C. Martin", at=START)
    first, second = find(followed.sql, token), find(followed.sql, token)
    assert first is not None
    assert second is not None
    answers = Answers(questionnaire=asked, chosen={one.name: one.choices[0] for one in asked.questions})
    taken = []
    for link in (first, second):
        with followed.within() as connection:
            taken.append(keep(connection, link, answers, at=START + HOUR))
    assert taken == [True, False]
    assert rows(followed.team.database, "SELECT count(*) FROM observation") == [(4,)]


def test_an_answer_that_never_came_is_an_absence_and_the_next_one_ends_it(followed: Followed) -> None:
    followed.look(START + 9 * DAY)
    assert followed.told() == []
    followed.look(START + 9 * DAY + 1)
    ((_, rule, kind, raised, _, _),) = followed.told()
    assert (rule, kind, raised) == ("no_answers", "raised", START + 9 * DAY)
    text = followed.sql.execute("SELECT text_fr FROM alert WHERE rule_id = 'no_answers'").fetchone()[0]
    assert "aucune réponse depuis le début de la surveillance" in text
    followed.answer(START + 9 * DAY + HOUR)
    followed.look(START + 9 * DAY + HOUR)
    assert [kind for _, rule, kind, *_ in followed.told() if rule == "no_answers"] == ["resolved"]


def test_judging_twice_tells_nothing_twice(followed: Followed) -> None:
    followed.answer(START + HOUR, effort=3)
    followed.look(START + HOUR)
    before = followed.told(), rows(followed.team.database, "SELECT count(*) FROM alert_event")
    for more in range(5):
        follow_one(followed.within, followed.patient, now=START + HOUR + more)
    assert (followed.told(), rows(followed.team.database, "SELECT count(*) FROM alert_event")) == before


def test_a_weight_that_came_late_is_judged_where_it_belongs(followed: Followed) -> None:
    for day in range(8):
        followed.weigh(START + day * DAY, 71_000)
    followed.answer(START + DAY, effort=1)
    followed.look(START + 8 * DAY)
    followed.answer(START + 8 * DAY, effort=2)
    followed.look(START + 8 * DAY)
    assert "breathless_and_heavier" not in {rule for _, rule, *_ in followed.told()}
    # The box was away: it hands over two weighings of days ago.
    followed.weigh(START + 7 * DAY + HOUR, 72_600, stored_at=START + 10 * DAY)
    followed.look(START + 10 * DAY)
    assert "breathless_and_heavier" in {rule for _, rule, *_ in followed.told()}
    assert followed.standing() == followed.again(START + 10 * DAY)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(0, 30), st.integers(1, 4)),
        st.tuples(st.just("weigh"), st.integers(0, 30), st.integers(70_000, 74_000)),
        st.tuples(st.just("look"), st.integers(0, 30), st.just(0)),
    ),
    max_size=14,
)


@given(events=EVENTS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_when_the_team_tells_what_a_backtest_does(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, int]]
) -> None:
    followed = Followed(Team(tmp_path_factory.mktemp("team")))
    try:
        at = START
        for what, hours, value in events:
            # Answers are of now; weighings may be of hours ago.
            at += HOUR + hours * HOUR
            if what == "answer":
                followed.answer(at, effort=value)
            elif what == "weigh":
                followed.weigh(at - hours * HOUR // 2, value, stored_at=at)
            else:
                followed.look(at)
        followed.look(at + DAY)
        assert followed.standing() == followed.again(at + DAY)
    finally:
        followed.close()


def test_readings_that_were_dated_anew_have_everything_judged_anew(followed: Followed) -> None:
    for day in range(8):
        followed.weigh(START + day * DAY, 71_000 if day < 7 else 72_600)
    followed.answer(START + DAY, effort=1)
    followed.answer(START + 7 * DAY + HOUR, effort=2)
    followed.look(START + 8 * DAY)
    assert "breathless_and_heavier" in {rule for _, rule, _, _, ended, _ in followed.told() if ended is None}
    # A clock correction of the box moves its readings: the heavy weighing was weeks before.
    with followed.within() as connection:
        connection.execute(
            "UPDATE observation SET t = t - ? WHERE quantity = 'body_weight' AND count > 72000", (30 * DAY,)
        )
    followed.weigh(START + 6 * DAY + HOUR, 71_000, stored_at=START + 9 * DAY)
    followed.look(START + 9 * DAY)
    (kind,) = {kind for _, rule, kind, *_ in followed.told() if rule == "breathless_and_heavier"}
    assert kind == "retracted"


def test_what_makes_judging_fail_is_left_out_after_the_third_time_and_told(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.answer(START + HOUR, effort=1)
    followed.look(START + HOUR)
    followed.answer(START + 2 * HOUR, effort=4)
    good = Engine.feed

    def broken(engine: Engine, readings: list[Reading]) -> object:
        if any(one.count == 4 for one in readings):
            raise ZeroDivisionError
        return good(engine, readings)

    monkeypatch.setattr(Engine, "feed", broken)
    for _ in range(ATTEMPTS):
        with pytest.raises(ZeroDivisionError):
            followed.look(START + 2 * HOUR)
    followed.look(START + 2 * HOUR)
    ((_, rule, *_),) = followed.told()
    assert rule == NOT_JUDGED
    assert rows(followed.team.database, "SELECT prio, category FROM alert") == [(1, "technical")]
    followed.answer(START + 3 * HOUR, effort=3)
    followed.look(START + 3 * HOUR)
    assert "dyspnoea_marked" in {rule for _, rule, *_ in followed.told()}


def test_a_snapshot_of_another_engine_is_made_anew_and_nothing_is_told_again(followed: Followed) -> None:
    followed.answer(START + HOUR, effort=3)
    followed.look(START + HOUR)
    before = followed.told(), rows(followed.team.database, "SELECT count(*) FROM alert_event")
    with followed.within() as connection:
        connection.execute("UPDATE self_report SET snapshot = ?", (b"damaged",))
    follow_one(followed.within, followed.patient, now=START + HOUR)
    assert (followed.told(), rows(followed.team.database, "SELECT count(*) FROM alert_event")) == before


def test_an_alert_of_the_team_can_be_judged_again_for_whoever_asks(followed: Followed) -> None:
    followed.weigh(START + HOUR, 71_000)
    followed.answer(START + 2 * HOUR, effort=3)
    followed.look(START + 2 * HOUR)
    ((alert, *_),) = followed.told()
    again = replay(followed.team.database, str(alert))
    assert (again.verdict, again.readings) == (Verdict.SAME, 5)


def test_judging_needs_no_other_patient_to_have_kept_the_protocol(followed: Followed) -> None:
    with followed.within() as connection:
        connection.execute("DELETE FROM care_protocol WHERE text LIKE '%symptom_dyspnoea%'")
    followed.answer(START + HOUR, effort=4)
    followed.look(START + HOUR)
    assert "dyspnoea_at_rest" in {rule for _, rule, *_ in followed.told()}


def test_once_ended_nothing_more_is_judged(followed: Followed) -> None:
    followed.answer(START + HOUR, effort=3)
    followed.look(START + HOUR)
    with followed.within() as connection:
        assert end(connection, followed.patient, by=NURSE, seen=1, at=START + 2 * HOUR)
    followed.look(START + 2 * HOUR)
    assert [kind for _, _, kind, *_ in followed.told()] == ["resolved"]
    followed.look(START + 60 * DAY)
    assert len(followed.told()) == 1


def test_a_patient_of_whom_nothing_comes_does_not_have_the_others_looked_through_for_ever(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(self_report_judging, "FAR_BEHIND", 3)
    followed.look(START)
    for day in range(5):
        envelope = followed.team.opened(day, [glucose(day, patient=OTHER_PATIENT)], box=OTHER_BOX)
        followed.team.store(followed.inbox, envelope, at=START)
    followed.look(START + 1)
    top = followed.sql.execute("SELECT max(id) FROM observation").fetchone()[0]
    assert rows(followed.team.database, "SELECT cursor FROM self_report") == [(top,)]


WORKER = """
import sys
from pathlib import Path
from coordination.place import place_of
from coordination.self_report_worker import Worker
from devices.clock import Clock

class Late:
    now = int(sys.argv[2])
    def now_ms(self):
        return self.now
    def seconds_until(self, at):
        return 0.0

worker = Worker(place_of(sys.argv[1], Path()), Late(), None)
print("ready", flush=True)
for line in sys.stdin:
    worker.look()
    print("looked", flush=True)
"""


def start(database: Place, now: int) -> "subprocess.Popen[str]":
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(database), str(now)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_workers_that_are_killed_at_any_moment_tell_each_alert_once(followed: Followed) -> None:
    for week in range(4):
        followed.answer(START + week * 7 * DAY + HOUR, effort=1 + week)
    now = START + 40 * DAY
    for delay in (0, 1):
        worker = start(followed.team.database, now)
        assert worker.stdin is not None
        worker.stdin.write("look\n")
        worker.stdin.flush()
        if delay:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "looked\n"
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    worker = start(followed.team.database, now)
    out, _ = worker.communicate("look\nlook\n")
    assert out == "looked\nlooked\n"
    assert followed.standing() == followed.again(now)
    events = rows(followed.team.database, "SELECT alert_id, kind, count(*) FROM alert_event GROUP BY alert_id, kind")
    assert {count for _, _, count in events} == {1}


def test_two_workers_at_once_tell_each_alert_once(followed: Followed) -> None:
    followed.answer(START + HOUR, effort=4)
    now = START + 2 * HOUR
    workers = [start(followed.team.database, now) for _ in range(2)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("look\nlook\nlook\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    assert followed.standing() == followed.again(now)
    events = rows(followed.team.database, "SELECT alert_id, kind, count(*) FROM alert_event GROUP BY alert_id, kind")
    assert {count for _, _, count in events} == {1}


def test_the_worker_leaves_word_that_it_looked(followed: Followed) -> None:
    worker = Worker(followed.team.database, ManualClock(START + HOUR), None)
    worker.look()
    worker.close()
    assert rows(followed.team.database, "SELECT id, at FROM self_report_pass") == [(1, START + HOUR)]


def test_the_protocol_that_judged_is_kept_by_its_hash(followed: Followed) -> None:
    ((text, protocol_hash),) = rows(
        followed.team.database, "SELECT text, hash FROM care_protocol WHERE text LIKE '%symptom_dyspnoea%'"
    )
    assert read_protocol(str(text).encode(), name_hint="").protocol_hash == protocol_hash
    assert protocol_hash == followed.pathway.protocol.protocol_hash
