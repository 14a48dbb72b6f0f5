"""What devices say about themselves: kept soon, seldom, sealed, and never in the way of a reading."""

import asyncio
import math
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.device_facts import SEEN_MS, FactKeeper, is_news, merged
from agent.errors import StoreError
from agent.store import Store
from agent.store_reader import StoreReader
from agent.store_thread import StoreThread
from agent.vault import Vault
from devices.clock import SystemClock
from devices.source import DeviceFacts
from exchange.messages import lineage
from tests.agent.kit import BOX, PATIENT, START, glucose, open_store, weight

SCALE = "C4:B0:00:00:00:03"
OLD = Path(__file__).parent / "databases" / "step_0001.db"
"""Made here by the program as it was before devices' facts were kept, with the keys of `kit`."""

moments = st.none() | st.integers(0, 2**45)
known_facts = st.builds(
    DeviceFacts,
    seen_at=moments,
    battery=st.none() | st.integers(0, 100),
    clock_error_s=st.none() | st.integers(-(10**9), 10**9),
    manufacturer=st.none() | st.text(max_size=40),
    model=st.none() | st.text(max_size=40),
    firmware=st.none() | st.text(max_size=40),
    bonded_at=moments,
)


@given(known_facts, known_facts)
def test_what_is_not_said_again_stays_and_no_time_goes_back(known: DeviceFacts, news: DeviceFacts) -> None:
    both = merged(known, news)
    for name in ("battery", "clock_error_s", "manufacturer", "model", "firmware"):
        said = getattr(news, name)
        assert getattr(both, name) == (getattr(known, name) if said is None else said)
    for name in ("seen_at", "bonded_at"):
        times = [at for facts in (known, news) if (at := getattr(facts, name)) is not None]
        assert getattr(both, name) == max(times, default=None)
    assert merged(both, news) == both
    assert merged(known, DeviceFacts()) == known


@pytest.mark.parametrize(
    ("known", "worth"),
    [
        (DeviceFacts(seen_at=START, battery=80), False),
        (DeviceFacts(seen_at=START + SEEN_MS - 1, battery=80), False),
        (DeviceFacts(seen_at=START + SEEN_MS, battery=80), True),
        (DeviceFacts(seen_at=START, battery=79), True),
        (DeviceFacts(seen_at=START, battery=80, bonded_at=START), True),
        (DeviceFacts(seen_at=START, battery=80, model="X"), True),
    ],
)
def test_being_seen_again_is_news_once_a_minute_and_anything_else_at_once(known: DeviceFacts, *, worth: bool) -> None:
    assert is_news(DeviceFacts(seen_at=START, battery=80), known) is worth


class Disk:
    """Counts what is written, over a real store; it refuses `refusals` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[dict[str, DeviceFacts]] = []
        self.news = asyncio.Condition()
        self.refusals = 0.0
        real, loop = Store.keep_device_facts, asyncio.get_running_loop()

        def keep(store: Store, facts: Mapping[str, DeviceFacts], *, now_ms: int) -> None:
            if self.refusals > 0:
                self.refusals -= 1
                raise sqlite3.OperationalError("database or disk is full")
            real(store, facts, now_ms=now_ms)
            if facts:
                asyncio.run_coroutine_threadsafe(self._note(dict(facts)), loop)

        monkeypatch.setattr(Store, "keep_device_facts", keep)
        monkeypatch.setattr("agent.device_facts.PAUSE_S", 0)
        monkeypatch.setattr("agent.store_thread.DISK_PAUSE_S", 0)

    async def _note(self, facts: dict[str, DeviceFacts]) -> None:
        async with self.news:
            self.written.append(facts)
            self.news.notify_all()

    async def writes(self, number: int) -> list[dict[str, DeviceFacts]]:
        async with asyncio.timeout(10), self.news:
            await self.news.wait_for(lambda: len(self.written) >= number)
        return self.written


@asynccontextmanager
async def keeping(path: Path) -> AsyncIterator[FactKeeper]:
    store = StoreThread()
    await store.open(lambda: open_store(path))
    keeper = FactKeeper(store, SystemClock())
    await keeper.start([SCALE])
    running = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        running.cancel()
        await asyncio.wait([running])
        await store.close()


def kept(path: Path) -> DeviceFacts:
    reader = StoreReader.open(path, Vault(bytes(range(32)), box=BOX))
    facts = reader.device_facts(SCALE)
    reader.close()
    return facts


async def test_an_advertisement_costs_no_commit_and_a_low_battery_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    async with keeping(tmp_path / "box.db") as keeper:
        keeper.learn(SCALE, DeviceFacts(seen_at=START))
        await disk.writes(1)
        for second in range(1, 60):
            keeper.learn(SCALE, DeviceFacts(seen_at=START + 1000 * second))
        keeper.learn(SCALE, DeviceFacts(battery=8))
        written = list(await disk.writes(2))
    assert written == [
        {SCALE: DeviceFacts(seen_at=START)},
        {SCALE: DeviceFacts(seen_at=START + 59_000, battery=8)},
    ]


async def test_facts_outlive_a_restart_and_a_stop_writes_the_last_moments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    async with keeping(tmp_path / "box.db") as keeper:
        keeper.learn(SCALE, DeviceFacts(seen_at=START, model="UC-352BLE"))
        await disk.writes(1)
        keeper.learn(SCALE, DeviceFacts(seen_at=START + 5))
    assert kept(tmp_path / "box.db") == DeviceFacts(seen_at=START + 5, model="UC-352BLE")
    async with keeping(tmp_path / "box.db") as keeper:
        keeper.learn(SCALE, DeviceFacts(battery=50))
        await disk.writes(3)
    assert kept(tmp_path / "box.db") == DeviceFacts(seen_at=START + 5, model="UC-352BLE", battery=50)


async def test_a_disk_that_refuses_facts_is_waited_out_but_not_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.refusals = 3
    async with keeping(tmp_path / "box.db") as keeper:
        keeper.learn(SCALE, DeviceFacts(battery=8))
        await disk.writes(1)
        assert disk.refusals == 0
        disk.refusals = math.inf
        keeper.learn(SCALE, DeviceFacts(battery=7))
    # What a stop has to give up, the device says again.
    assert kept(tmp_path / "box.db").battery == 8


def test_no_word_of_a_device_lies_in_clear_in_the_database(tmp_path: Path) -> None:
    store = open_store(tmp_path / "box.db")
    store.keep_device_facts({SCALE: DeviceFacts(manufacturer="CANARY-MAKER", model="CANARY-MODEL")}, now_ms=START)
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    raw += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [word for word in (b"CANARY", SCALE.encode()) if word in raw] == []


def test_a_database_of_the_first_version_is_taken_up_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    shutil.copy(OLD, path)
    with pytest.raises(StoreError, match="older version"):
        StoreReader.open(path, Vault(bytes(range(32)), box=BOX))
    store = open_store(path)
    assert lineage(store.epoch) == "4e48ba03e260701b"
    assert store.last_reading("C4:B0:00:00:00:01") == glucose("99.5", 5)
    assert store.last_reading(SCALE) == weight("82.1", 3)
    assert [alert.rule for alert in store.standing_alerts()] == ["hypo_level_1"]
    assert (store.stream(PATIENT).cursor, store.stream(PATIENT).snapshot) == (2, b"snapshot")
    assert store.backlog() == (4, 4)
    assert store.device_facts(SCALE) == DeviceFacts()
    store.keep_device_facts({SCALE: DeviceFacts(battery=90)}, now_ms=START)
    store.close()
    assert kept(path) == DeviceFacts(battery=90)
