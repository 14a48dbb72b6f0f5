"""Pairing a device from a box's page: orders signed by whoever gives them, as a box checks them; answers shown."""

import json

import msgspec
import pytest
from django.test import Client

from coordination import signing_keys
from coordination.desk.access import Role
from coordination.handling import Handler
from coordination.office import now_ms
from coordination.person_key import Cost
from coordination.sql_commands import SqlCommands
from exchange.command_answers import Answer, AnswerState
from exchange.commands import CommandKind, Received, SignedCommand, Trust, check_authority, decode
from exchange.messages import Said
from exchange.team_list import Person
from exchange.team_list import Role as ListRole
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_boxes import connected
from tests.coordination.kit import BOX, OTHER_PATIENT, PATIENT, START, glucose, rows

PIN = "huit-chats-gris"
QUICK = Cost(memory_kib=19_456, passes=2)
ADDRESS = "C4:B0:00:00:00:09"


def with_key(desk: Desk, role: Role, name: str) -> Client:
    """Somebody who has a signing key at the desk."""
    user = desk.user(role, name=name)
    wrapped = signing_keys.make_key(name, PIN, cost=QUICK)
    with connected(desk.boxes.database) as connection:
        signing_keys.keep_key(connection, wrapped, by=Handler(name=name, row=user.pk), at=START)
    return desk.client(role, name=name)


def orders(desk: Desk) -> list[SignedCommand]:
    found = rows(desk.boxes.database, "SELECT content FROM command ORDER BY issued_at")
    return [msgspec.msgpack.decode(content, type=SignedCommand) for (content,) in found]  # type: ignore[call-overload]


def trust_in(desk: Desk, role: ListRole) -> Trust:
    """What a box believes whose signed list names everybody who has a key at this desk as `role`."""
    kept = rows(desk.boxes.database, "SELECT key, public, name FROM person_key")
    people = [Person(key=str(key), public=str(public), name=str(name), role=role) for key, public, name in kept]
    return Trust(people={person.key: person for person in people}, automation={})


def answer(desk: Desk, found: SignedCommand, state: AnswerState, result: object, said: str = "") -> None:
    command = decode(found.command)
    told = Answer(
        box=BOX,
        command=command.id,
        state=state,
        at=now_ms(),
        said=(Said(fr=said, en=said),) if said else (),
        result=json.dumps(result).encode(),
    )
    with connected(desk.boxes.database) as connection:
        SqlCommands(connection, lambda: pytest.fail("a transaction of its own")).keep_answer(told, now=now_ms())


HEARD = {
    "seen": [
        {"address": "AA:00:00:00:00:01", "name": "<b>Radio</b>", "rssi": -40, "driver": None},
        {"address": ADDRESS, "name": "Thermo", "rssi": -60, "driver": "thermometer"},
    ]
}


