"""Each sign of life rests on a store that can write, on a commit not long ago, and on judging that moves."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent import alive, database
from agent.alive import Alive, pause_s
from agent.store import Store
from agent.store_thread import StoreThread
from agent.turns import Turns
from tests.agent.box_kit import listening_manager
from tests.agent.kit import Desk, glucose, open_store
from tests.agent.test_pipeline import running as running_judging


async def fall_silent(ears: socket.socket) -> bool:
    """Whether signs of life stop; the few that were on their way are passed over."""
    try:
        async with asyncio.timeout(2):
            for _ in range(5):
                await asyncio.get_running_loop().sock_recv(ears, 64)
    except TimeoutError:
        return True
    return False


@pytest.fixture
async def ears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[socket.socket]:
    with listening_manager(tmp_path) as heard:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        heard.setblocking(False)
        yield heard


async def test_judging_that_hangs_stops_the_signs_of_life_and_goes_on_with_them(
    tmp_path: Path, desk: Desk, ears: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.05)
    stuck = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with running_judging(tmp_path / "box.db", desk) as box:
        judge = box.judging._judge

        async def hang(*arguments: object, **more: object) -> None:
            await stuck.wait()
            await judge(*arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(box.judging, "_judge", hang)
        living = Alive(store=box.store, turns=box.judging.turns)
        task = asyncio.create_task(living.run())
        try:
            assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
            await box.give(glucose("104", 0))
            assert await fall_silent(ears)
            # Readings are kept all the while.
            await box.give(glucose("105", 5))
            stuck.set()
            assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_fault_in_judging_that_is_told_is_no_hang(
    tmp_path: Path, desk: Desk, ears: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.05)

    async def fail(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a bug")

    loop = asyncio.get_running_loop()
    async with running_judging(tmp_path / "box.db", desk) as box:
        monkeypatch.setattr(box.judging, "_judge", fail)
        await box.give(glucose("104", 0))
        task = asyncio.create_task(Alive(store=box.store, turns=box.judging.turns).run())
        try:
            async with asyncio.timeout(30):
                for _ in range(5):
                    assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def living(store: StoreThread, turns: Turns) -> AsyncIterator[None]:
    """Give signs of life meanwhile."""
    task = asyncio.create_task(Alive(store=store, turns=turns).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def proofs(path: Path) -> int:
    """How many commits proved it, seen from another connection, so that they are committed."""
    other = sqlite3.connect(path)
    (value,) = other.execute("select value from meta where name = 'proofs'").fetchone()
    other.close()
    return int(bytes(value))


async def test_each_sign_of_life_rests_on_a_commit_when_the_last_one_is_too_old(
    tmp_path: Path, ears: socket.socket, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.01)
    monkeypatch.setattr(alive, "COMMIT_S", 0.0)
    loop = asyncio.get_running_loop()
    async with running_judging(tmp_path / "box.db", desk) as box, living(box.store, box.judging.turns):
        for number in range(1, 11):
            await loop.sock_recv(ears, 64)
            assert proofs(tmp_path / "box.db") >= number


async def test_signs_of_life_in_between_wear_nothing(
    tmp_path: Path, ears: socket.socket, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.01)
    loop = asyncio.get_running_loop()
    path = tmp_path / "box.db"
    async with running_judging(path, desk) as box, living(box.store, box.judging.turns):
        await loop.sock_recv(ears, 64)
        log = path.with_name("box.db-wal").read_bytes()
        for _ in range(10):
            assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
        assert path.with_name("box.db-wal").read_bytes() == log
    assert proofs(path) == 1


async def test_once_the_disk_refused_something_only_a_commit_is_a_sign_of_life_again(
    tmp_path: Path, ears: socket.socket, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.01)
    loop = asyncio.get_running_loop()
    refusing = False
    prove = Store.prove

    def proven(store: Store) -> None:
        if refusing:
            raise sqlite3.OperationalError("disk I/O error")
        prove(store)

    def refuse(_: Store) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "prove", proven)
    async with running_judging(tmp_path / "box.db", desk) as box, living(box.store, box.judging.turns):
        assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
        refusing = True
        with pytest.raises(sqlite3.OperationalError):
            await box.store.call(refuse)
        assert await fall_silent(ears)
        refusing = False
        assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
    assert proofs(tmp_path / "box.db") == 2


async def test_a_database_that_somebody_else_holds_stops_the_signs_of_life_at_once(
    tmp_path: Path, ears: socket.socket, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.01)
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    loop = asyncio.get_running_loop()
    async with running_judging(tmp_path / "box.db", desk) as box, living(box.store, box.judging.turns):
        assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"
        other = sqlite3.connect(tmp_path / "box.db", isolation_level=None)
        other.execute("begin immediate")
        assert await fall_silent(ears)
        other.close()
        assert await loop.sock_recv(ears, 64) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("told", "pause"), [("40000000", 20.0), ("4000000", 2.0), ("", 20.0), ("0", 20.0), ("x", 20.0)]
)
def test_it_is_given_twice_as_often_as_systemd_waits(told: str, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", told)
    assert pause_s() == pause


def test_a_store_can_prove_itself_before_anything_else(tmp_path: Path) -> None:
    store = open_store(tmp_path / "box.db")
    assert store.proofs() == 0
    for _ in range(3):
        store.prove()
    assert store.proofs() == 3
    store.close()
