"""The box's settings: strict, every fault at once, in both languages."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.assignments import NAMING_USERS, WEIGHING
from agent.errors import SettingsError
from agent.settings import Assignment, GivenSettings, PersonSettings, Settings
from agent.settings_file import load_protocol, look_at_protocol, packaged_protocols, read_settings
from devices.consent import Consent
from devices.drivers import ALL

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


def test_a_buffer_must_leave_room_for_readings_and_its_ballast_be_of_use(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert (read_settings(SHIPPED).buffer.cap_mib, read_settings(SHIPPED).buffer.group_commit) == (1024, 30.0)
    text = text.replace("cap_mib = 1024", "cap_mib = 100").replace("alert_reserve_mib = 8 ", "alert_reserve_mib = 51 ")
    faults = faults_of(tmp_path, text.replace("ballast_mib = 16", "ballast_mib = 4"))
    assert faults == [
        "buffer.alert_reserve_mib: at most half of cap_mib (100).",
        "buffer.ballast_mib: 0, or at least 8: less is not enough to make room.",
    ]
    for wrong in ("group_commit = 0.0", "group_commit = 3600.0"):
        (fault,) = faults_of(tmp_path, text.replace("group_commit = 30.0", wrong))
        assert "group_commit" in fault


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
    ("right", "wrong", "said"),
    [
        ('driver = "blood_pressure"', 'driver = "blood_pressure"\nkind = 1', "devices[2]: the key 'kind' is unknown."),
        ("from = 2026-11-20T08:00:00Z", "", "devices[1]: say whom it is given to"),
        ("from = 2026-11-20T08:00:00Z", "from = 2026-11-20", "devices[1].from: give date, time and offset"),
        ("from = 2026-11-20T08:00:00Z", 'from = "2026-11-20"', "devices[1].from: give date, time and offset"),
        ("# expect_hours = 6", "expect_hours = 0", "devices[1].expect_hours: more than 0"),
        ("# expect_hours = 6", 'expect_hours = "6"', "devices[1].expect_hours: a number is expected."),
        ("port = 8883", "port = 88830", "broker.port: 65535 at most."),
        ("port = 8883", "port = 0", "broker.port: 1 at least."),
        ("port = 8883", "port = 88.5", "broker.port: a whole number is expected."),
        ('box = "box-0001"', "box = 1", "box: text in quotes is expected."),
        ('box = "box-0001"', "", "agent.toml: the key 'box' is missing."),
        ('# adapter = "hci0"', 'adapter = "usb"', "radio.adapter: value refused ("),
        ('relay = "the team', f'relay = "{"x" * 200}', "now.relay: 200 characters at most."),
    ],
)
def test_a_key_of_the_wrong_shape_is_told_in_words_and_counted_from_one(
    tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert right in text
    (fault,) = faults_of(tmp_path, text.replace(right, wrong, 1))
    assert fault.startswith(said)


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ("code = 12345", "devices[4].people[1].code: 9999 at most."),
        ("usr = 2", "devices[4].people[1]: the key 'usr' is unknown."),
        ("weight_kg = [60.0]", "devices[4].people[1].weight_kg: exactly 2 values in [ ]."),
    ],
)
def test_a_person_of_the_wrong_shape_is_found_by_their_place(tmp_path: Path, people: str, said: str) -> None:
    added = f"""
