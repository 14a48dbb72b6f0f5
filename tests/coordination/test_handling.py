"""What people do with alerts: each act kept, told and undoable, of two at once one, rows always as their alerts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerting.alert import Category, ChangeKind, Outcome, Priority
from coordination import handling
from coordination.alert_acts import Done, Standing, last_act, standing_of
from coordination.deadlines import DEFAULTS, LEAST_TIME, Spans, first_deadlines, keep_spans
from coordination.handling import CLOSED, NEW, TAKEN, UNDO_MS, Handler, turn
from coordination.lapses import lapse
from coordination.outcomes import MEANINGS, Said
from coordination.problem_tables import COLUMNS, NO_DEADLINE, WORKED_OUT
from coordination.sql import Sql
from coordination.team_database import connect, transaction
from exchange.messages import AlertRecord
from tests.coordination.kit import HOUR, MINUTE, OTHER_EPOCH, START, Team, hypo

CLAIRE, MARC = Handler(name="Claire Martin", row=1), Handler(name="Marc Lefèvre", row=2)
NOW = START + 20 * MINUTE


@contextmanager
def acting(team: Team) -> Iterator[Sql]:
    connection = connect(team.database)
    try:
        with transaction(connection):
            yield connection
    finally:
        connection.close()


def raised(team: Team, *records: AlertRecord, at: int = NOW, first: int = 0) -> None:
    database = team.open_database()
    team.store(database, team.opened(first, records), at=at)
    database.close()


def standing(connection: Sql, alert: str) -> Standing:
    found = standing_of(connection, alert)
    assert found is not None
    return found[0]


def handled(connection: Sql, alert: str) -> int:
    found = standing_of(connection, alert)
    assert found is not None
    return found[1]


def problems(connection: Sql) -> list[tuple[object, ...]]:
    return sorted(map(tuple, connection.execute("SELECT * FROM problem").fetchall()), key=repr)


def test_an_alert_that_comes_waits_with_two_deadlines(team: Team) -> None:
    raised(team, hypo(ChangeKind.RAISED))
    with acting(team) as connection:
        (row,) = connection.execute("SELECT priority, state, due, lapses_at, repeats, alert_id FROM problem").fetchall()
        alert = standing(connection, row[5])
    assert tuple(row[:5]) == (1, NEW, NOW + DEFAULTS[1].ack, NOW + DEFAULTS[1].ack, 0)
    assert (alert.ack_due, alert.act_due) == (NOW + DEFAULTS[1].ack, NOW + DEFAULTS[1].ack + DEFAULTS[1].act)


def test_a_protocol_says_by_when_and_a_nurse_has_time_all_the_same() -> None:
    spans = Spans(ack=HOUR, act=2 * HOUR)
    assert first_deadlines(spans, at=NOW, due_by=None) == (NOW + HOUR, NOW + 3 * HOUR)
    assert first_deadlines(spans, at=NOW, due_by=NOW + 15 * MINUTE)[0] == NOW + 15 * MINUTE
    # It lay in its box during an outage: nobody here is late the moment that it comes.
    assert first_deadlines(spans, at=NOW, due_by=NOW - 30 * HOUR)[0] == NOW + LEAST_TIME


def test_a_team_sets_its_own_deadlines_for_what_comes_afterwards(team: Team) -> None:
    raised(team, hypo(ChangeKind.RAISED))
    with acting(team) as connection:
        keep_spans(connection, 1, 1, Spans(ack=5 * MINUTE, act=HOUR))
        keep_spans(connection, 1, 1, Spans(ack=7 * MINUTE, act=HOUR))
    raised(team, hypo(ChangeKind.RAISED, onset=START + HOUR), at=NOW + HOUR, first=1)
    with acting(team) as connection:
        dues = [row[0] for row in connection.execute("SELECT ack_due FROM alert ORDER BY onset").fetchall()]
    assert dues == [NOW + DEFAULTS[1].ack, NOW + HOUR + 7 * MINUTE]


def test_what_is_done_with_an_alert_stands_in_its_history_with_who_and_when_and_how_it_was(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        before = standing(connection, alert.alert_id)
        assert handling.take(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0)
        act = last_act(connection, alert.alert_id)
        assert act is not None
        assert (act.kind, act.person, act.person_id, act.at, act.before) == (Done.TAKEN, *_of(CLAIRE), NOW, before)
        assert (standing(connection, alert.alert_id).holder, standing(connection, alert.alert_id).taken_at) == (
            "Claire Martin",
            NOW,
        )


def _of(who: Handler) -> tuple[str, int | None]:
    return who.name, who.row


@pytest.mark.parametrize("second", ["take", "assign", "close", "tell_physician", "recall"])
def test_of_two_who_act_at_once_the_second_changes_nothing(team: Team, second: str) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    more: dict[str, dict[str, object]] = {
        "take": {},
        "assign": {"to": MARC},
        "close": {"said": Said.EQUIPMENT},
        "tell_physician": {"who": "Dr Roche", "how": "telephone"},
        "recall": {"recall_at": NOW + HOUR},
    }
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0)
        before = (standing_of(connection, alert.alert_id), problems(connection))
        told = connection.execute("SELECT count(*) FROM command").fetchone()
        assert not getattr(handling, second)(connection, alert.alert_id, turn(MARC, NOW), handled=0, **more[second])
        assert (standing_of(connection, alert.alert_id), problems(connection)) == before
        assert connection.execute("SELECT count(*) FROM command").fetchone() == told


def test_nobody_gives_back_what_somebody_else_has(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0)
        assert not handling.give_back(connection, alert.alert_id, turn(MARC, NOW), handled=1)
        namesake = Handler(name=CLAIRE.name, row=7)
        assert not handling.give_back(connection, alert.alert_id, turn(namesake, NOW), handled=1)
        assert handling.give_back(connection, alert.alert_id, turn(CLAIRE, NOW), handled=1)


def test_whoever_tells_a_physician_has_the_alert_in_hand_and_it_stands_on_their_page(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        this = turn(CLAIRE, NOW)
        assert handling.tell_physician(connection, alert.alert_id, this, handled=0, who="Dr Roche", how="telephone")
        now = standing(connection, alert.alert_id)
        assert (now.state, now.holder, now.physician_at) == (TAKEN, CLAIRE.name, NOW)
        assert connection.execute("SELECT physician_at FROM problem").fetchone()[0] == NOW


def test_who_could_not_be_reached_stays_in_hand_until_the_call_and_then_asks_again(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        handling.recall(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0, recall_at=NOW + 2 * HOUR)
        assert connection.execute("SELECT state, due FROM problem").fetchone() == (TAKEN, NOW + 2 * HOUR)
        assert connection.execute("SELECT count(*) FROM alert_outcome").fetchone() == (0,)
        lapse(connection, at=NOW + 2 * HOUR + 29 * MINUTE)
        assert standing(connection, alert.alert_id).state == TAKEN
        lapse(connection, at=NOW + 2 * HOUR + 30 * MINUTE)
        assert standing(connection, alert.alert_id).state == NEW


def test_closing_says_what_came_of_it_in_the_desks_words_and_in_the_boxs(team: Team) -> None:
    for said, meaning in MEANINGS.items():
        alert = hypo(ChangeKind.RAISED, onset=START + list(MEANINGS).index(said) * HOUR)
        raised(team, alert, first=list(MEANINGS).index(said))
        with acting(team) as connection:
            handling.close(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0, said=said)
            kept = connection.execute(
                "SELECT outcome, said, person FROM alert_outcome WHERE alert_id = ?", (alert.alert_id,)
            ).fetchone()
        assert kept == (meaning.outcome.value, said.value, CLAIRE.name)
    with acting(team) as connection:
        assert problems(connection) == []


def test_a_note_is_in_the_history_and_in_no_record_of_acts_and_no_command(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    note = "Essoufflée depuis hier, jambes gonflées"
    with acting(team) as connection:
        this = turn(CLAIRE, NOW, note)
        handling.tell_physician(connection, alert.alert_id, this, handled=0, who="Dr jambes", how="telephone")
        this = turn(CLAIRE, NOW, note)
        handling.close(connection, alert.alert_id, this, handled=1, said=Said.ADVISED)
        act = last_act(connection, alert.alert_id)
        entries = " ".join(row[0] for row in connection.execute("SELECT body FROM audit").fetchall())
        commands = b"".join(bytes(row[0]) for row in connection.execute("SELECT content FROM command").fetchall())
    assert act is not None
    assert act.note == note
    assert "jambes" not in entries
    assert b"jambes" not in commands


def test_what_was_done_can_be_undone_by_who_did_it_for_a_while_and_everything_is_as_before(team: Team) -> None:
    alert, repeat = hypo(ChangeKind.RAISED), hypo(ChangeKind.RAISED, onset=START + HOUR)
    raised(team, alert, repeat)
    with acting(team) as connection:
        before = standing(connection, alert.alert_id)
        this = turn(CLAIRE, NOW)
        for one in (alert, repeat):
            handling.close(connection, one.alert_id, this, handled=0, said=Said.EQUIPMENT)
        assert handling.undo(connection, this.id, turn(MARC, NOW)) == 0
        assert handling.undo(connection, this.id, turn(CLAIRE, NOW + UNDO_MS + 1)) == 0
        assert handling.undo(connection, this.id, turn(CLAIRE, NOW + UNDO_MS)) == 2
        assert standing(connection, alert.alert_id) == before
        assert connection.execute("SELECT count(*) FROM alert_outcome").fetchone() == (0,)
        assert handling.undo(connection, this.id, turn(CLAIRE, NOW + UNDO_MS)) == 0


def test_what_somebody_has_acted_on_since_is_not_undone(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        this = turn(CLAIRE, NOW)
        handling.assign(connection, alert.alert_id, this, handled=0, to=MARC)
        handling.close(connection, alert.alert_id, turn(MARC, NOW), handled=1, said=Said.ADVISED)
        assert handling.undo(connection, this.id, turn(CLAIRE, NOW)) == 0
        assert standing(connection, alert.alert_id).state == CLOSED


def test_a_closed_alert_is_opened_again_and_its_outcome_stays_in_its_history_alone(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        handling.close(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0, outcome=Outcome.NO_ACTION)
        assert handling.reopen(connection, alert.alert_id, turn(MARC, NOW + HOUR), handled=1)
        now = standing(connection, alert.alert_id)
        assert (now.state, now.holder, now.closed_at) == (TAKEN, MARC.name, None)
        assert connection.execute("SELECT count(*) FROM alert_outcome").fetchone() == (0,)
        kinds = [row[0] for row in connection.execute("SELECT kind FROM alert_act ORDER BY handled").fetchall()]
    assert kinds == ["closed", "reopened"]


def test_the_box_is_told_each_state_that_holds_and_a_note_to_nobody(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        this = turn(CLAIRE, NOW)
        handling.take(connection, alert.alert_id, this, handled=0)
        handling.undo(connection, this.id, turn(CLAIRE, NOW))
        handling.assign(connection, alert.alert_id, turn(CLAIRE, NOW), handled=2, to=MARC)
        handling.close(connection, alert.alert_id, turn(MARC, NOW), handled=3, said=Said.PHYSICIAN)
        told = [row[0] for row in connection.execute("SELECT body FROM audit WHERE act = 'command_sent'").fetchall()]
    assert len(told) == 4


# --- what becomes of what nobody handles -------------------------------------------------------------------


def technical(onset: int = START) -> AlertRecord:
    record = hypo(ChangeKind.RAISED, onset=onset)
    return type(record)(
        **{name: getattr(record, name) for name in record.__struct_fields__}
        | {"category": Category.TECHNICAL, "priority": Priority.LOW}
    )


def test_what_nobody_takes_in_time_is_shown_to_the_physicians_once(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    due = NOW + DEFAULTS[1].ack
    with acting(team) as connection:
        assert lapse(connection, at=due - 1) == due
        assert standing(connection, alert.alert_id).escalated_at is None
        assert lapse(connection, at=due) is None
        assert standing(connection, alert.alert_id).escalated_at == due
        lapse(connection, at=due + HOUR)
        acts = connection.execute("SELECT kind, person, at FROM alert_act").fetchall()
    assert [tuple(row) for row in acts] == [("escalated", "team", due)]


def test_what_is_not_closed_in_time_goes_back_to_the_list_and_says_who_had_it(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0)
        due = standing(connection, alert.alert_id).act_due
        assert due is not None
        lapse(connection, at=due)
        now, act = standing(connection, alert.alert_id), last_act(connection, alert.alert_id)
    assert (now.state, now.holder, now.escalated_at, now.ack_due) == (NEW, "", due, due + DEFAULTS[1].ack)
    assert act is not None
    assert (act.kind, act.person, act.detail.to) == (Done.LAPSED, "team", CLAIRE.name)


def test_whoever_takes_an_alert_late_has_the_whole_time_to_close_it(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW + 40 * HOUR), handled=0)
        assert standing(connection, alert.alert_id).act_due == NOW + 40 * HOUR + DEFAULTS[1].act


def test_a_technical_alert_is_shown_to_no_physician(team: Team) -> None:
    raised(team, technical())
    with acting(team) as connection:
        lapse(connection, at=NOW + 1000 * HOUR)
        assert connection.execute("SELECT priority, escalated_at, lapses_at FROM problem").fetchone() == (
            4,
            None,
            NO_DEADLINE,
        )


def test_what_goes_on_under_another_id_is_shown_to_the_physicians_once(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    moved = hypo(ChangeKind.REVISED, onset=START + 5 * MINUTE, supersedes=alert.alert_id)
    raised(team, alert, moved)
    with acting(team) as connection:
        assert standing(connection, moved.alert_id).ack_due == standing(connection, alert.alert_id).ack_due
        lapse(connection, at=NOW + DEFAULTS[1].ack)
        acts = connection.execute("SELECT alert_id, kind FROM alert_act").fetchall()
    assert [tuple(row) for row in acts] == [(moved.alert_id, "escalated")]


def test_whoever_gave_back_what_went_on_under_another_id_has_not_taken_it_again_when_it_ends(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    moved = hypo(ChangeKind.REVISED, onset=START + 5 * MINUTE, supersedes=alert.alert_id)
    raised(team, alert)
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW), handled=0)
    raised(team, moved, first=1)
    with acting(team) as connection:
        assert standing(connection, moved.alert_id).state == TAKEN
        seen = handled(connection, moved.alert_id)
        assert handling.give_back(connection, moved.alert_id, turn(CLAIRE, NOW), handled=seen)
    for number, ended in enumerate((ChangeKind.CONFIRMED, ChangeKind.RESOLVED), 2):
        raised(team, hypo(ended, onset=START + 5 * MINUTE, supersedes=alert.alert_id), first=number)
        with acting(team) as connection:
            assert standing(connection, moved.alert_id).state == NEW


def close_it(connection: Sql, alert: str) -> None:
    handling.take(connection, alert, turn(CLAIRE, NOW), handled=handled(connection, alert))
    said = Said.ADVISED
    assert handling.close(connection, alert, turn(CLAIRE, NOW), handled=handled(connection, alert), said=said)


def test_what_is_raised_again_after_it_had_ended_and_was_closed_waits_for_somebody(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert, hypo(ChangeKind.RESOLVED))
    with acting(team) as connection:
        close_it(connection, alert.alert_id)
        assert problems(connection) == []
    # Thresholds of before hold again: what was no alert in between is the same alert.
    later = NOW + 48 * HOUR
    raised(team, hypo(ChangeKind.RAISED), at=later, first=2)
    with acting(team) as connection:
        again = standing(connection, alert.alert_id)
        assert (again.state, again.ack_due) == (NEW, later + DEFAULTS[1].ack)
        assert tuple(connection.execute("SELECT alert_id, state FROM problem").fetchone()) == (alert.alert_id, NEW)
        last = last_act(connection, alert.alert_id)
        assert last is not None
        assert (last.kind, last.person, last.before.state) == (Done.RAISED_AGAIN, "team", CLOSED)
        seen = "SELECT count(*) FROM alert_event WHERE kind = 'acknowledged'"
        assert connection.execute(seen).fetchone()[0] == 0, "nobody has seen it as it is now"


def test_what_is_raised_again_untouched_has_the_whole_time_to_be_taken(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert, hypo(ChangeKind.RESOLVED))
    later = NOW + 48 * HOUR
    raised(team, hypo(ChangeKind.RAISED), at=later, first=2)
    with acting(team) as connection:
        assert standing(connection, alert.alert_id).ack_due == later + DEFAULTS[1].ack
        assert connection.execute("SELECT count(*) FROM alert_act").fetchone()[0] == 0


def test_what_another_database_of_the_box_tells_again_stays_closed(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert, hypo(ChangeKind.RESOLVED))
    with acting(team) as connection:
        close_it(connection, alert.alert_id)
    database = team.open_database()
    team.store(database, team.opened(0, [alert], epoch=OTHER_EPOCH), at=NOW + HOUR)
    database.close()
    with acting(team) as connection:
        assert (standing(connection, alert.alert_id).state, problems(connection)) == (CLOSED, [])


MOVED = START + 5 * MINUTE


def back(team: Team, *later: AlertRecord) -> tuple[int, list[str]]:
    """Let N be raised and closed, and say the rest one by one; return N's state, and which alerts wait."""
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        close_it(connection, alert.alert_id)
    for number, record in enumerate(later, 1):
        raised(team, record, first=number, at=NOW + number * HOUR)
    with acting(team) as connection:
        waits = connection.execute("SELECT alert_id FROM problem ORDER BY alert_id").fetchall()
        return standing(connection, alert.alert_id).state, [str(one) for (one,) in waits]


