"""Each sign of life rests on a commit and on judging that moves."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent import alive
from agent.alive import Alive, pause_s
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


async def test_each_sign_of_life_rests_on_a_commit(
    tmp_path: Path, ears: socket.socket, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "pause_s", lambda: 0.01)
    loop = asyncio.get_running_loop()
    async with running_judging(tmp_path / "box.db", desk) as box:
        task = asyncio.create_task(Alive(store=box.store, turns=box.judging.turns).run())
        for _ in range(10):
            await loop.sock_recv(ears, 64)
        # Seen from another connection, so it is committed; one may be on its way to being told.
        other = sqlite3.connect(tmp_path / "box.db")
        (value,) = other.execute("select value from meta where name = 'proofs'").fetchone()
        other.close()
        task.cancel()
        await asyncio.wait([task])
    assert int(bytes(value)) >= 10


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
