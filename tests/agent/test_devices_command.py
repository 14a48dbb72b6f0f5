"""`veilleur devices`: what an installer reads of each device, and what a script does."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.devices_command import CAUSES, DeviceRow, read_devices, table
from agent.key_places import make_kek_file
from agent.settings import Settings
from agent.settings_file import read_settings
from agent.silence import Cause
from agent.store import Arrival, Store
from agent.technical import TechnicalAlerts
from agent.vault import Vault
from alerting.alert import Sentence
from devices.reading import Quantity
from devices.source import DeviceEvent, DeviceEventKind, DeviceFacts
from tests.agent.kit import BOX, Desk, make_reading

ROOT = Path(__file__).parents[2]
NOW = 1_796_032_800_000  # 2026-11-30T10:00:00Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
CGM, MONITOR, SCALE, PHONE = "C4:B0:00:00:00:01", "C4:B0:00:00:00:02", "C4:B0:00:00:00:03", "relay:phone"
RELAY = """
[[relays]]
name = "phone"
url = "http://127.0.0.1:17580/sgv.json"
patient = "patient-7f3a"
from = 2026-11-20T08:00:00Z
"""


def veilleur(*arguments: object, lang: str = "en") -> Result:
    return CliRunner().invoke(main, ["--lang", lang, *map(str, arguments)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped settings and a relay; no box has run on them."""
    text = (ROOT / "configs" / "agent.toml").read_text(encoding="utf-8").replace("/var/lib/veilleur", "state")
    path = tmp_path / "agent.toml"
    path.write_text(text + RELAY, encoding="utf-8")
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return read_settings(config)


@pytest.fixture
def vault(settings: Settings) -> Vault:
    assert settings.vault.key_file is not None
    make_kek_file(settings.vault.key_file, database=settings.database)
    return Vault(settings.vault.key_file.read_bytes(), box=settings.box)


@pytest.fixture
def store(settings: Settings, vault: Vault) -> Iterator[Store]:
    opened = Store(settings.database, vault, now_ms=NOW)
    yield opened
    opened.close()


@pytest.fixture
def lived(store: Store, desk: Desk) -> Store:
    """A box on which some things were heard and some have gone wrong."""
    glucose = make_reading(Quantity.GLUCOSE_INTERSTITIAL, "104", NOW - 3 * HOUR, device=CGM)
    store.accept([Arrival(patient="patient-7f3a", reading=glucose)], desk.sealer, now_ms=NOW)
    store.keep_device_facts(
        {
            CGM: DeviceFacts(seen_at=NOW - 5 * HOUR, battery=87, bonded_at=NOW - 2 * DAY, manufacturer="Maker"),
            SCALE: DeviceFacts(seen_at=NOW - 40, clock_error_s=-3 * 3600, model="UC-352BLE", firmware="1.2"),
        },
        now_ms=NOW,
    )
    alerts = TechnicalAlerts(BOX, kinds={CGM: "cgm", SCALE: "weight_scale"})
    since = Sentence(fr="le 30/11/2026 à 08:00", en="2026-11-30 at 08:00")
    for patient, rule, device in (
        ("patient-7f3a", "clock_wrong", CGM),
        ("patient-7f3a", "out_of_reach", CGM),
        ("patient-21c8", "bond_lost", SCALE),
    ):
        changes = alerts.noticed(patient, rule, device, NOW - HOUR, since=since)
        store.keep_technical(patient, changes, desk.sealer, now_ms=NOW)
    return store


def rows(settings: Settings, vault: Vault) -> dict[str, DeviceRow]:
    return {row.address: row for row in read_devices(settings, vault, now=NOW)}


@pytest.mark.usefixtures("lived")
def test_each_device_is_shown_as_the_box_last_knew_it(settings: Settings, vault: Vault) -> None:
    found = rows(settings, vault)
    assert list(found) == [CGM, MONITOR, SCALE, PHONE]
    sensor, monitor, scale, phone = found.values()
    assert (sensor.measured_at, sensor.seen_at, sensor.facts.battery) == (NOW - 3 * HOUR, NOW - 3 * HOUR, 87)
    assert (sensor.cause, [alert.rule for alert in sensor.alerts]) == (
        Cause.OUT_OF_REACH,
        ["out_of_reach", "clock_wrong"],
    )
    assert (monitor.seen_at, monitor.measured_at, monitor.cause, monitor.model) == (None, None, None, None)
    assert (scale.seen_at, scale.cause, scale.model) == (NOW - 40, Cause.BOND_LOST, "UC-352BLE (1.2)")
    assert (phone.driver, phone.patients, phone.alerts) == ("relay", ("patient-7f3a",), ())


