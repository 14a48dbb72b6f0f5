"""A damaged database is set aside whole, and the box goes on with everything it still had to send."""

import random
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.database import PAGE_BYTES
from agent.errors import DamagedError, StoreError, VaultError
from agent.key_places import make_kek_file
from agent.own_envelopes import OwnEnvelopes
from agent.quarantine import FOLDER, KEPT, log_is_broken, open_store, set_aside, set_aside_before
from agent.store import Judgement, Store
from agent.vault import Vault
from alerting.alert import Sentence
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import ObservationRecord, Range, lineage
from exchange.sealing import Opener, Sealer, sealed_by
from tests.agent.kit import BOX, PATIENT, START, Desk, arrivals, glucose, receipt

SIGNING = SigningKey.generate()
OPENING = OpeningKey.generate()
KEK = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "veilleur.db"


@pytest.fixture
def own() -> Desk:
    sealer = Sealer(box=BOX, signing_key=SIGNING, recipients=[Recipient.of(OPENING, RecipientRole.TEAM)])
    return Desk(sealer=sealer, opener=Opener(keys=[OPENING], signer_of=lambda _box, _signer: SIGNING.public))


def opened(path: Path, *, kek: bytes = KEK, now_ms: int = START) -> Store:
    return open_store(path, Vault(kek, box=BOX), own=OwnEnvelopes(SIGNING).header_of, now_ms=now_ms)


def counts(store: Store, own: Desk) -> list[int]:
    return [record.count for record in own.waiting(store) if isinstance(record, ObservationRecord)]


def take(store: Store, own: Desk, *minutes: int) -> None:
    for minute in minutes:
        store.accept(arrivals(glucose(str(100 + minute), 5 * minute)), own.sealer, now_ms=START)


@pytest.fixture
def whole(path: Path, own: Desk) -> Path:
    """A database of many pages, closed: 60 readings wait, 20 were received."""
    store = opened(path)
    take(store, own, *range(80))
    store.receipted(receipt(store, (0, 19)), now_ms=START)
    store.keep_judgement(Judgement(patient=PATIENT, cursor=1, snapshot=b"s" * 3000), own.sealer, now_ms=START)
    store.close()
    return path


def flip(path: Path, at: int, bits: int = 0xFF) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ bits]))


def _zero(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)


def _header(path: Path) -> None:
    flip(path, 3)


def _half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _last_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - PAGE_BYTES)


def _tables(path: Path) -> None:
    """The page that says which tables there are."""
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 400)


def _a_tree(path: Path) -> None:
    """A page in the middle of the outbox."""
    connection = sqlite3.connect(path)
    (root,) = connection.execute("select rootpage from sqlite_schema where name = 'outbox'").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(b"\xff" * 512)


