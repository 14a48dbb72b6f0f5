"""A receipt vouches for the time when it was signed just now, and in no other case: docs/adr/0030."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.box_clock import BUILD_MS, BoxClock
from agent.canary import ASKED_FOR_TIME, Canary
from agent.receipt_time import FRESH_MS, SLACK_MS, Question, Told, earliest, told
from agent.settings import ClockSettings
from agent.store import Store
from agent.time_keeper import TimeKeeper, hearing
from devices.reading import ClockTrust
from exchange.box_records import CanaryRecord, ClockCorrection
from exchange.errors import ReceiptError
from exchange.identity import SigningKey
from exchange.messages import ObservationRecord, Range
from exchange.receipts import Receipt, Received
from exchange.sealing import sign_receipt, verify_receipt
from tests.agent.kit import BOX, MINUTE, START, Desk
from tests.agent.test_box_clock import HOUR, OTHER_BOOT, YEAR, Machine
from tests.agent.test_pipeline import Box, running
from tests.agent.test_time_put_right import FakeLink, Settled, by_arrival, kept

EPOCH, OTHER_EPOCH = "e" * 32, "f" * 32
NOW = BUILD_MS + 40 * 24 * HOUR
TEAM = SigningKey.generate()
QUESTION = Question(epoch=EPOCH, seq=7, mono=1_000_000)


def receipt(at: int, *ranges: tuple[int, int], epoch: str = EPOCH) -> Receipt:
    parts = tuple(Range(first, last) for first, last in ranges)
    return Receipt(box=BOX, epochs=(Received(epoch=epoch, ranges=parts, high=parts[-1].last),), at=at)


# --- what vouches ----------------------------------------------------------------------------------


@given(
    after=st.integers(-FRESH_MS, 3 * FRESH_MS),
    first=st.integers(0, 20),
    more=st.integers(0, 5),
    epoch=st.sampled_from([EPOCH, OTHER_EPOCH]),
    at=st.integers(BUILD_MS - YEAR, BUILD_MS + YEAR),
)
def test_a_receipt_vouches_when_it_is_of_this_epoch_new_fresh_and_possible(
    after: int, first: int, more: int, epoch: str, at: int
) -> None:
    found = told(
        QUESTION,
        receipt(at, (first, first + more), epoch=epoch),
        mono=QUESTION.mono + after,
        not_before=BUILD_MS,
    )
    if epoch == EPOCH and first + more >= QUESTION.seq and 0 <= after <= FRESH_MS and at >= BUILD_MS:
        assert found == Told(at=at, within=after)
    else:
        assert found is None


def test_one_answer_among_many_parts_is_enough() -> None:
    parts = (
        Received(epoch=OTHER_EPOCH, ranges=(Range(0, 99),), high=99),
        Received(epoch=EPOCH, ranges=(Range(0, 2), Range(5, 7)), high=7),
    )
    assert told(QUESTION, Receipt(box=BOX, epochs=parts, at=NOW), mono=QUESTION.mono, not_before=0) is not None


def test_it_is_not_before_the_build_nor_before_the_root_signed_the_list() -> None:
    assert earliest(build_ms=BUILD_MS, list_issued_at=0) == BUILD_MS
    assert earliest(build_ms=BUILD_MS, list_issued_at=NOW) == NOW - SLACK_MS
    assert earliest(build_ms=BUILD_MS, list_issued_at=BUILD_MS - YEAR) == BUILD_MS


@given(
    wrong_by=st.integers(-30 * YEAR, 30 * YEAR),
    way_there=st.integers(0, FRESH_MS),
    way_back=st.integers(0, FRESH_MS),
)
def test_however_long_it_was_on_its_way_the_time_is_wrong_by_no_more_than_half_of_that(
    wrong_by: int, way_there: int, way_back: int
) -> None:
    """Whoever delays question or receipt can put the box's time wrong by half a minute, and not at all beyond."""
    machine = Machine(wall=NOW + wrong_by)
    clock = BoxClock(machine, build_ms=0)
    question = Question(epoch=EPOCH, seq=7, mono=clock.monotonic_ms())
    right = NOW
    machine.passes(way_there)
    signed = receipt(right + way_there, (7, 7))
    machine.passes(way_back)
    right += way_there + way_back
    said = told(question, signed, mono=clock.monotonic_ms(), not_before=0)
    if way_there + way_back > FRESH_MS:
        assert said is None
        return
    assert said is not None
    before = clock.now_ms()
    found = clock.told(said.at, within=said.within)
    assert found is not None
    assert clock.trusted
    assert abs(clock.now_ms() - right) <= max(way_there + way_back, 1)
    assert clock.now_ms() - before == found.correction.offset
    if not 0 <= wrong_by + way_back <= way_there + way_back:
        assert abs(clock.now_ms() - right) <= (way_there + way_back) // 2 + 1


