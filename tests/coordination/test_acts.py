"""What people and boxes do at the team is in its record of acts: by whom, to what, and together with the act itself."""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.enrolling import renew
from agent.enrolment_errors import EnrolmentFailedError
from alerting.alert import ChangeKind, Outcome
from coordination.audit_beside import account
from coordination.audit_log import MOST_REFUSALS, AuditLog
from coordination.audit_witness import LOG_CUT
from coordination.cli import main
from coordination.closing import close
from coordination.database import Answered
from coordination.errors import CoordinationError
from coordination.explaining import explain_cut
from coordination.inbox_acts import InboxActs
from coordination.keyring_file import read_state
from coordination.keys import load_keys
from coordination.office import now_ms
from coordination.person_key import make_person_key
from coordination.place import Place
from coordination.revoking import revoke_at_inbox
from coordination.settings import read_settings
from coordination.sql_database import SqlDatabase
from coordination.view import View
from exchange.audit_chain import Act, CheckpointRecord, Entry, beginning
from exchange.certificates import Certificate
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import NoBody, ResendBody, ScanBody
from exchange.commands import Command, CommandKind
from exchange.enrolment import EnrolmentError
from exchange.enrolment_code import EnrolmentCode
from exchange.identity import SigningKey
from exchange.messages import Range
from tests.coordination.enrolment_kit import BOX as NEW_BOX
from tests.coordination.enrolment_kit import PATIENCE_S, Desk, NewBox, join
from tests.coordination.kit import BOX, PATIENT, START, ManualClock, Team, hypo, rows
from tests.coordination.test_audit import CHAIN, BoxLog, log, received
from tests.coordination.test_person_key import CHEAP, PIN
from tests.exchange.office import NURSE, Office

__all__ = ["log"]

OFFICE = Office()
THIRD_OVER = timedelta(minutes=25)
"""Backdated by an hour, a certificate of this life has passed a third of it when it is issued."""


def entries(database: Place, *acts: Act) -> list[Entry]:
    """What was entered of some acts, oldest first."""
    connection = sqlite3.connect(database)
    try:
        wanted = {act.value for act in acts}
        return [entry for entry, _ in AuditLog(connection).entries() if entry.act in wanted]
    finally:
        connection.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


# --- boxes join, go on and leave ------------------------------------------------------------------------------


async def test_a_code_an_enrolment_and_a_renewal_say_who_asked_who_compared_and_which_machine(
    desk: Desk, tmp_path: Path
) -> None:
    box, database = NewBox(tmp_path / "box"), desk.folder / "desk.db"
    async with desk.open_office(lifetime=THIRD_OVER):
        await join(desk, box, desk.code())
    opened, enrolled = entries(database, Act.ENROLMENT_OPENED, Act.ENROLLED)
    assert (opened.act, opened.ref) == ("enrolment_opened", NEW_BOX)
    assert opened.by not in {"", "team"}, "the account at the keyboard"
    assert (enrolled.act, enrolled.by, enrolled.ref) == ("enrolled", "Anne", NEW_BOX)
    assert enrolled.detail["code"] == opened.detail["code"]
    assert enrolled.detail["key"] == SigningKey.load(box.places.signing_key).id
    assert enrolled.detail["replaces"] == "no"
    async with desk.open_office():
        for _ in range(2):
            await renew(
                host="127.0.0.1",
                port=desk.port,
                ca=box.places.ca,
                certificate=box.places.certificate,
                key=box.places.tls_key,
                signing=SigningKey.load(box.places.signing_key),
            )
    (renewed,) = entries(database, Act.CERTIFICATE_RENEWED)
    assert (renewed.by, renewed.ref) == (NEW_BOX, NEW_BOX)
    serials = {serial for (serial,) in rows(database, "SELECT serial FROM box_certificate")}
    assert serials == {enrolled.detail["certificate"], renewed.detail["certificate"]}