[[devices]]
address = "C4:B0:00:00:00:04"
driver = "weight_scale"
[[devices.people]]
patient = "patient-21c8"
from = 2026-11-01T08:00:00Z
{people}
"""
    assert faults_of(tmp_path, SHIPPED.read_text(encoding="utf-8") + added) == [said]


def test_more_residents_than_a_box_serves_are_refused(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    many = "".join(f'[[patients]]\npseudonym = "more-{at:03}"\nprotocol = "diabetes_cgm"\n\n' for at in range(59))
    assert faults_of(tmp_path, text.replace("[[devices]]", f"{many}[[devices]]", 1)) == [
        "patients: 60 entries at most."
    ]


@pytest.mark.parametrize(
    ("broken", "said"), [("= = =", "is not TOML"), ("box = 3", "text in quotes"), ("", "is missing")]
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


def test_a_box_is_given_no_protocol_that_judges_answers(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    (fault,) = faults_of(tmp_path, text.replace('protocol = "diabetes_cgm"', 'protocol = "mood_follow_up"', 1))
    assert fault.startswith("patients[1].protocol: 'mood_follow_up' judges answers to a questionnaire")


def test_packaged_protocols_are_found_by_name() -> None:
    assert set(packaged_protocols()) >= {"diabetes_cgm", "heart_failure"}
    for name in packaged_protocols():
        assert load_protocol(name, Path("/nowhere")).name == name


# --- whose devices are --------------------------------------------------------------------------------------

HEAD = SHIPPED.read_text(encoding="utf-8").split("[[devices]]")[0]
TWO = '\n[[patients]]\npseudonym = "patient-0002"\nprotocol = "heart_failure"\ntime_zone = "Europe/Lisbon"\n'
SCALE = '\n[[devices]]\naddress = "C4:B0:00:00:00:03"\ndriver = "weight_scale"\n'
BODY = "patient-21c8"
SUGAR = "patient-7f3a"


def person(patient: str, given_on: str = "2026-11-01T08:00:00Z", *, of: str = "devices", **more: object) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'\n[[{of}.people]]\npatient = "{patient}"\nfrom = {given_on}\n{lines}'


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_the_commented_examples_of_sharing_and_relaying_are_valid(tmp_path: Path) -> None:
    start, rest = SHIPPED.read_text(encoding="utf-8").split("# Several people", 1)
    examples = [line.removeprefix("# ") for line in rest.splitlines() if line.startswith("# [[") or " = " in line]
    keys = tmp_path / "keys"
    keys.mkdir()
    secret = keys / "phone.secret"
    secret.touch(mode=0o600)
    secret.write_text("correct horse battery\n", encoding="ascii")
    settings = read(tmp_path, start + "\n" + "\n".join(examples))
    shared, weighed = settings.devices[3:]
    assert [(who.patient.pseudonym, who.user, who.code) for who in shared.people] == [(BODY, 1, 1234), (SUGAR, 2, None)]
    assert [who.weight for who in weighed.people] == [(74_000, 90_000), (52_000, 68_000)]
    assert "1234" not in repr(shared)
    (relay,) = settings.relays
    assert (relay.address, relay.url, relay.kind) == ("relay:phone", "http://192.168.1.20:17580/sgv.json", "relay")
    assert (relay.secret_file, relay.token_file, relay.expect_s) == (secret, None, 3600.0)
    assert settings.watched == (*settings.devices, relay)


def test_a_device_handed_on_is_ones_until_the_moment_it_is_the_others(tmp_path: Path) -> None:
    text = HEAD + SCALE + person(BODY, until="2026-12-01T08:00:00Z") + person(SUGAR, "2026-12-01T09:00:00+01:00")
    (scale,) = read(tmp_path, text).devices
    handed_on = 1_796_112_000_000
    assert [who.patient.pseudonym for who in scale.assigned(handed_on - 1)] == [BODY]
    assert [who.patient.pseudonym for who in scale.assigned(handed_on)] == [SUGAR]
    assert scale.assigned(0) == ()
    assert scale.zone.key == "Europe/Paris"


def test_technical_alerts_about_a_device_are_its_keepers(tmp_path: Path) -> None:
    before, after = {"until": "2026-11-10T08:00:00Z"}, "2026-11-20T08:00:00Z"
    (scale,) = read(tmp_path, HEAD + SCALE + person(SUGAR, after) + person(BODY, **before)).devices
    day, begun = 86_400_000, scale.people[1].given_on
    keepers = [scale.keeper(begun + days * day).pseudonym for days in (-1, 0, 8, 9, 18, 19)]
    assert keepers == [BODY, BODY, BODY, BODY, BODY, SUGAR]


def test_consents_are_those_of_the_present_and_the_coming_users(tmp_path: Path) -> None:
    people = (
        person(SUGAR, "2026-12-01T08:00:00Z", user=1, code=2222)
        + person(BODY, until="2026-12-01T08:00:00Z", user=1, code=1111)
        + person(BODY, user=2)
    )
    (scale,) = read(tmp_path, HEAD + SCALE + people).devices
    handed_on = scale.people[0].given_on
    assert scale.consents(handed_on - 1) == (Consent(user=1, code=1111),)
    assert scale.consents(handed_on) == (Consent(user=1, code=2222),)


def test_sixty_residents_share_one_monitor(tmp_path: Path) -> None:
    residents = [f"resident-{number:02}" for number in range(60)]
    head = HEAD[: HEAD.index("[[patients]]")]
    for name in residents:
        head += f'\n[[patients]]\npseudonym = "{name}"\nprotocol = "heart_failure"\n'
    monitor = SCALE.replace("weight_scale", "blood_pressure")
    shared = "".join(person(name, user=number) for number, name in enumerate(residents))
    (device,) = read(tmp_path, head + monitor + shared).devices
    assert len(device.people) == 60
    one_fault_each = faults_of(tmp_path, head + monitor + "".join(person(name) for name in residents))
    assert len(one_fault_each) == 59


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (person(BODY) + person(SUGAR), "devices[1].people[2]: two people have the device at the same time"),
        (person(BODY, weight_kg="[60, 75]") + person(SUGAR), "tell them apart by user or weight_kg"),
        (person(BODY, weight_kg="[60, 75]") + person(SUGAR, weight_kg="[75, 90]"), "some weights are two people's"),
        (person(BODY, user=1) + person(SUGAR, user=1), "index 1 is two people's"),
        (
            person(BODY, user=1) + person(SUGAR, weight_kg="[60, 75]"),
            "to everybody who shares the device, or to nobody",
        ),
        (person(BODY, until="2026-11-01T08:00:00Z"), "people[1].until: must come after from"),
        (person(BODY, until="2026-11-01T08:00:00"), "people[1].until: give the offset"),
        (person(BODY, code=1234), "people[1].code: is of use with user only"),
        (person(BODY, weight_kg="[75, 60]"), "such as [60.0, 75.0]"),
        (person(BODY, weight_kg="[nan, 60]"), "such as [60.0, 75.0]"),
        (person(BODY, weight_kg="[0.5, 60]"), "such as [60.0, 75.0]"),
        (person(BODY, user=255), "people[1].user: 254 at most"),
        (person(BODY, user=1, code=10000), "people[1].code: 9999 at most"),
        (person("patient-9999"), "people[1].patient: 'patient-9999' is not among the patients"),
        (person(BODY, until="2026-12-01T08:00:00Z") + person("patient-0002", "2026-12-01T08:00:00Z"), "same time zone"),
        ("", "say whom it is given to"),
        (f'patient = "{BODY}"\n', "say whom it is given to"),
        (f'patient = "{BODY}"\nfrom = 2026-11-01T08:00:00Z\n' + person(SUGAR), "either patient and from, or a list"),
        (f'patient = "{BODY}"\nfrom = 2026-11-01T08:00:00Z\nuntil = 2026-10-01T08:00:00Z\n', "must come after from"),
        (f'patient = "{BODY}"\nfrom = 2026-11-01T08:00:00Z\nexpect_hours = 0\n', "expect_hours: more than 0"),
    ],
)
def test_what_leaves_in_doubt_whose_a_record_is_is_refused(tmp_path: Path, people: str, said: str) -> None:
    faults = faults_of(tmp_path, HEAD + TWO + SCALE + people)
    assert len(faults) == 1
    assert said in faults[0]


def test_a_device_can_only_tell_apart_by_what_it_says(tmp_path: Path) -> None:
    sensor = SCALE.replace("weight_scale", "cgm")
    faults = faults_of(tmp_path, HEAD + sensor + person(BODY, weight_kg="[60, 75]") + person(SUGAR, user=1))
    assert any("does not weigh" in fault for fault in faults)
    assert any("names no users" in fault for fault in faults)


def test_of_a_driver_that_does_not_exist_only_that_is_told(tmp_path: Path) -> None:
    misspelt = SCALE.replace("weight_scale", "weigth_scale")
    people = person(BODY, user=1, weight_kg="[60, 75]") + person(SUGAR, user=2)
    (fault,) = faults_of(tmp_path, HEAD + TWO + misspelt + people)
    assert "devices[1].driver: must be one of" in fault


def test_drivers_said_to_weigh_or_to_name_users_are_there() -> None:
    assert {driver.name for driver in ALL} >= WEIGHING | NAMING_USERS


RELAY = '\n[[relays]]\nname = "phone"\nurl = "http://192.168.1.20:17580/sgv.json"\n'
HIS = f'patient = "{SUGAR}"\nfrom = 2026-11-01T08:00:00Z\n'


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("http://", "ftp://", "relays[1].url: The relay's address must be like"),
        ("http://", "http://me:secret@", "without token or password"),
        ("sgv.json", "sgv.json?token=secret", "without token or password"),
        ("sgv.json", "values", "must end in /sgv.json (xDrip+)"),
        ("192.168.1.20", "93.184.216.34", "outside the home network, give an https address"),
        ('"phone"', '"Mme Dupont"', "never a person's name"),
        (HIS, "", "say whom it is given to"),
        (HIS, person(SUGAR, of="relays", user=1), "names no users"),
        (HIS, 'secret_file = "absent"\n' + HIS, "secret_file: The secret file"),
        (HIS, 'secret_file = "open"\n' + HIS, "can be read by others. Run 'chmod 600"),
        (HIS, 'token_file = "empty"\n' + HIS, "must be one line of plain characters"),
        (HIS, 'token_file = "long"\n' + HIS, "must be one line of plain characters"),
        (HIS, 'token_file = "good"\nsecret_file = "good"\n' + HIS, "give one of the two secrets"),
        (HIS, HIS + RELAY + HIS, "relays[2].name: 'phone' is there twice"),
    ],
)
def test_a_relay_that_cannot_be_asked_is_refused(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    for name, mode, secret in (
        ("open", 0o644, "s"),
        ("empty", 0o600, "\n"),
        ("long", 0o600, "s" * 1025),
        ("good", 0o600, "s"),
    ):
        (tmp_path / name).write_text(secret, encoding="ascii")
        (tmp_path / name).chmod(mode)
    faults = faults_of(tmp_path, HEAD + (RELAY + HIS).replace(right, wrong, 1))
    assert len(faults) == 1
    assert said in faults[0]


def test_a_relay_needs_no_secret_where_it_asks_none(tmp_path: Path) -> None:
    (relay,) = read(tmp_path, HEAD + RELAY + HIS).relays
    assert (relay.url, relay.secret_file, relay.token_file) == ("http://192.168.1.20:17580/sgv.json", None, None)
    assert relay.keeper(0).pseudonym == SUGAR


@pytest.mark.parametrize("name", ["../../../../tmp", "hci0/../..", "hci", "hci0\\n", "HCI0", ""])
def test_an_adapter_is_named_by_the_system_and_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace('# adapter = "hci0"', f'adapter = "{name}"')
    assert "radio.adapter" in faults_of(tmp_path, text)[0]


def test_a_consent_code_is_shown_by_nothing_that_holds_it(tmp_path: Path) -> None:
    person = PersonSettings(patient="patient-7f3a", given_on=datetime(2026, 2, 1, tzinfo=UTC), user=1, code=4321)
    given = GivenSettings(people=[person])
    read = Assignment(patient=read_settings(SHIPPED).patients[0], given_on=0, user=1, code=4321)
    assert all(
        "4321" not in shown for shown in (repr(person), repr(given), repr(read), repr(Consent(user=1, code=4321)))
    )
    wrong = (
        SHIPPED.read_text(encoding="utf-8")
        + """