def test_a_time_that_may_be_right_is_left_alone() -> None:
    clock = BoxClock(Machine(wall=NOW), build_ms=0)
    found = clock.told(NOW - 300, within=500)
    assert found is not None
    assert found.correction.offset == 0
    assert (clock.now_ms(), clock.trusted) == (NOW, True)


def test_once_in_a_boot_and_what_the_machine_says_counts_for_more() -> None:
    machine = Machine(wall=NOW)
    clock = BoxClock(machine, build_ms=0)
    assert clock.told(NOW + HOUR, within=0) is not None
    assert clock.told(NOW + YEAR, within=0) is None
    assert clock.now_ms() == NOW + HOUR
    machine.is_told(NOW)
    found = clock.look()
    assert found is not None
    assert found.correction.offset == -HOUR
    assert clock.told(NOW + YEAR, within=0) is None
    assert clock.now_ms() == NOW


def test_the_machines_word_is_never_overruled_by_a_receipt() -> None:
    clock = BoxClock(Machine(vouched=True))
    assert clock.told(NOW + HOUR, within=0) is None
    assert clock.now_ms() == NOW


def test_trust_ends_with_the_boot() -> None:
    machine = Machine(wall=NOW)
    clock = BoxClock(machine, build_ms=0)
    clock.told(NOW, within=0)
    stretch = clock.stretch
    again = BoxClock(machine, build_ms=0)
    again.take_up(stretch, last_ms=NOW)
    assert again.trusted, "another process of the same boot goes on"
    rebooted = BoxClock(Machine(wall=NOW, of_boot=OTHER_BOOT), build_ms=0)
    rebooted.take_up(stretch, last_ms=NOW)
    assert not rebooted.trusted


# --- the whole way, with a store on a disk ---------------------------------------------------------


class Scene:
    """A box that does not know the time, what it asks, and what it hears."""

    def __init__(self, box: Box, desk: Desk, clock: Settled, machine: Machine) -> None:
        self.box, self.desk, self.clock, self.machine = box, desk, clock, machine
        self.audited: list[bytes] = []
        self.keeper = TimeKeeper(
            clock=clock,
            store=box.store,
            sealer=desk.sealer,
            link=cast("Any", FakeLink()),
            box=BOX,
            settings=ClockSettings(),
        )
        self.canary = Canary(store=box.store, sealer=desk.sealer, clock=clock, on_kept=lambda: None)

    async def begin(self) -> None:
        await self.keeper.begin()
        self.keeper._on_right = self.box.judging.retime
        self.keeper._ask_team = lambda: self.canary.sing(ASKED_FOR_TIME)

    async def answer(self, at: int, *, by: SigningKey = TEAM) -> bytes:
        """Return the team's receipt of all that waits, signed at `at`."""
        epoch = await self.box.store.call(Store.this_epoch)
        ends = (await self.box.store.call(Store.backlog))[0]
        return sign_receipt(receipt(at, (0, ends - 1), epoch=epoch), by)

    async def hear(self, data: bytes) -> bool:
        """Take a receipt as the forwarder does; return whether the time is known now."""

        async def audit(_: Receipt, proof: bytes) -> None:
            self.audited.append(proof)

        believed = verify_receipt(data, box=BOX, signers={TEAM.id: TEAM.public})
        await hearing(self.keeper, audit)(believed, data)
        return self.clock.trusted


@pytest.fixture
def machine() -> Machine:
    return Machine(wall=START + 3 * HOUR)


