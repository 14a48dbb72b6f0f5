"""The store under a disk that loses what was not synced, and one that fails: nothing promised is lost, nothing is half.

The store and SQLite are the real ones, unmodified; what stands between them and their files is `shim.c`.
The short form lets each call fail in one of four ways; FAULTS_ALL=1 in all four (`make chaos`). FAULTS_STEPS and
FAULTS_SEEDS make the lives longer and more.
"""

import errno
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.store import Store
from devices.reading import Reading
from exchange.messages import AlertRecord, ObservationRecord, lineage
from exchange.sealing import Opener
from tests.agent.kit import BOX, PATIENT, open_store
from tests.faults.disk import Disk, Kind, Note, compiled, notes, preloaded
from tests.faults.workload import DATABASE, Plan, Said, make_keys, read_keys

STEPS = int(os.environ.get("FAULTS_STEPS", "24"))
SEEDS = range(int(os.environ.get("FAULTS_SEEDS", "2")))
WAYS = {
    "EIO once": (errno.EIO, False),
    "EIO from then on": (errno.EIO, True),
    "ENOSPC once": (errno.ENOSPC, False),
    "ENOSPC from then on": (errno.ENOSPC, True),
}

pytestmark = [pytest.mark.process, pytest.mark.long]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team") / "keys"
    make_keys(folder)
    return folder