def test_what_is_raised_again_after_it_went_on_as_another_that_ended_waits(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED).alert_id
    gone = hypo(ChangeKind.REVISED, onset=MOVED, supersedes=alert)
    ended = hypo(ChangeKind.RESOLVED, onset=MOVED, supersedes=alert)
    assert back(team, gone, ended, hypo(ChangeKind.RAISED)) == (NEW, [alert])


def test_what_was_closed_as_another_and_is_raised_again_after_its_end_waits(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED).alert_id
    gone = hypo(ChangeKind.REVISED, onset=MOVED, supersedes=alert)
    ended = hypo(ChangeKind.RESOLVED, onset=MOVED, supersedes=alert)
    anew = hypo(ChangeKind.RAISED, onset=MOVED)
    assert back(team, gone, ended, anew)[1] == [anew.alert_id]


def test_what_was_closed_and_goes_on_as_another_and_back_stays_closed_with_what_came_of_it(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED).alert_id
    gone = hypo(ChangeKind.REVISED, onset=MOVED, supersedes=alert)
    again = hypo(ChangeKind.REVISED, supersedes=gone.alert_id)
    assert back(team, gone, again) == (CLOSED, [])
    with acting(team) as connection:
        assert connection.execute("SELECT count(*) FROM alert_outcome").fetchone()[0] == 1


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_an_end_and_what_is_raised_after_it_wait_for_somebody_in_either_order(
    team: Team, order: tuple[int, ...]
) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        close_it(connection, alert.alert_id)
    said = {2: hypo(ChangeKind.RESOLVED), 3: hypo(ChangeKind.RAISED)}
    for number in order:
        raised(team, said[number], first=number)
    with acting(team) as connection:
        assert standing(connection, alert.alert_id).state == NEW


