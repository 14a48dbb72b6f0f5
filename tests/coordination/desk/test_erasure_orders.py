"""The order that tells a box to erase a patient, given from the desk's pages by two people, and what comes of it."""

from contextlib import nullcontext

import msgspec
import pytest

from coordination.desk.access import ALLOWED, Action, Role
from coordination.desk.keeping import apply_retention
from coordination.desk.models import Patient
from coordination.desk.shared_database import acting, outside
from coordination.erased_patients import UNNAMED
from coordination.erasure_orders import order_of
from coordination.patient_erasure import scour
from coordination.retention import DAY_MS
from coordination.sql_commands import SqlCommands
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import EraseBody, decode_body
from exchange.commands import CommandKind, Received, SignedCommand, Trust, check_authority, decode
from exchange.errors import CommandError
from exchange.messages import Said
from exchange.team_list import Person
from exchange.team_list import Role as Listed
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_erasure import MARK, dump, found_in, lived
from tests.coordination.desk.workshop_kit import Signer, signer
from tests.coordination.kit import BOX, OTHER_BOX, OTHER_PATIENT, PATIENT, rows

ADMIN_PIN = "douze ponts anciens"
ERASE = f"/patients/{PATIENT}/effacer"
TYPED = {"pseudonyme": PATIENT}


def people(desk: Desk) -> tuple[Signer, Signer, Signer]:
    """A nurse, a physician and an administrator, each with a key."""
    return (
        signer(desk, Role.NURSE, name="Anne Morel"),
        signer(desk, Role.PHYSICIAN, name="Dr Claire Petit"),
        signer(desk, Role.ADMIN, name="Paul Admin", pin=ADMIN_PIN),
    )


def orders(desk: Desk) -> list[tuple[str, SignedCommand]]:
    found = rows(desk.boxes.database, "SELECT state, content FROM command WHERE kind = 'erase' ORDER BY version")
    return [
        (str(state), msgspec.msgpack.decode(content, type=SignedCommand))  # type: ignore[call-overload]
        for state, content in found
    ]


def trust(**roles: Signer) -> Trust:
    """What a box believes whose list names these people."""
    listed = {
        one.key.id: Person(key=one.key.id, public=one.key.public, name=one.key.name, role=Listed(role))
        for role, one in roles.items()
    }
    return Trust(people=listed, automation={})


def answered(state: AnswerState, *, reason: str = "", said: str = "") -> None:
    with acting() as database:
        ((command, issued_at),) = database.execute(
            "SELECT id, issued_at FROM command WHERE kind = 'erase' ORDER BY version DESC LIMIT 1"
        ).fetchall()
        told = (Said(fr=said, en=said),) if said else ()
        answer = Answer(box=BOX, command=command, state=state, at=issued_at + 60_000, reason=reason, said=told)
        SqlCommands(database, nullcontext).keep_answer(answer, now=issued_at + 60_000)


def dossier(one: Signer) -> str:
    return str(one.client.get(f"/patients/{PATIENT}/dossier").content.decode())


def box_page(one: Signer) -> str:
    return str(one.client.get(f"/boitiers/{BOX}").content.decode())


def test_two_people_order_it_from_the_file_the_box_confirms_and_the_team_erases(desk: Desk) -> None:
    lived(desk, 20)
    nurse, physician, _ = people(desk)
    assert "n&#39;a pas reçu l&#39;ordre d&#39;effacer" in dossier(nurse)
    page = nurse.client.post(ERASE, {**TYPED, "code": nurse.pin}, follow=True).content.decode()
    assert "Ordre d&#39;effacer signé par vous" in page
    assert "ordre signé par Anne Morel" in page
    ((state, first),) = orders(desk)
    assert (state, len(first.signatures)) == ("to_sign", 1)
    with acting() as database:
        due = SqlCommands(database, nullcontext).claim(now=decode(first.command).issued_at + 1)
        assert [one.kind for one in due if one.kind is CommandKind.ERASE] == []  # half signed, it goes nowhere

    page = physician.client.post(ERASE, {**TYPED, "code": physician.pin}, follow=True).content.decode()
    assert "signé par vous et parti" in page
    assert "ordre envoyé, réponse attendue" in page
    ((state, order),) = orders(desk)
    command = decode(order.command)
    assert (state, order.command, command.subject) == ("queued", first.command, PATIENT)
    assert decode_body(command.kind, command.body) == EraseBody()
    received = Received(command=command, signed=order)
    assert len(check_authority(received, trust(nurse=nurse, physician=physician))) == 2
    assert Patient.objects.filter(pseudonym=PATIENT).exists()
    page = nurse.client.post(ERASE, TYPED, follow=True).content.decode()
    assert "n&#39;a pas confirmé l&#39;effacement" in page

    answered(AnswerState.APPLIED)
    assert "✓ a confirmé l&#39;effacement</span> le" in dossier(nurse)
    page = nurse.client.post(ERASE, TYPED, follow=True).content.decode()
    assert "20 mesures et 2 alertes détruites" in page
    desk.database.close()
    assert found_in(dump(), PATIENT, MARK) == []


