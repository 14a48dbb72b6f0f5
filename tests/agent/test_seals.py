"""What protects a stolen card: no nonce twice under a key, nothing in clear in any file, no row in another's place.

`VEILLEUR_SEALS=1000000` makes the count of nonces the long proof; `make test` takes the short form.
"""

import base64
import os
import shutil
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from agent.store import Judgement, Store
from agent.vault import NONCE_BYTES, Vault
from devices.source import DeviceFacts
from exchange.messages import ObservationRecord
from tests.agent.kit import BOX, PATIENT, START, Desk, arrivals, glucose, open_store, weight
from tests.agent.test_store import change

SEALS = int(os.environ.get("VEILLEUR_SEALS", "50000"))
ROOT = Path(__file__).parents[2]


def test_no_nonce_meets_the_same_key_twice_over_many_seals() -> None:
    vault = Vault(bytes(32), box=BOX)
    seen: set[bytes] = set()
    number = 0
    for count in range(SEALS):
        if vault.needs_key(0):
            number += 1
            vault.new_key(number)
            vault.use_key(number, 0)
        seen.add(vault.seal("reading", count, b"")[: 4 + NONCE_BYTES])
    assert len(seen) == SEALS


_SEALING = """
import sys
from pathlib import Path
from tests.agent.kit import arrivals, glucose, open_store
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer
sealer = Sealer(box="box-0001", signing_key=SigningKey.generate(),
                recipients=[Recipient.of(OpeningKey.generate(), RecipientRole.TEAM)])
store = open_store(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    store.accept(arrivals(*(glucose("100", number + one) for one in range(50))), sealer, now_ms=0)
    number += 50
    print(number, flush=True)
"""


def _keyed_nonces(database: Path, kek: bytes) -> set[tuple[bytes, bytes]]:
    """(data key, nonce) of every sealed reading: the key itself, since two copies may call different ones the same."""
    vault = Vault(kek, box=BOX)
    connection = sqlite3.connect(database)
    keys = {
        number: vault._unwrap(number, wrapped)
        for number, wrapped in connection.execute("select id, wrapped from data_key")
    }
    bodies = [body for (body,) in connection.execute("select body from reading")]
    connection.close()
    found = {(keys[int.from_bytes(body[:4], "big")], body[4 : 4 + NONCE_BYTES]) for body in bodies}
    assert len(found) == len(bodies)
    return found