def test_what_comes_late_of_before_does_not_take_an_alert_from_who_has_it(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert, hypo(ChangeKind.RESOLVED))
    raised(team, hypo(ChangeKind.RAISED), first=5)
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW), handled=handled(connection, alert.alert_id))
    raised(team, hypo(ChangeKind.RAISED), first=3)
    with acting(team) as connection:
        assert standing(connection, alert.alert_id).holder == CLAIRE.name


def test_the_inbox_does_it_when_it_looks(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    database = team.open_database()
    team.store(database, team.opened(0, [alert]), at=NOW)
    from coordination.database import Moment  # noqa: PLC0415 - of this test alone

    due = NOW + DEFAULTS[1].ack
    assert database.watch(lambda now, watched: (), moment=Moment(at=NOW)) == due
    assert database.watch(lambda now, watched: (), moment=Moment(at=due)) is None
    database.close()
    with acting(team) as connection:
        assert standing(connection, alert.alert_id).escalated_at == due


# --- a row is what its alerts come to -----------------------------------------------------------------------


def test_an_older_alert_that_comes_late_asks_for_somebody_though_the_newest_is_in_hand(team: Team) -> None:
    newest, older = hypo(ChangeKind.RAISED, onset=START + HOUR), hypo(ChangeKind.RAISED)
    raised(team, newest)
    with acting(team) as connection:
        handling.take(connection, newest.alert_id, turn(CLAIRE, NOW), handled=0)
    raised(team, older, first=1)
    with acting(team) as connection:
        row = connection.execute("SELECT alert_id, state, repeats, holder FROM problem").fetchone()
    assert tuple(row) == (older.alert_id, NEW, 1, CLAIRE.name)


ACTS = (
    "take",
    "give_back",
    "assign",
    "tell_physician",
    "recall",
    "close",
    "reopen",
    "undo",
    "lapse",
    "raise",
    "resolve",
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors])
@given(
    st.lists(
        st.tuples(st.sampled_from(ACTS), st.integers(0, 2), st.sampled_from([CLAIRE, MARC]), st.integers(0, 6 * 3600)),
        max_size=14,
    )
)
def test_whatever_is_done_in_whatever_order_rows_are_what_the_alerts_come_to(
    steps: list[tuple[str, int, Handler, int]],
) -> None:
    with TemporaryDirectory() as folder:
        team = Team(Path(folder))
        known = [hypo(ChangeKind.RAISED, onset=START + number * HOUR) for number in range(3)]
        database = team.open_database()
        team.store(database, team.opened(0, known[:2]), at=NOW)
        seq, now, turns = 2, NOW, [""]
        connection = connect(team.database)
        for name, number, who, pause in steps:
            now += pause * 1000
            alert = known[number].alert_id
            if name in {"raise", "resolve"}:
                kind = ChangeKind.RAISED if name == "raise" else ChangeKind.RESOLVED
                team.store(database, team.opened(seq, [hypo(kind, onset=known[number].onset)]), at=now)
                seq += 1
                continue
            with transaction(connection):
                _step(connection, name, alert, who, now, turns)
        query = WORKED_OUT.format(which="")
        expected = sorted((tuple(row)[:-2] for row in connection.execute(query).fetchall()), key=repr)
        names = ", ".join(COLUMNS.split(", ")[:-2])
        kept = sorted(map(tuple, connection.execute(f"SELECT {names} FROM problem").fetchall()), key=repr)
        assert kept == expected
        counts = connection.execute(
            "SELECT handled, (SELECT count(*) FROM alert_act WHERE alert_id = alert.id) FROM alert"
        ).fetchall()
        assert all(handled == acts for handled, acts in counts)
        nobodys = "SELECT count(*) FROM alert WHERE (state = 1) <> (holder <> '') AND state < 2"
        assert connection.execute(nobodys).fetchone() == (0,)
        closed = "SELECT count(*) FROM alert WHERE (state = 2) <> (closed_at IS NOT NULL)"
        assert connection.execute(closed).fetchone() == (0,)
        connection.close()
        database.close()


