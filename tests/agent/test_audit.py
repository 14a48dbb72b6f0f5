"""The box's record of acts: what is entered, that it outlasts a kill, what it hides, and who signs for it."""

import asyncio
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent import audit as audit_module
from agent.account import account
from agent.audit import Audit
from agent.audit_beside import enter_beside
from agent.audit_command import export, show
from agent.audit_log import MOST_REFUSALS, AuditLog
from agent.command_store import AppliedProtocol, Finished
from agent.counts import Counts
from agent.sealed_tables import SEALED
from agent.settings_file import read_settings
from agent.store import Judgement, ReadingState, Store
from agent.store_thread import StoreThread
from devices.clock import SystemClock
from exchange.audit_chain import TEAM_LOG, Act, CheckpointRecord, Entry, Erasable, Head, tag
from exchange.audit_show import Wanted, as_json, table
from exchange.audit_words import ACT_WORDS
from exchange.certificates import Certificate
from exchange.command_answers import Answer, AnswerState
from exchange.commands import Command, CommandKind, CommandSignature, SignedCommand, encode
from exchange.identity import SigningKey
from exchange.messages import Range
from exchange.receipts import Receipt, Received
from exchange.sealing import sign_receipt, verify_receipt
from simulators.broker import Certificates
from simulators.processes import command
from tests.agent.box_kit import running
from tests.agent.kit import BOX, PATIENT, START, Desk, arrivals, glucose, open_store, receipt
from tests.agent.test_keys_changed import box_settings, live
from tests.agent.test_run import config

__all__ = ["config"]

DEVICE = "C4:B0:00:00:00:01"
SCRIPT = Path(__file__).parents[2] / "docs" / "security" / "verify_audit.py"


class Clock:
    """Time by hand."""

    now = START

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return max(0, at_ms - self.now) / 1000


class Box:
    """An `Audit` on a database on the disk."""

    def __init__(self, path: Path, desk: Desk) -> None:
        self.path = path
        self.key = SigningKey.generate()
        self.team = SigningKey.generate()
        self.clock = Clock()
        self.counts = Counts()
        self.thread = StoreThread()
        self.kicked = 0
        self.audit = Audit(
            store=self.thread,
            sealer=desk.sealer,
            key=self.key,
            clock=self.clock,
            counts=self.counts,
            keep_days=365,
            on_kept=self._kick,
        )

    def _kick(self) -> None:
        self.kicked += 1

    async def open(self) -> None:
        await self.thread.open(lambda: open_store(self.path))

    async def entries(self) -> list[tuple[str, str, str, dict[str, str | int]]]:
        def read(log: AuditLog) -> list[tuple[str, str, str, dict[str, str | int]]]:
            return [(entry.act, entry.by, entry.ref, entry.detail) for entry, _ in log.entries()]

        return await self.thread.call(Store.audited, read, now_ms=START)

    async def head(self) -> Head:
        return await self.thread.call(Store.audited, AuditLog.head, now_ms=START)

    async def receives(self, *heads: Head) -> tuple[Head, ...]:
        """Hear a receipt as the forwarder does: after its signature was verified."""
        receipt = Receipt(
            box=BOX, epochs=(Received(epoch="0" * 32, ranges=(Range(0, 0),), high=0),), at=START, heads=heads
        )
        data = sign_receipt(receipt, self.team)
        verified = verify_receipt(data, box=BOX, signers={self.team.id: self.team.public})
        return await self.audit.heard(verified, data)


@pytest.fixture
async def box(tmp_path: Path, desk: Desk) -> AsyncIterator[Box]:
    made = Box(tmp_path / "veilleur.db", desk)
    await made.open()
    yield made
    await made.thread.close()


async def test_an_act_says_who_when_what_and_on_what(box: Box) -> None:
    number = await box.audit.enter(
        Act.COMMAND_ACCEPTED, by="nurse-3f", reference="c0ffee", detail={"kind": "protocol", "version": 4, "late": True}
    )
    assert number == 2
    await box.audit.enter(Act.STARTED)
    (begun, *entries) = await box.entries()
    assert begun[0] == "log_begun"
    assert entries == [
        ("command_accepted", "nurse-3f", "c0ffee", {"kind": "protocol", "version": 4, "late": "yes"}),
        ("started", "box", "", {}),
    ]


