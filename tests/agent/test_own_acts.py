"""What the box does by itself, and what an installer does beside it, is in its record of acts, with the act itself."""

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from agent import own_acts as room
from agent.account import account
from agent.audit_log import AuditLog
from agent.box_clock import Correction, Found, Stretch
from agent.cli import main
from agent.command_store import Finished
from agent.counts import Counts
from agent.enrol_command import joined, refused
from agent.eviction_acts import evicted, settle
from agent.key_orders import key_orders
from agent.obeying import Order
from agent.own_acts import MOST_NOTES, OwnActs, program_held
from agent.renewal import Renewal
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.store import Store
from agent.store_memos import ToldHere
from agent.store_thread import StoreThread
from devices.clock import SystemClock
from exchange.audit_chain import Act, Entry, tag
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import NoBody
from exchange.commands import Command, CommandKind, Signatory
from exchange.errors import TeamListError
from exchange.identity import OpeningKey, SigningKey
from exchange.messages import Range
from tests.agent.command_kit import body_of, protocol_text
from tests.agent.kit import BOX, PATIENT, START, Desk, arrivals, glucose, open_store, receipt
from tests.agent.test_keys_changed import box_settings, live, opened
from tests.agent.test_notifier import home, low
from tests.agent.test_renewal import THIRD_OVER
from tests.agent.test_room import DAY_MS, SMALL, Writer
from tests.agent.test_team_keeper import Box as ListBox
from tests.agent.test_team_keeper import altered, signed
from tests.coordination.enrolment_kit import Desk as Team
from tests.coordination.enrolment_kit import NewBox, join
from tests.exchange.office import NURSE, PHYSICIAN, Office

HOUR = 3_600_000
TOLD = ToldHere(alert_id="a" * 32, patient=PATIENT, telling=1, at=START)


def acts(store: Store, *wanted: Act) -> list[Entry]:
    """What was entered of some acts, oldest first."""
    found = store.audited(lambda log: [entry for entry, _ in log.entries()], now_ms=START)
    return [entry for entry in found if entry.act in {act.value for act in wanted}]


async def acts_in(thread: StoreThread, *wanted: Act) -> list[Entry]:
    return await thread.call(acts, *wanted)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "veilleur.db")
    yield made
    made.close()


class Entered(AuditLog):
    """A record that only remembers when it was told of what went."""

    def __init__(self) -> None:
        self.entered: list[tuple[int, Mapping[str, int]]] = []

    def enter(self, act: Act, *, at: int, detail: Mapping[str, int], **_: object) -> int:  # type: ignore[override]
        assert act is Act.READINGS_EVICTED
        self.entered.append((at, detail))
        return 1


# --- in the transaction of the act ----------------------------------------------------------------------------


def test_a_full_buffer_lets_readings_go_as_one_act_at_once_and_then_one_an_hour_with_how_many(
    tmp_path: Path, desk: Desk
) -> None:
    store = open_store(tmp_path / "veilleur.db", limits=SMALL)
    writer = Writer(store, desk)
    while not acts(store, Act.READINGS_EVICTED):
        writer.dense()
    for _ in range(40):
        writer.dense()
    (first,) = acts(store, Act.READINGS_EVICTED)
    assert first.by == "box"
    went = int(first.detail["unsent"])
    assert first.detail["readings"] == went > 0
    gaps = sum(gap.readings for gap in writer.all_gaps())
    assert gaps > went, "more went since, in the same hour"
    # What went since is entered once the hour is over, without waiting for more to go.
    for at in (START + HOUR - 1, START + HOUR, START + HOUR + 1):
        store.checkpoint_audit(SigningKey.generate(), desk.sealer, now_ms=at)
    _, second = acts(store, Act.READINGS_EVICTED)
    assert second.at == START + HOUR
    assert went + int(second.detail["unsent"]) == gaps
    store.close()