def _step(connection: Sql, name: str, alert: str, who: Handler, now: int, turns: list[str]) -> None:
    found = standing_of(connection, alert)
    this = turn(who, now)
    if name == "lapse":
        lapse(connection, at=now)
    elif name == "undo":
        handling.undo(connection, turns[-1], this)
    elif found is not None:
        more: dict[str, dict[str, object]] = {
            "assign": {"to": MARC},
            "tell_physician": {"who": "Dr Roche", "how": "telephone"},
            "recall": {"recall_at": now + HOUR},
            "close": {"said": Said.ADVISED},
        }
        if getattr(handling, name)(connection, alert, this, handled=found[1], **more.get(name, {})):
            turns.append(this.id)


def test_the_team_of_an_alert_is_its_patients(team: Team) -> None:
    database = team.open_database()
    with acting(team) as connection:
        connection.execute("INSERT INTO team (id, name) VALUES (2, 'Une autre')")
        connection.execute("UPDATE patient SET team_id = 2")
    team.store(database, team.opened(0, [hypo(ChangeKind.RAISED)]), at=NOW)
    database.close()
    with acting(team) as connection:
        assert connection.execute("SELECT alert.team_id, problem.team_id FROM alert, problem").fetchone() == (2, 2)


def test_acts_keep_no_more_than_their_detail(team: Team) -> None:
    alert = hypo(ChangeKind.RAISED)
    raised(team, alert)
    with acting(team) as connection:
        handling.take(connection, alert.alert_id, turn(CLAIRE, NOW, "x" * 5000), handled=0)
        (detail, note) = connection.execute("SELECT detail, note FROM alert_act").fetchone()
    assert (json.loads(detail), len(note)) == ({}, handling.LONGEST_NOTE)