async def test_what_an_act_is_about_is_never_too_long_or_too_odd_to_be_entered(box: Box) -> None:
    odd = "~\x1b[2J\ud800\n" + "x" * 5000
    await box.audit.enter(Act.COMMAND_REFUSED, by=odd, reference=odd, detail={"why": odd, "size": 2**70})
    (_, (_, by, reference, detail)) = await box.entries()
    assert by == reference == detail["why"]
    assert by.isprintable()
    assert by.startswith("?")
    assert len(by) == 200
    assert detail["size"] == str(2**70)


async def test_what_may_be_erased_is_a_tag_that_nobody_can_guess_and_that_erasing_its_key_empties(
    box: Box, tmp_path: Path, desk: Desk
) -> None:
    patient, device = Erasable(value=PATIENT), Erasable(value=DEVICE, of=PATIENT)
    await box.audit.enter(Act.DEVICE_PAIRED, by="installer", reference=patient, detail={"device": device})
    other = Box(tmp_path / "other.db", desk)
    await other.open()
    await other.audit.enter(Act.DEVICE_PAIRED, by="installer", reference=patient, detail={"device": device})
    (_, (_, _, reference, detail)) = await box.entries()
    (_, (_, _, elsewhere, _)) = await other.entries()
    assert reference != elsewhere
    assert PATIENT not in reference
    assert DEVICE not in str(detail)

    def names(log: AuditLog) -> dict[str, tuple[str, bytes]]:
        return log.names()

    known = await box.thread.call(Store.audited, names, now_ms=START)
    assert known[reference][0] == PATIENT
    assert tag(known[reference][1], DEVICE) == detail["device"]
    assert await box.thread.call(Store.audited, lambda log: log.forget([PATIENT, "nobody"]), now_ms=START) == 1
    assert await box.thread.call(Store.audited, names, now_ms=START) == {}
    # From now on the same patient has another tag: the erased one cannot be made again.
    await box.audit.enter(Act.ERASED, reference=patient)
    assert (await box.entries())[-1][2] != reference
    await other.thread.close()


async def test_no_name_lies_in_clear_in_the_files_of_the_database(box: Box) -> None:
    await box.audit.enter(Act.DEVICE_PAIRED, by="Mme Durand", reference=Erasable(value=PATIENT))
    await box.thread.close()
    for path in box.path.parent.glob("veilleur.db*"):
        data = path.read_bytes()
        assert PATIENT.encode() not in data
        assert b"Durand" not in data


async def test_an_act_and_its_entry_are_kept_together_or_not_at_all(box: Box) -> None:
    def fails(log: AuditLog) -> None:
        log.enter(Act.ERASED, at=START, by="operator")
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(sqlite3.OperationalError):
        await box.thread.call(Store.audited, fails, now_ms=START)
    assert [act for act, *_ in await box.entries()] == ["log_begun"]
    assert await box.audit.enter(Act.STARTED) == 2


async def test_refusals_that_somebody_outside_can_cause_do_not_flood_the_log(box: Box) -> None:
    for _ in range(MOST_REFUSALS + 3):
        await box.audit.enter(Act.COMMAND_REFUSED)
    await box.audit.enter(Act.COMMAND_ACCEPTED)
    assert len(await box.entries()) == 1 + MOST_REFUSALS + 1
    assert (await box.thread.call(Store.counters))["audit.not_entered.command_refused"] == 3
    box.clock.now += 86_400_000
    assert await box.audit.enter(Act.COMMAND_REFUSED) is not None


async def test_a_head_is_signed_for_once_and_travels_to_the_team(box: Box, desk: Desk) -> None:
    await box.audit.enter(Act.STARTED)
    await box.audit._sign()
    await box.audit._sign()
    assert box.kicked == 1
    (entry,) = await box.thread.call(Store.waiting, limit=10)
    (record,) = desk.records(entry.body)
    assert isinstance(record, CheckpointRecord)
    assert (record.head, record.since) == (await box.head(), 0)
    assert record.signed_by(box.key.public)
    assert not record.signed_by(box.team.public)