def lived(shim: Path, plans: Sequence[Plan]) -> list[int]:
    """Live each plan; return how each ended."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.workload"],
        input=b"".join(msgspec.json.encode(plan) + b"\n" for plan in plans),
        env=preloaded(shim),
        capture_output=True,
        check=True,
    )
    return [int(line) for line in done.stdout.split()]


def trace_of(plan: Plan) -> list[Note]:
    return list(notes(Path(plan.folder).with_suffix(".trace")))


def promises(trace: Sequence[Note]) -> list[Said]:
    return [msgspec.json.decode(note.data, type=Said) for note in trace if note.kind is Kind.MARKED]


class Kept:
    """What a store that is opened again has."""

    def __init__(self, folder: Path, keys: Path) -> None:
        signing, opening = read_keys(keys)
        opener = Opener(keys=[opening], signer_of=lambda _box, _signer: signing.public)
        store = open_store(folder / DATABASE)
        try:
            self.epoch = store.this_epoch()
            self.next_seq = store.backlog()[0]
            self.stream = store.stream(PATIENT)
            self.readings = [name_of(kept.reading) for kept in store.history(PATIENT, since=0, until_row=2**62)]
            self.alerts = {change.alert_id for change in store.standing_alerts()}
            self.waiting = {seq for one in store.waiting(limit=10**6) for seq in range(one.first, one.last + 1)}
            self.integrity = store._connection.execute("pragma integrity_check").fetchone()[0]
            rows = store._connection.execute("select first, last, body from outbox order by first").fetchall()
        finally:
            store.close()
        self.outbox: dict[int, str] = {}
        for first, last, body in rows:
            opened = opener.open(body, box=BOX)
            assert lineage(opened.header.epoch) == lineage(self.epoch)
            assert (opened.header.first, opened.header.last) == (first, last)
            for seq, record in enumerate(opened.records, first):
                assert seq not in self.outbox, "a sequence number twice"
                if isinstance(record, ObservationRecord):
                    self.outbox[seq] = f"{record.quantity}|{record.key}"
                elif isinstance(record, AlertRecord):
                    self.outbox[seq] = record.alert_id


def name_of(reading: Reading) -> str:
    return f"{reading.quantity}|{reading.key}"


def require(kept: Kept, said: Said, later: Said) -> None:
    """Hold what was found against what was promised; `later` is what the step under way would have promised."""
    assert kept.integrity == "ok"
    assert not said.epoch or lineage(kept.epoch) == lineage(said.epoch)
    assert said.next_seq <= kept.next_seq
    assert len(kept.readings) == len(set(kept.readings)), "a reading twice"
    assert set(said.readings) <= set(kept.readings) <= set(later.readings)
    assert set(said.alerts) <= kept.alerts <= set(later.alerts)
    assert kept.stream.cursor in {said.cursor, later.cursor}
    snapshot = "" if kept.stream.snapshot is None else kept.stream.snapshot.decode()
    assert (kept.stream.cursor, snapshot) in {(said.cursor, said.snapshot), (later.cursor, later.snapshot)}
    receipted = set(said.receipted) | set(later.receipted)
    gone = set(range(kept.next_seq)) - set(kept.outbox)
    assert gone <= receipted, "a sequence number neither waits nor was receipted"
    assert not kept.waiting & set(said.receipted)
    unsent = set(kept.readings) | kept.alerts
    assert len(unsent - set(kept.outbox.values())) <= len(gone), "kept, and nothing carries it to the team"
    assert set(kept.outbox.values()) <= unsent, "sealed for the team, and not kept"


def cuts(trace: Sequence[Note]) -> Iterator[tuple[int, Said, Said]]:
    """Yield the moments of power cuts: before and after each sync, with what was promised then and what came next."""
    said = promises(trace)
    done = -1
    for at, note in enumerate(trace):
        done += note.kind is Kind.MARKED
        if note.kind is Kind.SYNCED:
            now = said[done] if done >= 0 else Said()
            later = said[min(done + 1, len(said) - 1)]
            yield at, now, later
            yield at + 1, now, later


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_at_any_sync_leaves_all_that_was_promised(
    shim: Path, keys: Path, tmp_path: Path, seed: int
) -> None:
    plan = Plan(folder=str(tmp_path / "box"), keys=str(keys), steps=STEPS, seed=seed)
    assert lived(shim, [plan]) == [0]
    trace = trace_of(plan)
    disk, taken, images = Disk(Path(plan.folder)), 0, 0
    for at, said, later in cuts(trace):
        for note in trace[taken:at]:
            disk.take(note)
        taken = at
        for number, dice in enumerate((None, random.Random(f"{seed} {at}"), random.Random(f"{seed} {at} again"))):
            folder = tmp_path / f"cut-{at}-{number}"
            disk.image(folder, dice, chance=0.5 if number < 2 else 0.9)
            if (folder / DATABASE).exists() or said.epoch:
                require(Kept(folder, keys), said, later)
                images += 1
    synced = {Path(path).name: count for path, count in disk.syncs.items()}
    # That the shim was there at all: a commit syncs the log, a checkpoint the database.
    assert synced[f"{DATABASE}-wal"] >= len(promises(trace)[-1].readings) // 2
    assert synced[DATABASE] >= 1
    assert images > STEPS


def test_a_disk_that_forgets_to_sync_the_log_is_found_out(shim: Path, keys: Path, tmp_path: Path) -> None:
    """The proof of the proof: with those syncs left out of the trace, what was promised is not there."""
    plan = Plan(folder=str(tmp_path / "box"), keys=str(keys), steps=12, seed=0)
    assert lived(shim, [plan]) == [0]
    trace = trace_of(plan)
    last = max(at for at, note in enumerate(trace) if note.kind is Kind.MARKED)
    disk = Disk(Path(plan.folder))
    for note in trace[:last]:
        if note.kind is not Kind.SYNCED or not trace_path(trace, note).endswith("-wal"):
            disk.take(note)
    disk.image(tmp_path / "cut")
    said = promises(trace)[-1]
    with pytest.raises((AssertionError, sqlite3.Error)):
        require(Kept(tmp_path / "cut", keys), said, said)


def trace_path(trace: Sequence[Note], note: Note) -> str:
    """Return which file a note is about."""
    path = ""
    for one in trace:
        if one.kind is Kind.OPENED and one.fd == note.fd:
            path = one.data.decode()
        if one is note:
            break
    return path


@pytest.mark.parametrize("way", WAYS)
def test_whichever_call_fails_the_old_state_or_the_new_is_found(
    shim: Path, keys: Path, tmp_path: Path, way: str
) -> None:
    number, lasting = WAYS[way]
    calls = range(1, _calls(shim, keys, tmp_path) + 1)
    if not os.environ.get("FAULTS_ALL"):
        calls = calls[list(WAYS).index(way) :: len(WAYS)]
    plans = [
        Plan(
            folder=str(tmp_path / f"box-{at}"),
            keys=str(keys),
            steps=STEPS // 3,
            seed=5,
            fail_at=at,
            errno=number,
            lasting=lasting,
        )
        for at in calls
    ]
    ended = lived(shim, plans)
    failed = 0
    at_work: list[int] = []
    for plan, end in zip(plans, ended, strict=True):
        trace = trace_of(plan)
        kinds = [note.kind for note in trace]
        failed += Kind.FAILED in kinds
        if Kind.MARKED in kinds[: kinds.index(Kind.FAILED)]:
            at_work.append(end)
        assert end in {0, 3}, plan
        said = promises(trace)
        kept = Kept(Path(plan.folder), keys)
        # Without a promise it could not even begin; that the next start can is shown above.
        if said:
            require(kept, said[-1], said[-1] if end == 0 else _next(tmp_path, said[-1]))
    assert failed == len(calls)
    if not lasting:
        assert at_work.count(0) > len(at_work) // 2 > 0, "a disk that refuses once is waited out"


def _calls(shim: Path, keys: Path, tmp_path: Path) -> int:
    """Return how many calls a life without faults makes that could fail."""
    plan = Plan(
        folder=str(tmp_path / "whole"), keys=str(keys), steps=STEPS // 3, seed=5, fail_at=10**9, errno=errno.EIO
    )
    assert lived(shim, [plan]) == [0]
    changing = {Kind.WRITTEN, Kind.TRUNCATED, Kind.SYNCED, Kind.UNLINKED, Kind.RENAMED}
    return sum(note.kind in changing for note in trace_of(plan))


def _next(tmp_path: Path, said: Said) -> Said:
    """Return what a life without faults promises after `said`."""
    whole = promises(trace_of(Plan(folder=str(tmp_path / "whole"), keys="", steps=0, seed=0)))
    places = [at for at, one in enumerate(whole) if _alike(one, said)]
    return whole[min(places[-1] + 1, len(whole) - 1)]


def _alike(one: Said, other: Said) -> bool:
    return msgspec.structs.replace(one, epoch="") == msgspec.structs.replace(other, epoch="")


def test_the_store_is_the_one_that_ships() -> None:
    assert Store.__module__ == "agent.store"
