"""36: an alert comes out again from the protocol whose hash it names and the readings that the team has."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from coordination.cli import main
from coordination.errors import CoordinationError
from coordination.replaying import Verdict, replay
from exchange.command_answers import AnswerState
from exchange.commands import CommandKind
from exchange.messages import AlertRecord, ObservationRecord, Record
from tests.agent.command_kit import Keys, body_of, box, protocol_text
from tests.agent.kit import MINUTE, START, glucose
from tests.coordination.kit import PATIENT, Team
from tests.exchange.office import NURSE, PHYSICIAN, Office

TEXTS = (protocol_text(2, ("70 mg/dL", "66 mg/dL")), protocol_text(3, ("70 mg/dL", "80 mg/dL")))


@pytest.fixture
async def lived(tmp_path: Path, team: Team) -> list[Record]:
    """A real box's day under two protocols that the team ordered, all of it in the team's database."""
    office, keys = Office(receipt=team.receipt, opening=team.opening), Keys()
    database = team.open_database()
    folder = tmp_path / "box"
    folder.mkdir()
    async with box(folder, office, keys) as running:
        for number, (text, value) in enumerate(zip(TEXTS, ("65", "75"), strict=True)):
            running.clock.now = START + (number * 120 + 1) * MINUTE
            command = office.command(CommandKind.PROTOCOL, body_of(text), subject=PATIENT)
            signed = office.signed(command, NURSE, PHYSICIAN)
            database.commands.queue(command, signed, signed_by=(NURSE, PHYSICIAN), now=START)
            answer = await running.ordered(office.seal(signed, keys.opening))
            assert answer.state is AnswerState.APPLIED
            first = 5 + number * 120
            await running.gives(*(glucose(value, minute) for minute in range(first, first + 35, 5)))
            await running.gives(*(glucose("120", minute) for minute in range(first + 35, first + 70, 5)))
        records = await running.records()
    team.store(database, team.opened(0, records))
    database.close()
    return records


def raised(records: list[Record]) -> list[AlertRecord]:
    return [one for one in records if isinstance(one, AlertRecord) and one.kind == "raised" and one.protocol]


async def test_every_alert_of_a_box_comes_out_again_under_the_protocol_that_it_names(
    team: Team, lived: list[Record]
) -> None:
    alerts = raised(lived)
    assert [one.protocol_version for one in alerts] == [2, 3]
    assert len({one.protocol_hash for one in alerts}) == 2
    for alert in alerts:
        found = replay(team.database, alert.alert_id)
        assert found.verdict is Verdict.SAME
        assert found.again is not None
        assert (found.again.alert_id, found.again.raised_at) == (alert.alert_id, alert.raised_at)
        assert found.again.why.fr == alert.fr
        assert found.readings == len([one for one in lived if isinstance(one, ObservationRecord)])


async def test_a_reading_that_the_team_lacks_or_that_was_changed_shows(team: Team, lived: list[Record]) -> None:
    alert = raised(lived)[0]
    database = team.open_database()
    connection = database._connection
    onset = alert.evidence[0].measured_at
    connection.execute("UPDATE observation SET count = count + 1 WHERE t = ?", (onset,))
    assert replay(team.database, alert.alert_id).verdict is Verdict.DIFFERENT
    connection.execute("DELETE FROM observation WHERE t >= ? AND t < ?", (onset, onset + 30 * MINUTE))
    assert replay(team.database, alert.alert_id).verdict in {Verdict.ABSENT, Verdict.DIFFERENT}
    database.close()
    said = CliRunner().invoke(main, ["replay", alert.alert_id[:8], "--database", str(team.database), "--lang", "en"])
    assert said.exit_code == 1
    assert "missing" in said.output


async def test_a_protocol_that_the_team_never_had_is_said(team: Team, lived: list[Record]) -> None:
    alert = raised(lived)[0]
    database = team.open_database()
    database._connection.execute("DELETE FROM care_protocol WHERE hash = ?", (alert.protocol_hash,))
    database.close()
    with pytest.raises(CoordinationError, match="not in the team's database"):
        replay(team.database, alert.alert_id)


async def test_an_alert_shown_to_a_reader_is_said_to_be_the_same(team: Team, lived: list[Record]) -> None:
    alert = raised(lived)[1]
    said = CliRunner().invoke(main, ["replay", alert.alert_id[:8], "--database", str(team.database)])
    assert said.exit_code == 0, said.output
    assert "La même alerte" in said.output
