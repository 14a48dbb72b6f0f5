"""`veilleur doctor`: each thing that can be wrong is made wrong, and is named with its next step in both languages."""

import json
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent import doctor_files
from agent.cli import main
from agent.clock_trust import LinuxTime
from agent.database import PAGE_BYTES
from agent.doctor_broker import broker_findings
from agent.doctor_files import file_findings
from agent.doctor_machine import machine_findings, service_findings
from agent.doctor_words import WORDS
from agent.key_places import make_kek_file
from agent.settings_file import read_settings
from agent.store import Store
from agent.vault import Vault
from alerting import compiled
from alerting.alert import Sentence
from devices.clock import SystemClock
from exchange.connection import NO_MATCHING_SUBSCRIBERS, Connection, LinkSettings
from exchange.identity import OpeningKey, TlsKey
from exchange.topics import OBSERVATIONS, every_box
from simulators.broker import Broker, Certificates, ClientFiles
from simulators.mosquitto import BrokerUnavailableError
from tests.agent.box_kit import write_settings
from tests.agent.kit import Desk, arrivals, glucose
from tests.bluez import kit as bluez_kit
from tests.bluez.kit import Machine, private_bus

DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A box that has started once, beside a broker that may be there."""

    config: Path
    certificates: Certificates

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def key(self, name: str) -> Path:
        return self.folder / "keys" / name

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text(encoding="utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), encoding="utf-8")

    def found(self, *, now: int | None = None) -> set[str]:
        """The codes of what is wrong with the files."""
        moment = SystemClock().now_ms() if now is None else now
        return {finding.code for finding in file_findings(read_settings(self.config), now=moment)}


def make_home(folder: Path, *, certificates: Certificates, port: int) -> Home:
    config = write_settings(folder, files=certificates.client("box-0001"), port=port)
    settings = read_settings(config)
    assert settings.vault.key_file is not None
    make_kek_file(settings.vault.key_file, database=settings.database)
    vault = Vault(settings.vault.key_file.read_bytes(), box=settings.box)
    Store(settings.database, vault, now_ms=SystemClock().now_ms()).close()
    return Home(config=config, certificates=certificates)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path, certificates=Certificates(tmp_path / "authority"), port=8883)


def veilleur(*arguments: object, lang: str = "en") -> Result:
    return CliRunner().invoke(main, ["--lang", lang, *map(str, arguments)])


# --- files ------------------------------------------------------------------------------------------------


def test_nothing_is_found_in_what_is_as_it_should_be(home: Home) -> None:
    assert home.found() == set()


def expire(home: Home) -> int:
    del home
    return SystemClock().now_ms() + 100 * DAY


def too_early(home: Home) -> int:
    del home
    return SystemClock().now_ms() - 60 * DAY


def soon(home: Home) -> int:
    del home
    return SystemClock().now_ms() + 80 * DAY


def damage(home: Home) -> None:
    path = home.state / "veilleur.db"
    with path.open("r+b") as file:
        # Pages in the middle: the head of the file still looks like a database.
        for at in range(2 * PAGE_BYTES, path.stat().st_size, PAGE_BYTES):
            file.seek(at)
            file.write(os.urandom(PAGE_BYTES))


def leave_wal(home: Home) -> None:
    connection = sqlite3.connect(home.state / "veilleur.db")
    connection.execute("pragma journal_mode = delete")
    connection.close()


def replace_key(home: Home, name: str, save: Callable[[Path], None]) -> None:
    home.key(name).unlink()
    save(home.key(name))


def foreign(home: Home) -> None:
    shutil.copy(Certificates(home.folder / "other").client("box-0001").certificate, home.key("box-0001.pem"))


def of_another_box(home: Home) -> None:
    shutil.copy(home.certificates.client("box-0002").certificate, home.key("box-0001.pem"))


def empty_team(home: Home) -> None:
    home.key("team.json").write_text("{}", encoding="utf-8")


FILES: dict[str, Callable[[Home], int | None]] = {
    "state_missing": lambda home: shutil.rmtree(home.state),
    "state_open": lambda home: home.state.chmod(0o755),
    "key_missing": lambda home: home.key("signing.key").unlink(),
    "key_open": lambda home: home.key("box-0001.key").chmod(0o640),
    "key_wrong": lambda home: replace_key(home, "signing.key", OpeningKey.generate().save),
    "team_unusable": empty_team,
    "certificate_unusable": foreign,
    "certificate_other_box": of_another_box,
    "certificate_other_key": lambda home: replace_key(home, "box-0001.key", TlsKey.generate().save),
    "certificate_expired": expire,
    "certificate_early": too_early,
    "certificate_soon": soon,
    "database_absent": lambda home: (home.state / "veilleur.db").unlink(),
    "database_damaged": damage,
    "database_not_wal": leave_wal,
}


@pytest.mark.parametrize("code", list(FILES))
def test_a_problem_with_a_file_is_named(home: Home, code: str) -> None:
    now = FILES[code](home)
    assert code in home.found(now=now)


def test_a_lost_key_of_the_database_is_said_in_its_own_words(home: Home) -> None:
    (home.state / "kek").write_bytes(bytes(32))
    assert home.found() == {"vault"}
    told = veilleur("doctor", "--offline", "--config", home.config, lang="fr").stdout
    assert "ne s'ouvre pas avec la clé de ce boîtier" in told


def test_a_database_of_a_newer_version_is_said_in_its_own_words(home: Home) -> None:
    connection = sqlite3.connect(home.state / "veilleur.db")
    with connection:
        connection.execute(
            "insert into _sqlite_migrations(migration_set, name, applied_at) values ('veilleur-box', '9999', 'now')"
        )
    connection.close()
    assert home.found() == {"database"}


def test_records_that_wait_for_long_without_a_receipt_are_told(home: Home, desk: Desk) -> None:
    settings = read_settings(home.config)
    vault = Vault((home.state / "kek").read_bytes(), box=settings.box)
    now = SystemClock().now_ms()
    store = Store(settings.database, vault, now_ms=now)
    store.accept(arrivals(glucose("104", 0)), desk.sealer, now_ms=now)
    store.close()
    assert home.found(now=now + 5 * 60_000) == set()
    assert home.found(now=now + 16 * 60_000) == {"receipts_missing"}


def test_a_disk_that_is_full_or_keeps_nothing_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        home = make_home(folder, certificates=Certificates(tmp_path / "authority"), port=8883)
        assert home.found() >= {"disk_low", "disk_volatile"}
    finally:
        subprocess.run(["umount", folder], check=True)


# --- the command ------------------------------------------------------------------------------------------


def test_settings_that_cannot_be_used_are_all_told_and_the_exit_code_says_so(home: Home) -> None:
    home.edit('protocol = "heart_failure"', 'protocol = "heart_faliure"')
    home.edit('time_zone = "Europe/Paris"   # of this', 'time_zone = "Europe/Pari"   # of this')
    done = veilleur("doctor", "--config", home.config)
    assert done.exit_code == 2
    assert len(done.stdout.splitlines()) == 2
    assert "heart_faliure" in done.stdout


def test_each_problem_is_one_line_with_its_step_and_scripts_get_the_same(home: Home) -> None:
    home.state.chmod(0o755)
    french, english = (veilleur("doctor", "--offline", "--config", home.config, lang=lang) for lang in ("fr", "en"))
    assert french.exit_code == english.exit_code == 1
    assert (
        f"✗ D'autres utilisateurs peuvent entrer dans {home.state}. Faire « chmod 700 {home.state} »." in french.stdout
    )
    assert f"✗ Other users can enter {home.state}. Run 'chmod 700 {home.state}'." in english.stdout
    told = json.loads(veilleur("doctor", "--offline", "--json", "--config", home.config).stdout)
    assert len(told) == len(english.stdout.splitlines())
    assert {"code", "grave", "why", "next"} == told[0].keys()


def test_what_is_only_worth_knowing_is_no_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_files, "SOON_MS", 100 * DAY)

    async def nothing(_: object) -> list[object]:
        return []

    monkeypatch.setattr("agent.doctor.machine_findings", nothing)
    done = veilleur("doctor", "--offline", "--config", home.config)
    assert done.exit_code == 0
    assert done.stdout.startswith("· The box's certificate expires on ")


def test_every_sentence_is_one_and_neither_names_nor_blames() -> None:
    for code, words in WORDS.items():
        for sentence in (words.why, words.step):
            assert sentence.fr != sentence.en, code
            assert sentence.fr.endswith((".", "»")), code
            assert sentence.en.endswith((".", "'")), code


# --- the machine ------------------------------------------------------------------------------------------


async def test_a_kernel_compiled_at_start_and_a_free_running_clock_are_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={home.folder}/nowhere")
    monkeypatch.setattr(compiled, "why", Sentence(fr="parce que", en="because"))
    monkeypatch.setattr(LinuxTime, "synchronised", lambda _: False)
    found = {finding.code: finding for finding in await machine_findings(read_settings(home.config))}
    assert found.keys() >= {"kernel_slow", "clock_wrong", "bluetooth_away"}
    assert "because" in found["kernel_slow"].why.en
    assert "parce que" in found["kernel_slow"].why.fr


async def test_a_voice_whose_program_is_not_there_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={home.folder}/nowhere")
    home.edit("[notifier] ", '[notifier]\ncommand = ["no-such-program", "x"]\nlight_on = ["true"]\n#')
    found = [one for one in await machine_findings(read_settings(home.config)) if one.code == "notifier_program"]
    assert ["no-such-program" in one.why.fr for one in found] == [True]


@pytest.mark.parametrize(
    ("shown", "codes"),
    [
        ("LoadState=loaded ActiveState=active SubState=running WatchdogUSec=40s", set()),
        ("LoadState=loaded ActiveState=failed SubState=failed WatchdogUSec=40s", {"service_down"}),
        ("LoadState=loaded ActiveState=active SubState=running WatchdogUSec=0", {"service_not_watched"}),
        ("LoadState=not-found ActiveState=inactive SubState=dead WatchdogUSec=infinity", {"service_down"}),
    ],
)
def test_what_systemd_says_of_the_service_is_understood(shown: str, codes: set[str]) -> None:
    assert {item.code for item in service_findings(dict(part.split("=") for part in shown.split()))} == codes


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """A private D-Bus that this process takes for the system's; nothing runs on it yet."""
    # A short path: that of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="veilleur-") as folder:
        async with private_bus(Path(folder)) as made:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.environment["DBUS_SYSTEM_BUS_ADDRESS"])
            yield made