async def test_a_machine_that_replaces_another_takes_its_place_by_two_acts_of_the_nurse(
    desk: Desk, tmp_path: Path
) -> None:
    async with desk.open_office():
        await join(desk, NewBox(tmp_path / "one"), desk.code())
        await join(desk, NewBox(tmp_path / "two"), desk.code())
    found = entries(desk.folder / "desk.db", Act.REVOKED, Act.ENROLLED)
    assert [(entry.act, entry.by, entry.ref) for entry in found] == [
        ("enrolled", "Anne", NEW_BOX),
        ("revoked", "Anne", NEW_BOX),
        ("enrolled", "Anne", NEW_BOX),
    ]
    assert found[1].detail["reason"] == "replaced"
    assert found[2].detail["replaces"] == "yes"


async def test_a_nurse_who_says_no_has_refused_an_enrolment(desk: Desk, tmp_path: Path) -> None:
    async with desk.open_office(), asyncio.timeout(PATIENCE_S):
        joining = asyncio.ensure_future(NewBox(tmp_path / "box").enrol(desk.code()))
        await desk.nurse(yes=False)
        with pytest.raises(EnrolmentFailedError):
            await joining
    (refused,) = entries(desk.folder / "desk.db", Act.ENROLMENT_REFUSED)
    assert (refused.by, refused.ref, refused.detail["reason"]) == ("Anne", NEW_BOX, "nurse")


def test_tries_from_outside_are_entered_without_their_address_and_cannot_flood_the_record(desk: Desk) -> None:
    code, database = desk.code(), desk.folder / "desk.db"
    with desk.kept() as kept:
        for number in range(MOST_REFUSALS + 10):
            with pytest.raises(EnrolmentError):
                kept.offer("AAAA", "wrong", source=f"192.0.2.{number}", at=START + number)
        with pytest.raises(EnrolmentError):
            kept.offer(code.place, "wrong", source="198.51.100.7", at=START + 2 * 86_400_000)
    found = entries(database, Act.ENROLMENT_REFUSED)
    assert len(found) == MOST_REFUSALS + 1
    assert {(entry.by, entry.detail["reason"]) for entry in found} == {("?", "code")}
    assert found[-1].ref == NEW_BOX
    assert not [entry for entry in found if "192.0.2" in str(entry) or "198.51" in str(entry)]


def test_a_box_that_is_taken_out_says_by_whom_and_why_each_time_it_is_said(desk: Desk) -> None:
    desk.listed["box-0031"] = SigningKey.generate()
    database = desk.settings().database
    for by in ("Anne", ""):
        revoke_at_inbox(database, "box-0031", listed=desk.settings().signers, reason="volé", at=START, by=by)
    first, again = entries(database, Act.REVOKED)
    assert (first.by, first.ref, first.detail) == ("Anne", "box-0031", {"reason": "volé", "keys": 1, "certificates": 0})
    assert again.by not in {"", "Anne"}, "the account at the keyboard"
    assert again.detail["keys"] == 0