def test_an_administrator_signs_second_from_the_boxs_page_and_sees_no_file(desk: Desk) -> None:
    lived(desk, 20)
    nurse, _, admin = people(desk)
    assert PATIENT not in box_page(admin)
    nurse.client.post(ERASE, {**TYPED, "code": nurse.pin})
    assert f"Effacer {PATIENT} de {BOX}" in box_page(admin)
    with outside() as database:
        order = order_of(database, BOX, PATIENT, now=0)
    assert order is not None
    form = {"ordre": order.id, "code": admin.pin}
    page = admin.client.post(f"/boitiers/{BOX}/effacer/contresigner", form, follow=True).content.decode()
    assert "signé par vous et parti" in page
    ((_, signed),) = orders(desk)
    received = Received(command=decode(signed.command), signed=signed)
    assert check_authority(received, trust(nurse=nurse, operator=admin))[1].name == "Paul Admin"
    with pytest.raises(CommandError):
        check_authority(received, trust(nurse=nurse, installer=admin))
    # Once more changes nothing.
    page = admin.client.post(f"/boitiers/{BOX}/effacer/contresigner", form, follow=True).content.decode()
    assert "Cet ordre n&#39;attend pas de signature." in page


@pytest.mark.parametrize("role", list(Role))
def test_each_role_signs_what_the_matrix_says_and_no_more(desk: Desk, role: Role) -> None:
    lived(desk, 20)
    one = signer(desk, role, name="Some One", pin=ADMIN_PIN)
    first = one.client.post(f"/boitiers/{BOX}/effacer", {"pseudonyme": PATIENT, "code": one.pin})
    assert (first.status_code != 403) == (Action.ORDER_ERASURE in ALLOWED[role]) == (role is Role.NURSE)
    assert len(orders(desk)) == (role is Role.NURSE)
    second = one.client.post(f"/boitiers/{BOX}/effacer/contresigner", {"ordre": "0" * 32, "code": one.pin})
    confirms = {Role.PHYSICIAN, Role.ADMIN}
    assert (second.status_code != 403) == (Action.CONFIRM_ERASURE in ALLOWED[role]) == (role in confirms)


def test_one_person_who_is_both_signs_once(desk: Desk) -> None:
    lived(desk, 20)
    nurse, _, _ = people(desk)
    desk.user(Role.PHYSICIAN, name="Anne Morel")
    nurse.client.post(ERASE, {**TYPED, "code": nurse.pin})
    page = nurse.client.post(ERASE, {**TYPED, "code": nurse.pin}, follow=True).content.decode()
    assert "Deux personnes différentes doivent signer." in page
    assert [state for state, _ in orders(desk)] == ["to_sign"]


def test_a_physician_does_not_begin_and_a_wrong_pin_signs_nothing(desk: Desk) -> None:
    lived(desk, 20)
    nurse, physician, _ = people(desk)
    page = physician.client.post(ERASE, {**TYPED, "code": physician.pin}, follow=True).content.decode()
    assert "rien à signer par vous" in page
    page = nurse.client.post(ERASE, {**TYPED, "code": "faux faux faux"}, follow=True).content.decode()
    assert "n&#39;est pas celui de cette clé" in page
    assert orders(desk) == []
    assert Patient.objects.filter(pseudonym=PATIENT).exists()


def test_whoever_has_not_just_shown_who_they_are_is_asked_first(desk: Desk) -> None:
    lived(desk, 20)
    nurse, _, _ = people(desk)
    session = nurse.client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 1.0}]
    session.save()
    for address in (ERASE, f"/boitiers/{BOX}/effacer"):
        answer = nurse.client.post(address, {**TYPED, "code": nurse.pin})
        assert "next=" in answer.headers["Location"]
    assert orders(desk) == []


def test_nobody_who_is_followed_or_had_another_box_is_ordered_away(desk: Desk) -> None:
    lived(desk, 20)
    nurse, physician, _ = people(desk)
    for box, name in ((OTHER_BOX, OTHER_PATIENT), (OTHER_BOX, PATIENT), (BOX, "nobody"), (BOX, "a\x00b"), (BOX, "")):
        form = {"pseudonyme": name, "code": nurse.pin}
        page = nurse.client.post(f"/boitiers/{box}/effacer", form, follow=True).content.decode()
        assert "ou son suivi n&#39;est pas terminé" in page
    assert orders(desk) == []
    # Nor whose follow-up was resumed between the two signatures.
    nurse.client.post(f"/boitiers/{BOX}/effacer", {"pseudonyme": PATIENT, "code": nurse.pin})
    nurse.client.post(f"/patients/{PATIENT}/reprendre")
    nurse.client.post(ERASE, {**TYPED, "code": nurse.pin})
    page = physician.client.post(ERASE, {**TYPED, "code": physician.pin}, follow=True).content.decode()
    assert [state for state, _ in orders(desk)] == ["to_sign"]
    assert Patient.objects.filter(pseudonym=PATIENT).exists()
    assert "suivi n&#39;est pas terminé" in page


