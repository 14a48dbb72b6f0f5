"""The box's settings: strict, every fault at once, in both languages."""

from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings_file import load_protocol, packaged_protocols, read_settings

SHIPPED = Path(__file__).parents[2] / "configs" / "agent.toml"


def faults_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert all(fault.fr and fault.fr != fault.en for fault in caught.value.faults)
    return [fault.en for fault in caught.value.faults]


def test_the_shipped_example_is_valid_and_its_paths_are_beside_it() -> None:
    settings = read_settings(SHIPPED)
    assert settings.box == "box-0001"
    assert settings.broker.ca == SHIPPED.parent / "keys" / "ca.pem"
    assert settings.database == Path("/var/lib/veilleur/veilleur.db")
    assert [device.driver.name for device in settings.devices] == ["cgm", "blood_pressure", "weight_scale"]
    assert {patient.protocol.name for patient in settings.patients} == {"diabetes_cgm", "heart_failure"}


def test_every_key_of_the_shipped_example_is_commented() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if "=" in line and not line.startswith("#")]
    assert [line for line in keys if "#" not in line] == []


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    for right, wrong in (
        ('box = "box-0001"', 'box = "BOX 1"'),
        ('# credential = "veilleur-kek"', 'credential = "veilleur-kek"'),
        ('pseudonym = "patient-21c8"', 'pseudonym = "Mme Dupont"'),
        ('protocol = "diabetes_cgm"', 'protocol = "diabetis"'),
        ('address = "C4:B0:00:00:00:03"', 'address = "C4:B0:00:00:00:02"'),
        ('driver = "cgm"', 'driver = "cmg"'),
        ("from = 2026-11-20T08:00:00Z", "from = 2026-11-20T08:00:00"),
    ):
        assert right in text
        text = text.replace(right, wrong, 1)
    faults = faults_of(tmp_path, text)
    for part in (
        "box:",
        "vault:",
        "never a name",
        "'diabetis' is neither",
        "is there twice",
        "must be one of",
        "offset",
    ):
        assert any(part in fault for fault in faults), part


def test_a_rule_for_now_is_refused_where_nobody_tells_the_patient(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace("relay = ", "# relay = ")
    faults = faults_of(tmp_path, text)
    assert len(faults) == 1
    assert "say who tells them" in faults[0]


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace("keepalive = 30", "keepalife = 30")
    assert "keepalife" in faults_of(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("broken", "said"), [("= = =", "is not TOML"), ("box = 3", "Expected `str`"), ("", "missing required field")]
)
def test_a_file_that_is_no_settings_file_is_refused(tmp_path: Path, broken: str, said: str) -> None:
    assert said in faults_of(tmp_path, broken)[0]


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(tmp_path / "agent.toml")


def test_a_faulty_protocol_of_ones_own_shows_its_faults(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\n', encoding="utf-8")
    text = SHIPPED.read_text(encoding="utf-8").replace('protocol = "diabetes_cgm"', 'protocol = "mine.toml"')
    assert all("mine.toml" in fault for fault in faults_of(tmp_path, text))


def test_packaged_protocols_are_found_by_name() -> None:
    assert set(packaged_protocols()) >= {"diabetes_cgm", "heart_failure"}
    for name in packaged_protocols():
        assert load_protocol(name, Path("/nowhere")).name == name
