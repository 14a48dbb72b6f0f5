"""A full buffer: what gives way, what is refused, what still leaves, and that nothing is missing without being said."""

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import room
from agent.errors import BufferFullError
from agent.missing import Missing
from agent.room import MIB, Limits
from agent.store import Arrival, Judgement, Store
from exchange.gaps import GapReason, GapRecord
from tests.agent.kit import PATIENT, START, Desk, arrivals, glucose, open_store, receipt, spo2
from tests.agent.test_store import change

SMALL = Limits(cap=MIB, reserve=MIB // 4)
DAY_MS = 86_400_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "veilleur.db", limits=SMALL)
    yield store
    store.close()


class Writer:
    """Writes what is new each time; knows every sequence number that was given, and what the team has."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self.store = store
        self.desk = desk
        self.second = count()
        self.receipted: set[int] = set()
        self.now = START
        self.opened: dict[int, list[GapRecord]] = {}

    def dense(self, values: int = 60, patient: str = PATIENT) -> None:
        dice = random.Random(next(self.second))
        readings = (spo2(f"{dice.randint(80, 99)}.{dice.randint(0, 9)}", next(self.second)) for _ in range(values))
        self.store.accept_streamed(arrivals(*readings, patient=patient), {}, self.desk.sealer, now_ms=self.now)

    def sparse(self, values: int = 1) -> None:
        readings = (glucose("100", 1 + next(self.second)) for _ in range(values))
        self.store.accept(arrivals(*readings), self.desk.sealer, now_ms=self.now)

    def alert(self) -> None:
        number = 1 + next(self.second)
        judgement = Judgement(patient=PATIENT, cursor=1, snapshot=bytes(500), changes=(change(number=number),))
        self.store.keep_judgement(judgement, self.desk.sealer, now_ms=self.now)

    def receive(self, entries: int = 1) -> None:
        """Let the team have some of what waits, as it would be sent."""
        for entry in self.store.waiting(limit=entries):
            self.receipted |= set(range(entry.first, entry.last + 1))
            self.store.receipted(receipt(self.store, (entry.first, entry.last)), now_ms=self.now)

    def gaps(self) -> list[GapRecord]:
        """Every gap that waits for the team."""
        bodies = (entry.body for entry in self.store.waiting(limit=100_000) if entry.lane == 0)
        return [record for body in bodies for record in self.desk.records(body) if isinstance(record, GapRecord)]

    def accounted(self) -> tuple[set[int], set[int], set[int]]:
        """Sequence numbers that wait, that the team has, and that are declared; gaps it received are told by it."""
        waiting = {
            number for entry in self.store.waiting(limit=100_000) for number in range(entry.first, entry.last + 1)
        }
        return waiting, self.receipted, {number for gap in self.all_gaps() for number in numbers(gap)}

    def all_gaps(self) -> list[GapRecord]:
        """Every gap that ever waited, whether the team has it by now or not."""
        rows = self.store._connection.execute("select first, body from outbox where lane = 0").fetchall()
        for first, body in rows:
            if first not in self.opened:
                self.opened[first] = [item for item in self.desk.records(body) if isinstance(item, GapRecord)]
        return [gap for gaps in self.opened.values() for gap in gaps]


def numbers(gap: GapRecord) -> list[int]:
    return [number for first, last in gap.ranges for number in range(first, last + 1)]


def until_refused(write: Callable[..., None], *amount: int) -> int:
    """Write until the buffer refuses; return how often it did not."""
    done = 0
    while True:
        try:
            write(*amount)
        except BufferFullError:
            return done
        done += 1


def lanes(store: Store) -> dict[int, int]:
    return store.outbox.depth()


def test_the_oldest_of_streams_gives_way_and_a_gap_says_so(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    while not lanes(small).get(0):
        writer.dense()
    (gap,) = writer.gaps()
    assert (gap.patient, gap.lane, gap.epoch, gap.reason) == (PATIENT, 2, small.epoch, GapReason.EVICTED)
    ((first, last),) = gap.ranges
    assert (first, gap.readings) == (0, last + 1)
    assert START <= gap.measured_from < gap.measured_to
    oldest = min(entry.first for entry in small.waiting(limit=10_000) if entry.lane == 2)
    assert oldest == last + 1
    kept = small.history(PATIENT, since=0, until_row=2**40)
    assert kept[0].row == last + 2, "what gave way is no longer judged with either"
    assert kept[0].reading.measured_at > gap.measured_to
    assert small.fill().used <= SMALL.cap - SMALL.reserve


def test_a_stream_can_go_on_for_ever_within_the_cap(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    for _ in range(300):
        writer.dense()
    assert small.fill().file <= SMALL.cap
    assert small.fill().used <= SMALL.cap - SMALL.reserve
    waiting, _, declared = writer.accounted()
    assert waiting | declared == set(range(small.backlog()[0]))
    assert not waiting & declared


def test_sparse_readings_take_the_place_of_streams_never_the_other_way_round(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    for _ in range(20):
        writer.dense()
    sparse = 0
    while 2 in lanes(small):
        writer.sparse()
        sparse += 1
    assert lanes(small)[1] == sparse
    sparse += until_refused(writer.sparse)
    with pytest.raises(BufferFullError):
        writer.dense(600)
    assert lanes(small)[1] == sparse
    assert {number for gap in writer.gaps() for number in numbers(gap)} == set(range(20 * 60))


def test_alerts_still_leave_when_readings_are_refused(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    until_refused(writer.sparse, 20)
    before = small.backlog()
    for _ in range(20):
        writer.alert()
    assert lanes(small)[0] == 20
    assert small.fill().used > SMALL.cap - SMALL.reserve
    with pytest.raises(BufferFullError):
        writer.sparse()
    assert small.backlog() == (before[0] + 20, before[1] + 20), "what was refused took no sequence number"


def test_the_reserve_ends_somewhere_and_then_the_disk_says_so(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    said = ""
    while not said:
        try:
            writer.alert()
        except sqlite3.OperationalError as error:
            said = str(error)
    assert "full" in said
    assert SMALL.cap - 16 * 4096 < small.fill().file <= SMALL.cap
    writer.receive(10)
    writer.now += 1
    writer.alert()
    assert lanes(small)[0] > 100


def test_what_the_team_has_gives_way_before_what_only_the_box_has(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    for _ in range(30):
        writer.sparse()
    writer.receive(30)
    writer.now += 3 * DAY_MS
    for _ in range(10):
        writer.sparse()
    writer.receive(10)
    for _ in range(10):
        writer.dense()
    writer.receive(10)
    while small._connection.execute("select count(*) from outbox where receipted_at = ?", (START,)).fetchone()[0]:
        writer.dense()
    assert not writer.gaps()
    (copies,) = small._connection.execute("select count(*) from outbox where lane = 1").fetchone()
    assert copies == 10, "what a team database restored from yesterday asks for again is still there"
    while not lanes(small).get(0):
        writer.dense()
    (copies,) = small._connection.execute("select count(*) from outbox where lane = 1").fetchone()
    assert copies == 10


def test_copies_of_two_days_give_way_before_a_reading_is_refused(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    until_refused(writer.sparse, 10)
    writer.receive(5)
    writer.sparse(10)
    assert len(writer.accounted()[0]) == small.backlog()[1]


def test_several_patients_that_lose_values_are_declared_apart(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    for number in count():
        writer.dense(20, patient=f"patient-{number % 3}")
        if lanes(small).get(0):
            break
    gaps = writer.gaps()
    assert {gap.patient for gap in gaps} == {"patient-0", "patient-1", "patient-2"}
    declared = sorted(number for gap in gaps for number in numbers(gap))
    assert declared == list(range(len(declared)))
    assert all(gap.readings == len(numbers(gap)) for gap in gaps)


def test_values_without_an_owner_give_way_as_others_do(small: Store, desk: Desk) -> None:
    seconds = count()
    while not lanes(small).get(0):
        values = [spo2("97", next(seconds)) for _ in range(100)]
        stray = [Arrival(patient="to-be-attributed", reading=value, attributed=False) for value in values]
        small.accept_streamed(stray, {}, desk.sealer, now_ms=START)
    assert {gap.patient for gap in Writer(small, desk).gaps()} == {"to-be-attributed"}


def test_an_altered_segment_gives_way_too_and_its_numbers_are_declared(small: Store, desk: Desk) -> None:
    writer = Writer(small, desk)
    writer.dense()
    small._connection.execute("update segment set body = zeroblob(100)")
    while not lanes(small).get(0):
        writer.dense()
    nobodys = [gap for gap in writer.gaps() if gap.patient == "to-be-attributed"]
    assert [gap.ranges for gap in nobodys] == [((0, 59),)]


def test_a_gap_names_the_opening_that_gave_its_numbers(tmp_path: Path, desk: Desk) -> None:
    epochs: list[str] = []
    for opening in range(2):
        store = open_store(tmp_path / "veilleur.db", limits=SMALL)
        writer = Writer(store, desk)
        writer.second = count(1_000_000 * opening)
        epochs.append(store.epoch)
        for _ in range(3):
            writer.dense()
        if opening:
            while not lanes(store).get(0):
                writer.dense()
            assert next((gap.epoch, gap.ranges[0][0]) for gap in writer.gaps()) == (epochs[0], 0)
            assert {gap.epoch for gap in writer.gaps()} <= set(epochs)
        store.close()


def test_dense_entries_that_lost_their_segments_give_way_too(small: Store, desk: Desk) -> None:
    """As they are taken over from a damaged database: sealed, waiting, and all that is known of them is when."""
    writer = Writer(small, desk)
    for _ in range(3):
        writer.dense()
    small._connection.execute("delete from segment")
    until_refused(writer.sparse, 20)
    assert 2 not in lanes(small)
    gaps = writer.gaps()
    assert {gap.patient for gap in gaps} == {"to-be-attributed"}
    assert sorted(number for gap in gaps for number in numbers(gap)) == list(range(180))


def test_a_gap_says_whether_its_times_are_those_of_arrival(small: Store, desk: Desk) -> None:
    """A correction of the box's time moves the ones, and not what a device dated."""
    writer = Writer(small, desk)
    for number in range(6):
        readings = [spo2("95.5", 100 * number + second) for second in range(60)]
        late = 0 if number % 2 else 500
        dated = [replace(item, received_at=item.measured_at + late) for item in readings]
        small.accept_streamed(arrivals(*dated), {}, desk.sealer, now_ms=START)
    until_refused(writer.sparse, 20)
    found = {number: gap.by_arrival for gap in writer.gaps() for number in numbers(gap)}
    assert found == {number: bool(number // 60 % 2) for number in range(360)}


def test_what_could_not_be_kept_is_declared_without_numbers(store: Store, desk: Desk) -> None:
    lost = Missing()
    lost.add(START, START + 9000, 10, by_arrival=True)
    store.declare({PATIENT: lost}, desk.sealer, now_ms=START)
    (gap,) = [record for record in desk.waiting(store) if isinstance(record, GapRecord)]
    assert (gap.ranges, gap.readings, gap.reason) == ((), 10, GapReason.REFUSED)
    assert (gap.measured_from, gap.measured_to, gap.by_arrival) == (START, START + 9000, True)


EXAMPLES = int(os.environ.get("BUFFER_EXAMPLES", "15"))
"""Of the property below; the longer proof takes 500."""
ACTS = st.lists(
    st.tuples(st.sampled_from(("dense", "dense", "dense", "sparse", "alert", "receive", "later")), st.integers(1, 12)),
    min_size=5,
    max_size=40,
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTS)
def test_every_number_waits_or_is_with_the_team_or_in_a_declared_gap(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, acts: list[tuple[str, int]]
) -> None:
    limits = Limits(cap=MIB // 2, reserve=MIB // 8)
    store = open_store(tmp_path_factory.mktemp("box") / "veilleur.db", limits=limits)
    writer = Writer(store, desk)
    for act, amount in acts:
        try:
            match act:
                case "dense":
                    for number in range(amount):
                        writer.dense(20, patient=f"patient-{number % 2}")
                case "sparse":
                    for _ in range(amount):
                        writer.sparse(2)
                case "alert":
                    for _ in range(amount):
                        writer.alert()
                case "receive":
                    writer.receive(amount)
                case _:
                    writer.now += amount * DAY_MS // 10
        except (BufferFullError, sqlite3.OperationalError):
            assert 2 not in lanes(store), "nothing is refused while values of streams may give way"
        waiting, receipted, declared = writer.accounted()
        assert waiting | receipted | declared == set(range(store.backlog()[0]))
        assert not waiting & declared
        assert store.fill().file <= limits.cap
    store.close()


# --- the disk itself -------------------------------------------------------------------------------------


def test_the_ballast_is_there_and_private_and_made_again(tmp_path: Path, desk: Desk) -> None:
    limits = Limits(ballast=MIB)
    store = open_store(tmp_path / "veilleur.db", limits=limits)
    ballast = tmp_path / "ballast"
    assert (ballast.stat().st_size, ballast.stat().st_blocks * 512 >= MIB) == (MIB, True)
    assert ballast.stat().st_mode & 0o777 == 0o600
    store.close()
    ballast.write_bytes(b"cut short")
    store = open_store(tmp_path / "veilleur.db", limits=limits)
    assert ballast.stat().st_size == MIB
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ballast", "veilleur.db"]
    del desk


@pytest.fixture
def little_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 40 MiB, all to itself."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0700", "tmpfs", str(place)]
    why = "a small file system needs root and mount(8)"
    if os.geteuid() == 0 and shutil.which("mount") is not None:
        why = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()
    if why:
        if os.environ.get("VEILLEUR_NO_SKIP"):
            pytest.fail(f"not mounted: {why}")
        pytest.skip(f"not mounted: {why}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_up(place: Path, *, but: int = 0) -> Path:
    """Fill a file system as somebody else would, to its last byte but so many."""
    other = place / "somebody-elses-log"
    with other.open("wb", buffering=0) as file:
        try:
            while True:
                if but and shutil.disk_usage(place).free <= but:
                    break
                file.write(bytes(4096))
        except OSError:
            pass
    return other


def test_on_a_disk_that_somebody_fills_alerts_leave_and_nothing_is_lost_unsaid(little_disk: Path, desk: Desk) -> None:
    store = open_store(little_disk / "veilleur.db", limits=Limits(cap=12 * MIB, reserve=MIB, ballast=8 * MIB))
    writer = Writer(store, desk)
    for _ in range(40):
        writer.dense(20)
    writer.sparse(20)
    other = fill_up(little_disk)
    assert shutil.disk_usage(little_disk).free == 0
    for _ in range(30):
        writer.alert()
    assert not (little_disk / "ballast").exists()
    assert lanes(store)[0] >= 30
    # Streams give way to sparse readings, inside the file; when none is left, readings are refused and alerts leave.
    sparse = 20
    sparse += until_refused(writer.sparse)
    assert (lanes(store)[1], 2 in lanes(store)) == (sparse, False)
    writer.alert()
    writer.receive(40)
    waiting, receipted, declared = writer.accounted()
    assert waiting | receipted | declared == set(range(store.backlog()[0]))
    # Room again: the ballast is back with the next write, and readings are kept.
    other.unlink()
    writer.alert()
    assert (little_disk / "ballast").stat().st_size == 8 * MIB
    writer.sparse()
    store.close()
    again = open_store(little_disk / "veilleur.db")
    assert again._connection.execute("pragma integrity_check").fetchone() == ("ok",)
    again.close()


def test_ordinary_writes_stop_before_the_disk_is_full(little_disk: Path, desk: Desk) -> None:
    store = open_store(little_disk / "veilleur.db", limits=Limits(cap=64 * MIB, reserve=MIB, ballast=16 * MIB))
    writer = Writer(store, desk)
    until_refused(writer.sparse, 100)
    assert shutil.disk_usage(little_disk).free > room.WORKING_BYTES // 2
    assert (little_disk / "ballast").exists()
    writer.alert()
    store.close()


def test_a_box_that_starts_on_a_full_disk_starts_and_tells(little_disk: Path, desk: Desk) -> None:
    limits = Limits(cap=8 * MIB, reserve=MIB, ballast=8 * MIB)
    store = open_store(little_disk / "veilleur.db", limits=limits)
    Writer(store, desk).sparse(20)
    store.close()
    fill_up(little_disk)
    store = open_store(little_disk / "veilleur.db", limits=limits)
    writer = Writer(store, desk)
    writer.second = count(100)
    until_refused(writer.sparse, 20)
    writer.alert()
    assert lanes(store)[0] == 1
    store.close()
