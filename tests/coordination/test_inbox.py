"""The inbox without a broker: what is acknowledged, what is receipted, what is refused, and when."""

import asyncio
import sqlite3
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination import inbox
from coordination.database import Database, Moment, Refused, SignedReceipt
from coordination.errors import DatabaseUnusableError, SettingsError
from coordination.keys import load_keys
from coordination.place import Place
from coordination.settings import Settings
from coordination.sql_database import SqlDatabase
from coordination.view import View
from exchange import sealing
from exchange.connection import Message
from exchange.identity import SigningKey
from exchange.messages import Range
from exchange.receipts import Receipt, Received
from exchange.sealing import sign_status, verify_receipt
from exchange.topics import ALERTS, OBSERVATIONS, STATUS, topic
from tests.coordination.kit import BOX, EPOCH, HOUR, OTHER_BOX, PATIENT, START, ManualClock, Team, glucose, rows
from tests.coordination.wire import Wire

OBS = topic(BOX, OBSERVATIONS)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "FIRST_PAUSE_S", 0.001)


@asynccontextmanager
async def running(
    chosen: Settings, clock: ManualClock, wire: Wire, *, database: Callable[[Place], Database] = SqlDatabase
) -> AsyncIterator[asyncio.Task[None]]:
    work = asyncio.create_task(inbox.run(chosen, clock, link=wire.link, database=database))
    try:
        await wire.until(lambda: work.done() or bool(wire.links and len(wire.links[-1].every_topic) == 4))
        yield work
    finally:
        work.cancel()
        await asyncio.wait([work])
    if not work.cancelled():
        work.result()


def receipts(team: Team, wire: Wire, box: str = BOX) -> list[Receipt]:
    signers = {team.receipt.id: team.receipt.public}
    return [
        verify_receipt(data, box=box, signers=signers) for name, data in wire.published if name == topic(box, "receipt")
    ]


async def test_an_envelope_is_stored_acknowledged_and_receipted(team: Team, clock: ManualClock, wire: Wire) -> None:
    async with running(team.settings(), clock, wire):
        clock.now += 5_000
        number = wire.arrives(OBS, team.seal(3, [glucose(0), glucose(1)]))
        await wire.until(lambda: bool(wire.published))
        assert wire.acknowledged == [number]
        (receipt,) = receipts(team, wire)
        assert (receipt.box, receipt.epochs) == (
            BOX,
            (Received(epoch=EPOCH, ranges=(Range(first=3, last=4),), high=4),),
        )
        view = View(team.database)
        assert [(item.seq, item.stored_at) for item in view.readings()] == [(3, START + 5_000), (4, START + 5_000)]
        view.close()
        assert wire.links[-1].settings.clean_start
        assert wire.links[-1].settings.session_expiry_s == 0


async def test_a_repeat_is_acknowledged_and_receipted_and_stored_once(
    team: Team, clock: ManualClock, wire: Wire
) -> None:
    async with running(team.settings(), clock, wire):
        envelope = team.seal(0, [glucose(0)])
        for count in (1, 2, 3):
            wire.arrives(OBS, envelope)
            await wire.until(lambda count=count: len(wire.published) == count)  # type: ignore[misc]
    assert rows(team.database, "SELECT count(*) FROM observation") == [(1,)]
    assert len(receipts(team, wire)) == len(wire.acknowledged) == 3


async def test_an_empty_message_is_passed_over_and_not_counted_as_refused(
    team: Team, clock: ManualClock, wire: Wire
) -> None:
    # An installer's `veilleur doctor` asks the broker in that way whether a box may write there.
    async with running(team.settings(), clock, wire):
        empty, real = wire.arrives(OBS, b""), wire.arrives(OBS, team.seal(0, [glucose(0)]))
        await wire.until(lambda: len(wire.acknowledged) == 2)
    assert wire.acknowledged == [empty, real]
    assert len(receipts(team, wire)) == 1
    assert rows(team.database, "SELECT count(*) FROM inbox_dead_letter_count") == [(0,)]


