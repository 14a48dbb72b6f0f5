"""The real box as a process, over a real broker and the real inbox, when its database goes wrong under it."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.database import PAGE_BYTES
from agent.key_places import make_kek_file, open_vault
from agent.quarantine import set_aside_before
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.store import Arrival, Store
from agent.store_reader import StoreReader
from coordination.view import View
from exchange.identity import ReceiptSigner, Recipient, RecipientRole, SigningKey, TeamKeys, write_team_keys
from exchange.messages import lineage
from exchange.sealing import Sealer
from simulators.broker import Broker
from simulators.processes import command
from tests.agent.kit import START, glucose
from tests.coordination.kit import PATIENT, Team, rows

pytestmark = [pytest.mark.broker, pytest.mark.process]

ROOT = Path(__file__).parents[2]
BOX = "box-0001"
WAIT = "select count(*) from outbox where receipted_at is null"


@dataclass
class Place:
    """A box's folder, a team's folder and a broker between them."""

    folder: Path
    team: Team
    signing: SigningKey
    config: Path
    desk: Path
    settings: Settings

    def sealer(self) -> Sealer:
        return Sealer(
            box=BOX, signing_key=self.signing, recipients=[Recipient.of(self.team.opening, RecipientRole.TEAM)]
        )

    def take(self, *minutes: int) -> None:
        """Keep readings while the box is stopped, as its pipeline does."""
        store = Store(self.settings.database, open_vault(self.settings), now_ms=START)
        arrivals = [Arrival(patient=PATIENT, reading=glucose("100", minute)) for minute in minutes]
        store.accept(arrivals, self.sealer(), now_ms=START)
        store.close()

    def query(self, text: str) -> int:
        connection = sqlite3.connect(self.settings.database, timeout=10)
        try:
            return int(connection.execute(text).fetchone()[0])
        finally:
            connection.close()

    def at_team(self) -> set[int]:
        return {(int(str(at)) - START) // 60_000 for (at,) in rows(self.team.database, "SELECT t FROM observation")}

    def alerts_at_team(self) -> set[str]:
        view = View(self.team.database)
        try:
            return {alert.rule for alert in view.alerts(standing=True)}
        finally:
            view.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture
def place(tmp_path: Path, broker: Broker) -> Place:
    keys = tmp_path / "keys"
    keys.mkdir()
    (tmp_path / "team").mkdir()
    team = Team(tmp_path / "team")
    team.boxes[BOX].save(keys / "signing.key")
    write_team_keys(
        keys / "team.json",
        TeamKeys(
            recipients=(Recipient.of(team.opening, RecipientRole.TEAM),),
            receipt_signers=(ReceiptSigner.of(team.receipt),),
        ),
    )
    for name, source in (("box-0001", BOX),):
        files = broker.certificates.client(source)
        shutil.copy(files.ca, keys / "ca.pem")
        shutil.copy(files.certificate, keys / f"{name}.pem")
        shutil.copy(files.key, keys / f"{name}.key")
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8")
    text = text.replace("broker.example.org", broker.host).replace("8883", str(broker.port))
    text = text.replace("/var/lib/veilleur", "state").replace("heartbeat = 60.0", "heartbeat = 0.2")
    config = tmp_path / "agent.toml"
    config.write_text(text.replace("receipt_timeout = 30.0", "receipt_timeout = 1.0"), encoding="utf-8")
    team.open_database().close()
    files = broker.certificates.client("inbox-1")
    desk = team.write_settings(
        broker=f"host = '{broker.host}'\nport = {broker.port}\nca = '{files.ca}'\n"
        f"certificate = '{files.certificate}'\nkey = '{files.key}'"
    )
    settings = read_settings(config)
    assert settings.vault.key_file is not None
    make_kek_file(settings.vault.key_file, database=settings.database)
    return Place(tmp_path, team, team.boxes[BOX], config, desk, settings)


@contextmanager
def process(*arguments: object, environment: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [command(str(arguments[0])), *map(str, arguments[1:])],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    ) as started:
        try:
            yield started
        finally:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                started.communicate(timeout=30)


def ready(box: "subprocess.Popen[str]") -> list[str]:
    """Return what the box said until it was ready."""
    assert box.stderr is not None
    said = []
    for line in box.stderr:
        said.append(line)
        assert PATIENT not in line
        if "event=ready" in line:
            return said
    raise AssertionError("".join(said))


def until(condition: Callable[[], bool]) -> None:
    """Return once a condition over what other processes wrote holds; the test's own timeout ends the wait."""
    while not condition():
        threading.Event().wait(0.02)


