"""Streams on their way in: some seconds at a time, in order, never at the cost of anything else."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import BufferFullError
from agent.pipeline import Pipeline
from agent.refusal import CALM_MS, TELL_MS
from agent.room import MIB, Limits
from agent.settings import Assignment, Device
from agent.store import Store
from devices.drivers import driver_named
from devices.reading import ClockTrust, Reading
from devices.source import Batch, DeviceEvent, DeviceEventKind
from exchange.box_records import ClockCorrection
from exchange.gaps import GapReason, GapRecord
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import AlertRecord
from exchange.sealing import Opener, Sealer
from tests.agent.kit import MINUTE, OXIMETER, PATIENT, START, Desk, arrivals, glucose, open_store, receipt, spo2
from tests.agent.test_box_clock import YEAR, Machine
from tests.agent.test_pipeline import Box, ManualClock, one_patient, running
from tests.agent.test_time_put_right import by_arrival, kept, living

ROOT = Path(__file__).parents[2]
FOREVER = 3600.0
SMALL = Limits(cap=MIB, reserve=MIB // 4)
MORE = 60
"""Readings that a buffer has no room for which refused twenty."""


def oximeter() -> Device:
    person = Assignment(patient=one_patient(), given_on=0)
    return Device(address=OXIMETER, driver=driver_named("pulse_oximeter"), people=(person,))


async def stream(box: Box, *readings: Reading, events: tuple[DeviceEvent, ...] = ()) -> None:
    box.clock.now = max([box.clock.now, *(reading.received_at for reading in readings)])
    await box.pipeline.ingest(box.device, Batch(readings=readings, events=events, streamed=True))


async def until(box: Box, condition: Callable[[Store], bool]) -> None:
    """Wait for what the store shows; the test's own timeout is the only limit."""
    while not await box.store.call(condition):  # noqa: ASYNC110 - another thread's database tells nobody
        await asyncio.sleep(0.01)


def entries(store: Store) -> list[tuple[int, int]]:
    return sorted((entry.lane, entry.last - entry.first + 1) for entry in store.waiting(limit=100))


async def test_a_stream_is_kept_some_seconds_at_a_time_and_then_judged(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk, device=oximeter(), group_commit=0.2) as box:
        for second in range(5):
            await stream(box, spo2("97", second))
        assert await box.store.call(Store.backlog) == (0, 0), "its source has gone on meanwhile"
        await until(box, lambda store: store.backlog() == (5, 5))
        assert await box.store.call(entries) == [(2, 5)]
        await box.settle()
        assert box.pipeline.last_reading(OXIMETER) == spo2("97", 4)


async def test_what_a_device_says_besides_has_its_stream_kept_first(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk, device=oximeter(), group_commit=FOREVER) as box:
        await stream(box, spo2("97", 0), spo2("96", 1))
        spot_check = spo2("95", 2)
        await box.give(spot_check)
        kept = await box.store.call(Store.unjudged, PATIENT)
        assert [(item.row, item.reading.count) for item in kept] == [(1, 970), (2, 960), (3, 950)]
        assert await box.store.call(entries) == [(1, 1), (2, 2)]
        # So has what is noticed about a value, such as that it is impossible: it must not wait to be told.
        noticed = DeviceEvent(kind=DeviceEventKind.VALUE_IMPLAUSIBLE, device=OXIMETER, at=START)
        await stream(box, spo2("29", 3), events=(noticed,))
        await until(box, lambda store: store.backlog()[0] >= 5)
        assert (await box.sent())[1] == [("raised", "value_implausible")]


async def test_a_long_stream_is_not_held_beyond_what_an_envelope_holds(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk, device=oximeter(), group_commit=FOREVER) as box:
        for minute in range(10):
            await stream(box, *(spo2("97", 60 * minute + second) for second in range(60)))
        await until(box, lambda store: store.backlog() == (600, 600))


async def test_a_box_that_is_stopped_keeps_what_it_held(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk, device=oximeter(), group_commit=FOREVER) as box:
        await stream(box, spo2("97", 0), spo2("96", 1))
        await box.settle()
    store = open_store(tmp_path / "box.db")
    assert [item.reading for item in store.unjudged(PATIENT)] == [spo2("97", 0), spo2("96", 1)]
    store.close()


async def test_the_same_values_given_twice_are_kept_once(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk, device=oximeter()) as box:
        for _ in range(2):
            await stream(box, spo2("97", 0), spo2("96", 1))
        await box.give()
        assert await box.store.call(Store.backlog) == (2, 2)