async def test_what_the_team_has_seen_agrees_and_is_kept_with_its_proof(box: Box) -> None:
    await box.audit.enter(Act.STARTED)
    team = Head(log=TEAM_LOG, chain="2" * 32, n=7, hash="ab" * 32)
    assert await box.receives(await box.head(), team) == ()
    (kept,) = await box.thread.call(Store.audited, lambda log: log.witnessed(TEAM_LOG), now_ms=START)
    assert kept.head == team
    assert verify_receipt(kept.proof, box=BOX, signers={box.team.id: box.team.public}).heads[1] == team
    other = Head(log=TEAM_LOG, chain="2" * 32, n=7, hash="cd" * 32)
    assert await box.receives(other) == (other,)
    assert (await box.entries())[-1] == (
        "log_cut",
        "team",
        "7",
        {"log": TEAM_LOG, "chain": "2" * 32, "hash": "cd" * 32},
    )


async def test_a_box_whose_log_was_cut_hears_it_from_the_team_says_so_once_and_goes_on_after_the_hole(box: Box) -> None:
    for _ in range(3):
        await box.audit.enter(Act.STARTED)
    seen = await box.head()
    await box.thread.close()
    connection = sqlite3.connect(box.path)
    connection.execute("delete from audit where n > 2")
    connection.commit()
    connection.close()
    box.thread = StoreThread()
    box.audit._store = box.thread
    await box.open()
    assert await box.receives(seen) == (seen,)
    assert await box.receives(seen) == ()
    assert [act for act, *_ in await box.entries()] == ["log_begun", "started", "log_cut"]
    assert (await box.head()).n == seen.n + 1
    assert box.counts.take()["audit.cut"] == 1


async def test_a_database_from_before_begins_its_log_when_it_is_opened(tmp_path: Path, desk: Desk) -> None:
    shutil.copy(Path(__file__).parent / "databases" / "step_0002.db", tmp_path / "veilleur.db")
    old = Box(tmp_path / "veilleur.db", desk)
    await old.open()
    assert [act for act, *_ in await old.entries()] == ["log_begun"]
    await old.thread.close()


async def test_it_signs_within_a_while_of_an_act_and_deletes_what_is_too_old(
    box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: Path
) -> None:
    monkeypatch.setattr(audit_module, "SIGN_AFTER_S", 0.0)
    monkeypatch.setattr(audit_module, "SIGNINGS", 2)
    settings = read_settings(config)
    work = asyncio.create_task(box.audit.run(settings))

    async def until(act: str, count: int) -> None:
        async with asyncio.timeout(20):
            while sum(one == act for one, *_ in await box.entries()) < count or not box.kicked:
                continue

    await until("protocol_applied", 2)
    box.clock.now += 366 * 86_400_000
    await until("log_shortened", 1)
    work.cancel()
    await asyncio.wait([work])
    await box.audit.stop()
    assert [act for act, *_ in await box.entries()][-2:] == ["log_shortened", "stopped"]


async def test_a_reading_that_is_quarantined_is_an_act_of_the_same_transaction(box: Box, desk: Desk) -> None:
    kept = await box.thread.call(Store.accept, arrivals(glucose("100", 0)), desk.sealer, now_ms=START)
    ((reading,),) = kept.values()
    judgement = Judgement(
        patient=PATIENT, cursor=reading.row, snapshot=b"", marked=((reading.row, ReadingState.QUARANTINED),)
    )
    await box.thread.call(Store.keep_judgement, judgement, desk.sealer, now_ms=START)
    (act, by, reference, detail) = (await box.entries())[-1]
    assert (act, by, detail) == ("reading_quarantined", "box", {"row": reading.row})
    assert reference.startswith("~")


async def test_a_patient_who_is_erased_leaves_the_act_and_a_tag_that_says_nothing(box: Box, desk: Desk) -> None:
    await box.thread.call(Store.accept, arrivals(glucose("100", 0)), desk.sealer, now_ms=START)
    await box.audit.enter(Act.DEVICE_PAIRED, by="installer", reference=Erasable(value=DEVICE))
    await box.audit.enter(Act.PROTOCOL_APPLIED, reference=Erasable(value=PATIENT))
    before = await box.entries()
    names = await box.thread.call(Store.audited, AuditLog.names, now_ms=START)
    assert {value for value, _ in names.values()} == {DEVICE, PATIENT}
    await box.thread.call(Store.erase_patient, PATIENT, bytes(range(1, 33)), in_use=(), now_ms=START)
    after = await box.entries()
    assert after[:-1] == before, "what was entered stays as it was, under the new key"
    (act, _, reference, detail) = after[-1]
    assert (act, reference, detail) == ("erased", before[-1][2], {"readings": 1, "alerts": 0})
    assert await box.thread.call(Store.audited, AuditLog.names, now_ms=START) == {}
    await box.audit._sign()
    assert await box.receives(await box.head()) == ()


