"""The team's record of acts, and the heads of the boxes' logs that it keeps as a witness."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from alerting.alert import Acknowledgement, ChangeKind
from coordination import inbox
from coordination.acknowledging import acknowledge
from coordination.audit_log import AuditLog
from coordination.audit_witness import LOG_CUT, Witness
from coordination.cli import main
from coordination.inbox_acts import InboxActs
from coordination.keys import load_keys
from coordination.settings import read_settings
from coordination.sql_database import SqlDatabase
from coordination.view import View
from devices.clock import SystemClock
from exchange.audit_chain import TEAM_LOG, Act, CheckpointRecord, Entry, Erasable, Head, after, beginning, checkpoint
from exchange.identity import SigningKey
from exchange.receipts import Receipt
from simulators.broker import Broker
from tests.coordination.kit import (
    BOX,
    OTHER_BOX,
    OTHER_PATIENT,
    PATIENT,
    START,
    USUAL,
    ManualClock,
    Team,
    glucose,
    hypo,
)
from tests.coordination.test_over_a_broker import _settings, broker, connected

__all__ = ["broker"]

SCRIPT = Path(__file__).parents[2] / "docs" / "security" / "verify_audit.py"
CHAIN = "5" * 32


def acts(team: Team) -> list[tuple[str, str, str]]:
    connection = sqlite3.connect(team.database)
    try:
        return [(entry.act, entry.by, entry.ref) for entry, _ in AuditLog(connection).entries()]
    finally:
        connection.close()


class BoxLog:
    """A box's log, as long as a test needs it."""

    def __init__(self, key: SigningKey, *, box: str = BOX, chain: str = CHAIN) -> None:
        self.key = key
        self.head = self.signed = beginning(box, chain)

    def enter(self, by: str = "box") -> None:
        self.head = after(self.head, Entry(n=self.head.n + 1, at=START, act="started", by=by, ref="", detail={}))

    def sign(self) -> CheckpointRecord:
        record = checkpoint(self.head, since=self.signed, at=START, key=self.key)
        self.signed = self.head
        return record


@pytest.fixture
def log(team: Team) -> BoxLog:
    return BoxLog(team.boxes[BOX])


def received(team: Team, database: SqlDatabase, first: int, *records: CheckpointRecord) -> Receipt:
    (receipt,) = team.store(database, team.opened(first, records), at=START + first)
    return team.read_receipt(receipt)


def test_who_has_seen_an_alert_who_was_given_a_box_and_the_settings_are_acts(team: Team) -> None:
    database = team.open_database(team.settings(USUAL, (OTHER_PATIENT, OTHER_BOX, USUAL[2], "diabetes_cgm")))
    record = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [record]))
    database.close()
    acknowledge(team.database, record.alert_id, Acknowledgement(by="Mme Durand", at=START))
    team.open_database(at=START + 1).close()
    found = acts(team)
    assert [act for act, *_ in found] == [
        "log_begun",
        "box_assigned",
        "box_assigned",
        "alert_acknowledged",
        "command_sent",
        "box_taken_back",
    ]
    assert found[3] == ("alert_acknowledged", "Mme Durand", record.alert_id)
    assert {ref for act, _, ref in found if act == "box_assigned"} == {BOX, OTHER_BOX}
    assert found[5][2] == OTHER_BOX


def test_a_pseudonym_stands_in_it_as_a_tag_and_erasing_its_key_empties_it(team: Team) -> None:
    database = team.open_database()
    entries = database.audited(lambda one: list(one.entries()))
    (tag,) = (entry.detail["patient"] for entry, _ in entries if entry.act == "box_assigned")
    assert PATIENT not in str(entries)
    assert database.audited(AuditLog.names)[str(tag)][0] == PATIENT
    assert database.audited(lambda one: one.forget([PATIENT])) == 1
    assert database.audited(AuditLog.names) == {}
    database.audited(lambda one: one.enter(Act.ERASED, at=START, by="operator", reference=Erasable(value=PATIENT)))
    assert database.audited(lambda one: [entry.ref for entry, _ in one.entries()][-1]) != tag
    database.close()