@pytest.mark.parametrize("damage", [_zero, _text, _header, _half, _last_page, _tables, _a_tree])
def test_whatever_happened_to_the_file_it_is_set_aside_and_the_box_goes_on(
    whole: Path, own: Desk, damage: Callable[[Path], None]
) -> None:
    damage(whole)
    spoilt = whole.read_bytes()
    store = opened(whole)
    (aside,) = set_aside_before(whole)
    assert (aside.folder / whole.name).read_bytes() == spoilt
    assert {stat.S_IMODE(file.stat().st_mode) for file in aside.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(aside.folder.stat().st_mode) == 0o700
    assert store.notes() == ("database_quarantined",)
    acts = store.audited(lambda log: [(entry.act, entry.by) for entry, _ in log.entries()], now_ms=START)
    assert acts == [("log_begun", "box"), ("database_quarantined", "box")]
    take(store, own, 500)
    assert counts(store, own)[-1] == 6000
    store.close()


def test_what_was_to_be_sent_is_taken_over_with_its_numbers_and_the_new_ones_follow(whole: Path, own: Desk) -> None:
    before = opened(whole)
    former = before.epoch
    before.close()
    connection = sqlite3.connect(whole)
    (root,) = connection.execute("select rootpage from sqlite_schema where name = 'reading'").fetchone()
    connection.close()
    with whole.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(b"\xff" * 512)
    store = opened(whole)
    assert lineage(store.epoch) != lineage(former)
    assert store.backlog() == (80, 60)
    take(store, own, 200)
    assert counts(store, own) == [1000 + 10 * minute for minute in (*range(20, 80), 200)]
    # What the team has already can be asked for again, and its receipts still free what they are for.
    assert store.resend(receipted_epoch(store), [Range(0, 19)], now_ms=START) == []
    epoch = receipted_epoch(store)
    store.receipted(receipt(store, (0, 79), epoch=epoch), now_ms=START)
    assert [entry.first for entry in store.waiting(limit=9)] == [80]
    store.close()


def receipted_epoch(store: Store) -> str:
    (name,) = store._connection.execute("select name from epoch order by first limit 1").fetchone()
    return str(name)


def test_an_envelope_that_was_altered_is_not_taken_over(whole: Path, own: Desk) -> None:
    connection = sqlite3.connect(whole)
    connection.execute("update outbox set body = zeroblob(1024) where first = 50")
    connection.execute("update outbox set first = 1000, last = 1000 where first = 51")
    connection.commit()
    connection.close()
    with whole.open("r+b") as file:
        file.truncate(whole.stat().st_size - PAGE_BYTES)
    store = opened(whole)
    assert {1500, 1510}.isdisjoint(counts(store, own))
    store.close()


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_stops_the_box_nor_costs_more_than_it_hits(whole: Path, own: Desk, seed: int) -> None:
    """Bits flipped anywhere: the box starts; what it sends is authentic; only what was hit is missing."""
    dice = random.Random(seed)
    for _ in range(dice.choice((1, 3, 40))):
        flip(whole, dice.randrange(whole.stat().st_size), 1 << dice.randrange(8))
    store = opened(whole)
    sent = [entry for entry in store.waiting(limit=1000) if sealed_by(SIGNING.public, entry.body)]
    take(store, own, 900)
    assert any(
        record.count == 10000
        for entry in store.waiting(limit=1)
        for record in own.records(entry.body)
        if isinstance(record, ObservationRecord)
    )
    assert len(sent) >= 30
    store.close()


# --- the log --------------------------------------------------------------------------------------------------


def crashed(path: Path, own: Desk, *, number: int = 30) -> None:
    """Leave a database and its log as a power cut leaves them: copied while the box runs."""
    store = opened(path)
    take(store, own, *range(number))
    copy = path.parent.with_name("copy")
    shutil.copytree(path.parent, copy)
    store.close()
    shutil.rmtree(path.parent)
    copy.rename(path.parent)
    path.with_name(f"{path.name}-shm").unlink()


def wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def test_a_sound_log_after_a_power_cut_is_played_in(path: Path, own: Desk) -> None:
    crashed(path, own)
    assert not log_is_broken(wal(path))
    store = opened(path)
    assert len(counts(store, own)) == 30
    assert set_aside_before(path) == ()
    store.close()


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7])
def test_a_log_damaged_before_its_end_is_never_passed_over_in_silence(path: Path, own: Desk, part: float) -> None:
    """SQLite alone would go back to the commit before, and say nothing."""
    crashed(path, own)
    flip(wal(path), int(wal(path).stat().st_size * part))
    assert log_is_broken(wal(path))
    store = opened(path)
    (aside,) = set_aside_before(path)
    assert {file.name for file in aside.folder.iterdir()} == {path.name, wal(path).name}
    assert store.notes() == ("database_quarantined",)
    store.close()


def test_a_damaged_beginning_of_a_log_is_noticed(path: Path, own: Desk) -> None:
    crashed(path, own)
    flip(wal(path), 9)
    assert log_is_broken(wal(path))


