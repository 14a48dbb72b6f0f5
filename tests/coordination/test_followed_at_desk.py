"""Whom people take on at the desk, an inbox that runs receives and watches from then on."""

from contextlib import closing

from alerting.protocol_file import read_protocol
from alerting.protocol_writer import write_protocol
from coordination.erased_patients import erased_among, is_erased, remember_erased
from coordination.patient_acts import OtherBox, assign, end_follow_up, resume, take_back, take_on
from coordination.protocol_sources import protocol_with_packs
from coordination.settings_news import SettingsNews
from coordination.silence import NOT_TRANSMITTED
from coordination.team_database import connect, transaction
from exchange.audit_chain import Act
from exchange.topics import OBSERVATIONS, topic
from tests.coordination.kit import BOX, HOUR, OTHER_PATIENT, PATIENT, START, ManualClock, Team, glucose, rows
from tests.coordination.test_settings_news import receiving
from tests.coordination.wire import Wire

NAME = "cedre-417"


def packaged() -> tuple[str, str]:
    text, packs = protocol_with_packs("diabetes_cgm")
    protocol = read_protocol(text, name_hint="diabetes_cgm", packs=packs)
    return protocol.protocol_hash, write_protocol(protocol)


def taken_on(team: Team, *, at: int = START) -> int:
    """Do at the desk what a nurse does, beside an inbox."""
    chosen, text = packaged()
    with closing(connect(team.database)) as connection, transaction(connection):
        row = take_on(
            connection,
            pseudonym=NAME,
            team=1,
            time_zone="Europe/Paris",
            protocol=chosen,
            text=text,
            by="C. Martin",
            at=at,
        )
        (box,) = connection.execute("SELECT id FROM box WHERE name = ?", (BOX,)).fetchone()
        assign(connection, patient=row, box=box, since=at, other_box=OtherBox.REFUSE, by="C. Martin", at=at)
    return row


async def test_a_running_inbox_receives_and_watches_whom_people_take_on(team: Team, clock: ManualClock) -> None:
    wire, settings = Wire(), team.settings()
    sealed = team.seal(0, [glucose(0, patient=NAME)])
    async with receiving(settings, clock, wire, SettingsNews(settings)):
        taken_on(team)
        wire.arrives(topic(BOX, OBSERVATIONS), sealed)
        query = "SELECT pseudonym FROM observation JOIN patient ON patient.id = patient_id"
        await wire.until(lambda: rows(team.database, query) == [(NAME,)])
        told = (
            f"SELECT pseudonym FROM alert JOIN patient ON patient.id = patient_id WHERE rule_id = '{NOT_TRANSMITTED}'"
        )

        def is_missed() -> bool:
            clock.now += HOUR
            return (NAME,) in rows(team.database, told)

        await wire.until(is_missed)
        assert len(wire.links) == 1, "on the same links"


def test_who_ended_is_watched_no_more_and_who_is_resumed_is_again(team: Team) -> None:
    database = team.open_database()
    row = taken_on(team)
    assert set(database.protocols_at_desk()) == {NAME}
    with closing(connect(team.database)) as connection:
        with transaction(connection):
            assert end_follow_up(connection, patient=row, by="C. Martin", at=START + HOUR)
            assert not end_follow_up(connection, patient=row, by="C. Martin", at=START + HOUR)
        assert set(database.protocols_at_desk()) == set()
        with transaction(connection):
            assert resume(connection, patient=row, by="C. Martin", at=START + 2 * HOUR)
            assert not resume(connection, patient=row, by="C. Martin", at=START + 2 * HOUR)
            assert take_back(connection, patient=row, by="C. Martin", at=START + 2 * HOUR) == 0
    assert set(database.protocols_at_desk()) == {NAME}
    database.close()
    acts = [act for (act,) in rows(team.database, "SELECT act FROM audit ORDER BY n")]
    assert acts[-5:] == [
        Act.PATIENT_TAKEN_ON, Act.BOX_ASSIGNED, Act.BOX_TAKEN_BACK, Act.FOLLOW_UP_ENDED, Act.PATIENT_TAKEN_ON,
    ]  # fmt: skip


def test_an_erased_pseudonym_is_known_again_and_readable_from_nothing(team: Team) -> None:
    team.open_database().close()
    with closing(connect(team.database)) as connection:
        assert not is_erased(connection, PATIENT)
        with transaction(connection):
            remember_erased(connection, PATIENT, at=START)
            remember_erased(connection, PATIENT, at=START + 1)
        assert is_erased(connection, PATIENT)
        assert not is_erased(connection, OTHER_PATIENT)
        assert erased_among(connection, [PATIENT, OTHER_PATIENT]) == {PATIENT}
        assert erased_among(connection, []) == frozenset()
        ((tag,),) = connection.execute("SELECT tag FROM erased_patient").fetchall()
    assert PATIENT not in tag


def test_what_is_deleted_is_overwritten_in_the_file(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0, patient=NAME, device="D-0123-4567")]))
    assert rows(team.database, "SELECT count(*) FROM to_attribute") == [(1,)]
    database.close()
    with closing(connect(team.database)) as connection:
        assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
        connection.execute("DELETE FROM to_attribute")
    assert b"D-0123-4567" not in team.database.read_bytes()
