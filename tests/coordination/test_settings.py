import re
import tomllib
from pathlib import Path

import pytest

from alerting.alert import Sentence
from coordination.errors import SettingsError
from coordination.keys import load_keys
from coordination.settings import read_settings
from tests.coordination.kit import BOX, OTHER_BOX, PATIENT, Team

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "desk.toml"


def _faults(path: Path) -> tuple[Sentence, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert str(path) in caught.value.why.fr
    return caught.value.faults


def test_settings_say_who_is_watched_by_which_box_and_since_when(team: Team) -> None:
    settings = team.settings()
    (assignment,) = settings.assignments
    assert (assignment.patient, assignment.box, assignment.until) == (PATIENT, BOX, None)
    assert assignment.since == 1_761_955_200_000
    assert settings.protocols[PATIENT].name == "diabetes_cgm"
    assert settings.signer_of(BOX, team.boxes[BOX].id) == team.boxes[BOX].public
    assert settings.signer_of(OTHER_BOX, team.boxes[BOX].id) is None
    assert settings.signer_of("box-9999", team.boxes[BOX].id) is None
    assert settings.database == team.folder / "desk.db"
    assert Path(settings.broker.ca) == team.folder / "ca.pem"


def test_the_shipped_settings_are_accepted_and_every_key_is_explained() -> None:
    settings = read_settings(SHIPPED)
    assert {item.patient for item in settings.assignments} == {"patient-7f3a", "patient-21c8"}
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if re.match(r"[a-z_]+ = ", line)]
    assert keys
    assert [line for line in keys if "  # " not in line] == []


def test_every_fault_is_told_at_once_in_both_languages(team: Team) -> None:
    path = team.write_settings(broker='host = "b"\nport = 70000\ncertficate = "c.pem"\nca = ""\nkey = "k.pem"')
    text = path.read_text(encoding="utf-8").replace("diabetes_cgm", "diabetes_cgn").replace(BOX, "box-0003", 1)
    path.write_text(text + "\n[bureau]\nport = 80\n", encoding="utf-8")
    faults = _faults(path)
    french, english = [fault.fr for fault in faults], [fault.en for fault in faults]
    assert "broker.port : attendu : un entier de 1 à 65535" in french
    assert "broker.certficate : clé inconnue (plutôt 'certificate' ?)" in french
    assert "broker.certificate : clé absente" in french
    assert "broker.ca : attendu : un chemin de fichier" in french
    assert "bureau : clé inconnue" in french
    assert f"patients[1].box: '{BOX}' is not in [[boxes]]" in english
    assert any(line.startswith("patients[1].protocol: 'diabetes_cgn' is neither") for line in english)
    assert len(faults) == 7


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (f"pseudonym = '{PATIENT}'", "pseudonym = 'Jeanne Martin'", "never a name"),
        (f"pseudonym = '{PATIENT}'", f"pseudonym = '{BOX}'", "nor a box's id"),
        (f"pseudonym = '{PATIENT}'", "pseudonym = 'to-be-attributed'", "never a name"),
        ("from = 2025-11-01T00:00:00Z", "from = 2025-11-01", "expected a time"),
        (
            "from = 2025-11-01T00:00:00Z",
            "time_zone = 'Europe/Pariss'\nfrom = 2025-11-01T00:00:00Z",
            "not an IANA time zone",
        ),
        ("from = 2025-11-01T00:00:00Z", "", "from: key missing"),
        (f"id = '{BOX}'", "id = 'Box 1'", "3 to 48 of a-z"),
        (f"id = '{BOX}'", f"id = '{OTHER_BOX}'", "there twice"),
        ("signing_keys = ['", "signing_keys = ['00", "keys of 64 digits"),
        ("[[patients]]", "[patients]", "write [[patients]]"),
        ("[inbox]", "[outbox]", "inbox: section missing"),
        ("[broker]", "[broker", "not TOML"),
    ],
)
def test_each_fault_names_its_key(team: Team, old: str, new: str, told: str) -> None:
    path = team.write_settings()
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert any(told in fault.en for fault in _faults(path)), _faults(path)


def test_a_time_without_an_offset_is_utc(team: Team) -> None:
    path = team.write_settings(patients=[(PATIENT, BOX, "2025-11-01T01:00:00+01:00", "diabetes_cgm")])
    with_offset = read_settings(path).assignments
    path.write_text(path.read_text(encoding="utf-8").replace("01:00:00+01:00", "00:00:00"), encoding="utf-8")
    assert read_settings(path).assignments == with_offset


def test_a_protocol_file_beside_the_settings_is_read_and_its_faults_told(team: Team) -> None:
    shipped = (SHIPPED.parent / "protocols" / "diabetes_cgm.toml").read_text(encoding="utf-8")
    own = team.folder / "own.toml"
    own.write_text(shipped, encoding="utf-8")
    path = team.write_settings(patients=[(PATIENT, BOX, "2025-11-01T00:00:00Z", "own.toml")])
    assert read_settings(path).protocols[PATIENT].name == tomllib.loads(shipped)["name"]
    own.write_text(shipped.replace("not_transmitted_after", "not_transmitted_afterwards"), encoding="utf-8")
    assert any("own.toml" in fault.fr and "not_transmitted" in fault.fr for fault in _faults(path))


def test_a_protocol_file_takes_a_packaged_one_or_one_beside_it(team: Team) -> None:
    head = 'schema = 1\nname = "{}"\nversion = 1\npack = "{}"\n'
    (team.folder / "service.toml").write_text(head.format("service", "diabetes_cgm"), encoding="utf-8")
    own = team.folder / "own.toml"
    own.write_text(head.format("own", "service.toml"), encoding="utf-8")
    path = team.write_settings(patients=[(PATIENT, BOX, "2025-11-01T00:00:00Z", "own.toml")])
    assert read_settings(path).protocols[PATIENT].pack == "service 1"
    own.write_text(head.format("own", "nowhere.toml"), encoding="utf-8")
    assert any("introuvable" in fault.fr for fault in _faults(path))


def test_one_key_for_two_boxes_is_refused(team: Team) -> None:
    team.boxes[OTHER_BOX] = team.boxes[BOX]
    assert any("key given twice" in fault.en for fault in _faults(team.write_settings()))


def test_keys_that_cannot_be_used_are_each_named(team: Team) -> None:
    settings = team.settings()
    assert load_keys(settings).receipt.id == team.receipt.id
    (team.folder / "opening.key").chmod(0o644)
    (team.folder / "receipt.key").unlink()
    (team.folder / "c.pem").unlink()
    with pytest.raises(SettingsError) as caught:
        load_keys(settings)
    named = [fault.en.split(":")[0] for fault in caught.value.faults]
    assert named == ["inbox.opening_keys", "inbox.receipt_key", "broker.certificate"]
    assert "chmod 600" in caught.value.why.fr
    assert "can be read by others" in caught.value.why.en


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("database = 'desk.db'", 'database = "desk\\u0000.db"', "inbox.database"),
        ("2025-11-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "from: the year"),
        ("protocol = 'diabetes_cgm'", 'protocol = "a\\u0000b"', "neither a readable file"),
        ("[broker]", "[broker]\nx = " + "[" * 50_000, "not TOML"),
        ("[broker]", "[broker]\nx = 0x" + "f" * 9000, "not TOML"),
        ("[broker]", "#" * 8_400_000 + "\n[broker]", "not TOML"),
    ],
    ids=range(6),
)
def test_settings_made_to_break_it_are_a_fault_like_another(team: Team, old: str, new: str, told: str) -> None:
    path = team.write_settings()
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert any(told in fault.en for fault in _faults(path))