def test_an_installer_listens_chooses_pairs_and_waits_for_the_first_reading(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    page = nurse.post(f"/boitiers/{BOX}/ecouter", {"code": PIN}, follow=True).content.decode()
    assert "Demande signée par vous" in page
    (scan,) = orders(desk)
    assert decode(scan.command).kind is CommandKind.SCAN
    (by,) = check_authority(Received(command=decode(scan.command), signed=scan), trust_in(desk, ListRole.NURSE))
    assert (by.name, by.power) == ("C. Martin", ListRole.NURSE)

    before = nurse.get(f"/boitiers/{BOX}/appareils/etat").json()
    answer(desk, scan, AnswerState.APPLIED, HEARD)
    after = nurse.get(f"/boitiers/{BOX}/appareils/etat").json()
    assert (before["over"], after["over"]) == (False, True)
    assert before["stamp"] != after["stamp"]
    page = nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert "Thermo" in page
    assert "thermomètre" in page
    assert "&lt;b&gt;Radio&lt;/b&gt;" in page

    nurse.post(f"/boitiers/{BOX}/appairer", {"adresse": ADDRESS, "chiffres": "012 345", "code": PIN})
    pair = orders(desk)[-1]
    assert decode(pair.command).about == ADDRESS
    answer(desk, pair, AnswerState.APPLIED, {"driver": "thermometer", "trial_readings": 2}, said="Appairé et lu.")
    page = nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert "Appairé et lu." in page
    assert f"address = &#34;{ADDRESS}&#34;" in page
    assert f'patient = "{PATIENT}"' in page
    assert "attendue" in page
    desk.receive(glucose(1, device=ADDRESS, key="another"))
    page = nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert "attendue" not in page
    acts = rows(desk.boxes.database, "SELECT body FROM audit WHERE act = 'command_signed'")
    assert len(acts) == 2
    assert ADDRESS not in str(acts)


def scanned(desk: Desk, client: Client) -> None:
    client.post(f"/boitiers/{BOX}/ecouter", {"code": PIN})
    answer(desk, orders(desk)[-1], AnswerState.APPLIED, HEARD)


def test_a_device_is_given_to_a_patient_and_the_box_reads_it_by_itself(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    scanned(desk, nurse)
    page = nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert f'<option value="{PATIENT}" selected>' in page
    nurse.post(f"/boitiers/{BOX}/appairer", {"adresse": ADDRESS, "patient": PATIENT, "code": PIN})
    command = decode(orders(desk)[-1].command)
    assert (command.kind, command.subject, command.about) == (CommandKind.PAIR, PATIENT, ADDRESS)
    found = {"driver": "thermometer", "trial_readings": 2, "taken_up": True}
    answer(desk, orders(desk)[-1], AnswerState.APPLIED, found, said="Appairé et lu.")
    page = nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert f"Le boîtier le lit de lui-même · {PATIENT}" in page
    assert "agent.toml" not in page
    assert "attendue" in page
    # Who may not read who the patients are sees that it is read, and not for whom.
    page = desk.client(Role.INSTALLER, name="I. Faure").get(f"/boitiers/{BOX}/appareils").content.decode()
    assert PATIENT not in page


def test_a_device_is_given_to_nobody_whom_the_box_does_not_transmit_for(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    scanned(desk, nurse)
    asked = {"adresse": ADDRESS, "patient": OTHER_PATIENT, "code": PIN}
    refused = nurse.post(f"/boitiers/{BOX}/appairer", asked)
    assert refused.status_code == 400
    assert "ne transmet pas pour" in refused.content.decode()
    assert len(orders(desk)) == 1


def test_one_whom_the_box_does_not_take_up_is_to_be_entered_as_before(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    scanned(desk, nurse)
    nurse.post(f"/boitiers/{BOX}/appairer", {"adresse": ADDRESS, "patient": PATIENT, "code": PIN})
    answer(desk, orders(desk)[-1], AnswerState.APPLIED, {"driver": "thermometer", "taken_up": False})
    page = nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert "agent.toml" in page
    assert "de lui-même" not in page


def test_without_the_right_pin_nothing_is_asked_and_tries_are_counted(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    for _ in range(5):
        refused = nurse.post(f"/boitiers/{BOX}/ecouter", {"code": "faux-faux-faux"})
        assert refused.status_code == 400
    assert "Trop de codes faux" in nurse.post(f"/boitiers/{BOX}/ecouter", {"code": PIN}).content.decode()
    assert orders(desk) == []


def test_a_right_pin_is_no_wrong_one_when_what_it_signs_is_refused(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    scanned(desk, nurse)
    for _ in range(7):
        asked = {"adresse": ADDRESS, "patient": OTHER_PATIENT, "code": PIN}
        assert "ne transmet pas pour" in nurse.post(f"/boitiers/{BOX}/appairer", asked).content.decode()
    nurse.post(f"/boitiers/{BOX}/appairer", {"adresse": ADDRESS, "patient": PATIENT, "code": PIN})
    assert len(orders(desk)) == 2


def test_who_has_no_key_is_told_how_to_make_one(desk: Desk) -> None:
    desk.receive(glucose(0))
    nurse = desk.client(Role.NURSE)
    assert "/compte/signature" in nurse.get(f"/boitiers/{BOX}/appareils").content.decode()
    assert nurse.post(f"/boitiers/{BOX}/ecouter", {"code": PIN}).status_code in {400, 404}
    assert orders(desk) == []


@pytest.mark.parametrize(
    ("address", "digits"),
    [("AA:AA:AA:AA:AA:AA", ""), (ADDRESS, "12"), (ADDRESS, "abcdef"), (ADDRESS, "١٢٣٤٥٦"), ("<script>", "")],
)
def test_only_a_device_that_was_heard_is_paired_with_digits_that_are_some(
    desk: Desk, address: str, digits: str
) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    nurse.post(f"/boitiers/{BOX}/ecouter", {"code": PIN})
    answer(desk, orders(desk)[0], AnswerState.APPLIED, HEARD)
    refused = nurse.post(f"/boitiers/{BOX}/appairer", {"adresse": address, "chiffres": digits, "code": PIN})
    assert refused.status_code == 400
    assert len(orders(desk)) == 1


@pytest.mark.parametrize("result", [{"seen": "all"}, [1, 2], {"seen": [{"address": "x"}]}, {"seen": [{}] * 300}])
def test_a_boxs_answer_that_is_none_is_shown_as_nothing_heard(desk: Desk, result: object) -> None:
    desk.receive(glucose(0))
    nurse = with_key(desk, Role.NURSE, "C. Martin")
    nurse.post(f"/boitiers/{BOX}/ecouter", {"code": PIN})
    answer(desk, orders(desk)[0], AnswerState.APPLIED, result)
    assert "Aucun appareil entendu" in nurse.get(f"/boitiers/{BOX}/appareils").content.decode()


def test_keys_are_changed_by_an_administrator_whom_the_box_knows_as_operator(desk: Desk) -> None:
    desk.receive(glucose(0))
    assert desk.client(Role.NURSE).post(f"/boitiers/{BOX}/cles", {"code": PIN}).status_code == 403
    admin = with_key(desk, Role.ADMIN, "A. Dmin")
    assert "signée par vous" in admin.post(f"/boitiers/{BOX}/cles", {"code": PIN}, follow=True).content.decode()
    (found,) = orders(desk)
    received = Received(command=decode(found.command), signed=found)
    assert check_authority(received, trust_in(desk, ListRole.OPERATOR))[0].name == "A. Dmin"
    with pytest.raises(Exception, match="rotate is signed by nurse"):
        check_authority(received, trust_in(desk, ListRole.NURSE))
