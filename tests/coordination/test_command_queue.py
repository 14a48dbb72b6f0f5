"""What boxes are told waits in the team's database until they answer; acts on alerts are told by themselves."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from alerting.alert import Acknowledgement, ChangeKind, Outcome
from coordination.acknowledging import acknowledge
from coordination.box_identity import BoxKeys, keep_keys, revoke_box
from coordination.cli import main
from coordination.closing import close
from coordination.command_queue import CommandState, CommandView
from coordination.database import Answered
from coordination.errors import CoordinationError
from coordination.requests import read_request
from coordination.sql_commands import FIRST_PAUSE_MS, LONGEST_PAUSE_MS
from coordination.sql_database import SqlDatabase
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import (
    DispositionBody,
    DispositionState,
    ListBody,
    NoBody,
    ScanBody,
    ShadowBody,
    decode_body,
)
from exchange.commands import Command, CommandKind, SignedCommand, decode, encode
from exchange.identity import OpeningKey, SigningKey
from tests.alerting.protocols import packaged
from tests.coordination.kit import BOX, HOUR, OTHER_BOX, PATIENT, START, Team, hypo
from tests.exchange.office import DAY, NURSE, Office

OFFICE = Office()


def queued(database: SqlDatabase, command: Command, *names: str, now: int = START) -> Command:
    database.commands.queue(command, OFFICE.signed(command, *names), signed_by=names, now=now)
    return command


def scan(**changes: object) -> Command:
    return OFFICE.command(CommandKind.SCAN, ScanBody(), issued_at=START, **changes)  # type: ignore[arg-type]


def views(database: SqlDatabase) -> list[CommandView]:
    return list(database.commands.views())


def answered(command: Command, state: AnswerState, *, reason: str = "", at: int = START, box: str = BOX) -> Answered:
    answer = Answer(box=box, command=command.id, state=state, at=at, reason=reason, highest=command.version)
    return Answered(answer=answer, at=at)


def test_a_command_is_claimed_once_and_again_later_each_time_until_it_is_answered(team: Team) -> None:
    database = team.open_database()
    command = queued(database, scan(lasts=DAY), NURSE)
    pauses, now = [], START
    while now < START + DAY:
        due = database.commands.claim(now=now)
        assert [one.id for one in due] == [command.id]
        assert decode(due[0].signed.command) == command
        assert database.commands.claim(now=now) == ()
        before = now
        while (
            now < START + DAY
            and not database.commands._connection.execute("SELECT 1 FROM command WHERE next_at <= ?", (now,)).fetchone()
        ):
            now += FIRST_PAUSE_MS
        pauses.append(now - before)
    assert pauses[0] == FIRST_PAUSE_MS
    assert all(one <= other for one, other in pairwise(pauses[:-1]))
    assert max(pauses) <= LONGEST_PAUSE_MS
    assert database.commands.claim(now=START + DAY) == ()
    assert views(database)[0].state is CommandState.EXPIRED
    # It may have heard it all the same.
    team.store(database, answered(command, AnswerState.APPLIED))
    assert views(database)[0].state is CommandState.APPLIED


def test_a_box_that_comes_back_is_sent_what_waits_for_it_at_once(team: Team) -> None:
    database = team.open_database()
    ours, others = queued(database, scan(), NURSE), queued(database, scan(box=OTHER_BOX), NURSE)
    database.commands.claim(now=START)
    database.commands.sent(ours.id, now=START)
    database.commands.hurry(BOX, now=START + 1)
    assert [one.id for one in database.commands.claim(now=START + 1)] == [ours.id]
    assert {view.id: view.state for view in views(database)} == {
        ours.id: CommandState.SENT,
        others.id: CommandState.QUEUED,
    }


def test_an_answer_ends_it_and_no_later_copy_of_it_undoes_that(team: Team) -> None:
    database = team.open_database()
    command = queued(database, scan(), NURSE)
    steps = (
        (answered(command, AnswerState.WAITING, reason="clock"), CommandState.QUEUED),
        (answered(command, AnswerState.ACCEPTED), CommandState.ACCEPTED),
        (answered(command, AnswerState.APPLIED), CommandState.APPLIED),
        (answered(command, AnswerState.APPLIED), CommandState.APPLIED),
        (answered(command, AnswerState.ACCEPTED, at=START + 1), CommandState.APPLIED),
        (answered(command, AnswerState.REFUSED, reason="rollback", at=START + 2), CommandState.APPLIED),
    )
    for arrival, state in steps:
        team.store(database, arrival)
        assert views(database)[0].state is state
    assert database.commands.claim(now=START + HOUR) == ()
    shown = views(database)[0].answer
    assert shown is not None
    assert shown.state is AnswerState.APPLIED


def test_an_answer_of_another_box_or_to_nothing_of_ours_changes_nothing(team: Team) -> None:
    database = team.open_database()
    command = queued(database, scan(), NURSE)
    team.store(database, answered(command, AnswerState.APPLIED, box=OTHER_BOX), answered(scan(), AnswerState.APPLIED))
    assert [view.state for view in views(database)] == [CommandState.QUEUED]


def test_only_the_newest_of_a_matter_is_sent(team: Team) -> None:
    database = team.open_database()
    old, new = queued(database, scan(), NURSE), queued(database, scan(), NURSE)
    canary = queued(database, OFFICE.command(CommandKind.CANARY, NoBody(), issued_at=START))
    assert {one.id for one in database.commands.claim(now=START)} == {new.id, canary.id}
    assert {view.id: view.state for view in views(database)}[old.id] is CommandState.OVERTAKEN
    assert database.commands.last_version(BOX, new.series) == new.version


def test_a_list_leaves_before_what_needs_it_and_its_answer_lets_the_rest_be_sent_again(team: Team) -> None:
    database = team.open_database()
    waiting = queued(database, scan(), NURSE)

    listed = OFFICE.command(CommandKind.TEAM_LIST, ListBody(data=b"list"), issued_at=START)
    database.commands.queue(listed, SignedCommand(command=encode(listed)), signed_by=(), now=START)
    assert [one.kind for one in database.commands.claim(now=START)] == [CommandKind.TEAM_LIST, CommandKind.SCAN]
    team.store(database, answered(waiting, AnswerState.WAITING, reason="list"))
    assert database.commands.claim(now=START + 1) == ()
    team.store(database, answered(listed, AnswerState.APPLIED, at=START + 2))
    assert [one.id for one in database.commands.claim(now=START + 2)] == [waiting.id]


def test_an_unknown_box_and_a_command_sent_twice_are_said(team: Team) -> None:
    database = team.open_database()
    with pytest.raises(CoordinationError, match="no box"):
        queued(database, scan(box="box-0099"), NURSE)
    command = queued(database, scan(), NURSE)
    with pytest.raises(CoordinationError, match="sent already"):
        queued(database, command, NURSE)


# --- what is told by itself ---------------------------------------------------------------------------------------


def dispositions(path: Path) -> list[tuple[str, str, DispositionBody]]:
    database = SqlDatabase(path)
    try:
        found = database.commands.claim(now=2**52)
        rows = []
        for row in database._connection.execute("SELECT content FROM command ORDER BY version"):
            signed = msgspec.msgpack.decode(row[0], type=SignedCommand)
            assert signed.signatures == ()
            command = decode(signed.command)
            body = decode_body(command.kind, command.body)
            assert isinstance(body, DispositionBody)
            assert command.about == body.alert
            rows.append((command.box, command.subject, body))
        assert len(found) <= len(rows)
    finally:
        database.close()
    return rows


def test_acknowledging_an_alert_tells_its_box_once(team: Team) -> None:
    database = team.open_database()
    alert = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [alert]))
    database.close()
    seen = Acknowledgement(by="Anne Morel", at=START + HOUR)
    acknowledge(team.database, alert.alert_id[:8], seen)
    acknowledge(team.database, alert.alert_id[:8], Acknowledgement(by="Paul Roux", at=START + 2 * HOUR))
    ((box, patient, body),) = dispositions(team.database)
    assert (box, patient) == (BOX, PATIENT)
    assert body == DispositionBody(alert=alert.alert_id, state=DispositionState.TAKEN, by="Anne Morel", at=START + HOUR)


def test_closing_an_alert_keeps_the_last_word_and_tells_its_box(team: Team) -> None:
    database = team.open_database()
    alert = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [alert]))
    database.close()
    closed = close(team.database, alert.alert_id[:8], by="Anne Morel", outcome=Outcome.ARTEFACT, at=START + HOUR)
    assert closed.box_is_told
    close(team.database, alert.alert_id, by="Paul Roux", outcome=Outcome.ACTION, at=START + 2 * HOUR)
    told = dispositions(team.database)
    assert [(body.by, body.outcome, body.state) for _, _, body in told] == [
        ("Anne Morel", Outcome.ARTEFACT, DispositionState.CLOSED),
        ("Paul Roux", Outcome.ACTION, DispositionState.CLOSED),
    ]
    kept = SqlDatabase(team.database)
    try:
        assert kept._connection.execute("SELECT outcome, person FROM alert_outcome").fetchall() == [
            ("action", "Paul Roux")
        ]
        assert kept._connection.execute("SELECT state FROM alert").fetchall() == [(2,)]
        # A box refuses what is older than what it has.
        versions = [one[0] for one in kept._connection.execute("SELECT version FROM command ORDER BY version")]
        assert versions == sorted(set(versions))
    finally:
        kept.close()


def test_a_nurse_closes_an_alert_and_an_operator_sends_the_list_from_the_command_line(team: Team) -> None:
    database = team.open_database()
    alert = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [alert]))
    database.close()
    place = ["--database", str(team.database)]
    said = CliRunner().invoke(main, ["close", alert.alert_id[:8], "--by", "Anne Morel", "--outcome", "action", *place])
    assert said.exit_code == 0, said.output
    assert "le boîtier sera prévenu" in said.output
    (team.folder / "team-list").write_bytes(OFFICE.team_list())
    sent = CliRunner().invoke(main, ["send-list", str(team.folder / "team-list"), *place])
    assert sent.exit_code == 0, sent.output
    assert sent.output.endswith(f"{BOX}, {OTHER_BOX}\n")
    shown = CliRunner().invoke(main, ["commands", "--lang", "en", "--open", *place])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("new team list") == 2
    assert "waiting for the box" in shown.output
    empty = CliRunner().invoke(main, ["commands", "--box", "box-0099", *place])
    assert empty.output == "Aucune demande ici.\n"


def test_a_request_that_nobody_signed_or_that_is_none_is_not_sent(team: Team, tmp_path: Path) -> None:
    team.open_database().close()
    place, asked = ["--database", str(team.database)], tmp_path / "asked.json"
    made = CliRunner().invoke(main, ["request", "scan", "--box", BOX, "--out", str(asked), *place])
    assert made.exit_code == 0, made.output
    assert asked.stat().st_mode & 0o777 == 0o600
    unsigned = CliRunner().invoke(main, ["send", str(asked), *place])
    assert unsigned.exit_code == 2
    assert "signée par personne" in unsigned.output
    written = asked.read_text(encoding="utf-8")
    for spoilt in ("{}", "[" * 100_000, written.replace('"command": "', '"command": "é'), f'{{"x": {"[" * 100_000}'):
        asked.write_text(spoilt, encoding="utf-8")
        for words in (["send", str(asked), *place], ["sign", str(asked), "--key", str(asked)]):
            refused = CliRunner().invoke(main, words)
            assert refused.exit_code == 2
            assert isinstance(refused.exception, SystemExit)
    for words in (["request", "scan", "--patient", PATIENT], ["request", "erase"], ["request", "protocol", "nothing"]):
        refused = CliRunner().invoke(main, [*words, "--box", BOX, "--out", str(asked), *place])
        assert refused.exit_code == 2, (words, refused.output)


def test_a_shadow_is_asked_for_with_a_protocol_and_ended_without_one(team: Team, tmp_path: Path) -> None:
    team.open_database().close()
    asked, protocol = tmp_path / "asked.json", packaged("heart_failure")
    options = ["--box", BOX, "--patient", PATIENT, "--lang", "en", "--database", str(team.database)]
    for words, protocol_hash, said in (
        (["heart_failure"], protocol.protocol_hash, protocol.protocol_hash[:8]),
        ([], None, "end it"),
    ):
        made = CliRunner().invoke(main, ["request", "shadow", *words, "--out", str(asked), *options])
        assert made.exit_code == 0, made.output
        assert f"shadow of a protocol · {BOX}, patient {PATIENT}" in made.output
        assert said in made.output
        command = read_request(asked).command
        body = decode_body(command.kind, command.body)
        assert isinstance(body, ShadowBody)
        assert (None if body.protocol is None else body.protocol.protocol_hash) == protocol_hash


def test_orders_are_sealed_to_the_key_that_a_box_enrolled_with_and_to_none_once_it_is_revoked(team: Team) -> None:
    database = team.open_database()
    connection, enrolled, listed = database._connection, OpeningKey.generate(), OpeningKey.generate()
    signing = SigningKey.generate()
    keys = BoxKeys(team.database, {})
    assert keys.opening_key(BOX, listed=listed.public) == listed.public
    assert keys.opening_key(OTHER_BOX, listed=None) is None
    keep_keys(connection, BOX, signing=signing.public.hex(), opening=enrolled.public.hex(), at=START)
    assert keys.opening_key(BOX, listed=listed.public) == enrolled.public
    revoke_box(connection, BOX, listed={}, reason="stolen", at=START + 1)
    assert keys.opening_key(BOX, listed=listed.public) is None
    database.close()