def test_a_receipt_says_how_far_the_team_has_seen_the_boxs_log_and_how_far_its_own_has_come(
    team: Team, log: BoxLog
) -> None:
    database = team.open_database()
    (receipt,) = team.store(database, team.opened(0, [glucose(0)]))
    (own,) = team.read_receipt(receipt).heads
    assert (own.log, own.n) == (TEAM_LOG, 2)
    log.enter()
    log.enter()
    seen, own = received(team, database, 1, log.sign()).heads
    assert seen == log.head
    assert own == database.audited(AuditLog.head)
    assert own.n == 3, "that a box's log began is an act"
    database.close()


def test_checkpoints_may_come_late_twice_and_in_any_order(team: Team, log: BoxLog) -> None:
    database = team.open_database()
    records = []
    for _ in range(4):
        log.enter()
        records.append(log.sign())
    for first, number in enumerate((3, 0, 2, 0)):
        received(team, database, first, records[number])
    assert received(team, database, 4, records[1]).heads[0] == log.head
    assert alerts(team) == []
    database.close()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_log_that_was_set_back_and_gone_on_contradicts_itself_and_is_alerted_once(
    team: Team, log: BoxLog, order: tuple[int, int]
) -> None:
    database = team.open_database()
    log.enter()
    first = log.sign()
    before = log.head, log.signed
    log.enter("installer")
    one = log.sign()
    log.head, log.signed = before
    log.enter("thief")
    log.enter("thief")
    other = log.sign()
    received(team, database, 0, first)
    for number, index in enumerate(order, 1):
        received(team, database, number, (one, other)[index])
    received(team, database, 3, (one, other)[order[1]])
    assert alerts(team) == [(LOG_CUT, BOX)]
    assert ("log_cut", "team", BOX) in acts(team)
    kept = database._connection.execute("SELECT count(*) FROM audit_witness").fetchone()
    assert kept == (3,), "what contradicts is kept as well"
    database.close()


def test_another_hash_of_the_same_act_is_a_contradiction(team: Team, log: BoxLog) -> None:
    database = team.open_database()
    log.enter()
    one = log.sign()
    log.enter()
    received(team, database, 0, one)
    wrong = Head(log=BOX, chain=CHAIN, n=1, hash="ab" * 32)
    received(team, database, 1, checkpoint(log.head, since=wrong, at=START, key=log.key))
    assert alerts(team) == [(LOG_CUT, BOX)]
    database.close()


def test_a_new_log_of_a_box_is_an_act_and_no_contradiction(team: Team, log: BoxLog) -> None:
    database = team.open_database()
    log.enter()
    received(team, database, 0, log.sign())
    renewed = BoxLog(log.key, chain="6" * 32)
    renewed.enter("installer")
    assert received(team, database, 1, renewed.sign()).heads[0] == renewed.head
    assert alerts(team) == []
    assert [ref for act, by, ref in acts(team) if (act, by) == ("log_begun", BOX)] == [CHAIN, "6" * 32]
    database.close()


def test_a_box_that_signs_for_anothers_log_is_not_believed(team: Team) -> None:
    database = team.open_database()
    foreign = BoxLog(team.boxes[BOX], box=OTHER_BOX)
    foreign.enter()
    (own,) = received(team, database, 0, foreign.sign()).heads
    assert own.log == TEAM_LOG
    assert ("log_cut", "team", BOX) in acts(team)
    assert OTHER_BOX not in Witness(database._connection).seen([OTHER_BOX])
    database.close()


def test_old_acts_and_heads_go_and_a_checkpoint_answers_for_them(team: Team, log: BoxLog) -> None:
    database = team.open_database()
    for number in range(3):
        log.enter()
        received(team, database, number, log.sign())
    database.settle_audit(team.receipt, at=START + 10, before=0)
    late = START + 400 * 86_400_000
    database.audited(lambda one: one.enter(Act.STARTED, at=late))
    database.settle_audit(team.receipt, at=late, before=late - 1)
    database.settle_audit(team.receipt, at=late, before=late - 1)
    entries = database.audited(lambda one: [(entry.n, entry.act) for entry, _ in one.entries()])
    assert [act for _, act in entries] == ["started", "log_shortened"]
    assert database.audited(AuditLog.checkpoints)[0].head.n == entries[0][0] - 1
    assert [record.head.n for record in Witness(database._connection).kept()] == [3]
    database.close()
    assert verified(team, log.key) == (0, "Nothing is wrong.")