async def test_where_ntp_is_blocked_the_teams_receipt_puts_the_time_right(
    tmp_path: Path, desk: Desk, machine: Machine
) -> None:
    clock = Settled(machine)
    async with running(tmp_path / "box.db", desk, clock=cast("Any", clock)) as box:
        scene = Scene(box, desk, clock, machine)
        await scene.begin()
        await box.give(by_arrival("100", START + 3 * HOUR))
        assert {reading.clock for reading in await kept(box)} == {ClockTrust.UNKNOWN}
        await scene.keeper.question()
        machine.passes(400)
        assert await scene.hear(await scene.answer(START + 200))
        assert abs(clock.now_ms() - START - 400) <= 400
        (reading,) = await kept(box)
        assert reading.clock is ClockTrust.CORRECTED
        assert abs(reading.measured_at - START) <= MINUTE
        records = await box.store.call(desk.waiting)
    assert len(scene.audited) == 1, "the record of acts hears every receipt as before"
    corrections = [record for record in records if isinstance(record, ClockCorrection)]
    (correction,) = [record for record in corrections if record.first == 0]
    assert abs(correction.offset + 3 * HOUR) <= 400, "the team is told, as of any other correction"
    assert [record.asked for record in records if isinstance(record, CanaryRecord)] == [ASKED_FOR_TIME]
    sent = [record for record in records if isinstance(record, ObservationRecord)]
    assert [record.measured_at for record in sent] == [START + 3 * HOUR], "nothing sealed is altered"


async def test_a_receipt_of_before_the_question_is_no_answer(tmp_path: Path, desk: Desk, machine: Machine) -> None:
    clock = Settled(machine)
    async with running(tmp_path / "box.db", desk, clock=cast("Any", clock)) as box:
        scene = Scene(box, desk, clock, machine)
        await scene.begin()
        await box.give(by_arrival("100", START + 3 * HOUR))
        recorded = await scene.answer(START)
        assert not await scene.hear(recorded), "nothing was asked"
        await scene.keeper.question()
        for _ in range(3):
            assert not await scene.hear(recorded), "replayed"
        assert await scene.hear(await scene.answer(START))


async def test_a_receipt_that_was_held_back_moves_nothing(tmp_path: Path, desk: Desk, machine: Machine) -> None:
    clock = Settled(machine)
    async with running(tmp_path / "box.db", desk, clock=cast("Any", clock)) as box:
        scene = Scene(box, desk, clock, machine)
        await scene.begin()
        await scene.keeper.question()
        delayed = await scene.answer(START)
        machine.passes(FRESH_MS + 1)
        assert not await scene.hear(delayed)
        await scene.keeper.question()
        assert not await scene.hear(delayed), "nor does it answer the next question"
        assert clock.now_ms() == START + 3 * HOUR + FRESH_MS + 1
        records = await box.store.call(desk.waiting)
    assert [record for record in records if isinstance(record, ClockCorrection)] == []


async def test_a_forged_receipt_never_reaches_the_clock(tmp_path: Path, desk: Desk, machine: Machine) -> None:
    clock = Settled(machine)
    async with running(tmp_path / "box.db", desk, clock=cast("Any", clock)) as box:
        scene = Scene(box, desk, clock, machine)
        await scene.begin()
        await scene.keeper.question()
        with pytest.raises(ReceiptError, match="signer"):
            await scene.hear(await scene.answer(START, by=SigningKey.generate()))
        good = await scene.answer(START)
        for place in (20, len(good) // 2, len(good) - 1):
            with pytest.raises(ReceiptError):
                await scene.hear(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert not clock.trusted


async def test_a_receipt_for_another_boot_or_another_copy_of_the_database_says_nothing(
    tmp_path: Path, desk: Desk, machine: Machine
) -> None:
    path = tmp_path / "box.db"
    clock = Settled(machine)
    async with running(path, desk, clock=cast("Any", clock)) as box:
        scene = Scene(box, desk, clock, machine)
        await scene.begin()
        await scene.keeper.question()
        earlier = await scene.answer(START)
    machine.passes(1000)
    rebooted = Settled(Machine(wall=machine.wall, mono=500, of_boot=OTHER_BOOT))
    async with running(path, desk, clock=cast("Any", rebooted)) as box:
        scene = Scene(box, desk, rebooted, rebooted.machine)
        await scene.begin()
        await scene.keeper.question()
        assert not await scene.hear(earlier), "its epoch is that of another opening of the database"
        assert await scene.hear(await scene.answer(START))


async def test_a_receipt_from_before_the_roots_list_says_nothing(tmp_path: Path, desk: Desk, machine: Machine) -> None:
    """Who stole the receipt key may sign what he likes; the root's word is older than his."""
    clock = Settled(machine)
    async with running(tmp_path / "box.db", desk, clock=cast("Any", clock)) as box:
        scene = Scene(box, desk, clock, machine)
        scene.keeper._list_issued_at = lambda: START
        await scene.begin()
        await scene.keeper.question()
        assert not await scene.hear(await scene.answer(START - SLACK_MS - 1))
        assert await scene.hear(await scene.answer(START - SLACK_MS))