def test_a_database_put_back_while_the_box_was_stopped_loses_nothing_and_the_team_is_told(place: Place) -> None:
    place.take(0, 1, 2)
    with process("veilleur-desk", "inbox", "--config", place.desk):
        with process("veilleur", "run", "--config", place.config) as box:
            ready(box)
            until(lambda: place.query(WAIT) == 0)
        shutil.copytree(place.settings.state, place.folder / "backup")
        place.take(*range(10, 15))
        with process("veilleur", "run", "--config", place.config) as box:
            ready(box)
            until(lambda: place.query(WAIT) == 0)
        shutil.rmtree(place.settings.state)
        (place.folder / "backup").rename(place.settings.state)
        place.take(*range(20, 40))
        before = lineage(StoreReader.open(place.settings.database, open_vault(place.settings)).epoch)
        with process("veilleur", "run", "--config", place.config) as box:
            ready(box)
            until(lambda: "database_set_back" in place.alerts_at_team())
            until(lambda: place.query(WAIT) == 0)
        place.take(50)
        with process("veilleur", "run", "--config", place.config) as box:
            ready(box)
            until(lambda: place.query(WAIT) == 0)
            assert place.query("select count(*) from epoch where name like '" + before + "%'") > 0
    assert place.at_team() == {0, 1, 2, *range(10, 15), *range(20, 40), 50}
    doubled = "SELECT t FROM observation GROUP BY t, device_id HAVING count(*) > 1"
    assert rows(place.team.database, doubled) == []