def test_a_certificate_of_one_of_the_teams_own_programs_is_an_act_of_who_made_it(desk: Desk, tmp_path: Path) -> None:
    settings = desk.settings()
    words = ["certify", "--config", str(desk.folder / "desk.toml"), "inbox-1", "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(main, words).exit_code == 0, "also where there is no database yet"
    assert not Path(settings.database).exists()
    SqlDatabase(settings.database).close()
    assert CliRunner().invoke(main, words).exit_code == 0
    (act,) = entries(settings.database, Act.CERTIFICATE_RENEWED)
    assert (act.by, act.ref) == (account(), "inbox-1")
    assert act.detail["certificate"] == Certificate.load(tmp_path / "out" / "inbox-1.pem").serial


# --- orders ---------------------------------------------------------------------------------------------------


def ordered(kind: CommandKind = CommandKind.SCAN, **changes: object) -> Command:
    body = {CommandKind.SCAN: ScanBody(), CommandKind.ROTATE: NoBody()}.get(kind)
    return OFFICE.command(kind, body or ResendBody(epoch="0" * 32, ranges=(Range(0, 5),)), issued_at=START, **changes)  # type: ignore[arg-type]


def desk_command(team: Team, *words: str, typed: str = "", code: int = 0) -> Result:
    done = CliRunner().invoke(
        main, list(words), input=typed, env={"VEILLEUR_DESK_CONFIG": str(team.folder / "desk.toml")}
    )
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize("at_hand", [True, False])
def test_each_signature_is_an_act_of_who_signed_entered_once_where_the_database_is_or_as_it_is_sent(
    team: Team,
    at_hand: bool,  # noqa: FBT001
) -> None:
    team.open_database().close()
    asked, key = team.folder / "request.json", team.folder / "anne.key"
    made = make_person_key(key, name="Anne Morel", pin=PIN, cost=CHEAP)
    desk_command(team, "request", "scan", "--box", BOX, "--out", str(asked))
    elsewhere = () if at_hand else ("--config", str(team.folder / "nowhere.toml"))
    for _ in range(2):
        desk_command(team, "sign", str(asked), "--key", str(key), *elsewhere, typed=PIN)
    before = entries(team.database, Act.COMMAND_SIGNED)
    assert len(before) == (2 if at_hand else 0)
    desk_command(team, "send", str(asked))
    signed = entries(team.database, Act.COMMAND_SIGNED)
    assert len(signed) == (2 if at_hand else 1), "none takes effect without being entered, none is entered anew"
    assert {(entry.by, entry.detail["key"], entry.detail["kind"]) for entry in signed} == {
        ("Anne Morel", made.id, "scan")
    }
    (sent,) = entries(team.database, Act.COMMAND_SENT)
    assert sent.ref == signed[0].ref
    assert sent.by not in {"", "team"}, "the account at the keyboard"
    assert (sent.detail["box"], sent.detail["kind"], sent.detail["signatures"]) == (BOX, "scan", 1)


def test_a_list_that_is_sent_and_a_resend_that_the_team_orders_are_acts(team: Team) -> None:
    database = team.open_database()
    resend = ordered(CommandKind.RESEND)
    database.commands.queue(resend, OFFICE.signed(resend), signed_by=(), now=START)
    database.close()
    sealed = team.folder / "team-list"
    sealed.write_bytes(OFFICE.team_list())
    desk_command(team, "send-list", str(sealed), "--box", BOX)
    asked, listed = entries(team.database, Act.COMMAND_SENT)
    assert (asked.by, asked.detail["kind"], asked.ref) == ("team", "resend", resend.id)
    assert str(asked.detail["about"]).startswith("~"), "an epoch is kept as a tag"
    assert listed.detail["kind"] == "team_list"
    assert listed.by != "team"


def test_what_a_box_says_came_of_an_order_is_an_act_of_the_box_once_each(team: Team) -> None:
    database = team.open_database()
    done, refused = ordered(), ordered(CommandKind.ROTATE)
    for command in (done, refused):
        database.commands.queue(command, OFFICE.signed(command, NURSE), signed_by=(NURSE,), now=START)

    def says(command: Command, state: AnswerState, reason: str = "") -> None:
        answer = Answer(box=BOX, command=command.id, state=state, at=START, reason=reason, highest=command.version)
        team.store(database, Answered(answer=answer, at=START))

    for _ in range(2):
        says(done, AnswerState.ACCEPTED)
        says(done, AnswerState.APPLIED)
        says(refused, AnswerState.REFUSED, "rollback")
    database.close()
    found = entries(team.database, Act.COMMAND_RECEIVED, Act.COMMAND_DONE, Act.COMMAND_REFUSED)
    assert [(entry.act, entry.by, entry.ref, entry.detail) for entry in found] == [
        ("command_received", BOX, done.id, {}),
        ("command_done", BOX, done.id, {}),
        ("command_refused", BOX, refused.id, {"reason": "rollback"}),
    ]


def test_what_came_of_an_alert_is_an_act_of_who_closed_it_and_its_patient_is_a_tag(team: Team) -> None:
    database = team.open_database()
    record = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [record]))
    database.close()
    close(team.database, record.alert_id, by="Mme Durand", outcome=Outcome.ARTEFACT, at=START)
    disposed, told = entries(team.database, Act.ALERT_DISPOSED, Act.COMMAND_SENT)
    assert (disposed.by, disposed.ref, disposed.detail) == ("Mme Durand", record.alert_id, {"outcome": "artefact"})
    assert (told.by, told.detail["kind"]) == ("team", "disposition")
    assert PATIENT not in str(told)


# --- keys and lists -------------------------------------------------------------------------------------------


