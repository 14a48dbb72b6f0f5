import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.database import Presence, Refused
from coordination.sql_signs import DISTINCT_REFUSED, Statuses
from coordination.team_database import transaction
from exchange.messages import Status
from tests.coordination.kit import BOX, HOUR, MINUTE, OTHER_BOX, START, Team, contents, glucose, rows

SECOND = "2" * 32


def _refused(number: int, reason: str = "signature", box: str | None = BOX) -> Refused:
    return Refused(box=box, reason=reason, size=1024, sha256=f"{number:064x}")


def test_refused_messages_are_kept_apart_counted_and_bounded(team: Team) -> None:
    database = team.open_database()
    team.store(database, *(_refused(number) for number in range(DISTINCT_REFUSED + 50)))
    team.store(database, _refused(3), _refused(3, box=None), at=START + MINUTE)
    assert database._connection.execute("SELECT count(*) FROM inbox_dead_letter").fetchone() == (DISTINCT_REFUSED,)
    kept = database._connection.execute(
        "SELECT count, first_at, last_at FROM inbox_dead_letter WHERE sha256 = ?", (f"{3:064x}",)
    ).fetchall()
    assert kept == [(2, START, START + MINUTE)]
    counted = database._connection.execute("SELECT reason, count FROM inbox_dead_letter_count").fetchall()
    assert counted == [("signature", DISTINCT_REFUSED + 52)]
    database.close()


def _state(team: Team, *statuses: Status, retained: bool = False) -> tuple[object, ...]:
    database = team.open_database()
    for number, status in enumerate(statuses):
        team.store(database, Presence(status=status, retained=retained), at=START + number)
    database.close()
    (row,) = rows(team.database, "SELECT state, session, backlog FROM box_status")
    return row


def _heard_at(team: Team) -> object:
    return rows(team.database, f"SELECT heard_at FROM box WHERE name = '{BOX}'")[0][0]


def test_a_will_of_the_last_birth_is_believed(team: Team) -> None:
    born = team.status(at=START, session=SECOND)
    assert _state(team, born, team.status("offline", at=START, session=SECOND))[:2] == ("offline", SECOND)
    assert _heard_at(team) == START


def test_a_stale_will_cannot_mask_a_newer_birth(team: Team) -> None:
    first, second = team.status(at=START), team.status(at=START + MINUTE, session=SECOND)
    assert _state(team, first, second, team.status("offline", at=START))[:2] == ("online", SECOND)


def test_an_older_heartbeat_of_the_same_session_changes_nothing(team: Team) -> None:
    newer = team.status(at=START + MINUTE)
    assert _state(team, newer, team.status(at=START)) == ("online", newer.session, 0)
    assert _heard_at(team) == START


def test_only_what_says_something_new_proves_that_a_box_lives(team: Team) -> None:
    database = team.open_database()
    envelope = team.opened(0, [glucose(0)])
    birth = team.status(at=START + 10)
    team.store(database, envelope, at=START + 1)
    assert _heard_at(team) == START + 1
    team.store(database, envelope, at=START + 2)
    assert _heard_at(team) == START + 1, "a repeated envelope may be a replay"
    team.store(database, Presence(status=birth, retained=True), at=START + 3)
    assert _heard_at(team) == START + 1, "a retained status says nothing about now"
    team.store(database, Presence(status=birth, retained=False), at=START + 4)
    assert _heard_at(team) == START + 1, "nor does its repeat"
    team.store(database, Presence(status=team.status("offline", at=START + HOUR), retained=False), at=START + 5)
    assert _heard_at(team) == START + 1, "nor a will"
    team.store(database, Presence(status=team.status(at=START + 11), retained=False), at=START + 6)
    assert _heard_at(team) == START + 6
    database.close()


def test_the_first_status_of_an_unknown_box_is_kept_even_when_it_is_a_will(team: Team) -> None:
    assert _state(team, team.status("offline"))[0] == "offline"
    assert contents(team.database, "box_status")["box_status"][0][0] == BOX
    assert _heard_at(team) is None


STATUSES = st.lists(
    st.tuples(
        st.sampled_from(["online", "online", "offline"]),
        st.integers(0, 4),
        st.sampled_from(["1" * 32, SECOND]),
        st.sampled_from([BOX, OTHER_BOX]),
        st.booleans(),
    ),
    max_size=12,
)
Told = tuple[str, int, str, str, bool]


@settings(max_examples=40, deadline=None)
@given(told=STATUSES, cuts=st.lists(st.sampled_from(["", "new", "settle"]), min_size=12, max_size=12))
def test_statuses_of_one_batch_prove_and_leave_what_they_do_one_by_one(told: list[Told], cuts: list[str]) -> None:
    together = _after(told, cuts)
    assert together == _after(told, ["new"] * len(told))


def _after(told: list[Told], cuts: list[str]) -> tuple[list[bool], dict[str, list[tuple[object, ...]]]]:
    """Return which statuses proved that their box lives, and what is kept, with batches that end before some."""
    with tempfile.TemporaryDirectory() as folder:
        team = Team(Path(folder))
        database = team.open_database()
        proved: list[bool] = []
        with transaction(database._connection):
            statuses = Statuses(database._connection, at=START)
            for (state, at, session, box, retained), cut in zip(told, cuts, strict=False):
                if cut == "new":
                    statuses.flush()
                    statuses = Statuses(database._connection, at=START)
                elif cut == "settle":
                    statuses.settle()
                status = team.status(state, at=START + at, session=session, box=box)
                proved.append(statuses.keep(Presence(status=status, retained=retained)))
            statuses.flush()
        database.close()
        return proved, contents(team.database, "box_status", "box")