def test_a_database_damaged_while_the_box_runs_is_set_aside_and_the_same_process_goes_on(place: Place) -> None:
    place.take(*range(300))
    with process("veilleur", "run", "--config", place.config) as box:
        ready(box)
        until(lambda: _spoilt(place))
        said = ready(box)
        assert any("set aside" in line for line in said)
        assert box.poll() is None
        assert len(set_aside_before(place.settings.database)) == 1
        # Nobody received anything yet: all of it waits again in the new database.
        assert place.query("select sum(last - first + 1) from outbox where lane = 1") >= 300
        with process("veilleur-desk", "inbox", "--config", place.desk):
            until(lambda: len(place.at_team()) == 300)
            until(lambda: "database_quarantined" in place.alerts_at_team())
    shown = subprocess.run(
        [command("veilleur"), "--lang", "fr", "status", "--config", str(place.config)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "mis de côté / set aside" in shown
    assert "La base du boîtier était abîmée" in shown


def _spoilt(place: Place) -> bool:
    """Overwrite the tree of the readings and of the counters, and let the box look at the file again."""
    connection = sqlite3.connect(place.settings.database, timeout=10)
    try:
        connection.execute("pragma wal_checkpoint(passive)").fetchall()
        roots = connection.execute(
            "select rootpage from sqlite_schema where name in ('reading', 'counter', 'outbox_waiting')"
        ).fetchall()
        connection.execute("insert into counter(name, n) values ('poke', 1) on conflict(name) do update set n = n + 1")
        connection.commit()
        connection.execute("pragma wal_checkpoint(passive)").fetchall()
    finally:
        connection.close()
    with place.settings.database.open("r+b") as file:
        for (root,) in roots:
            file.seek((root - 1) * PAGE_BYTES)
            file.write(b"\xff" * PAGE_BYTES)
    poke = sqlite3.connect(place.settings.database, timeout=10)
    try:
        poke.execute("insert into meta(name, value) values ('poke', x'00') on conflict(name) do nothing")
        poke.commit()
    finally:
        poke.close()
    return True


def test_altered_rows_are_left_out_told_and_stop_nothing(place: Place) -> None:
    place.take(*range(10))
    place.take(*range(10, 20))
    connection = sqlite3.connect(place.settings.database)
    for table, where in (("reading", "id = 3"), ("outbox", "first = 0"), ("device", "1"), ("data_key", "id = 1")):
        column = "wrapped" if table == "data_key" else "body"
        (key, body) = connection.execute(f"select rowid, {column} from {table} where {where}").fetchone()
        changed = body[:30] + bytes(byte ^ 1 for byte in body[30:34]) + body[34:]
        connection.execute(f"update {table} set {column} = ? where rowid = ?", (changed, key))
    connection.commit()
    connection.close()
    place.take(100, 101)
    with (
        process("veilleur-desk", "inbox", "--config", place.desk),
        process("veilleur", "run", "--config", place.config) as box,
    ):
        ready(box)
        until(lambda: {100, 101} <= place.at_team())
        until(lambda: "rows_altered" in place.alerts_at_team())
        until(lambda: place.query(WAIT) == 0)
        assert box.poll() is None
    assert place.query("select sum(last - first + 1) from unsendable") == 10
    # The team sees what is missing: it was declared, and nobody waits for it.
    declared = rows(place.team.database, "SELECT reason, first, last FROM declared_gap")
    assert declared == [("altered", 0, 9)]
    view = View(place.team.database)
    assert view.missing() == ()
    view.close()


# --- no memory ------------------------------------------------------------------------------------------------

_STARVED = """
import sqlite3, sys
hungry = sqlite3.connect(":memory:")
hungry.execute("pragma hard_heap_limit = %d" % int(sys.argv.pop(1)))
sys.argv[0] = "veilleur"
from agent.cli import main
main()
"""


@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_box_without_memory_for_its_database_says_so_in_one_sentence_and_loses_nothing(
    place: Place, lang: str
) -> None:
    place.take(*range(50))
    arguments = ["350000", "--lang", lang, "run", "--config", str(place.config)]
    starved = subprocess.run(
        [sys.executable, "-c", _STARVED, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert starved.returncode == 2
    assert "Traceback" not in starved.stderr
    assert ("La mémoire du boîtier est pleine" if lang == "fr" else "The memory of the box is full") in starved.stderr
    with process("veilleur", "run", "--config", place.config) as box:
        ready(box)
    assert place.query("select sum(last - first + 1) from outbox where lane = 1") >= 50
    assert set_aside_before(place.settings.database) == ()


_FILLING = """
import asyncio, resource, sys
from pathlib import Path
from agent.errors import StoreError
from agent.key_places import open_vault
from agent.settings_file import read_settings
from agent.store import Arrival, Store
from agent.store_thread import StoreThread
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import Sealer
from tests.agent.kit import glucose
settings = read_settings(Path(sys.argv[1]))
sealer = Sealer(box="box-0001", signing_key=SigningKey.load(settings.identity.signing_key),
                recipients=[Recipient.of(OpeningKey.generate(), RecipientRole.TEAM)])

async def fill():
    store = StoreThread()
    await store.open(lambda: Store(settings.database, open_vault(settings), now_ms=0))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), resource.RLIM_INFINITY))
    number, size = int(sys.argv[2]), 64
    while True:
        many = [Arrival(patient="patient-7f3a", reading=glucose("100", number + one)) for one in range(size)]
        await store.call(Store.accept, many, sealer, now_ms=0)
        number += size
        size *= 2
        print(number - 1, flush=True)

try:
    asyncio.run(fill())
except StoreError as error:
    sys.stderr.write(error.why.en)
    sys.exit(2)
except MemoryError:
    sys.exit(3)
"""


def test_whatever_allocation_fails_what_was_said_to_be_safe_is_there_at_the_next_start(place: Place) -> None:
    """A real process under a lowered RLIMIT_AS: it ends, and every reading it acknowledged is kept, each once."""
    number = 0
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _FILLING, str(place.config), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as filling:
            assert filling.stdout is not None
            said = [int(line) for line in filling.stdout if line.endswith("\n")]
            assert filling.stderr is not None
            why = filling.stderr.read()
            assert filling.wait(timeout=60) in {2, 3}, why
        assert said
        number = place.query("select coalesce(max(last), -1) + 1 from outbox")
        assert number > max(said)
        assert place.query("select count(*) from reading") == number
        assert place.query("select sum(last - first + 1) from outbox") == number
    assert set_aside_before(place.settings.database) == ()
    place.take(100_000)


# --- random damage, with the whole box ------------------------------------------------------------------------


def test_a_box_started_on_random_damage_is_ready_all_the_same(place: Place) -> None:
    place.take(*range(60))
    whole = place.settings.database.read_bytes()
    dice = random.Random(7)
    for _ in range(3):
        shutil.rmtree(place.settings.state / "damaged", ignore_errors=True)
        for end in ("-wal", "-shm"):
            Path(f"{place.settings.database}{end}").unlink(missing_ok=True)
        spoilt = bytearray(whole)
        for _ in range(200):
            spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
        place.settings.database.write_bytes(spoilt)
        with process("veilleur", "run", "--config", place.config) as box:
            ready(box)