async def test_what_the_team_orders_and_what_came_of_it_are_acts(box: Box) -> None:
    about = {"patient": PATIENT, "protocol_hash": "ab" * 32}
    command = Command(
        id="c0" * 16,
        box=BOX,
        kind=CommandKind.PROTOCOL,
        version=3,
        issued_at=START,
        expires_at=START + 1000,
        subject=PATIENT,
        about="",
        body=b"",
    )
    signatures = tuple(CommandSignature(key=key * 16, signature=bytes(64)) for key in "ab")
    signed = SignedCommand(command=encode(command), signatures=signatures)
    assert await box.thread.call(Store.accept_command, command, signed, now_ms=START)
    answer = Answer(box=BOX, command=command.id, state=AnswerState.APPLIED, at=START)
    applied = AppliedProtocol(**about, text="", version=3, command=command.id, by=("Dr B", "Mme A"), at=START)
    await box.thread.call(Store.finish_command, Finished(answer=answer, protocol=applied), now_ms=START)
    await box.thread.call(Store.note_refused_command, command, "rollback", now_ms=START)
    entries = (await box.entries())[1:]
    assert [(act, by) for act, by, *_ in entries] == [
        ("command_accepted", f"{'a' * 16}, {'b' * 16}"),
        ("command_done", "box"),
        ("protocol_applied", "Dr B, Mme A"),
        ("command_refused", "team"),
        ("protocol_refused", "box"),
    ]
    assert {ref for _, _, ref, _ in entries} >= {command.id}
    assert entries[0][3]["kind"] == "protocol"
    assert entries[3][3]["reason"] == entries[4][3]["reason"] == "rollback"
    assert entries[4][2] == entries[2][2], "the patient, as a tag"
    assert PATIENT not in str(entries)


def test_every_act_has_its_words_in_both_languages() -> None:
    assert set(ACT_WORDS) == {act.value for act in Act}
    assert all(words.fr and words.en for words in ACT_WORDS.values())


def audited(config: Path, *arguments: str) -> list[dict[str, Any]]:
    line = [command("veilleur"), "audit", "--config", str(config), "--json", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(entry) for entry in done.stdout.splitlines()]