async def test_streams_are_judged_again_with_the_rest_after_a_restart(tmp_path: Path, desk: Desk) -> None:
    """The small protocol watches glucose: a stream of it, to be judged by a cursor that stands inside a segment."""
    async with running(tmp_path / "box.db", desk, group_commit=FOREVER) as box:
        await stream(box, glucose("66", 0), glucose("64", 5))
        await box.give(glucose("64", 10))
        await box.settle()
    async with running(tmp_path / "box.db", desk, clock=ManualClock(START + 60 * MINUTE)) as box:
        await stream(box, glucose("62", 15))
        await box.give()
        counts, alerts = await box.sent()
    assert counts == [660, 640, 640, 620]
    assert alerts == [("raised", "hypo_level_1")]
    # A late one has the whole stream judged again, whatever row it lies in.
    async with running(tmp_path / "box.db", desk, clock=ManualClock(START + 60 * MINUTE)) as box:
        await box.give(glucose("90", 7))
        assert ("retracted", "hypo_level_1") in (await box.sent())[1]


async def test_a_stream_of_a_wrong_time_is_put_right_with_what_was_held_of_it(tmp_path: Path, desk: Desk) -> None:
    machine = Machine(wall=START - YEAR)
    async with living(tmp_path / "box.db", desk, machine) as (box, keeper):
        keeper._before = box.pipeline.keep_held
        await stream(box, by_arrival("100", START - YEAR))
        await box.settle()
        box.pipeline._group_commit = FOREVER
        await stream(box, *(by_arrival(value, START - YEAR + at * MINUTE) for at, value in ((5, "66"), (10, "64"))))
        machine.passes(MINUTE)
        machine.is_told(START + 11 * MINUTE)
        await keeper.look()
        readings = await kept(box)
        assert [(reading.measured_at - START) // MINUTE for reading in readings] == [0, 5, 10]
        assert {reading.clock for reading in readings} == {ClockTrust.CORRECTED}
        for minute, value in ((15, "62"), (20, "60")):
            await box.give(glucose(value, minute))
        await box.settle()
        (alert,) = [item for item in await box.store.call(Store.standing_alerts) if item.rule == "hypo_level_1"]
        assert alert.onset == START + 5 * MINUTE
        records = await box.store.call(desk.waiting)
    (correction,) = [record for record in records if isinstance(record, ClockCorrection)]
    assert (correction.first, correction.last) == (0, 2), "what was held is among what is put right at the team"


async def test_a_stream_dated_in_years_to_come_is_judged_no_more(tmp_path: Path, desk: Desk) -> None:
    path, lows = tmp_path / "box.db", ((0, "66"), (5, "64"), (10, "62"), (15, "60"))
    async with living(path, desk, Machine(wall=START + 5 * YEAR)) as (box, _):
        await stream(box, *(by_arrival(value, START + 5 * YEAR + minute * MINUTE) for minute, value in lows))
        await box.settle()
        assert [item.rule for item in await box.store.call(Store.standing_alerts)] == ["hypo_level_1"]
    async with living(path, desk, Machine(wall=START, of_boot="d" * 32, vouched=True)) as (box, _):
        await box.settle()
        assert await kept(box) == []
        await stream(box, *(glucose(value, minute) for minute, value in lows))
        await box.settle()
        assert [item.onset for item in await box.store.call(Store.standing_alerts)] == [START]


# --- the buffer is full ----------------------------------------------------------------------------------


def fill(store: Store, desk: Desk) -> int:
    """Fill a buffer with sparse readings of an hour; return how many."""
    number = 0
    while True:
        readings = [glucose("100", 1000 + 20 * number + one) for one in range(20)]
        try:
            store.accept(arrivals(*readings), desk.sealer, now_ms=START)
        except BufferFullError:
            return 20 * number
        number += 1


async def told(box: Box) -> list[str]:
    """What was told of the buffer so far."""
    records = await box.store.call(box.desk.waiting)
    return [str(item.kind) for item in records if isinstance(item, AlertRecord) and item.rule == "buffer_full"]


async def test_a_full_buffer_is_told_and_the_reading_waits_for_room(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.DISK_PAUSE_S", 0.01)
    async with running(tmp_path / "box.db", desk, device=oximeter(), limits=SMALL) as box:
        before = await box.store.call(fill, desk)
        giving = asyncio.ensure_future(box.give(*(spo2("97", second) for second in range(MORE))))
        await until(box, lambda store: store.outbox.depth().get(0, 0) == 1)
        assert not giving.done(), "the device must not be told to forget it"
        # Streams are dropped meanwhile, and nobody else waits for the one who does.
        for second in range(100, 110):
            await stream(box, spo2("97", second))
        assert await told(box) == ["raised"]
        # The team has something: what it has gives way, and what waited is kept.
        await box.store.call(lambda store: store.receipted(receipt(store, (0, 799)), now_ms=START))
        await giving
        assert await box.store.call(lambda store: store.outbox.depth()[1]) == before - 800 + MORE
        # What was dropped is declared with the next value.
        await stream(box, spo2("97", 200))
        await until(box, lambda store: 2 in store.outbox.depth())
        (gap,) = [record for record in await box.store.call(desk.waiting) if isinstance(record, GapRecord)]
        assert (gap.reason, gap.readings, gap.ranges) == (GapReason.REFUSED, 10, ())
        assert (gap.measured_from, gap.measured_to) == (START + 100_000, START + 109_000)
        # That there is room is told only after a while of calm.
        assert await told(box) == ["raised"]
        box.clock.now = START + 2 * CALM_MS
        await box.give(spo2("97", 300))
        await box.settle()
        assert await told(box) == ["raised", "resolved"]


async def test_a_buffer_that_stays_full_is_told_once_and_lasting(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.DISK_PAUSE_S", 0.01)
    async with running(tmp_path / "box.db", desk, device=oximeter(), limits=SMALL) as box:
        await box.store.call(fill, desk)
        giving = asyncio.ensure_future(box.give(*(spo2("97", second) for second in range(MORE))))
        for hour in range(40):
            box.clock.now = START + MINUTE + hour * TELL_MS
            now = box.clock.now
            await until(box, lambda _, now=now: box.pipeline._refusal._told_at == now)  # type: ignore[misc]
            await box.tick(box.clock.now)
        assert await told(box) == ["raised"]
        giving.cancel()
    # A box that starts anew with room says that it is over.
    async with running(tmp_path / "box.db", desk, device=oximeter(), clock=ManualClock(START + 41 * TELL_MS)) as box:
        box.clock.now += CALM_MS
        await box.give(spo2("97", 0))
        await box.settle()
        assert await told(box) == ["raised", "resolved"]


async def test_what_was_dropped_is_declared_though_the_stream_ends(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.pipeline.DECLARE_S", 0.05)
    async with running(tmp_path / "box.db", desk, device=oximeter(), limits=SMALL) as box:
        await box.store.call(fill, desk)
        giving = asyncio.ensure_future(box.give(*(spo2("97", second) for second in range(MORE))))
        await stream(box, *(spo2("97", second) for second in range(100, 200)))
        await until(box, lambda store: any(isinstance(item, GapRecord) for item in desk.waiting(store)))
        giving.cancel()


# --- kill -9 ---------------------------------------------------------------------------------------------

_STREAMING = """
import asyncio, sys
from pathlib import Path
from tests.agent.test_streams import stream_for_ever
asyncio.run(stream_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def stream_for_ever(path: Path, second: int) -> None:
    """Say what was taken up of a stream, what was kept of it, and which sparse reading was kept."""
    signing, opening = SigningKey.generate(), OpeningKey.generate()
    sealer = Sealer(box="box-0001", signing_key=signing, recipients=[Recipient.of(opening, RecipientRole.TEAM)])
    desk = Desk(sealer=sealer, opener=Opener(keys=[opening], signer_of=lambda _box, _signer: signing.public))
    clock = ManualClock(START + second * 1000)
    async with running(path, desk, device=oximeter(), group_commit=0.15, clock=clock) as box:
        kept = Pipeline._kept

        def say_kept(pipeline: Pipeline, arrivals: list[object], now: int) -> None:
            kept(pipeline, arrivals, now)  # type: ignore[arg-type]
            for arrival in arrivals:
                print("kept", arrival.reading.key, flush=True)  # type: ignore[attr-defined]

        Pipeline._kept = say_kept  # type: ignore[assignment,method-assign]
        while True:
            second += 1
            await stream(box, spo2("97", second))
            print("taken", spo2("97", second).key, flush=True)
            await asyncio.sleep(0.005)
            if second % 40 == 0:
                await box.give(sparse := by_arrival("100", START + second * 1000 + 1))
                print("kept", sparse.key, flush=True)


def test_kill_9_costs_a_stream_what_was_not_kept_yet_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "veilleur.db"
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _STREAMING, str(path), str(3600 * round_)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as writer:
            assert writer.stdout is not None
            said: list[list[str]] = []
            while sum(word == "kept" for word, _ in said) < 100:
                said.append(writer.stdout.readline().split())
            os.kill(writer.pid, signal.SIGKILL)
            said += [line.split() for line in writer.stdout if line.endswith("\n")]
        store = open_store(path)
        there = [item.reading.key for item in store.history(PATIENT, since=0, until_row=2**40)]
        assert len(there) == len(set(there))
        taken = [key for word, key in said if word == "taken"]
        kept = {key for word, key in said if word == "kept"}
        assert kept <= set(there), "nothing that was said to be kept is gone, and no sparse reading at all"
        lost = [key for key in taken if key not in there]
        assert lost == taken[len(taken) - len(lost) :], "only the newest of a stream is lost"
        waiting = store.waiting(limit=100_000)
        numbers = sorted(number for entry in waiting for number in range(entry.first, entry.last + 1))
        assert numbers == list(range(store.backlog()[0])), f"round {round_}"
        assert sum(entry.last - entry.first + 1 for entry in waiting if entry.lane) == len(there)
        store.close()
