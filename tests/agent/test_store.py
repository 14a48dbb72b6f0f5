"""The buffer: nothing accepted is lost, nothing is kept twice, nothing can be read in the file."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.database import connect
from agent.errors import StoreError, VaultError
from agent.store import Arrival, Judgement, ReadingState, Store
from agent.store_reader import StoreReader
from agent.vault import Vault
from alerting.alert import AlertChange, Category, ChangeKind, Priority, Sentence
from exchange.messages import AlertRecord, ObservationRecord, lineage
from exchange.sealing import Sealer
from tests.agent.kit import BOX, MINUTE, PATIENT, START, Desk, arrivals, glucose, open_store, receipt, weight


def change(rule: str = "hypo_level_1", *, kind: ChangeKind = ChangeKind.RAISED, number: int = 1) -> AlertChange:
    return AlertChange(
        kind=kind,
        alert_id=f"{number:032x}",
        patient=PATIENT,
        rule=rule,
        priority=Priority.MEDIUM,
        category=Category.CLINICAL,
        onset=START,
        raised_at=START + 10 * MINUTE,
        resolved_at=START + 20 * MINUTE if kind is ChangeKind.RESOLVED else None,
        evidence=(),
        why=Sentence(fr="Glucose à 62 mg/dL.", en="Glucose at 62 mg/dL."),
        late=False,
        supersedes=None,
        protocol="diabetes_cgm",
        protocol_version=1,
        protocol_hash="0" * 64,
        engine_version="1",
    )


def accept(store: Store, desk: Desk, *items: Arrival) -> int:
    kept = store.accept(items, desk.sealer, now_ms=START)
    return sum(len(readings) for readings in kept.values())


def test_a_reading_and_its_sealed_entry_are_kept_together(store: Store, desk: Desk) -> None:
    assert accept(store, desk, *arrivals(glucose("104", 0), glucose("99.5", 5))) == 2
    sent = desk.waiting(store)
    assert [record.count for record in sent if isinstance(record, ObservationRecord)] == [1040, 995]
    assert [kept.reading for kept in store.unjudged(PATIENT)] == [glucose("104", 0), glucose("99.5", 5)]


def test_the_same_reading_twice_is_kept_once(store: Store, desk: Desk) -> None:
    assert accept(store, desk, *arrivals(glucose("104", 0), glucose("104", 0))) == 1
    assert accept(store, desk, *arrivals(glucose("104", 0))) == 0
    assert len(desk.waiting(store)) == 1
    assert store.backlog() == (1, 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 12), max_size=6), max_size=6))
def test_sequence_numbers_have_no_hole_however_batches_are_cut(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, batches: list[list[int]]
) -> None:
    store = open_store(tmp_path_factory.mktemp("box") / "veilleur.db")
    for batch in batches:
        accept(store, desk, *arrivals(*(glucose("100", 5 * number) for number in batch)))
    entries = sorted(store.waiting(limit=1000), key=lambda entry: entry.first)
    numbers = [number for entry in entries for number in range(entry.first, entry.last + 1)]
    assert numbers == list(range(len({number for batch in batches for number in batch})))
    store.close()


def test_many_records_are_split_into_envelopes_that_fit(store: Store, desk: Desk) -> None:
    accept(store, desk, *arrivals(*(glucose(f"{100 + number % 90}", number) for number in range(1500))))
    entries = store.waiting(limit=100)
    assert max(len(entry.body) for entry in entries) <= 65_536
    assert len(desk.waiting(store)) == 1500


def test_an_entry_stops_waiting_only_when_a_receipt_covers_all_of_it(store: Store, desk: Desk) -> None:
    accept(store, desk, *arrivals(glucose("100", 0), glucose("101", 5)))
    accept(store, desk, *arrivals(glucose("102", 10)))
    assert store.receipted(receipt(store, (0, 0)), now_ms=START).freed == ()
    assert store.receipted(receipt(store, (0, 1)), now_ms=START).freed == (0,)
    assert [entry.first for entry in store.waiting(limit=10)] == [2]
    assert store.forget_receipted(before_ms=START) == 0
    assert store.forget_receipted(before_ms=START + 1) == 1


def test_alerts_go_before_readings_and_the_newest_reading_first(store: Store, desk: Desk) -> None:
    for minute in (0, 5, 10):
        accept(store, desk, *arrivals(glucose("60", minute)))
    judgement = Judgement(patient=PATIENT, cursor=3, snapshot=b"s", changes=(change(),))
    store.keep_judgement(judgement, desk.sealer, now_ms=START)
    assert [entry.first for entry in store.waiting(limit=10)] == [3, 2, 1, 0]
    assert [entry.first for entry in store.waiting(limit=2, sent=[3, 1])] == [2, 0]


def test_a_judgement_moves_the_cursor_with_its_consequences(store: Store, desk: Desk) -> None:
    accept(store, desk, *arrivals(glucose("60", 0), glucose("61", 5)))
    assert store.count_attempt(PATIENT) == 1
    store.keep_judgement(
        Judgement(patient=PATIENT, cursor=1, snapshot=b"state", changes=(change(),)), desk.sealer, now_ms=START
    )
    stream = store.stream(PATIENT)
    assert (stream.cursor, stream.attempts, stream.snapshot) == (1, 0, b"state")
    assert [kept.row for kept in store.unjudged(PATIENT)] == [2]
    assert [alert.rule for alert in store.standing_alerts()] == ["hypo_level_1"]
    store.keep_judgement(
        Judgement(patient=PATIENT, cursor=2, snapshot=b"state", changes=(change(kind=ChangeKind.RESOLVED),)),
        desk.sealer,
        now_ms=START,
    )
    assert store.standing_alerts() == []
    assert [record.kind for record in desk.waiting(store) if isinstance(record, AlertRecord)] == [
        ChangeKind.RAISED,
        ChangeKind.RESOLVED,
    ]


def test_a_failure_inside_a_transaction_leaves_nothing_of_it(store: Store, desk: Desk) -> None:
    accept(store, desk, *arrivals(glucose("100", 0)))

    class BrokenSealer(Sealer):
        def seal(self, **_: object) -> bytes:
            raise OSError("no more entropy")

    broken = object.__new__(BrokenSealer)
    with pytest.raises(OSError, match="entropy"):
        store.accept(arrivals(glucose("101", 5)), broken, now_ms=START)
    with pytest.raises(OSError, match="entropy"):
        store.keep_judgement(Judgement(patient=PATIENT, cursor=9, snapshot=b"s", changes=(change(),)), broken, now_ms=0)
    assert store.backlog() == (1, 1)
    assert store.stream(PATIENT).cursor == 0
    assert accept(store, desk, *arrivals(glucose("101", 5))) == 1
    assert len(desk.waiting(store)) == 2


def test_records_of_the_patient_before_are_sent_apart_and_never_judged(store: Store, desk: Desk) -> None:
    stray = Arrival(patient="to-be-attributed", reading=weight("82.1", 0), attributed=False)
    assert accept(store, desk, stray) == 1
    assert store.unjudged("to-be-attributed") == []
    assert [record.patient for record in desk.waiting(store) if isinstance(record, ObservationRecord)] == [
        "to-be-attributed"
    ]
    assert store.history("to-be-attributed", since=0, until_row=10) == []


def test_a_quarantined_reading_leaves_history_but_not_the_outbox(store: Store, desk: Desk) -> None:
    accept(store, desk, *arrivals(glucose("60", 0), glucose("61", 5)))
    marked = ((1, ReadingState.QUARANTINED),)
    store.keep_judgement(Judgement(patient=PATIENT, cursor=1, snapshot=b"s", marked=marked), desk.sealer, now_ms=START)
    assert [kept.row for kept in store.history(PATIENT, since=0, until_row=2)] == [2]
    assert len(desk.waiting(store)) == 2


def test_a_technical_alert_is_told_once_per_change(store: Store, desk: Desk) -> None:
    for _ in range(3):
        store.keep_technical(PATIENT, [change("frame_rejected")], desk.sealer, now_ms=START)
    assert len(desk.waiting(store)) == 1


def test_history_resumes_from_the_newest_reading_of_each_device(store: Store, desk: Desk) -> None:
    accept(store, desk, *arrivals(glucose("100", 10), glucose("99", 5), weight("82.1", 3)))
    assert store.last_reading("C4:B0:00:00:00:01") == glucose("100", 10)
    assert store.last_reading("C4:B0:00:00:00:03") == weight("82.1", 3)
    assert store.last_reading("C4:B0:00:00:00:09") is None


def test_everything_is_there_after_a_restart(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "veilleur.db"
    first = open_store(path)
    accept(first, desk, *arrivals(glucose("100", 0)))
    first.keep_judgement(Judgement(patient=PATIENT, cursor=1, snapshot=b"s"), desk.sealer, now_ms=START)
    first.keep_counts({"receipt.signature": 1})
    first.close()
    second = open_store(path)
    assert second.epoch != first.epoch
    assert lineage(second.epoch) == lineage(first.epoch)
    assert second.stream(PATIENT).snapshot == b"s"
    assert second.counters() == {"receipt.signature": 1}
    assert accept(second, desk, *arrivals(glucose("100", 0))) == 0
    second.close()


def test_a_running_box_can_be_looked_at_without_being_changed(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "veilleur.db"
    store = open_store(path)
    accept(store, desk, *arrivals(glucose("100", 0)))
    reader = StoreReader.open(path, Vault(bytes(range(32)), box=BOX))
    assert reader.outbox.depth() == {1: 1}
    reader.close()
    store.close()
    again = StoreReader.open(path, Vault(bytes(range(32)), box=BOX))
    assert again.outbox.next_seq() == 1
    again.close()
    with pytest.raises(StoreError, match="Has the box been started"):
        StoreReader.open(tmp_path / "absent.db", Vault(bytes(32), box=BOX))


def test_no_plaintext_in_any_file_of_the_database(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "veilleur.db")
    readings = [glucose("104", minute) for minute in range(0, 500, 5)]
    accept(store, desk, *arrivals(*readings))
    store.keep_judgement(
        Judgement(patient=PATIENT, cursor=9, snapshot=b"CANARY-SNAPSHOT", changes=(change(),)),
        desk.sealer,
        now_ms=START,
    )
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    raw += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    wanted = (PATIENT, "glucose", "C4:B0:00:00:00:01", "mg/dL", "CANARY-SNAPSHOT", "hypo_level_1", "62 mg")
    assert [word for word in wanted if word.encode() in raw] == []


def test_files_are_private(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "state" / "veilleur.db")
    accept(store, desk, *arrivals(glucose("104", 0)))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    store.close()
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_database_from_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "veilleur.db"
    open_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "insert into _sqlite_migrations(migration_set, name, applied_at) values ('veilleur-box', '9999_future', '')"
        )
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version") as caught:
        open_store(path)
    assert "plus récente" in caught.value.why.fr
    assert path.read_bytes() == before


def test_a_damaged_file_is_refused_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "veilleur.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="restart"):
        open_store(path)


def test_another_boxs_key_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path / "veilleur.db").close()
    with pytest.raises(VaultError, match="does not open"):
        Store(tmp_path / "veilleur.db", Vault(bytes(32), box=BOX), now_ms=START)


def test_a_database_that_would_not_sync_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.database._PRAGMAS", {"journal_mode": "wal", "synchronous": 9})
    with pytest.raises(StoreError, match="synchronous"):
        connect(tmp_path / "veilleur.db")


_WRITER = """
import sys
from pathlib import Path
from tests.agent.kit import arrivals, glucose, open_store
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer
sealer = Sealer(box="box-0001", signing_key=SigningKey.generate(),
                recipients=[Recipient.of(OpeningKey.generate(), RecipientRole.TEAM)])
store = open_store(Path(sys.argv[1]))
number = store.backlog()[0]
while True:
    store.accept(arrivals(glucose("100", number)), sealer, now_ms=0)
    print(number, flush=True)
    number += 1
"""


def test_a_reading_said_to_be_safe_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "veilleur.db"
    root = Path(__file__).parents[2]
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
        ) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(25)]
            os.kill(writer.pid, signal.SIGKILL)
            said += [int(line) for line in writer.stdout if line.endswith("\n")]
        store = open_store(path)
        entries = sorted(store.waiting(limit=10_000), key=lambda entry: entry.first)
        assert [entry.first for entry in entries] == list(range(len(entries)))
        assert len(entries) > max(said)
        assert len(store.unjudged(PATIENT)) == len(entries)
        store.close()
