"""The box's own key changed, a patient erased: all or nothing at every step, and nothing left in the raw files."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace as changed

from agent.cli import main
from agent.errors import RequestError, StoreError, VaultError
from agent.key_places import kek_from_file, make_kek_file, next_file, open_vault, settle_key_file
from agent.key_rotation import erase_box, erase_patient, rotate
from agent.quarantine import FOLDER
from agent.sealed_tables import SEALED, unlisted
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.state_lock import state_lock
from agent.store import Arrival, Judgement, Store
from agent.store_reader import StoreReader
from agent.vault import DAY_MS, Vault
from devices.source import DeviceFacts
from tests.agent.kit import PATIENT, START, Desk, arrivals, glucose, receipt, spo2, weight
from tests.agent.test_store import change

ROOT = Path(__file__).parents[2]
GONE = "patient-0bad"
"""Not in the settings any more."""
SCALE = "C4:B0:00:00:00:03"


ROTATED = b'"act":"keys_rotated"'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return box_settings(tmp_path)


def box_settings(folder: Path) -> Settings:
    """The shipped settings in a folder, with a key file made."""
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8").replace("/var/lib/veilleur", "state")
    (folder / "agent.toml").write_text(text, encoding="utf-8")
    found = read_settings(folder / "agent.toml")
    assert found.vault.key_file is not None
    make_kek_file(found.vault.key_file, database=found.database)
    return found


def opened(settings: Settings, *, now_ms: int = START) -> Store:
    return Store(settings.database, open_vault(settings), now_ms=now_ms)


def live(settings: Settings, desk: Desk) -> Store:
    """A box that watched two patients for three days, one of whom has left, and was started each day."""
    store = opened(settings)
    for day in range(3):
        store.close()
        store = opened(settings, now_ms=START + day * DAY_MS)
        minutes = range(day * 1440, day * 1440 + 30, 5)
        store.accept(arrivals(*(glucose("104", minute) for minute in minutes)), desk.sealer, now_ms=START)
        theirs = [Arrival(patient=GONE, reading=weight(f"8{day}.1", minute)) for minute in minutes]
        store.accept(theirs, desk.sealer, now_ms=START)
        for number, patient in enumerate((GONE, "patient-21c8")):
            values = (spo2("97", 86_400 * day + 10 * number + one) for one in range(5))
            streamed = arrivals(*values, patient=patient)
            store.accept_streamed(streamed, {}, desk.sealer, now_ms=START)
        store.keep_judgement(Judgement(patient=GONE, cursor=1, snapshot=b"GONE"), desk.sealer, now_ms=START)
        store.keep_judgement(
            Judgement(patient=PATIENT, cursor=1, snapshot=b"STAYS", changes=(change(),)), desk.sealer, now_ms=START
        )
        store.keep_device_facts({SCALE: DeviceFacts(battery=50)}, now_ms=START)
    store.receipted(receipt(store, (0, 10), epoch=_first_epoch(store)), now_ms=START)
    return store


def _first_epoch(store: Store) -> str:
    return str(store._connection.execute("select name from epoch order by first").fetchone()[0])


def contents(store: StoreReader) -> dict[str, list[tuple[object, int | str, bytes]]]:
    """What every sealed row says, opened: its key, what its seal is bound to, and the plaintext.

    That the key was changed is an act, which is left out: everything else stays as it was.
    """
    found: dict[str, list[tuple[object, int | str, bytes]]] = {}
    for table in SEALED:
        rows = [
            (key, row, store._vault.open(table.name, row, body)) for key, row, body in table.bodies(store._connection)
        ]
        found[table.name] = sorted((row for row in rows if ROTATED not in row[2]), key=repr)
    return found


def rotations(store: StoreReader) -> int:
    """How often the record of acts says that the key was changed."""
    rows = store._connection.execute("select n, body from audit").fetchall()
    return sum(ROTATED in store._vault.open("audit", number, body) for number, body in rows)


def sealed_bodies(database: Path) -> dict[str, list[bytes]]:
    connection = sqlite3.connect(database)
    found = {
        table.name: [body for (body,) in connection.execute(f"select body from {table.name} where length(body) > 0")]
        for table in SEALED
    }
    found["data_key"] = [wrapped for (wrapped,) in connection.execute("select wrapped from data_key")]
    connection.close()
    return found


def raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# --- rotation -------------------------------------------------------------------------------------------------


def test_after_a_rotation_all_opens_with_the_new_key_and_nothing_with_the_old(settings: Settings, desk: Desk) -> None:
    store = live(settings, desk)
    assert settings.vault.key_file is not None
    old, before = kek_from_file(settings.vault.key_file), contents(store)
    rotate(store, settings.vault, by="installer", now_ms=START)
    assert contents(store) == before
    assert rotations(store) == 1
    store.accept(arrivals(glucose("99", 9000)), desk.sealer, now_ms=START)
    store.close()
    assert kek_from_file(settings.vault.key_file) != old
    assert not next_file(settings.vault.key_file).exists()
    with pytest.raises(VaultError, match="does not open"):
        Store(settings.database, Vault(old, box=settings.box), now_ms=START)
    again = opened(settings)
    assert len(again.unjudged(PATIENT)) == len(before["reading"]) // 2
    assert old not in raw(settings.state)
    again.close()


_ROTATING = """
import sys
from pathlib import Path
from agent.key_places import open_vault
from agent.key_rotation import rotate
from agent.settings_file import read_settings
from agent.store import Store
settings = read_settings(Path(sys.argv[1]))
print("up", flush=True)
while True:
    store = Store(settings.database, open_vault(settings), now_ms=0)
    for _ in range(5):
        rotate(store, settings.vault, by="installer", now_ms=0)
    store.close()