@given(st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(1, 600)), min_size=1, max_size=60))
def test_however_long_a_buffer_stays_full_no_hour_has_two_acts_and_nothing_that_went_is_left_out(
    losses: list[tuple[int, int]],
) -> None:
    connection, log, at = sqlite3.connect(":memory:"), Entered(), START
    connection.execute("create table meta(name text primary key, value blob)")
    for after, went in losses:
        at += after
        evicted(connection, log, readings=went, unsent=went // 2, at=at)
    settle(connection, log, at=at + HOUR)
    settle(connection, log, at=at + 2 * HOUR)
    assert all(later - before >= HOUR for (before, _), (later, _) in pairwise(log.entered))
    assert sum(detail["readings"] for _, detail in log.entered) == sum(went for _, went in losses)
    assert sum(detail["unsent"] for _, detail in log.entered) == sum(went // 2 for _, went in losses)


def test_a_clock_that_was_set_back_does_not_silence_what_went(store: Store, desk: Desk) -> None:
    for at in (START, START - DAY_MS):
        store.audited(
            lambda log, at=at: evicted(store._connection, log, readings=5, unsent=5, at=at),  # type: ignore[misc]
            now_ms=START,
        )
    assert [entry.at for entry in acts(store, Act.READINGS_EVICTED)] == [START, START - DAY_MS]


def test_what_the_team_asked_for_again_is_an_act_with_how_much_of_it_is_gone(store: Store, desk: Desk) -> None:
    store.accept(arrivals(glucose("100", 0), glucose("99", 5)), desk.sealer, now_ms=START)
    store.receipted(receipt(store, (0, 1)), now_ms=START)
    store.resend(store.epoch, [Range(0, 1), Range(7, 9)], now_ms=START + 1)
    (act,) = acts(store, Act.RECORDS_RESENT)
    assert (act.by, act.ref, act.at) == ("team", store.epoch, START + 1)
    assert act.detail == {"asked": 5, "gone": 3}


def test_a_time_that_was_put_right_is_an_act_with_by_how_much(store: Store, desk: Desk) -> None:
    before = Stretch(boot="b" * 32, wall=START - HOUR, mono=0, trusted=False)
    store.begin_stretch(before, now_ms=START - HOUR)
    store.accept(arrivals(glucose("100", 0)), desk.sealer, now_ms=START - HOUR)
    after = dataclasses.replace(before, wall=START, trusted=True)
    correction = Correction(boot="b" * 32, mono_from=0, mono_to=60_000, offset=HOUR)
    found = Found(before=before, after=after, correction=correction)
    store.keep_correction(found, desk.sealer, since=None, now_ms=START)
    (act,) = acts(store, Act.CLOCK_CORRECTED)
    assert (act.by, act.ref, act.detail) == ("box", "b" * 32, {"offset_ms": HOUR, "records": 1})


def test_a_database_that_was_set_back_begins_anew_by_an_act_of_the_same_transaction(store: Store, desk: Desk) -> None:
    epoch = store.begin_anew(desk.sealer, now_ms=START)
    (act,) = acts(store, Act.DATABASE_SET_BACK)
    assert (act.by, act.ref) == ("box", epoch)


async def test_what_is_told_in_the_home_is_an_act_each_time_and_its_alert_is_the_patients_tag(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with home(tmp_path, desk, at_once=True) as here:
        await here.keep(low())
        await here.at(0)
        with monkeypatch.context() as patched:
            patched.setattr(Store, "remember_told", full)
            assert len(await here.at(7200)) == 2, "told all the same"
        assert len(await acts_in(here.store, Act.TOLD_LOCALLY)) == 1
        assert len(await here.at(14_400)) == 3
        found = await acts_in(here.store, Act.TOLD_LOCALLY)
        names = await here.store.call(Store.audited, AuditLog.names, now_ms=START)
    assert [(entry.by, entry.detail["telling"], entry.at - START) for entry in found] == [
        ("box", 1, 0),
        ("box", 2, 7_200_000),
        ("box", 3, 14_400_000),
    ], "what the disk refused is entered with the next"
    ((patient, key),) = names.values()
    assert patient == PATIENT
    assert {entry.ref for entry in found} == {tag(key, low().alert_id)}


def test_a_protocol_that_is_refused_leaves_the_patient_under_the_one_of_before_by_an_act(
    store: Store, desk: Desk
) -> None:
    office = Office()
    order = office.command(CommandKind.PROTOCOL, body_of(protocol_text(2)), subject=PATIENT)
    scan = office.command(CommandKind.ROTATE, NoBody())
    for command in (order, scan):
        assert store.accept_command(command, office.signed(command, NURSE, PHYSICIAN), now_ms=START)
        answer = Answer(box=BOX, command=command.id, state=AnswerState.REFUSED, at=START, reason="limits")
        store.finish_command(Finished(answer=answer), now_ms=START)
    (act,) = acts(store, Act.PROTOCOL_REFUSED)
    assert (act.by, act.detail) == ("box", {"command": order.id, "reason": "limits"})
    assert act.ref.startswith("~")


# --- keys -----------------------------------------------------------------------------------------------------


async def test_a_change_of_the_boxs_key_says_who_wanted_it(tmp_path: Path, desk: Desk) -> None:
    settings = box_settings(tmp_path)
    live(settings, desk).close()
    done = CliRunner().invoke(main, ["rotate-keys", "--config", str(tmp_path / "agent.toml")])
    assert done.exit_code == 0, done.output
    store = StoreThread()
    await store.open(lambda: opened(settings))
    handlers = key_orders(store, settings, None, clock=SystemClock(), on_waiting=lambda: None)
    command = Command(
        id="0" * 32,
        box=BOX,
        kind=CommandKind.ROTATE,
        version=1,
        issued_at=START,
        expires_at=START + 1,
        subject="",
        about="",
        body=b"",
    )
    by = (Signatory(name="Omar Diallo", power="operator"),)
    assert (await handlers[CommandKind.ROTATE](Order(command=command, body=NoBody(), by=by, at=START))).went_well
    found = await acts_in(store, Act.KEYS_ROTATED)
    await store.close()
    assert [entry.by for entry in found] == [account(), "Omar Diallo"]


# --- what holds -----------------------------------------------------------------------------------------------


class Life:
    """A store, and who enters what the box does by itself."""

    def __init__(self, store: StoreThread) -> None:
        self.store = store
        self.counts = Counts()
        self.own = OwnActs(store=store, clock=SystemClock(), counts=self.counts)

    async def starts(self, settings: Settings, signed: object = None) -> None:
        """Let it begin, and do all that it has to do."""
        work = asyncio.ensure_future(self.own.run(settings, signed))  # type: ignore[arg-type]
        await self.settled()
        work.cancel()
        await asyncio.wait([work])

    async def settled(self) -> None:
        async with asyncio.timeout(20):
            await asyncio.sleep(0)
            while self.own._notes:  # noqa: ASYNC110 - what another task empties
                await asyncio.sleep(0.001)


@asynccontextmanager
async def life(path: Path) -> AsyncIterator[Life]:
    thread = StoreThread()
    await thread.open(lambda: open_store(path))
    try:
        yield Life(thread)
    finally:
        await thread.close()


async def test_a_box_says_once_that_it_was_enrolled_and_each_time_that_it_has_another_certificate(
    tmp_path: Path,
) -> None:
    team, box = Team(tmp_path / "team"), NewBox(tmp_path / "box")
    async with team.open_office(lifetime=THIRD_OVER):
        await join(team, box, team.code())
    settings = read_settings(box.config)
    key = SigningKey.load(settings.identity.signing_key)
    async with life(tmp_path / "veilleur.db") as here:
        for _ in range(2):
            await here.starts(settings)
        (enrolled,) = await acts_in(here.store, Act.ENROLLED, Act.CERTIFICATE_RENEWED)
        assert (enrolled.act, enrolled.by, enrolled.ref, enrolled.detail["key"]) == (
            "enrolled",
            "box",
            settings.box,
            key.id,
        )
        assert settings.enrolment is not None
        reconnected = asyncio.Event()

        async def reconnect() -> None:
            reconnected.set()

        renewal = Renewal(
            broker=settings.broker,
            office=settings.enrolment,
            signing_key=key,
            renewed=here.own.renewing(settings, reconnect),
            look_s=60.0,
        )
        async with team.open_office():
            work = asyncio.ensure_future(renewal.run())
            async with asyncio.timeout(20):
                await reconnected.wait()
            work.cancel()
            await asyncio.wait([work])
        # Also where a power cut came before it was entered.
        here.own._notes.clear()
        for _ in range(2):
            await here.starts(settings)
        _, renewed = await acts_in(here.store, Act.ENROLLED, Act.CERTIFICATE_RENEWED)
        assert (renewed.act, renewed.by, renewed.ref) == ("certificate_renewed", "box", renewed.detail["certificate"])
        assert renewed.ref != enrolled.detail["certificate"]


async def test_another_version_of_the_program_is_an_act_the_first_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "veilleur.db")
    for version in ("0.4.0", "0.4.0", "0.5.0", "0.4.0"):
        monkeypatch.setattr(room, "version", lambda _, version=version: version)
        store.audited(lambda log: program_held(log, START), now_ms=START)
    assert [(entry.ref, entry.detail) for entry in acts(store, Act.UPGRADED)] == [
        ("0.5.0", {"before": "0.4.0"}),
        ("0.4.0", {"before": "0.5.0"}),
    ]
    store.close()


async def test_lists_that_come_to_hold_and_lists_that_are_refused_are_acts(tmp_path: Path) -> None:
    box, key = ListBox(tmp_path), OpeningKey.generate()
    async with life(tmp_path / "veilleur.db") as here:
        box.given(signed(3, key))
        keeper = box.start()
        keeper._acts = here.own
        (tmp_path / "box").mkdir()
        settings = box_settings(tmp_path / "box")
        await here.starts(settings, keeper.signed)
        box.given(signed(4, key))
        keeper.look()
        keeper.accept(signed(5, key))
        keeper.accept(signed(5, key))
        box.given(altered(signed(6, key)))
        keeper.look()
        with pytest.raises(TeamListError):
            keeper.accept(signed(2, key))
        # A start after all that has nothing to add.
        await here.starts(settings, keeper.signed)
        found = await acts_in(here.store, Act.TEAM_LIST_ACCEPTED, Act.TEAM_LIST_REFUSED)
    assert [(entry.act, entry.by, entry.ref) for entry in found] == [
        ("team_list_accepted", "team", "3"),
        ("team_list_accepted", "team", "4"),
        ("team_list_accepted", "team", "5"),
        ("team_list_refused", "file", ""),
        ("team_list_refused", "team", ""),
    ]
    assert [entry.detail.get("reason") for entry in found[3:]] == ["signature", "rollback"]


async def test_notes_wait_for_a_disk_in_bounded_number_and_the_rest_is_counted(tmp_path: Path) -> None:
    async with life(tmp_path / "veilleur.db") as here:
        for _ in range(MOST_NOTES + 3):
            here.own.refused_list("signature", by="file")
        assert here.counts.take() == {"audit.not_entered": 3}
        await here.own.stop()
        assert len(await acts_in(here.store, Act.TEAM_LIST_REFUSED)) == 200, "a flood is bounded a day too"


# --- by whoever stands at the box -----------------------------------------------------------------------------------


async def test_whoever_enrols_a_box_that_has_a_record_is_in_it_and_so_is_a_try_that_failed(tmp_path: Path) -> None:
    team, box = Team(tmp_path / "team"), NewBox(tmp_path / "box")
    async with team.open_office():
        await join(team, box, team.code())
    settings = read_settings(box.config)
    store = open_store(tmp_path / "veilleur.db")
    for _ in range(2):
        store.audited(lambda log: joined(log, settings, START), now_ms=START)
    store.audited(lambda log: refused(log, settings, START, why="The digits are not the same."), now_ms=START)
    found = acts(store, Act.ENROLLED, Act.ENROLMENT_REFUSED, Act.CERTIFICATE_RENEWED)
    assert [(entry.act, entry.by) for entry in found] == [
        ("enrolled", account()),
        ("enrolled", account()),
        ("enrolment_refused", account()),
    ]
    assert found[2].detail == {"why": "The digits are not the same."}
    store.close()


# --- together or not at all -----------------------------------------------------------------------------------


def test_nothing_is_done_of_which_the_act_cannot_be_entered(store: Store, desk: Desk) -> None:
    store.accept(arrivals(glucose("100", 0)), desk.sealer, now_ms=START)
    store.receipted(receipt(store, (0, 0)), now_ms=START)
    stretch = Stretch(boot="b" * 32, wall=START, mono=0, trusted=False)
    store.begin_stretch(stretch, now_ms=START)
    correction = Correction(boot="b" * 32, mono_from=0, mono_to=60_000, offset=HOUR)
    found = Found(before=stretch, after=dataclasses.replace(stretch, trusted=True), correction=correction)
    tables = ("outbox", "epoch", "clock_stretch", "data_key", "memo")

    def kept() -> Sequence[object]:
        return [store._connection.execute(f"select * from {table}").fetchall() for table in tables]

    done: tuple[Callable[[], object], ...] = (
        lambda: store.resend(store.epoch, [Range(0, 0)], now_ms=START),
        lambda: store.keep_correction(found, desk.sealer, since=None, now_ms=START),
        lambda: store.remember_told("told_here", b"{}", [TOLD], now_ms=START),
        lambda: store.wrap_anew(bytes(range(1, 33)), by="x", now_ms=START),
        lambda: store.begin_anew(desk.sealer, now_ms=START),
    )
    store._connection.execute("create trigger full before insert on audit begin select raise(fail, 'full'); end")
    before = kept()
    for act in done:
        with pytest.raises(sqlite3.Error):
            act()
        assert kept() == before
    store._connection.execute("drop trigger full")
    for act in done:
        act()
        assert kept() != before
        before = kept()