@pytest.mark.process
def test_neither_a_kill_nor_a_clone_makes_a_key_seal_with_a_nonce_again(tmp_path: Path) -> None:
    first, clone = tmp_path / "first" / "box.db", tmp_path / "clone" / "box.db"
    number = 0
    for path in (first, first, clone, first):
        if path == clone and not clone.exists():
            shutil.copytree(first.parent, clone.parent)
        with subprocess.Popen(
            [sys.executable, "-c", _SEALING, str(path), str(number)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as box:
            assert box.stdout is not None
            number = [int(box.stdout.readline()) for _ in range(4)][-1] + 1000
            box.kill()
    kek = bytes(range(32))
    one, other = _keyed_nonces(first, kek), _keyed_nonces(clone, kek)
    assert len(one) >= 400
    assert len(other) >= 300
    shared = _keyed_nonces_of_both(first, clone)
    assert len(one & other) == shared


def _keyed_nonces_of_both(first: Path, clone: Path) -> int:
    """How many sealed readings are in both byte for byte: those sealed before the copy was made."""
    bodies = []
    for path in (first, clone):
        connection = sqlite3.connect(path)
        bodies.append({body for (body,) in connection.execute("select body from reading")})
        connection.close()
    return len(bodies[0] & bodies[1])


def forms(word: str) -> list[bytes]:
    """A word as it may lie in a file: in clear, in base64 at each offset, hexadecimal, UTF-16."""
    raw = word.encode()
    found = [raw, raw.hex().encode(), word.encode("utf-16-le")]
    found += [base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3)]
    return [form for form in found if len(form) >= 4]


def test_no_word_of_a_patient_lies_in_any_file_in_any_usual_form(tmp_path: Path, desk: Desk) -> None:
    """Database, log, index, what SQLite writes beside, what was set aside, and the journal's output."""
    words = [
        PATIENT,
        "CANARY-SNAPSHOT",
        "CANARY-MAKER",
        "hypo_level_1",
        "Glucose à 62",
        "C4:B0:00:00:00:01",
        "1763800000000:5",
    ]
    store = open_store(tmp_path / "veilleur.db")
    store._connection.execute("pragma temp_store = file")
    store.accept(arrivals(*(glucose("104", minute) for minute in range(0, 500, 5))), desk.sealer, now_ms=START)
    store.accept(arrivals(weight("82.1", 3)), desk.sealer, now_ms=START)
    judged = Judgement(patient=PATIENT, cursor=9, snapshot=b"CANARY-SNAPSHOT" * 400, changes=(change(),))
    store.keep_judgement(judged, desk.sealer, now_ms=START)
    store.keep_device_facts({"C4:B0:00:00:00:01": DeviceFacts(manufacturer="CANARY-MAKER")}, now_ms=START)
    during = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    after = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for files in (during, after):
        assert [(word, form) for word in words for form in forms(word) if form in files] == []
        assert [word for word in words if zlib.compress(word.encode())[2:-4] in files] == []


# --- rows in another's place ----------------------------------------------------------------------------------


@pytest.fixture
def two(store: Store, desk: Desk) -> Store:
    store.accept(arrivals(glucose("60", 0), glucose("61", 5)), desk.sealer, now_ms=START)
    return store


def seen(store: Store) -> list[int]:
    return [kept.reading.count for kept in store.unjudged(PATIENT)]


def test_rows_swapped_copied_cut_or_replaced_are_left_out_and_counted(two: Store) -> None:
    execute = two._connection.execute
    first, second = (body for (body,) in execute("select body from reading order by id").fetchall())
    execute("update reading set body = ? where id = 1", (second,))
    execute("update reading set body = ? where id = 2", (first,))
    assert seen(two) == []
    assert two.take_altered() == {"reading": 2}
    for spoilt in (second[:-1], second[:20], b"\0" * len(second), second + b"\0", "text", 7, 1.5):
        execute("update reading set body = ? where id = 2", (spoilt,))
        assert seen(two) == []
    execute("update reading set body = ? where id = 1", (first,))
    execute("update reading set body = ? where id = 2", (second,))
    assert seen(two) == [600, 610]
    # Each is counted once, however often it is met.
    assert two.take_altered() == {}


def test_a_row_of_one_table_does_not_pass_in_another(two: Store, desk: Desk) -> None:
    two.keep_judgement(
        Judgement(patient=PATIENT, cursor=1, snapshot=b"s", changes=(change(),)), desk.sealer, now_ms=START
    )
    execute = two._connection.execute
    execute("update alert set body = (select body from reading where id = 1)")
    assert two.standing_alerts() == []
    execute("update stream set body = (select body from reading where id = 1)")
    assert two.stream(PATIENT).snapshot == b""
    execute("update device set body = (select body from reading where id = 1)")
    assert two.last_reading("C4:B0:00:00:00:01") is None
    execute("update device_facts set body = (select body from reading where id = 1)")
    assert two.take_altered() == {"alert": 1, "stream": 1, "device": 1}


def test_rows_of_another_box_do_not_open(tmp_path: Path, desk: Desk) -> None:
    """Same key, copied state: the box is bound into every seal."""
    store = open_store(tmp_path / "box.db")
    store.accept(arrivals(glucose("60", 0)), desk.sealer, now_ms=START)
    (body, digest) = store._connection.execute("select body, digest from reading").fetchone()
    store.close()
    other = Vault(bytes(range(32)), box="box-0002")
    assert other.seal is not None
    mine = Vault(bytes(range(32)), box=BOX)
    again = sqlite3.connect(tmp_path / "box.db")
    for number, wrapped in again.execute("select id, wrapped from data_key"):
        mine.open_key(number, wrapped)
        other._remember(number, mine._unwrap(number, wrapped))
    again.close()
    assert b"glucose" in mine.open("reading", digest.hex(), body)
    with pytest.raises(Exception, match="altered"):
        other.open("reading", digest.hex(), body)


def test_judging_goes_on_past_an_altered_reading(two: Store, desk: Desk) -> None:
    two._connection.execute("update reading set body = x'00' where id = 1")
    assert [kept.row for kept in two.unjudged(PATIENT)] == [2]
    assert [kept.row for kept in two.history(PATIENT, since=0, until_row=2)] == [2]
    sent = [record for record in desk.waiting(two) if isinstance(record, ObservationRecord)]
    assert [record.count for record in sent] == [600, 610]