def keys_command(team: Team, name: str, *words: str) -> str:
    place = ("--folder", str(team.folder / "keys"), "--root", str(team.folder / "root.key"))
    return desk_command(team, "keys", name, *place, "--lang", "en", *words).output


def with_a_folder_of_keys(team: Team) -> None:
    path = team.write_settings()
    text = path.read_text(encoding="utf-8").replace("['opening.key']", "['keys/opening']")
    path.write_text(text.replace("'receipt.key'", "'keys'"), encoding="utf-8")


async def looked(team: Team) -> None:
    """Let an inbox look at its keys, as it does every few seconds."""
    settings = read_settings(team.folder / "desk.toml")
    database = SqlDatabase(settings.database)
    acts = InboxActs(settings, load_keys(settings), ManualClock())

    class Thread:
        async def call(self, work: Callable[[SqlDatabase], object]) -> object:
            return work(database)

    await acts.settle(Thread())  # type: ignore[arg-type]
    database.close()


async def test_keys_that_were_replaced_and_lists_that_were_signed_are_acts_of_who_did_it_and_entered_once(
    team: Team,
) -> None:
    with_a_folder_of_keys(team)
    assert "will enter it" in keys_command(team, "createteam")
    team_settings = read_settings(team.folder / "desk.toml")
    database = SqlDatabase(team_settings.database)
    database.enrol(tuple(team_settings.signers), team_settings.assignments, at=START)
    database.close()
    await looked(team)
    assert "will enter it" not in keys_command(team, "rotate")
    await looked(team)
    person = SigningKey.generate()
    keys_command(team, "add-person", "--name", "A. Martin", "--role", "nurse", "--public", person.public.hex())
    found = entries(team.database, Act.TEAM_LIST_SIGNED, Act.KEYS_ROTATED)
    assert [(entry.act, entry.ref, entry.detail.get("change")) for entry in found] == [
        ("team_list_signed", "1", None),
        ("team_list_signed", "2", "rotate"),
        ("keys_rotated", read_state(team.folder / "keys").receipt_in_use.id, None),
        ("team_list_signed", "3", "add-person"),
    ]
    assert found[0].by == "team", "the inbox saw it, nobody had a database to enter it in"
    assert all(entry.by not in {"", "team"} for entry in found[1:])
    assert found[3].detail["people"] == 1


async def test_keys_that_were_replaced_without_the_database_are_entered_by_the_inbox_that_takes_them_up(
    team: Team,
) -> None:
    with_a_folder_of_keys(team)
    keys_command(team, "createteam")
    SqlDatabase(team.database).close()
    await looked(team)
    assert "will enter it" in keys_command(team, "rotate", "--config", str(team.folder / "nowhere.toml"))
    for _ in range(2):
        await looked(team)
    (rotated,) = entries(team.database, Act.KEYS_ROTATED)
    assert (rotated.by, rotated.ref) == ("team", read_state(team.folder / "keys").receipt_in_use.id)


async def test_a_receipt_key_of_a_plain_file_that_became_another_is_an_act(team: Team) -> None:
    team.open_database().close()
    await looked(team)
    assert entries(team.database, Act.KEYS_ROTATED) == [], "the first one replaces none"
    (team.folder / "receipt.key").unlink()
    other = SigningKey.generate()
    other.save(team.folder / "receipt.key")
    await looked(team)
    (rotated,) = entries(team.database, Act.KEYS_ROTATED)
    assert (rotated.ref, rotated.detail) == (other.id, {"before": team.receipt.id})


# --- a record that was cut ------------------------------------------------------------------------------------


def cut(team: Team, log: BoxLog) -> tuple[SqlDatabase, CheckpointRecord]:
    """A box whose record was set back and went on, and what it signed for after."""
    database = team.open_database()
    log.enter()
    before = log.head, log.signed
    first = log.sign()
    log.head, log.signed = before
    log.enter("thief")
    received(team, database, 0, first)
    after = log.sign()
    received(team, database, 1, after)
    return database, after


def standing(team: Team) -> list[tuple[str, str]]:
    view = View(team.database)
    try:
        return [(alert.rule, alert.id) for alert in view.alerts(standing=True)]
    finally:
        view.close()