def test_the_export_of_the_team_convicts_a_box_whose_log_was_cut(team: Team, log: BoxLog) -> None:
    database = team.open_database()
    for number in range(2):
        log.enter()
        received(team, database, number, log.sign())
    database.settle_audit(team.receipt, at=START, before=0)
    database.close()
    box = team.folder / "box.jsonl"
    head = {"kind": "log", "v": 1, "log": BOX, "chain": CHAIN, "exported_at": 0, "program": ""}
    entry = {"kind": "entry", "n": 1, "at": START, "act": "started", "by": "box", "ref": "", "detail": {}}
    first = Entry(n=1, at=START, act="started", by="box", ref="", detail={})
    entry["hash"] = after(beginning(BOX, CHAIN), first).hash
    box.write_text(f"{json.dumps(head)}\n{json.dumps(entry)}\n", encoding="utf-8")
    code, said = verified(team, log.key, box)
    assert code == 1
    assert f"{BOX}: ends at act 1, but act 2 was signed for" in said


def test_the_command_shows_acts_and_the_export_is_one(team: Team) -> None:
    team.open_database().close()
    runner = CliRunner()
    shown = runner.invoke(main, ["audit", "--database", str(team.database)])
    assert "boîtier attribué" in shown.output
    assert PATIENT in shown.output, "what a tag stands for is shown to whoever has the key"
    file = team.folder / "team.jsonl"
    done = runner.invoke(main, ["audit", "--database", str(team.database), "--export", str(file)])
    assert done.exit_code == 0, done.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert PATIENT not in file.read_text(encoding="utf-8")
    line = runner.invoke(main, ["audit", "--database", str(team.database), "--act", "log_exported", "--json"])
    assert json.loads(line.output)["reference"] == "team.jsonl"


async def test_an_inbox_that_starts_and_stops_says_so_once_and_with_which_settings(
    team: Team, clock: ManualClock
) -> None:
    team.open_database().close()
    for _ in range(2):
        settings = team.settings()
        database = SqlDatabase(settings.database)
        starting = InboxActs(settings, load_keys(settings), clock)

        class Thread:
            async def call(self, work: object) -> object:
                return work(database)  # type: ignore[operator]  # noqa: B023 - used within this turn

        await starting.begin(Thread())  # type: ignore[arg-type]
        await starting.begin(Thread())  # type: ignore[arg-type]
        await starting.end(Thread())  # type: ignore[arg-type]
        database.close()
    assert [act for act, *_ in acts(team)][2:] == ["started", "settings_changed", "stopped", "started", "stopped"]
    assert verified(team, team.boxes[BOX]) == (0, "Nothing is wrong.")


@pytest.mark.broker
async def test_over_a_real_broker_the_head_of_a_box_comes_back_in_its_receipts(
    team: Team, broker: Broker, log: BoxLog
) -> None:
    settings = read_settings(_settings(team, broker))
    work = asyncio.create_task(inbox.run(settings, SystemClock()))
    log.enter()
    async with connected(team, broker, BOX, 1) as box:
        box.envelopes[1] = team.seal(1, [log.sign()])
        box.waiting.add(1)
        async with asyncio.timeout(60):
            await box.until_waiting(0)
        assert log.head in [head for receipt in box.receipts for head in receipt.heads]
    work.cancel()
    await asyncio.wait([work])
    found = [act for act, *_ in acts(team)]
    assert found[-1] == "stopped"
    assert "started" in found
    assert verified(team, log.key) == (0, "Nothing is wrong.")


def alerts(team: Team) -> list[tuple[str, str]]:
    view = View(team.database)
    try:
        return [(alert.rule, alert.box) for alert in view.alerts()]
    finally:
        view.close()


def verified(team: Team, box: SigningKey, *others: Path) -> tuple[int, str]:
    """What the independent verifier says of the team's export, and of others."""
    file = team.folder / "team.jsonl"
    CliRunner().invoke(main, ["audit", "--database", str(team.database), "--export", str(file)])
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(SCRIPT), str(file), *map(str, others)),
            *("--key", f"{TEAM_LOG}={team.receipt.public.hex()}", "--key", f"{BOX}={box.public.hex()}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.splitlines()[-1 if done.returncode == 0 else 0]
