"""What the fleet's operator is told: whether the box works, and nothing about anybody's health."""

import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from agent.fleet import FleetState, exposition, read_fleet_state, write_whole
from agent.key_places import make_kek_file
from agent.settings_file import packaged_protocols, read_settings
from agent.store import Store
from agent.vault import Vault
from devices.drivers import BROADCASTS, DRIVERS
from devices.reading import Quantity
from tests.agent.box_kit import running, write_settings
from tests.agent.kit import MINUTE, START, Desk, arrivals, glucose, weight

PATIENTS = ("patient-7f3a", "patient-21c8")
DEVICES = ("C4:B0:00:00:00:01", "C4:B0:00:00:00:02", "C4:B0:00:00:00:03")


def figures(text: str) -> dict[str, float]:
    """The lines of Prometheus's text format, by name and labels."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def a_state(tmp_path: Path, desk: Desk) -> FleetState:
    """A box that keeps readings and counted all sorts of things."""
    settings = read_settings(write_settings(tmp_path))
    assert settings.vault.key_file is not None
    make_kek_file(settings.vault.key_file, database=settings.database)
    store = Store(settings.database, Vault(settings.vault.key_file.read_bytes(), box=settings.box), now_ms=START)
    try:
        store.accept(arrivals(glucose("104", 0), weight("71.3", 1)), desk.sealer, now_ms=START)
        for _ in range(3):
            store.prove()
        counts = {"device.sensor_expired": 2, "device.bond_lost": 1, "receipt.signature": 4, "publish.refused": 5}
        store.keep_counts(counts | {"box.start": 7})
        return read_fleet_state(store, settings)
    finally:
        store.close()


def test_it_says_how_the_box_is(tmp_path: Path, desk: Desk) -> None:
    state = a_state(tmp_path, desk)
    told = figures(exposition(state, box="box-0001", now_ms=START))
    assert told['veilleur_records_waiting{lane="readings"}'] == 2
    assert told['veilleur_records_waiting{lane="alerts"}'] == 0
    assert told["veilleur_records_total"] == 2
    assert told["veilleur_commits_proven_total"] == 3
    assert told["veilleur_starts_total"] == 7
    assert told['veilleur_forwarding_events_total{what="receipt.signature"}'] == 4
    assert told["veilleur_disk_free_bytes"] > 0
    assert "veilleur_last_receipt_timestamp_seconds" not in told
    assert any(name.startswith('veilleur_box_info{box="box-0001",version="') for name in told)


def test_it_says_how_old_the_last_receipt_is_and_how_long_the_certificate_holds(tmp_path: Path, desk: Desk) -> None:
    receipted = replace(a_state(tmp_path, desk), last_receipt_at=START, certificate_expires_at=START + 86_400_000)
    told = figures(exposition(receipted, box="box-0001", now_ms=START + 5 * MINUTE))
    assert told["veilleur_last_receipt_age_seconds"] == 300
    assert 0.99 < told["veilleur_certificate_days_left"] < 1
    assert figures(exposition(receipted, box="b", now_ms=START - MINUTE))["veilleur_last_receipt_age_seconds"] == 0


def test_no_patient_device_quantity_or_rule_is_in_it(tmp_path: Path, desk: Desk) -> None:
    state = a_state(tmp_path, desk)
    text = exposition(state, box="box-0001", now_ms=START)
    settings = read_settings(tmp_path / "agent.toml")
    rules = {rule.id for patient in settings.patients for rule in patient.protocol.rules}
    names = {*(driver.name for driver in DRIVERS), *(driver.name for driver in BROADCASTS)}
    secret = {*PATIENTS, *DEVICES, *rules, *names, *packaged_protocols(), *(quantity.value for quantity in Quantity)}
    secret |= {patient.protocol.protocol_hash[:12] for patient in settings.patients}
    words = set(re.findall(r"[\w:.-]+", text))
    assert words & secret == set()
    assert [word for word in secret if len(word) > 6 and word in text] == []
    assert "device." not in text


def test_what_prometheus_reads_is_well_formed(tmp_path: Path, desk: Desk) -> None:
    text = exposition(a_state(tmp_path, desk), box='odd "box" \\', now_ms=START)
    sample = re.compile(r'[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? -?[0-9.e+]+')
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith(("# HELP veilleur_", "# TYPE veilleur_")) or sample.fullmatch(line), line


def test_the_file_is_replaced_whole_and_a_failure_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.prom"
    write_whole(path, "old\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, "new\n")
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]
    write_whole(path, "new\n")
    assert path.read_text() == "new\n"


@pytest.mark.process
def test_a_box_writes_its_figures_and_goes_on_where_it_cannot(tmp_path: Path) -> None:
    config, often = write_settings(tmp_path), {"WATCHDOG_USEC": "100000"}
    path = tmp_path / "state" / "metrics.prom"
    with running(config, environment=often) as (_, ears):
        while not path.exists():
            ears.recv(64)
    assert figures(path.read_text(encoding="utf-8"))["veilleur_starts_total"] == 1
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("[fleet] ", '[fleet]\nmetrics = "not/there/metrics.prom"\n#'), encoding="utf-8")
    with running(config, environment=often) as (box, ears):
        for _ in range(5):
            assert ears.recv(64) == b"WATCHDOG=1"
        box.terminate()
        _, said = box.communicate(timeout=30)
    assert said.count("the fleet's figures were not written") == 1
