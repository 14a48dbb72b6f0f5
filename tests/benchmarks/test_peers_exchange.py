"""What the comparison of buffers counts, over one that loses and doubles on purpose, and over two real ones."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import peers_treatment
from benchmarks.peers_account import Account
from benchmarks.peers_buffers import Box, Buffer, MosquittoBridge, Program
from benchmarks.peers_exchange import AS_IT_COMES
from benchmarks.peers_record import measured_at, number_at, number_of, text
from benchmarks.peers_treatment import Producer, drained, filled, killed
from benchmarks.peers_uplink import Gate, PlainTeam, Uplink, VeilleurTeam
from benchmarks.wear_disk import Disk

NUMBERS = st.sets(st.integers(0, 40))


@given(given=NUMBERS, safe=NUMBERS, arrived=st.lists(st.integers(0, 40)))
def test_lost_is_what_was_told_safe_and_never_came(given: set[int], safe: set[int], arrived: list[int]) -> None:
    account = Account()
    for number in given:
        account.give(number)
        account.tell(number, safe=number in safe)
    for number in arrived:
        account.receive(number)
    lost = [number for number in given if number in safe and number not in arrived]
    doubled = sum(arrived.count(number) - 1 for number in set(arrived))
    assert (account.lost, account.duplicated, account.unanswered) == (len(lost), doubled, 0)
    assert account.facts()["refused"] == len(given - safe)
    assert account.lost_of(range(10)) == sum(number < 10 for number in lost)


def test_what_was_never_answered_is_nobodys_loss() -> None:
    account = Account()
    for number in range(5):
        account.give(number)
    account.tell(0, safe=True)
    account.tell(1, safe=False)
    assert (account.lost, account.unanswered) == (1, 3)
    account.receive(0)
    account.receive(4)
    assert (account.lost, account.duplicated) == (0, 0)


@given(number=st.integers(0, 10**7))
def test_a_record_is_known_by_its_text_and_by_its_time(number: int) -> None:
    assert number_of(text(number)) == number_at(measured_at(number)) == number


class Here(Uplink):
    """A team in this process, to which the way is open or shut."""

    class Way(Gate):
        is_open = False

        async def open(self) -> None:
            self.is_open = True

        def shut(self) -> None:
            self.is_open = False

    def __init__(self) -> None:
        self.gate = self.way = Here.Way(0)
        self.counts: Counter[int] = Counter()

    async def received(self) -> Counter[int]:
        return self.counts.copy()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


class Lossy(Buffer):
    """Calls everything safe; at a kill it forgets every seventh of what waits, and sends every fifth twice."""

    quiet_s = 0.2

    def __init__(self, uplink: Here) -> None:
        super().__init__()
        self._uplink = uplink
        self._waiting: list[int] = []
        self._sender: asyncio.Task[None] | None = None
        self.forgotten: set[int] = set()
        self.doubled: set[int] = set()
        self.kills = 0

    def _give(self, number: int, record: str) -> None:
        assert number_of(record) == number
        self._waiting.append(number)
        self._answered(number, safe=True)

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            while self._waiting and self._uplink.way.is_open:
                number = self._waiting.pop()
                self._uplink.counts[number] += 1
                if number % 5 == 0:
                    self._uplink.counts[number] += 1
                    self.doubled.add(number)

    async def _start(self) -> None:
        self._sender = asyncio.create_task(self._send())

    async def _kill(self) -> None:
        self.kills += 1
        await self._stop()
        self.forgotten |= {number for number in self._waiting if number % 7 == 0}
        self._waiting = [number for number in self._waiting if number % 7]

    async def _stop(self) -> None:
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_treatment, "BETWEEN_KILLS_S", (0.05, 0.15))
    monkeypatch.setattr(peers_treatment, "SETTLE_S", 0.05)
    monkeypatch.setattr(peers_treatment, "HELD_S", 0.05)


@pytest.mark.usefixtures("hurried")
async def test_a_buffer_that_forgets_at_each_kill_is_found_out_to_the_record() -> None:
    uplink = Here()
    buffer = Lossy(uplink)
    facts = await killed(buffer, uplink, kills=4, rate=400, dice=random.Random(1))
    assert buffer.kills == 4
    assert buffer.forgotten
    assert facts["lost"] == len(buffer.forgotten)
    assert buffer.account.missing() == buffer.forgotten
    assert facts["duplicated"] == len(buffer.doubled) > 0
    # While the way is open nothing waits for long: what is forgotten was given before.
    assert 0 < int(str(facts["lost_while_shut"])) <= len(buffer.forgotten)


class Full(Lossy):
    """Calls safe what it throws away for want of room, once it has taken fifty."""

    def __init__(self, uplink: Here, filler: Path) -> None:
        super().__init__(uplink)
        self._filler = filler
        self.thrown: set[int] = set()

    def _give(self, number: int, record: str) -> None:
        if self._filler.exists() and len(self.account.safe) >= 50:
            self.thrown.add(number)
            self._answered(number, safe=True)
            return
        super()._give(number, record)


@pytest.mark.usefixtures("hurried")
async def test_a_buffer_that_calls_safe_what_does_not_fit_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the file that stands for want of room is made: this disk is not to be filled.
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: None)
    uplink = Here()
    buffer = Full(uplink, tmp_path / "filler")
    disk = Disk(tmp_path, "not counted", lambda: 0)
    facts = await filled(buffer, uplink, disk, rate=500, seconds=0.3, leave=1 << 20)
    assert buffer.thrown
    assert facts["lost"] == facts["lost_in_want"] == len(buffer.thrown)
    assert facts["lost_after"] == 0
    assert facts["takes_again_after_s"] is not None
    assert not (tmp_path / "filler").exists()


@pytest.mark.broker
@pytest.mark.process
@pytest.mark.usefixtures("hurried")
async def test_the_box_loses_and_doubles_nothing_of_what_it_called_safe(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "team").mkdir()
    async with VeilleurTeam(tmp_path / "team") as uplink:
        buffer = Box(tmp_path / "box", uplink)
        try:
            facts = await killed(buffer, uplink, kills=2, rate=200, dice=random.Random(2))
        finally:
            if buffer.alive:
                await buffer.kill()
    assert int(str(facts["told_safe"])) > 0
    assert (facts["lost"], facts["duplicated"]) == (0, 0)


@pytest.mark.broker
@pytest.mark.process
async def test_a_queue_in_memory_loses_all_that_it_held_when_it_is_killed_and_nothing_else(tmp_path: Path) -> None:
    async with PlainTeam(tmp_path) as uplink:
        uplink.gate.shut()
        buffer = Program("paho_queue", str(uplink.gate.port))
        buffer.quiet_s = 3.0
        producer = Producer(buffer)
        try:
            await buffer.start()
            await producer.quickly(until=lambda: producer.next >= 50)
            await producer.answered()
            await buffer.kill()
            assert len(buffer.account.safe) == 50
            await buffer.start()
            await producer.quickly(until=lambda: producer.next >= 80)
            await producer.answered()
            await drained(buffer, uplink, settle_s=0.0)
        finally:
            await buffer.kill()
    assert buffer.account.missing() == set(range(50))
    assert (len(buffer.account.safe), buffer.account.duplicated) == (80, 0)


@pytest.mark.broker
async def test_what_a_bridge_acknowledged_passes_the_gate_once_it_opens(tmp_path: Path) -> None:
    (tmp_path / "bridge").mkdir()
    async with PlainTeam(tmp_path) as uplink:
        uplink.gate.shut()
        buffer = MosquittoBridge(tmp_path / "bridge", uplink.gate.port, AS_IT_COMES)
        producer = Producer(buffer)
        try:
            await buffer.start()
            await producer.quickly(until=lambda: producer.next >= 100)
            await producer.answered()
            assert (await uplink.received()).total() == 0
            await drained(buffer, uplink, settle_s=0.0)
        finally:
            await buffer.stop()
    assert (len(buffer.account.safe), buffer.account.lost, buffer.account.duplicated) == (100, 0, 0)