async def test_what_arrived_meanwhile_is_one_transaction(team: Team, clock: ManualClock, wire: Wire) -> None:
    sizes: list[int] = []

    class Counting(SqlDatabase):
        def store(self, arrivals: Any, **rest: Any) -> tuple[SignedReceipt, ...]:
            sizes.append(len(arrivals))
            return super().store(arrivals, **rest)

    async with running(team.settings(), clock, wire, database=Counting):
        for number in range(inbox.WINDOW + 100):
            wire.arrives(OBS, team.seal(number, [glucose(number)]))
        await wire.until(lambda: len(wire.acknowledged) == inbox.WINDOW + 100)
    assert sum(sizes) == inbox.WINDOW + 100
    assert max(sizes) <= inbox.WINDOW
    assert len(sizes) < 20
    assert rows(team.database, "SELECT first, last FROM received_range") == [(0, inbox.WINDOW + 99)]


async def test_no_more_is_opened_than_the_next_transactions_can_take(
    team: Team, clock: ManualClock, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker may send more than it was told to; opened, a message takes many times its size."""
    monkeypatch.setattr(inbox, "WINDOW", 5)
    may_store, opened = threading.Event(), 0
    opens = inbox._Inbox._arrival

    def counting(self: Any, message: Any) -> Any:
        nonlocal opened
        opened += 1
        return opens(self, message)

    class Slow(SqlDatabase):
        def store(self, arrivals: Any, **rest: Any) -> tuple[SignedReceipt, ...]:
            may_store.wait(20)
            return super().store(arrivals, **rest)

    monkeypatch.setattr(inbox._Inbox, "_arrival", counting)
    async with running(team.settings(), clock, wire, database=Slow):
        for number in range(60):
            wire.arrives(OBS, team.seal(number, [glucose(number)]))
        await wire.until(lambda: opened >= 6)
        await asyncio.sleep(0.1)
        assert opened <= 2 * 5
        may_store.set()
        await wire.until(lambda: len(wire.acknowledged) == 60)
    assert rows(team.database, "SELECT first, last FROM received_range") == [(0, 59)]


def _bomb(team: Team, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An envelope that a box really signed, whose content unpacks to 40 MB."""
    packed = zlib.compress(bytes(40_000_000))
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "pack", lambda _records: len(packed).to_bytes(4, "big") + packed)
        return team.seal(0, [glucose(0)])


async def test_nothing_forged_foreign_or_malformed_gets_in_or_stops_the_others(
    team: Team, clock: ManualClock, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = team.settings()
    good = team.seal(0, [glucose(0)])
    stranger = Team.__new__(Team)
    stranger.opening, stranger.boxes = team.opening, {BOX: SigningKey.generate()}
    altered = bytearray(good)
    altered[-100] ^= 1
    bad = {
        "malformed": [(OBS, b"hello"), (topic(BOX, STATUS), b""), (OBS, bytes(1024))],
        "oversize": [(OBS, bytes(70_000))],
        "signer": [
            (OBS, stranger.seal(0, [glucose(0)])),
            (topic(BOX, STATUS), sign_status(team.status(), SigningKey.generate())),
        ],
        "signature": [(OBS, bytes(altered))],
        "box": [(topic(OTHER_BOX, OBSERVATIONS), good), ("veilleur/v1/B*x/obs", good), ("other", b"")],
        "content": [
            (topic(BOX, ALERTS), _bomb(team, monkeypatch)),
            # More than any database's integer holds.
            (topic(BOX, STATUS), team.signed(msgspec.structs.replace(team.status(), next_seq=2**63))),
        ],
    }
    async with running(chosen, clock, wire):
        for messages in bad.values():
            for name, payload in messages:
                wire.arrives(name, payload)
        last = wire.arrives(OBS, good)
        await wire.until(lambda: last in wire.acknowledged and bool(wire.published))
        assert len(wire.acknowledged) == last, "refused messages are acknowledged too"
    (receipt,) = receipts(team, wire)
    assert [part.ranges for part in receipt.epochs] == [(Range(first=0, last=0),)]
    assert len(wire.published) == 1
    counted = rows(team.database, "SELECT reason, count FROM inbox_dead_letter_count ORDER BY reason")
    assert counted == sorted((reason, len(messages)) for reason, messages in bad.items())
    assert rows(team.database, "SELECT count(*) FROM inbox_dead_letter WHERE box IS NULL") == [(2,)]
    assert rows(team.database, "SELECT count(*) FROM observation") == [(1,)]


def test_no_bytes_make_the_inbox_stumble(team: Team) -> None:
    chosen = team.settings()
    SqlDatabase(chosen.database).close()
    receiver = inbox._Inbox(chosen, load_keys(chosen), ManualClock())
    good = {OBS: team.seal(0, [glucose(0)]), topic(BOX, STATUS): team.signed(team.status())}

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*good, topic(OTHER_BOX, ALERTS), "veilleur/v1", ""]))
        payload = bytearray(data.draw(st.sampled_from([*good.values(), b"", bytes(4096)])))
        if payload:
            payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
        payload += data.draw(st.binary(max_size=20))
        message = Message(topic=name, payload=bytes(payload), retained=False, connection=cast("Any", None), mid=1)
        assert isinstance(receiver._arrival(message), Refused)

    check()


