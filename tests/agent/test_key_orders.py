"""The team's orders about what the box keeps: obeyed while it runs, refused in words, harmless when repeated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.key_orders import key_orders
from agent.key_places import kek_from_file
from agent.obeying import Done, Order
from agent.sealed_tables import SEALED
from agent.settings import Settings
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import SystemClock
from exchange.command_bodies import Body, EraseBody, NoBody, ResendBody
from exchange.commands import Command, CommandKind
from exchange.messages import Range
from tests.agent.kit import BOX, PATIENT, START, Desk, arrivals, glucose, open_store, receipt
from tests.agent.test_keys_changed import GONE, box_settings, live, opened, raw


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return box_settings(tmp_path)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[StoreThread]:
    store = StoreThread()
    await store.open(lambda: opened(settings))
    try:
        yield store
    finally:
        await store.close()


async def obey(store: StoreThread, settings: Settings, kind: CommandKind, body: Body, subject: str = "") -> Done:
    handlers = key_orders(store, settings, None, clock=SystemClock(), on_waiting=lambda: None)
    command = Command(
        id="0" * 32,
        box=BOX,
        kind=kind,
        version=1,
        issued_at=START,
        expires_at=START + 1,
        subject=subject,
        about="",
        body=b"",
    )
    return await handlers[kind](Order(command=command, body=body, by=(), at=START))


async def test_a_key_is_changed_by_order_while_the_box_runs(settings: Settings, desk: Desk) -> None:
    live(settings, desk).close()
    assert settings.vault.key_file is not None
    before = kek_from_file(settings.vault.key_file)
    async with running(settings) as store:
        for _ in range(2):
            assert (await obey(store, settings, CommandKind.ROTATE, NoBody())).went_well
        await store.call(Store.accept, arrivals(glucose("90", 9000)), desk.sealer, now_ms=START)
    assert kek_from_file(settings.vault.key_file) != before
    opened(settings).close()


async def test_a_patient_is_erased_by_order_while_the_box_runs(settings: Settings, desk: Desk) -> None:
    live(settings, desk).close()
    async with running(settings) as store:
        assert (await obey(store, settings, CommandKind.ERASE, EraseBody(), GONE)).went_well
        again = await obey(store, settings, CommandKind.ERASE, EraseBody(), GONE)
        assert (again.went_well, again.reason) == (False, "cannot")
        followed = await obey(store, settings, CommandKind.ERASE, EraseBody(), PATIENT)
        assert "still in the settings" in followed.said[0].en
        everything = await obey(store, settings, CommandKind.ERASE, EraseBody(everything=True))
        assert "veilleur erase --everything" in everything.said[1].en
        await store.call(Store.accept, arrivals(glucose("90", 9000)), desk.sealer, now_ms=START)
    assert GONE.encode() not in raw(settings.state)
    again_opened = opened(settings)
    assert len(again_opened.unjudged(PATIENT)) > 0
    again_opened.close()


async def test_what_a_restored_team_lacks_waits_again_by_order(settings: Settings, desk: Desk) -> None:
    live(settings, desk).close()
    async with running(settings) as store:
        epoch = await store.call(Store.this_epoch)
        waits = (await store.call(Store.backlog))[1]
        assert (
            await obey(store, settings, CommandKind.RESEND, ResendBody(epoch=epoch, ranges=(Range(0, 5),)))
        ).went_well
        assert (await store.call(Store.backlog))[1] > waits
        # A receipt of before the team lost it, sent once more, must not free it again.
        assert await store.call(Store.receipts_from) == START
        lacking = await obey(store, settings, CommandKind.RESEND, ResendBody(epoch=epoch, ranges=(Range(9000, 9001),)))
        assert b"9000" in lacking.result


def test_altered_rows_that_nobody_reads_are_found_by_looking_through(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "box.db")
    store.accept(arrivals(*(glucose("100", minute) for minute in range(1200))), desk.sealer, now_ms=START)
    store.receipted(receipt(store, (0, 2000)), now_ms=START)
    store._connection.execute("update reading set body = zeroblob(80) where id in (5, 700, 1200)")
    for table in SEALED:
        after: object = None
        while (after := store.sweep(table, after)) is not None:
            pass
    assert store.take_altered() == {"reading": 3}
    store.close()