def test_what_befalls_the_box_befalls_every_device_of_its_radio(
    settings: Settings, vault: Vault, lived: Store, desk: Desk
) -> None:
    dead = DeviceEvent(kind=DeviceEventKind.ADAPTER_DEAD, device="hci0", at=NOW)
    lived.keep_technical(BOX, TechnicalAlerts(BOX).event(BOX, dead), desk.sealer, now_ms=NOW)
    found = rows(settings, vault)
    assert [row.cause for row in found.values()] == [Cause.ADAPTER_DEAD] * 3 + [None]
    shown = table(tuple(found.values()), now=NOW, lang="en")
    assert shown.count("[high] the installer: The Bluetooth adapter of the box no longer answers") == 1


@pytest.mark.usefixtures("lived")
def test_a_person_reads_times_on_the_patients_clock_and_who_acts(settings: Settings, vault: Vault) -> None:
    found = tuple(rows(settings, vault).values())
    french, english = (table(found, now=NOW, lang=lang).splitlines() for lang in ("fr", "en"))
    assert " ".join(french[0].split()) == ("appareil lecture à qui dernier lien vu mesure du pile horloge modèle état")
    assert french[1].split("  ")[0] == "…00:01"
    assert "28/11/2026 11:00 (il y a 2\u00a0j)" in french[1]
    assert "30/11/2026 08:00 (il y a 3\u00a0h)" in french[1]
    assert "87\u00a0%" in french[1]
    assert french[1].endswith("hors de portée → l'entourage")
    assert "−3\u00a0h" in french[3]
    assert "(il y a 0\u00a0s)" in french[3]
    assert french[3].endswith("appairage perdu → l'installateur")
    assert "2026-11-30 08:00 (3\u00a0h ago)" in english[1]
    assert len(french) == len(english) == 1 + 4 + 3
    assert "[moyenne] l'entourage\u00a0: Le capteur de glucose (…00:01) ne se fait plus entendre" in "\n".join(french)
    assert "[medium] the installer: The scale (…00:03) no longer knows the box: pair it again." in english


@pytest.mark.usefixtures("lived")
def test_of_a_time_ahead_of_the_clock_no_distance_is_said(settings: Settings, vault: Vault) -> None:
    shown = table(tuple(rows(settings, vault).values()), now=NOW - 10 * DAY, lang="fr")
    assert "il y a" not in shown


@pytest.mark.usefixtures("lived")
def test_a_script_reads_json_with_times_in_utc(config: Path) -> None:
    result = veilleur("devices", "--config", config, "--json")
    assert result.exit_code == 0, result.stderr
    sensor, _, scale, _ = json.loads(result.stdout)
    assert (sensor["cause"], sensor["owner"], scale["owner"]) == ("out_of_reach", "carer", "installer")
    assert (sensor["bonded_at"], sensor["last_reading"]) == ("2026-11-28T10:00:00Z", "2026-11-30T07:00:00Z")
    assert scale["last_seen"] == "2026-11-30T09:59:59.960Z"
    assert [alert["owner"] for alert in sensor["alerts"]] == ["carer", "installer"]
    status = json.loads(veilleur("status", "--config", config, "--json").stdout)
    assert sorted(alert["owner"] for alert in status["alerts"]) == ["carer", "installer", "installer"]


@pytest.mark.usefixtures("lived")
def test_the_words_say_who_acts(config: Path) -> None:
    assert "→ l'installateur" in veilleur("devices", "--config", config, lang="fr").stdout
    assert "[medium] patient-21c8 → the installer: The scale (…00:03)" in veilleur("status", "--config", config).stdout
    assert "[moyenne] patient-21c8 → l'installateur" in veilleur("status", "--config", config, lang="fr").stdout


def test_without_devices_the_next_step_is_said() -> None:
    assert "veilleur check" in table((), now=NOW, lang="fr")


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_a_box_that_never_ran_is_one_sentence(config: Path, lang: str) -> None:
    result = veilleur("devices", "--config", config, lang=lang)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert ("démarré" in result.stderr) is (lang == "fr")


@pytest.mark.usefixtures("vault")
def test_a_database_of_an_older_version_is_one_sentence(config: Path, settings: Settings) -> None:
    shutil.copy(Path(__file__).parent / "databases" / "step_0001.db", settings.database)
    result = veilleur("devices", "--config", config)
    assert result.exit_code == 2
    assert "Start the box" in result.stderr


def test_every_cause_has_a_short_name() -> None:
    assert set(CAUSES) == set(Cause)