class _FailingToCommit(sqlite3.Connection):
    """SQLite whose disk fails at COMMIT while `failures` lasts."""

    failures = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and _FailingToCommit.failures:
            _FailingToCommit.failures -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return super().execute(sql, *arguments)


async def test_without_a_commit_there_is_no_acknowledgement_and_no_receipt(
    team: Team, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(wait=60)  # nothing but the message makes the inbox write
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=_FailingToCommit))
    async with running(team.settings(), clock, wire):
        _FailingToCommit.failures = 3
        envelope = team.seal(0, [glucose(0)])
        wire.arrives(OBS, envelope)
        await wire.until(lambda: not wire.links[0].open)  # so that boxes are told that nobody is there
        await wire.until(lambda: len(wire.links) > 1 and len(wire.links[-1].every_topic) == 4)
        assert _FailingToCommit.failures == 0
        assert wire.acknowledged == []
        assert wire.published == []
        again = wire.arrives(OBS, envelope)
        await wire.until(lambda: bool(wire.published))
        assert wire.acknowledged == [again]
    assert len(receipts(team, wire)) == 1
    assert rows(team.database, "SELECT count(*) FROM observation") == [(1,)]
    assert rows(team.database, "SELECT first, last FROM received_range") == [(0, 0)]


async def test_a_silent_box_is_told_at_the_deadline_and_its_return_at_once(
    team: Team, clock: ManualClock, wire: Wire
) -> None:
    looks: list[int] = []

    class Looked(SqlDatabase):
        def watch(self, judge: Any, *, moment: Moment) -> None:
            super().watch(judge, moment=moment)
            looks.append(moment.at)

    async with running(team.settings(), clock, wire, database=Looked):
        await wire.until(lambda: len(looks) > 2)
        for _ in range(3):
            assert _raised_and_resolved(team) == []
            clock.now += 2 * HOUR
            await wire.until(lambda: looks[-1] == clock.now)
        assert _raised_and_resolved(team) == [(START + 6 * HOUR, None)]
        clock.now += HOUR
        wire.arrives(topic(BOX, STATUS), team.signed(team.status(at=START)), retained=True)
        await wire.until(lambda: len(wire.acknowledged) == 1)
        assert _raised_and_resolved(team) == [(START + 6 * HOUR, None)], (
            "what the broker had kept says nothing about now"
        )
        wire.arrives(topic(BOX, STATUS), team.signed(team.status(at=START + 1)))
        await wire.until(lambda: _raised_and_resolved(team) == [(START + 6 * HOUR, START + 7 * HOUR)])


def _raised_and_resolved(team: Team) -> list[tuple[int, int | None]]:
    view = View(team.database)
    found = [(alert.raised_at, alert.resolved_at) for alert in view.alerts(patient=PATIENT)]
    view.close()
    return found