"""


@pytest.mark.process
def test_kill_9_during_rotations_leaves_the_old_key_or_the_new(settings: Settings, desk: Desk, tmp_path: Path) -> None:
    store = live(settings, desk)
    before = contents(store)
    store.close()
    for number in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", _ROTATING, str(tmp_path / "agent.toml")], stdout=subprocess.PIPE, cwd=ROOT
        ) as box:
            assert box.stdout is not None
            box.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                box.wait(timeout=0.05 + 0.013 * number)
            os.kill(box.pid, signal.SIGKILL)
        # Whoever only looks finds it readable at any moment, before a start has tidied up.
        reader = StoreReader.open(settings.database, open_vault(settings))
        assert contents(reader) == before
        reader.close()
        vault = open_vault(settings)
        store = Store(settings.database, vault, now_ms=START)
        settle_key_file(settings.vault, vault)
        assert settings.vault.key_file is not None
        assert not next_file(settings.vault.key_file).exists()
        store.close()


@pytest.mark.parametrize("step", range(1, 8))
def test_a_stop_at_any_step_of_a_rotation_is_taken_up_again(
    settings: Settings, desk: Desk, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = live(settings, desk)
    before = contents(store)
    assert settings.vault.key_file is not None
    old = kek_from_file(settings.vault.key_file)
    taken = 0

    class Stop(BaseException):
        pass

    def stopping(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: object, **named: object) -> object:
            nonlocal taken
            taken += 1
            if taken == step:
                raise Stop
            return real(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    for name in ("rename", "replace"):
        stopping(Path, name)
    stopping(os, "fsync")
    stopping(Store, "wrap_anew")
    try:
        rotate(store, settings.vault, by="installer", now_ms=START)
    except Stop:
        pass
    finally:
        monkeypatch.undo()
    store.close()
    vault = open_vault(settings)
    again = Store(settings.database, vault, now_ms=START)
    settle_key_file(settings.vault, vault)
    assert contents(again) == before
    again.close()
    assert settings.vault.key_file is not None
    assert not next_file(settings.vault.key_file).exists()
    last = opened(settings)
    assert contents(last) == before
    assert rotations(last) == (kek_from_file(settings.vault.key_file) != old), "changed and entered, or neither"
    last.close()


def test_a_new_credential_laid_beside_the_old_one_is_moved_to(
    settings: Settings, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.vault.key_file is not None
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    (folder / "veilleur-kek").write_bytes(settings.vault.key_file.read_bytes())
    settings = replace(settings, vault=changed(settings.vault, key_file=None, credential="veilleur-kek"))
    store = live(settings, desk)
    before = contents(store)
    with pytest.raises(RequestError, match="systemd-creds encrypt --name=veilleur-kek-next"):
        rotate(store, settings.vault, by="installer", now_ms=START)
    store.close()
    (folder / "veilleur-kek-next").write_bytes(b"n" * 32)
    store = opened(settings)
    rotate(store, settings.vault, by="installer", now_ms=START)
    store.close()
    # Whoever laid it there gives it its name in their own time; both orders open.
    again = opened(settings)
    assert contents(again) == before
    assert again.next_kek() is None
    again.close()
    (folder / "veilleur-kek-next").replace(folder / "veilleur-kek")
    last = opened(settings)
    assert contents(last) == before
    last.close()


def test_data_keys_that_protect_nothing_are_destroyed(settings: Settings, desk: Desk) -> None:
    store = live(settings, desk)
    before = contents(store)
    for _ in range(4):
        store.close()
        store = opened(settings)
    assert store.keys.destroy_unused() >= 3
    assert numbers_kept(store) == numbers_used(store) | {store._vault.current}
    assert contents(store) == before
    store._connection.execute("update reading set body = x'', state = 5 where id <= 22")
    store._connection.execute("delete from segment where last <= 22")
    assert store.keys.destroy_unused() >= 1
    assert numbers_kept(store) == numbers_used(store) | {store._vault.current}
    store.accept(arrivals(glucose("98", 9001)), desk.sealer, now_ms=START)
    store.close()
    again = opened(settings)
    assert len(contents(again)["reading"]) == len(before["reading"]) - 12 + 1
    again.close()


def numbers_kept(store: Store) -> set[int]:
    return {number for (number,) in store._connection.execute("select id from data_key")}


def numbers_used(store: Store) -> set[int]:
    bodies = [body for table in SEALED for _, _, body in table.bodies(store._connection)]
    return {int.from_bytes(body[:4], "big") for body in bodies}


# --- erasure --------------------------------------------------------------------------------------------------


def test_neither_the_old_key_nor_the_raw_files_decipher_a_patient_who_was_erased(
    settings: Settings, desk: Desk
) -> None:
    store = live(settings, desk)
    assert settings.vault.key_file is not None
    old_kek, image = kek_from_file(settings.vault.key_file), raw(settings.state)
    old = sealed_bodies(settings.database)
    stays = [item for item in contents(store)["reading"] if b"patient-7f3a" in item[2]]
    done = erase_patient(store, settings, GONE, now_ms=START)
    assert (done.readings, done.alerts) == (33, 0)
    running = raw(settings.state)
    store.close()
    # While the box still runs, with its log and index, too: neither an old seal nor an old key lies anywhere.
    for after in (running, raw(settings.state)):
        assert old_kek not in after
        for table, bodies in old.items():
            assert [body for body in bodies if body[4:20] in after] == [], table
        assert GONE.encode() not in after
    # Whoever finds old pages in worn blocks of the card, and has the new key, opens none of the old data keys.
    new_kek = kek_from_file(settings.vault.key_file)
    for wrapped in old["data_key"]:
        for number in range(1, 20):
            context = f"veilleur|{settings.box}|data_key|{number}".encode()
            with pytest.raises(InvalidTag):
                AESGCM(new_kek).decrypt(wrapped[:12], wrapped[12:], context)
    assert image.count(old["reading"][0][4:20]) == 1
    again = opened(settings)
    assert contents(again)["reading"] == stays
    assert len(again.unjudged("patient-21c8")) == 15, "streams of others are sealed anew"
    assert again.stream(PATIENT).snapshot == b"STAYS"
    assert [alert.patient for alert in again.standing_alerts()] == [PATIENT]
    assert again.last_reading(SCALE) is not None
    again.close()


def test_what_waits_for_the_team_still_leaves_after_an_erasure(settings: Settings, desk: Desk) -> None:
    store = live(settings, desk)
    waiting = [entry.body for entry in store.waiting(limit=1000)]
    erase_patient(store, settings, GONE, now_ms=START)
    assert [entry.body for entry in store.waiting(limit=1000)] == waiting
    assert store._connection.execute("select count(*) from outbox where receipted_at is not null").fetchone() == (0,)
    store.close()


def test_a_device_that_goes_on_keeps_its_place_in_history_without_the_value(settings: Settings, desk: Desk) -> None:
    store = live(settings, desk)
    before = store.last_reading(SCALE)
    assert SCALE in {device.address for device in settings.watched}
    erase_patient(store, settings, GONE, now_ms=START)
    after = store.last_reading(SCALE)
    assert before is not None
    assert after is not None
    assert (after.order, after.count, after.provenance.frame) == (before.order, 0, b"")
    assert store.device_facts(SCALE) == DeviceFacts(battery=50)
    store.close()


def test_a_patient_who_is_still_followed_or_unknown_is_not_erased(settings: Settings, desk: Desk) -> None:
    store = live(settings, desk)
    before = sealed_bodies(settings.database)
    with pytest.raises(RequestError, match="still in the settings"):
        erase_patient(store, settings, PATIENT, now_ms=START)
    with pytest.raises(RequestError, match="keeps nothing of patient-none"):
        erase_patient(store, settings, "patient-none", now_ms=START)
    assert sealed_bodies(settings.database) == before
    store.close()
    opened(settings).close()


@pytest.mark.parametrize(
    ("kind", "table"), [("delete", "stream"), ("update", "reading"), ("update", "device"), ("insert", "data_key")]
)
def test_an_erasure_that_fails_midway_erases_nothing(settings: Settings, desk: Desk, kind: str, table: str) -> None:
    store = live(settings, desk)
    before = contents(store)
    store._connection.execute(
        f"create temp trigger stops before {kind} on main.{table} begin select raise(abort, 'disk failed'); end"
    )
    with pytest.raises(sqlite3.IntegrityError, match="disk failed"):
        erase_patient(store, settings, GONE, now_ms=START)
    store._connection.execute("drop trigger stops")
    assert contents(store) == before
    store.accept(arrivals(glucose("97", 9002)), desk.sealer, now_ms=START)
    store.close()
    vault = open_vault(settings)
    again = Store(settings.database, vault, now_ms=START)
    settle_key_file(settings.vault, vault)
    assert len(contents(again)["reading"]) == len(before["reading"]) + 1
    again.close()


def test_every_sealed_table_is_known_to_what_destroys_keys(settings: Settings) -> None:
    store = opened(settings)
    assert unlisted(store._connection) == ()
    store._connection.execute("create table later (id integer primary key, body blob)")
    assert unlisted(store._connection) == ("later",)
    with pytest.raises(StoreError, match="later"):
        store.keys.destroy_unused()
    store.close()


def test_every_seal_in_the_code_is_of_a_listed_table() -> None:
    """A table sealed under another name than its own would be destroyed with its key."""
    named = set()
    for path in (ROOT / "agent").glob("*.py"):
        named |= set(re.findall(r'_?vault\.seal\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert named <= {table.name for table in SEALED}
    assert named


def test_erasing_the_whole_box_leaves_neither_key_nor_data(settings: Settings, desk: Desk) -> None:
    live(settings, desk).close()
    aside = settings.state / FOLDER / "20260101T000000Z-00000000"
    aside.mkdir(parents=True)
    shutil.copy(settings.database, aside / settings.database.name)
    erase_box(settings)
    assert [path for path in settings.state.rglob("*") if path.is_file()] == []


# --- the commands ---------------------------------------------------------------------------------------------


def veilleur(*arguments: object, lang: str = "en", answers: str | None = None) -> Result:
    return CliRunner().invoke(main, ["--lang", lang, *map(str, arguments)], input=answers)


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_an_installer_changes_the_key_of_a_stopped_box(
    settings: Settings, desk: Desk, tmp_path: Path, lang: str
) -> None:
    assert settings.vault.key_file is not None
    live(settings, desk).close()
    before = kek_from_file(settings.vault.key_file)
    result = veilleur("rotate-keys", "--config", tmp_path / "agent.toml", lang=lang)
    assert (result.exit_code, result.stderr) == (0, "")
    assert ("détruite" if lang == "fr" else "destroyed") in result.stdout
    assert kek_from_file(settings.vault.key_file) != before
    opened(settings).close()


def test_a_running_box_is_not_changed_under_its_feet(settings: Settings, desk: Desk, tmp_path: Path) -> None:
    live(settings, desk).close()
    with state_lock(settings.state):
        for command in (("rotate-keys",), ("erase", "--patient", GONE, "--confirm", GONE)):
            result = veilleur(*command, "--config", tmp_path / "agent.toml")
            assert result.exit_code == 2
            assert "systemctl stop veilleur" in result.stderr


def test_an_installer_erases_a_patient_and_must_name_them_twice(settings: Settings, desk: Desk, tmp_path: Path) -> None:
    live(settings, desk).close()
    config = tmp_path / "agent.toml"
    for wrong in (("--patient", GONE), ("--patient", GONE, "--confirm", PATIENT), ("--everything",)):
        result = veilleur("erase", "--config", config, *wrong)
        assert result.exit_code == 2
        assert "nothing was erased" in result.stderr
    assert "Give --patient" in veilleur("erase", "--config", config).stderr
    result = veilleur("erase", "--config", config, "--patient", GONE, "--confirm", GONE, lang="fr")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{GONE} est effacé du boîtier : 33 mesures" in result.stdout
    assert GONE.encode() not in raw(settings.state)


def test_an_installer_erases_everything(settings: Settings, desk: Desk, tmp_path: Path) -> None:
    live(settings, desk).close()
    result = veilleur("erase", "--config", tmp_path / "agent.toml", "--everything", "--confirm", settings.box)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [path.name for path in settings.state.rglob("*") if path.is_file()] == ["lock"]


def test_a_box_that_never_ran_has_nothing_to_change(settings: Settings, tmp_path: Path) -> None:
    result = veilleur("rotate-keys", "--config", tmp_path / "agent.toml")
    assert result.exit_code == 2
    assert "Has the box been started?" in result.stderr