def test_a_refusal_says_why_and_a_new_order_can_be_signed(desk: Desk) -> None:
    lived(desk, 20)
    nurse, physician, _ = people(desk)
    for one in (nurse, physician):
        one.client.post(ERASE, {**TYPED, "code": one.pin})
    answered(AnswerState.REFUSED, reason="request", said="Il est encore dans les réglages.")
    page = dossier(nurse)
    assert "a refusé l&#39;ordre" in page
    assert "Il est encore dans les réglages." in page
    nurse.client.post(ERASE, {**TYPED, "code": nurse.pin})
    assert [state for state, _ in orders(desk)] == ["refused", "to_sign"]


def test_a_box_that_is_away_is_said_to_be_with_what_to_do(desk: Desk) -> None:
    lived(desk, 20)
    nurse, physician, _ = people(desk)
    for one in (nurse, physician):
        one.client.post(ERASE, {**TYPED, "code": one.pin})
    with acting() as database:
        database.execute("UPDATE box_status SET state = 'offline'")
    page = dossier(nurse)
    assert "Boîtier injoignable" in page
    assert "Le faire rebrancher" in page
    with acting() as database:
        database.execute("UPDATE box_status SET state = 'online'")
    assert "Boîtier injoignable" not in dossier(nurse)


def test_erased_at_once_the_order_keeps_the_name_until_the_box_answers_and_no_longer(desk: Desk) -> None:
    lived(desk)
    nurse, physician, _ = people(desk)
    nurse.client.post(ERASE, {**TYPED, "code": nurse.pin})
    form = {**TYPED, "code": physician.pin, "sans_boitier": "oui"}
    page = physician.client.post(ERASE, form, follow=True).content.decode()
    assert "200 mesures et 2 alertes détruites" in page
    assert [state for state, _ in orders(desk)] == ["queued"]
    assert found_in(dump(), MARK) == []
    assert PATIENT in box_page(nurse)
    answered(AnswerState.APPLIED, said=f"{PATIENT} effacé.")
    answered(AnswerState.REFUSED, reason="repeated", said=f"{PATIENT} : déjà.")
    with outside() as database:
        scour(database)
    page = box_page(nurse)
    assert "✓ a confirmé l&#39;effacement" in page
    assert PATIENT not in page
    assert rows(desk.boxes.database, "SELECT subject, state FROM command WHERE kind = 'erase'") == [
        (UNNAMED, "applied")
    ]
    assert rows(desk.boxes.database, f"SELECT name FROM audit_subject WHERE name = '{PATIENT}'") == []
    desk.database.close()
    assert found_in(dump(), PATIENT, MARK) == []


def test_after_the_team_erased_somebody_the_box_is_told_from_its_page_by_the_name_that_is_typed(desk: Desk) -> None:
    lived(desk, 20)
    nurse, _, admin = people(desk)
    nurse.client.post(ERASE, {**TYPED, "sans_boitier": "oui"})
    assert not Patient.objects.filter(pseudonym=PATIENT).exists()
    assert orders(desk) == []
    form = {"pseudonyme": PATIENT.upper(), "code": nurse.pin}
    page = nurse.client.post(f"/boitiers/{BOX}/effacer", form, follow=True).content.decode()
    assert "ordre signé par Anne Morel" in page
    with outside() as database:
        order = order_of(database, BOX, PATIENT, now=0)
    assert order is not None
    form = {"ordre": order.id, "code": admin.pin}
    admin.client.post(f"/boitiers/{BOX}/effacer/contresigner", form)
    ((state, signed),) = orders(desk)
    assert (state, decode(signed.command).kind) == ("queued", CommandKind.ERASE)
    answered(AnswerState.REFUSED, reason="request", said=f"Le boîtier ne garde rien de {PATIENT}.")
    with outside() as database:
        scour(database)
    desk.database.close()
    assert found_in(dump(), PATIENT) == []


def test_an_order_that_nobody_signs_a_second_time_ends_and_names_nobody_after(desk: Desk) -> None:
    lived(desk, 20)
    nurse, _, _ = people(desk)
    page = nurse.client.post(ERASE, {**TYPED, "code": nurse.pin, "sans_boitier": "oui"}, follow=True).content.decode()
    assert "détruites" in page, page
    ((_, signed),) = orders(desk)
    until = decode(signed.command).expires_at
    list(apply_retention(now=until - 1))
    assert rows(desk.boxes.database, "SELECT subject, state FROM command WHERE kind = 'erase'") == [
        (PATIENT, "to_sign")
    ]
    list(apply_retention(now=until + DAY_MS))
    assert rows(desk.boxes.database, "SELECT subject, state FROM command WHERE kind = 'erase'") == [
        (UNNAMED, "expired")
    ]