@pytest.mark.process
def test_a_box_that_is_started_killed_and_stopped_says_so_and_an_auditor_can_verify_it(
    config: Path, tmp_path: Path
) -> None:
    with running(config) as (box, _):
        entered(config, "protocol_applied", 2)
        box.kill()
        box.wait(timeout=10)
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("heartbeat = 60.0", "heartbeat = 61.0"), encoding="utf-8")
    settings = read_settings(config)
    device = Erasable(value=DEVICE)
    assert enter_beside(settings, SystemClock(), Act.DEVICE_PAIRED, reference=device, detail={"state": "proved"})
    other = Certificates(tmp_path / "others").client(BOX)
    (config.parent / "keys" / f"{BOX}.pem").write_bytes(other.certificate.read_bytes())
    with running(config) as (box, _):
        entered(config, "settings_changed", 2)
        entered(config, "certificate_renewed", 1)
        box.send_signal(signal.SIGTERM)
        box.communicate(timeout=30)
    found = audited(config)
    (renewed,) = [one for one in found if one["act"] == "certificate_renewed"]
    assert renewed["reference"] == Certificate.load(other.certificate).serial
    # By a part of its own, beside the start.
    found.remove(renewed)
    acts = [(one["act"], one["reference"], one["detail"].get("stopped_in_order")) for one in found]
    assert acts == [
        ("log_begun", found[0]["reference"], None),
        ("started", "", "yes"),
        ("settings_changed", "agent.toml", None),
        ("protocol_applied", "patient-7f3a", None),
        ("protocol_applied", "patient-21c8", None),
        ("device_paired", DEVICE, None),
        ("started", "", "no"),
        ("settings_changed", "agent.toml", None),
        ("stopped", "", None),
    ]
    assert all(one["at"].endswith("Z") and one["by"] for one in found)
    in_french = subprocess.run(
        [command("veilleur"), "audit", "--config", str(config), "--lang", "fr"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.search(r"protocole appliqué +box +patient-7f3a", in_french.stdout)
    file = tmp_path / "box.jsonl"
    assert export(settings, file, SystemClock(), names=False) == 11
    exported = file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    assert DEVICE not in exported
    assert "patient-" not in exported
    key = SigningKey.load(config.parent / "keys" / "signing.key").public.hex()
    verdict = [sys.executable, "-I", str(SCRIPT), str(file), "--key", f"box-0001={key}"]
    fine = subprocess.run(verdict, capture_output=True, text=True, timeout=60, check=False)
    # The export itself is an act that the box, which is off, has not signed for.
    assert fine.stdout.splitlines() == ["box-0001: 11 acts, 1 of them signed for by nobody yet.", "Nothing is wrong."]
    line = [command("veilleur"), "audit", "--config", str(config), "--export", str(file), "--names"]
    subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert DEVICE in file.read_text(encoding="utf-8")


def entered(config: Path, act: str, count: int) -> None:
    """Return once the box has entered so many of an act: being ready does not wait for the record of acts."""
    settings, wanted = read_settings(config), Wanted(act=act)
    for _ in range(1000):
        if len(show(settings, wanted, lang="en", json_lines=True).splitlines()) >= count:
            return
    raise AssertionError(f"{act} was not entered")


def test_a_command_beside_a_running_box_leaves_it_its_epoch_and_alters_nothing(tmp_path: Path, desk: Desk) -> None:
    settings = box_settings(tmp_path)
    store = live(settings, desk)
    first, device = store.backlog()[0], Erasable(value=DEVICE)
    assert enter_beside(settings, SystemClock(), Act.DEVICE_PAIRED, reference=device, detail={"state": "proved"})
    store.accept(arrivals(glucose("100", 9000), glucose("99", 9005)), desk.sealer, now_ms=START)
    outcome = store.receipted(receipt(store, (first, first + 1)), now_ms=START)
    assert (outcome.known, outcome.ahead) == (True, False), "or the box takes itself for one that was set back"
    assert outcome.freed
    for sealed in SEALED:
        after: object = None
        while (after := store.sweep(sealed, after)) is not None:
            pass
    assert store.take_altered() == {}, "what the command sealed is no altered row"
    store.audited(lambda log: log.enter(Act.DEVICE_FORGOTTEN, at=START, by="x", reference=device), now_ms=START)
    *_, paired, forgotten = store.audited(lambda log: [entry for entry, _ in log.entries()], now_ms=START)
    assert (paired.act, paired.ref) == ("device_paired", forgotten.ref), "one device has one tag"
    store.close()


def test_an_export_is_an_act_of_who_made_it(tmp_path: Path, desk: Desk) -> None:
    settings = box_settings(tmp_path)
    live(settings, desk).close()
    export(settings, tmp_path / "box.jsonl", SystemClock(), names=True)
    last = json.loads(show(settings, Wanted(act="log_exported"), lang="en", json_lines=True))
    assert (last["by"], last["reference"], last["detail"]) == (account(), "box.jsonl", {"with_names": "yes"})


def test_a_box_that_never_started_has_no_record_to_enter_in(config: Path) -> None:
    settings = read_settings(config)
    entered = enter_beside(settings, SystemClock(), Act.DEVICE_PAIRED, reference=Erasable(value=DEVICE), detail={})
    assert not entered
    assert not settings.database.exists()


def test_acts_are_chosen_and_shown_in_the_readers_language() -> None:
    entries = [
        Entry(n=number, at=START + number, act=act, by=by, ref=reference, detail=dict[str, str | int](detail))
        for number, (act, by, reference, detail) in enumerate(
            [
                ("started", "box", "", {}),
                ("device_paired", "installer", "~" + "ab" * 16, {"state": "proved"}),
                ("an_act_of_a_newer_version", "box", "c0ffee", {"hash": "cd" * 32}),
            ],
            1,
        )
    ]
    hashed = [(entry, "") for entry in entries]
    assert Wanted(by="installer").of(hashed) == [entries[1]]
    assert Wanted(act="started", since=START + 2).of(hashed) == []
    assert Wanted(limit=2).of(hashed) == entries[1:]
    names = {"~" + "ab" * 16: DEVICE}
    french = table(entries, names, "fr")
    assert "appareil appairé" in french
    assert f"{DEVICE} · state : proved" in french
    assert "an_act_of_a_newer_version" in french
    assert "cd" * 32 not in french
    assert json.loads(as_json(entries[1], names))["reference"] == DEVICE
    assert table([], {}, "fr") == "Aucun acte ici."
