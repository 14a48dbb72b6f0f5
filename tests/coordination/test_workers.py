"""Several workers of the inbox on one team database, over a real broker: nothing lost, nothing doubled."""

import asyncio
import signal
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent import presence as box_presence
from coordination import inbox
from coordination.database import Arrival, Presence, SignedReceipt
from coordination.place import Place
from coordination.settings import read_settings
from coordination.sql_database import SqlDatabase
from devices.clock import SystemClock
from exchange.connection import SUCCESS
from exchange.link import Link
from exchange.receipts import Credit
from exchange.sealing import Opened, verify_status
from exchange.topics import ALERTS, OBSERVATIONS, STATUS, every_box, shared, topic
from simulators.broker import Broker
from tests.coordination.kit import BOX, EPOCH, OTHER_BOX, START, Team, glucose, hypo, rows
from tests.coordination.test_over_a_broker import connected, link_settings

pytestmark = pytest.mark.broker

WORKERS = ("inbox-1", "inbox-2")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own: nothing that another test had retained."""
    with Broker(tmp_path / "broker") as started:
        yield started


def config_of(team: Team, broker: Broker) -> Path:
    """Settings that name each worker's own certificate."""
    folder = {broker.certificates.client(name).certificate.parent for name in WORKERS}.pop()
    return team.write_settings(
        broker=f"host = '{broker.host}'\nport = {broker.port}\nca = '{broker.certificates.ca}'\n"
        f"certificate = '{folder}/{{worker}}.pem'\nkey = '{folder}/{{worker}}.key'"
    )


class Ledger:
    """What one worker was given to store."""

    def __init__(self, changed: asyncio.Event) -> None:
        self.opened: list[int] = []
        self.statuses = 0
        self._loop, self._changed = asyncio.get_running_loop(), changed

    def database(self) -> Callable[[Place], SqlDatabase]:
        ledger = self

        class Noting(SqlDatabase):
            def store(self, arrivals: Sequence[Arrival], **rest: Any) -> tuple[SignedReceipt, ...]:
                done = super().store(arrivals, **rest)
                ledger.opened += [item.header.first for item in arrivals if isinstance(item, Opened)]
                ledger.statuses += sum(isinstance(item, Presence) for item in arrivals)
                ledger._loop.call_soon_threadsafe(ledger._changed.set)
                return done

        return Noting


@asynccontextmanager
async def two_workers(config: Path, changed: asyncio.Event) -> AsyncIterator[tuple[Ledger, Ledger]]:
    ledgers = Ledger(changed), Ledger(changed)
    works = [
        asyncio.create_task(
            inbox.run(read_settings(config, worker=name), SystemClock(), database=ledger.database()), name=name
        )
        for name, ledger in zip(WORKERS, ledgers, strict=True)
    ]
    try:
        yield ledgers
    finally:
        for work in works:
            work.cancel()
        await asyncio.wait(works)
    for work in works:
        if not work.cancelled():
            work.result()


async def until(condition: Callable[[], bool], changed: asyncio.Event) -> None:
    """Return once `condition` holds; looked at whenever a worker has stored something."""
    async with asyncio.timeout(30):
        while not condition():
            changed.clear()
            await changed.wait()


async def test_workers_share_readings_and_alerts_and_each_hears_every_status(team: Team, broker: Broker) -> None:
    config, changed = config_of(team, broker), asyncio.Event()
    async with connected(team, broker, BOX, 120) as box:
        await box.line.wait_connected()
        # Before any worker is there: the broker keeps it for each.
        await box.line.publish(topic(BOX, STATUS), team.signed(team.status(at=START)), retain=True)
        async with two_workers(config, changed) as (first, second):
            await until(lambda: first.statuses == second.statuses == 1, changed)
            assert rows(team.database, f"SELECT heard_at FROM box WHERE name = '{BOX}'") == [(None,)]
            assert rows(team.database, "SELECT state, at FROM box_status") == [("online", START)]
            async with asyncio.timeout(60):
                await box.until_waiting(0)
            await box.line.publish(topic(BOX, STATUS), team.signed(team.status(at=START + 1)), retain=True)
            await until(lambda: first.statuses == second.statuses == 2, changed)
            alerts = [team.seal(number, [hypo("raised", onset=START + number)]) for number in range(1000, 1010)]  # type: ignore[arg-type]
            for envelope in alerts:
                assert await box.line.publish(topic(BOX, ALERTS), envelope) == SUCCESS
            await until(lambda: rows(team.database, "SELECT count(*) FROM alert") == [(10,)], changed)
    assert first.opened, "each of the two was given some"
    assert second.opened
    # A shared subscription: one message, one worker. (What was sent again for want of a receipt came twice.)
    assert len(first.opened) + len(second.opened) < 2 * 130
    assert set(first.opened) | set(second.opened) == {*range(120), *range(1000, 1010)}
    assert rows(team.database, "SELECT count(*), count(DISTINCT seq) FROM observation") == [(120, 120)]
    assert rows(team.database, "SELECT state, at FROM box_status") == [("online", START + 1)]