def test_a_cut_record_is_alerted_until_a_named_person_says_why_and_that_is_an_act(team: Team, log: BoxLog) -> None:
    database, after = cut(team, log)
    ((rule, alert),) = standing(team)
    assert rule == LOG_CUT
    words = ("explain-cut", alert[:8], "--by", "Omar Diallo", "--reason", "carte restaurée le 3 par l'installateur")
    said = desk_command(team, *words).output
    assert said == (
        f"La coupure du journal des actes du boîtier {BOX} a été expliquée par Omar Diallo\u00a0: "
        "carte restaurée le 3 par l'installateur\n"
    )
    assert standing(team) == []
    (act,) = entries(team.database, Act.LOG_CUT_EXPLAINED)
    assert (act.by, act.ref) == ("Omar Diallo", alert)
    assert act.detail == {"box": BOX, "reason": "carte restaurée le 3 par l'installateur"}
    page = desk_command(team, "alert", alert[:8], "--lang", "en").output
    assert "was explained by Omar Diallo" in page
    assert "déjà expliquée" in desk_command(team, *words, code=2).output
    # What had contradicted itself and comes again is no news; what contradicts anew is another alert.
    received(team, database, 2, after)
    assert standing(team) == []
    log.signed = beginning(BOX, CHAIN)
    log.enter()
    received(team, database, 3, log.sign())
    database.close()
    ((rule, other),) = standing(team)
    assert rule == LOG_CUT
    assert other != alert


def test_only_a_cut_is_explained_and_only_by_somebody_with_a_reason(team: Team, log: BoxLog) -> None:
    database, _ = cut(team, log)
    record = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(5, [record]))
    database.close()
    refused = desk_command(team, "explain-cut", record.alert_id, "--by", "Omar", "--reason", "x", code=2).output
    assert "elle finit d'elle-même" in refused
    assert "veilleur-desk close" in refused
    ((_, broken),) = [one for one in standing(team) if one[0] == LOG_CUT]
    for by, reason in (("", "x"), ("Omar", " "), ("Omar", "x" * 201), ("Omar\x07", "x")):
        desk_command(team, "explain-cut", broken, "--by", by, "--reason", reason, code=2)
    assert entries(team.database, Act.LOG_CUT_EXPLAINED) == []


# --- together or not at all -----------------------------------------------------------------------------------


def test_nothing_is_done_of_which_the_act_cannot_be_entered(team: Team, log: BoxLog, desk: Desk) -> None:
    database, _ = cut(team, log)
    ((_, broken),) = standing(team)
    record = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(5, [record]))
    command = ordered()
    desk.code()
    code = EnrolmentCode.make(host="127.0.0.1", port=1, ca=desk.authority.ca.read_bytes())
    signers = desk.settings().signers
    enrolled = desk.folder / "desk.db"
    tables = {team.database: ("command", "alert", "alert_outcome"), enrolled: ("enrolment", "box_key")}

    def kept() -> list[list[tuple[object, ...]]]:
        return [rows(path, f"SELECT * FROM {table}") for path, names in tables.items() for table in names]

    def refuse(how: str) -> None:
        for path in tables:
            connection = sqlite3.connect(path)
            connection.execute(how)
            connection.commit()
            connection.close()

    with desk.kept() as enrolments:
        acts: tuple[Callable[[], object], ...] = (
            lambda: close(team.database, record.alert_id, by="A", outcome=Outcome.ARTEFACT, at=START),
            lambda: database.commands.queue(command, OFFICE.signed(command, NURSE), signed_by=(NURSE,), now=START),
            lambda: explain_cut(team.database, broken, by="A", reason="x", at=START),
            lambda: enrolments.open(code, box="box-0044", at=now_ms()),
            lambda: revoke_at_inbox(enrolled, NEW_BOX, listed=signers, reason="x", at=now_ms(), by="A"),
        )
        refuse("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'disk full'); END")
        before = kept()
        for act in acts:
            with pytest.raises((CoordinationError, sqlite3.Error)):
                act()
            assert kept() == before
        refuse("DROP TRIGGER full")
        for act in acts:
            act()
            assert kept() != before
            before = kept()
    database.close()