async def test_a_return_is_seen_without_waiting_for_the_next_look(team: Team, wire: Wire) -> None:
    clock = ManualClock(wait=60)  # the inbox looks only when something arrives
    async with running(team.settings(), clock, wire):
        for number, hours in enumerate((0, 3, 3)):
            clock.now += hours * HOUR
            wire.arrives(topic(OTHER_BOX, OBSERVATIONS), team.seal(number, [glucose(number)], box=OTHER_BOX))
            await wire.until(lambda number=number: len(wire.published) > number)  # type: ignore[misc]
        await wire.until(lambda: _raised_and_resolved(team) == [(START + 6 * HOUR, None)])
        clock.now += HOUR
        wire.arrives(OBS, team.seal(0, [glucose(0)]))
        await wire.until(lambda: _raised_and_resolved(team) == [(START + 6 * HOUR, START + 7 * HOUR)])


async def test_nobody_is_silent_whose_message_is_already_here(team: Team, wire: Wire) -> None:
    clock = ManualClock(wait=60)
    async with running(team.settings(), clock, wire):
        for hours in (0, 3):
            clock.now += hours * HOUR
            number = wire.arrives(topic(OTHER_BOX, OBSERVATIONS), team.seal(hours, [glucose(0)], box=OTHER_BOX))
            await wire.until(lambda number=number: number in wire.acknowledged)  # type: ignore[misc]
        clock.now += 3 * HOUR
        repeat = team.seal(0, [glucose(0)], box=OTHER_BOX)
        for _ in range(inbox.WINDOW):
            wire.arrives(topic(OTHER_BOX, OBSERVATIONS), repeat)
        last = wire.arrives(OBS, team.seal(0, [glucose(0)]))
        await wire.until(lambda: last in wire.acknowledged)
    assert _raised_and_resolved(team) == []


async def test_a_database_from_a_newer_version_ends_the_inbox(team: Team, clock: ManualClock, wire: Wire) -> None:
    chosen = team.settings()
    SqlDatabase(chosen.database).close()
    connection = sqlite3.connect(chosen.database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DatabaseUnusableError, match="newer version"):
        await inbox.run(chosen, clock, link=wire.link)
    assert wire.links == []


async def test_a_database_damaged_on_the_way_ends_the_inbox(team: Team, clock: ManualClock, wire: Wire) -> None:
    class Damaged(SqlDatabase):
        def store(
            self,
            arrivals: Any,
            *,
            moment: Moment,
            receipt_at: int,
            sign: Callable[[Receipt], bytes],
            credit: Any = None,
        ) -> tuple[SignedReceipt, ...]:
            self._connection.execute("DROP TABLE received_range")
            return super().store(arrivals, moment=moment, receipt_at=receipt_at, sign=sign, credit=credit)

    work = asyncio.create_task(inbox.run(team.settings(), clock, link=wire.link, database=Damaged))
    await wire.until(lambda: bool(wire.links and len(wire.links[-1].every_topic) == 4))
    wire.arrives(OBS, team.seal(0, [glucose(0)]))
    with pytest.raises(DatabaseUnusableError, match="received_range"):
        await asyncio.wait_for(work, timeout=20)
    assert wire.acknowledged == []
    assert wire.published == []


async def test_a_key_that_is_missing_ends_the_inbox_before_it_begins(
    team: Team, clock: ManualClock, wire: Wire
) -> None:
    chosen = team.settings()
    (team.folder / "receipt.key").unlink()
    with pytest.raises(SettingsError, match=r"inbox\.receipt_key"):
        await inbox.run(chosen, clock, link=wire.link)
    assert not Path(chosen.database).exists()  # noqa: ASYNC240 - nothing else runs


async def test_stopping_leaves_a_closed_database(team: Team, clock: ManualClock, wire: Wire) -> None:
    async with running(team.settings(), clock, wire):
        wire.arrives(OBS, team.seal(0, [glucose(0)]))
        await wire.until(lambda: bool(wire.published))
        assert (team.folder / "desk.db-wal").exists()
    assert not (team.folder / "desk.db-wal").exists()
    assert not wire.links[-1].open