@pytest.mark.process
async def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(team: Team, broker: Broker) -> None:
    config = config_of(team, broker)

    async def start(worker: str) -> Process:
        code = "from coordination.cli import main; main()"
        arguments = ("inbox", "--config", str(config), "--worker", worker)
        return await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments)

    count = 240
    processes = {worker: await start(worker) for worker in WORKERS}
    try:
        async with asyncio.timeout(120), connected(team, broker, BOX, count) as box:
            for left, victim in ((180, "inbox-2"), (120, "inbox-1"), (60, "inbox-2")):
                await box.until_waiting(left)
                sending = asyncio.create_task(box.until_waiting(left - 40))
                processes[victim].send_signal(signal.SIGKILL)
                assert await processes[victim].wait() == -signal.SIGKILL
                await sending  # the other one goes on alone
                processes[victim] = await start(victim)
            await box.until_waiting(0)
            # The other one may still be starting.
            processes["inbox-1"].send_signal(signal.SIGTERM)
            assert await processes["inbox-1"].wait() == 0
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert rows(team.database, "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM observation") == [
        (count, count, 0, count - 1)
    ]
    assert rows(team.database, "SELECT first, last FROM received_range") == [(0, count - 1)]
    assert rows(team.database, "SELECT count(*) FROM inbox_dead_letter_count") == [(0,)]


def test_a_worker_gets_its_turn_beside_one_that_writes_without_a_pause(team: Team) -> None:
    team.open_database().close()
    stop, written, failed = threading.Event(), [0], []

    def write_on() -> None:
        rival = SqlDatabase(team.database)
        try:
            while not stop.is_set():
                first = 100_000 + 50 * written[0]
                team.store(rival, team.opened(first, [glucose(number) for number in range(50)], box=OTHER_BOX))
                written[0] += 1
        except Exception as error:  # noqa: BLE001 - told to the test
            failed.append(error)
        finally:
            rival.close()

    database = SqlDatabase(team.database)
    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        while not written[0]:
            team.store(database)
        before = written[0]
        for number in range(40):
            team.store(database, team.opened(number, [glucose(number)]))
        between = written[0] - before
    finally:
        stop.set()
        thread.join()
        database.close()
    assert failed == []
    assert 20 <= between <= 80, "they took turns"
    assert rows(team.database, "SELECT count(*) FROM observation") == [(40,)]


def test_workers_take_up_who_another_one_learnt_of(team: Team) -> None:
    """The one was started before the settings named the patient, the other after."""
    old = team.open_database(team.settings((glucose(0).patient, OTHER_BOX, "2025-11-01T00:00:00Z", "diabetes_cgm")))
    team.store(old, team.opened(0, [glucose(0)]))
    new = team.open_database(team.settings())
    team.store(old, team.opened(1, [glucose(1)]))
    for database in (old, new):
        database.close()
    assert rows(team.database, "SELECT seq FROM observation ORDER BY seq") == [(0,), (1,)]
    assert rows(team.database, "SELECT count(*) FROM to_attribute") == [(0,)]


async def test_no_stale_will_masks_a_newer_birth_at_a_real_broker(team: Team, broker: Broker) -> None:
    presence = box_presence.Presence(
        box=BOX, epoch=EPOCH, version="0.1.0", signing_key=team.boxes[BOX], clock=SystemClock()
    )
    wills: list[bytes] = []

    def will() -> tuple[str, bytes]:
        name, payload = presence.will()
        wills.append(payload)
        return name, payload

    def session(payload: bytes) -> str:
        return verify_status(payload, box=BOX, signer_of=lambda _box, _key: team.boxes[BOX].public).session

    def state() -> list[tuple[object, ...]]:
        return rows(team.database, "SELECT state, session FROM box_status")

    changed = asyncio.Event()
    name = topic(BOX, STATUS)
    async with two_workers(config_of(team, broker), changed) as (first, second), AsyncExitStack() as stack:
        older = await stack.enter_async_context(Link(link_settings(broker, BOX, will=will, retry_first_s=60)))
        await older.wait_connected()
        await older.publish(name, presence.online(next_seq=0, backlog=0), retain=True)
        await until(lambda: first.statuses > 0 and second.statuses > 0, changed)
        # The box is back over another path before its first connection is known to be dead: the broker ends that
        # one, and publishes its will.
        newer = await stack.enter_async_context(Link(link_settings(broker, BOX, will=will, retry_first_s=60)))
        await newer.wait_connected()
        assert len(wills) == 2
        await newer.publish(name, presence.online(next_seq=0, backlog=0), retain=True)
        born = ("online", session(wills[1]))
        await until(lambda: state() == [born], changed)
        # The will of the first session, late, by whoever kept it.
        for _ in range(2):
            before = first.statuses, second.statuses
            await newer.publish(name, wills[0], retain=True)
            await until(lambda before=before: first.statuses > before[0] and second.statuses > before[1], changed)  # type: ignore[misc]
            assert state() == [born]
        newer._current._abandon()  # type: ignore[union-attr]  # the cable is cut: no farewell
        await until(lambda: state() == [("offline", session(wills[1]))], changed)


def test_subscriptions_are_shared_but_for_statuses() -> None:
    assert shared(OBSERVATIONS) == "$share/inbox/veilleur/v1/+/obs"
    assert every_box(STATUS) == "veilleur/v1/+/status"


async def test_receipts_tell_how_much_may_be_on_its_way(team: Team, broker: Broker) -> None:
    work = asyncio.create_task(inbox.run(read_settings(config_of(team, broker)), SystemClock()))
    try:
        async with asyncio.timeout(60), connected(team, broker, BOX, 4) as box:
            await box.until_waiting(0)
            assert {receipt.credit for receipt in box.receipts} == {Credit(envelopes=400, size=1 << 24)}
            async with connected(team, broker, OTHER_BOX, 4) as other:
                await other.until_waiting(0)
                assert {receipt.credit for receipt in other.receipts} == {Credit(envelopes=200, size=1 << 23)}
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