[[devices]]
address = "C4:B0:00:00:00:99"
driver = "weight_scale"
people = [{ patient = "patient-7f3a", from = 2026-02-01T08:00:00Z, user = 1, code = 43219 }]
"""
    )
    assert all("43219" not in fault for fault in faults_of(tmp_path, wrong))


def test_a_protocol_of_ones_own_takes_a_packaged_one_or_one_beside_it(tmp_path: Path) -> None:
    head = 'schema = 1\nname = "{}"\nversion = 1\npack = "{}"\n'
    folder = tmp_path / "protocols"
    folder.mkdir()
    (folder / "service.toml").write_text(head.format("service", "heart_failure"), encoding="utf-8")
    (folder / "mine.toml").write_text(head.format("mine", "service.toml"), encoding="utf-8")
    mine = load_protocol("protocols/mine.toml", tmp_path)
    assert (mine.name, mine.pack) == ("mine", "service 1")
    assert mine.rules == load_protocol("heart_failure", tmp_path).rules
    (folder / "lost.toml").write_text(head.format("lost", "nowhere"), encoding="utf-8")
    checked = look_at_protocol("protocols/lost.toml", tmp_path)
    assert [fault.key for fault in checked.faults] == ["pack"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('state = "/var/lib/veilleur"', 'state = "/var/lib\\u0000"', "expected Path, got '/var/lib\\x00'"),
        ("2026-11-20T08:00:00Z", "9999-12-31T23:59:59-23:59", "from: the year"),
        ('protocol = "diabetes_cgm"', 'protocol = "a\\u0000b"', "neither a file"),
        ('protocol = "diabetes_cgm"', 'protocol = "/dev/zero"', "/dev/zero"),
        ("[broker]", "x = " + "[" * 50_000 + "\n[broker]", "is not TOML"),
        ("[broker]", "x = 0x" + "f" * 9000 + "\n[broker]", "is not TOML"),
        ("[broker]", "#" * 1_100_000 + "\n[broker]", "is not TOML"),
    ],
    ids=range(7),
)
def test_settings_made_to_break_it_are_a_fault_like_another(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    assert any(told in fault for fault in faults_of(tmp_path, text.replace(old, new)))


def test_a_root_that_is_none_is_told_in_words(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace("[identity]", '[identity]\nteam_roots = ["abc"]')
    assert faults_of(tmp_path, text) == ["identity.team_roots[1]: 64 digits 0-9a-f are expected."]