async def machine_codes(home: Home) -> set[str]:
    return {finding.code for finding in await machine_findings(read_settings(home.config))} - {"clock_wrong"}


@pytest.mark.radio
async def test_bluetooth_is_looked_at_down_to_the_bond(home: Home, machine: Machine) -> None:
    assert await machine_codes(home) == {"bluetooth_away"}
    await machine.bluez()
    assert await machine_codes(home) == {"bond_missing"}
    await machine.power("hci0", on=False)
    assert "adapter_off" in await machine_codes(home)
    home.edit("[radio] ", '[radio]\nadapter = "hci7"\n#')
    assert "adapter_missing" in await machine_codes(home)


class TestDenied:
    """A bus whose policy lets nobody speak to BlueZ."""

    @pytest.fixture(autouse=True)
    def _denying(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rule = '<deny send_destination="org.bluez"/>'
        monkeypatch.setattr(bluez_kit, "CONFIG", bluez_kit.CONFIG.replace("</policy>", f"{rule}</policy>"))

    @pytest.mark.radio
    async def test_a_policy_that_denies_is_not_taken_for_a_missing_service(self, home: Home, machine: Machine) -> None:
        await machine.bluez()
        assert await machine_codes(home) == {"bluetooth_denied"}


# --- the broker -------------------------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    try:
        started = Broker(tmp_path / "broker")
    except BrokerUnavailableError as error:
        pytest.skip(str(error))
    with started:
        yield started


@pytest.fixture
def connected(broker: Broker, tmp_path: Path) -> Home:
    (tmp_path / "box").mkdir()
    return make_home(tmp_path / "box", certificates=broker.certificates, port=broker.port)


async def broker_codes(home: Home) -> set[str]:
    return {finding.code for finding in await broker_findings(read_settings(home.config))}


@pytest.mark.broker
async def test_a_broker_with_an_inbox_is_fine_and_one_without_is_told(broker: Broker, connected: Home) -> None:
    assert await broker_codes(connected) == {"inbox_away"}
    files = broker.certificates.client("inbox-1")
    inbox = Connection(
        LinkSettings(
            host=broker.host,
            port=broker.port,
            client_id="inbox-1",
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            session_expiry_s=0,
            clean_start=True,
        ),
        lambda message: message.acknowledge(),
    )
    await inbox.open()
    try:
        await inbox.subscribe([every_box(OBSERVATIONS)])
        assert await broker_codes(connected) == set()
    finally:
        await inbox.close()


@pytest.mark.broker
async def test_a_name_that_is_not_found_and_a_port_where_nobody_is(connected: Home, broker: Broker) -> None:
    connected.edit('host = "127.0.0.1"', 'host = "broker.invalid"')  # RFC 6761: never resolved
    assert await broker_codes(connected) == {"broker_name"}
    connected.edit('host = "broker.invalid"', 'host = "127.0.0.1"')
    broker.stop()
    assert await broker_codes(connected) == {"broker_port"}


@pytest.mark.broker
async def test_a_broker_of_another_authority_is_not_believed(connected: Home, tmp_path: Path) -> None:
    other = Certificates(tmp_path / "other")
    shutil.copy(other.ca, connected.key("ca.pem"))
    assert await broker_codes(connected) == {"broker_foreign"}


@pytest.mark.broker
async def test_a_box_that_the_broker_does_not_know_is_told(connected: Home, tmp_path: Path) -> None:
    other = Certificates(tmp_path / "other").client("box-0001")
    shutil.copy(other.certificate, connected.key("box-0001.pem"))
    shutil.copy(other.key, connected.key("box-0001.key"))
    assert await broker_codes(connected) == {"broker_refuses"}


@pytest.mark.broker
async def test_a_certificate_in_another_name_may_not_write_for_this_box(connected: Home, broker: Broker) -> None:
    other = broker.certificates.client("box-0002")
    shutil.copy(other.certificate, connected.key("box-0001.pem"))
    shutil.copy(other.key, connected.key("box-0001.key"))
    assert await broker_codes(connected) == {"broker_forbids"}


@contextmanager
def speaking(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on loopback that answers one connection in its own way; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


async def test_what_does_not_speak_tls_is_told(home: Home) -> None:
    with speaking(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        home.edit("port = 8883", f"port = {port}")
        assert await broker_codes(home) == {"broker_no_tls"}


def tls_server(files: ClientFiles) -> Callable[[socket.socket], None]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    def answer(connection: socket.socket) -> None:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return

    return answer


async def test_a_server_with_a_certificate_for_another_name_is_told(home: Home) -> None:
    # "127.1" is the same machine, and no name that the certificate carries.
    with speaking(tls_server(home.certificates.server)) as port:
        home.edit("port = 8883", f"port = {port}")
        home.edit('host = "127.0.0.1"', 'host = "127.1"')
        assert await broker_codes(home) == {"broker_host"}


async def test_a_server_whose_certificate_is_over_is_told_and_the_clock_is_suspected(home: Home) -> None:
    key, certificate = home.folder / "late.key", home.folder / "late.pem"
    late = TlsKey.generate()
    late.save(key)
    issued = home.certificates.authority.server(
        late.csr("late"),
        name="late",
        hosts=("127.0.0.1",),
        at=SystemClock().now_ms() - 30 * DAY,
        lifetime=timedelta(days=10),
    )
    certificate.write_bytes(issued.pem)
    with speaking(tls_server(ClientFiles(ca=home.certificates.ca, certificate=certificate, key=key))) as port:
        home.edit("port = 8883", f"port = {port}")
        assert await broker_codes(home) == {"broker_date"}


@pytest.mark.broker
async def test_a_doctor_beside_a_running_box_does_not_throw_it_out(connected: Home, broker: Broker) -> None:
    files = broker.certificates.client("box-0001")
    box = Connection(
        LinkSettings(
            host=broker.host,
            port=broker.port,
            client_id="box-0001",
            ca=files.ca,
            certificate=files.certificate,
            key=files.key,
            session_expiry_s=0,
            clean_start=True,
        ),
        lambda message: message.acknowledge(),
    )
    await box.open()
    try:
        assert await broker_codes(connected) == {"inbox_away"}
        # What the broker throws out is told before the answer to what is asked after.
        assert (await box.publish("veilleur/v1/box-0001/obs", b"", retain=False)).value == NO_MATCHING_SUBSCRIBERS
    finally:
        await box.close()


def test_each_finding_is_made_real_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [code for code in WORDS if f'"{code}"' not in text] == []