def test_what_a_power_cut_leaves_of_a_commit_that_nobody_was_told_of_is_no_damage(path: Path, own: Desk) -> None:
    crashed(path, own)
    size = wal(path).stat().st_size
    for cut in (1, 2000, 4120, 6000):
        torn = path.with_name("torn")
        torn.write_bytes(wal(path).read_bytes()[: size - cut])
        assert not log_is_broken(torn)
    flip(wal(path), size - 10)
    assert not log_is_broken(wal(path))


def test_a_log_without_its_database_is_set_aside_and_never_played_into_a_new_one(path: Path, own: Desk) -> None:
    crashed(path, own)
    path.unlink()
    store = opened(path)
    assert store.backlog() == (0, 0)
    assert [file.name for file in set_aside_before(path)[0].folder.iterdir()] == [wal(path).name]
    store.close()


# --- moving ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 12))
def test_a_stop_at_any_step_of_setting_aside_is_taken_up_again(
    path: Path, own: Desk, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(path, own)
    flip(wal(path), wal(path).stat().st_size // 3)
    taken = 0

    class Stop(BaseException):
        pass

    def stopping(name: str) -> None:
        real = getattr(Path, name)

        def call(self: Path, *arguments: object, **named: object) -> object:
            nonlocal taken
            taken += 1
            if taken == step:
                raise Stop
            return real(self, *arguments, **named)

        monkeypatch.setattr(Path, name, call)

    for name in ("rename", "mkdir", "unlink"):
        stopping(name)
    try:
        opened(path).close()
    except Stop:
        pass
    finally:
        monkeypatch.undo()
    store = opened(path)
    assert len(set_aside_before(path)) == 1
    assert store.notes() == ("database_quarantined",)
    assert not list((path.parent / FOLDER).glob(".*"))
    take(store, own, 900)
    store.close()


def test_what_is_set_aside_is_bounded_and_the_newest_stays(path: Path, own: Desk) -> None:
    for number in range(KEPT + 2):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"damaged {number}".encode())
        opened(path, now_ms=START + 1000 * number).close()
    kept = [(one.folder / path.name).read_bytes() for one in set_aside_before(path)]
    assert kept == [f"damaged {number}".encode() for number in range(2, KEPT + 2)]


def test_many_bytes_set_aside_are_too_many_but_for_the_newest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.quarantine.KEPT_BYTES", 10)
    for number in range(2):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"damaged, and long")
        opened(path, now_ms=START + 1000 * number).close()
    assert len(set_aside_before(path)) == 1


def test_another_key_is_no_damage(whole: Path) -> None:
    before = whole.read_bytes()
    with pytest.raises(VaultError, match="does not open"):
        opened(whole, kek=bytes(32))
    assert whole.read_bytes() == before
    assert set_aside_before(whole) == ()


def test_a_missing_key_is_no_damage(whole: Path) -> None:
    with pytest.raises(VaultError, match="is missing although"):
        make_kek_file(whole.parent / "kek", database=whole)
    assert set_aside_before(whole) == ()


def test_keys_that_are_all_damaged_are_damage(whole: Path) -> None:
    connection = sqlite3.connect(whole)
    connection.execute("update data_key set wrapped = zeroblob(60)")
    connection.commit()
    connection.close()
    opened(whole).close()
    assert len(set_aside_before(whole)) == 1


def test_a_database_of_a_newer_version_is_no_damage(whole: Path) -> None:
    with sqlite3.connect(whole) as connection:
        connection.execute(
            "insert into _sqlite_migrations(migration_set, name, applied_at) values ('veilleur-box', '9999_future', '')"
        )
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        opened(whole)
    assert set_aside_before(whole) == ()


def test_a_folder_that_refuses_is_said_with_the_next_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError) as caught:
        set_aside(path, DamagedError(Sentence(fr="abîmée", en="damaged"), Sentence(fr="-", en="-")), now_ms=START)
    assert "carte" in caught.value.hint.fr
    assert "Read-only" in caught.value.why.en
