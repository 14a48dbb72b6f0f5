"""A draft tried in silence on the box, from the workshop: asked for, told of, ended; and what is refused."""

import msgspec
import pytest
from django.test import Client

from alerting.alert import Priority
from coordination.database import Answered
from coordination.desk.access import Role
from coordination.desk.models import Patient, User
from coordination.desk.shared_database import acting
from coordination.patient_erasure import erase
from coordination.shadow_orders import shadow_orders
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import ProtocolBody, ShadowBody, decode_body
from exchange.commands import Command, Received, SignedCommand, Trust, check_authority, decode
from exchange.messages import Said
from exchange.shadow_reports import ReportedAlert, ReportedRule, ReportedSide, ShadowReport, encode_report
from exchange.team_list import Person
from exchange.team_list import Role as Listed
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.workshop_kit import ADDRESS, begun, changed, draft_of, packaged, seen, signer, watched
from tests.coordination.kit import OTHER_BOX, OTHER_PATIENT, START, rows

DAY = 86_400_000


def begin(client: Client, pin: str, **more: object) -> str:
    answer = client.post(f"{ADDRESS}/ombre", {**seen(), "code": pin, **more}, follow=True)
    return str(answer.content.decode())


def end(client: Client, pin: str) -> str:
    return str(client.post(f"{ADDRESS}/ombre/fin", {"code": pin}, follow=True).content.decode())


def sent(desk: Desk) -> list[tuple[Command, SignedCommand]]:
    found = rows(desk.boxes.database, "SELECT content FROM command WHERE kind = 'shadow' ORDER BY version")
    orders = [msgspec.msgpack.decode(content, type=SignedCommand) for (content,) in found]  # type: ignore[call-overload]
    return [(decode(one.command), one) for one in orders]


def answered(desk: Desk, state: AnswerState, *, at: int = START, result: bytes = b"", said: str = "") -> None:
    """Let the box answer the newest order."""
    answer = Answer(
        box=OTHER_BOX,
        command=sent(desk)[-1][0].id,
        state=state,
        at=at,
        said=(Said(fr=said, en=said),) if said else (),
        result=result,
    )
    desk.boxes.store(desk.database, Answered(answer=answer, at=at))


def side(told: int) -> ReportedSide:
    name, protocol_hash = "heart_failure", "a" * 64
    return ReportedSide(name=name, version=2, protocol_hash=protocol_hash, told=told, raised=told + 1, taken_back=0)


def report(told: int, *, fault: str = "", why: str = "Poids +1.7 kg en 3 jours") -> bytes:
    alert = ReportedAlert(
        rule="weight_gain_3_days", priority=Priority.MEDIUM, raised_at=START + DAY, told=True, why=Said(fr=why, en=why)
    )
    return encode_report(
        ShadowReport(
            since=START,
            counted_from=START,
            until=START + 3 * DAY,
            readings=42,
            fault=fault,
            shadow=side(told),
            active=side(1),
            rules=(ReportedRule(rule="weight_gain_3_days", shadow=told, active=1),),
            both=1,
            only_shadow=told - 1,
            only_active=0,
            shadow_alerts=(alert,) * (told - 1),
        )
    )


def test_a_nurse_has_a_draft_tried_reads_what_it_would_have_told_and_ends_it(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    changed(nurse.client, weight_gain_3_days__delta="1,6", weight_gain_3_days__end_delta="0,9")
    page = nurse.client.get(ADDRESS).content.decode()
    assert "Une seule signature suffit" in page
    assert 'id="ombre"' not in page

    page = begin(nurse.client, nurse.pin)
    assert "Demande signée par vous" in page
    assert "Mode ombre demandé : en attente du boîtier." in page
    assert draft_of().state == "draft"
    ((command, signed),) = sent(desk)
    assert (command.subject, command.box) == (OTHER_PATIENT, OTHER_BOX)
    body = decode_body(command.kind, command.body)
    assert isinstance(body, ShadowBody)
    assert isinstance(body.protocol, ProtocolBody)
    assert body.protocol.pack, "the box checks the pack's limits by itself"
    person = Person(key=nurse.key.id, public=nurse.key.public, name="Anne Morel", role=Listed.NURSE)
    (by,) = check_authority(
        Received(command=command, signed=signed), Trust(people={nurse.key.id: person}, automation={})
    )
    assert by.name == "Anne Morel"

    answered(desk, AnswerState.APPLIED)
    page = nurse.client.get(ADDRESS).content.decode()
    assert f"À l&#39;essai sur le boîtier {OTHER_BOX} depuis le" in page
    assert "Pas encore de compte rendu" in page
    answered(desk, AnswerState.APPLIED, at=START + DAY, result=report(2))
    answered(desk, AnswerState.APPLIED, at=START + 2 * DAY, result=report(3))
    page = nurse.client.get(ADDRESS).content.decode()
    assert "42 mesures" in page
    assert '<td class="num" data-l="Dit">1</td><td class="num" data-l="Mode ombre">3</td>' in page
    assert "Poids +1,7 kg en 3 jours" in page
    assert "Seulement en mode ombre (2)" in page
    title = next(rule.words.title.fr for rule in packaged("heart_failure").rules if rule.id == "weight_gain_3_days")
    assert title in page
    User.objects.filter(pk=nurse.user.pk).update(language="en")
    assert "What the shadow would have told" in nurse.client.get(ADDRESS).content.decode()
    User.objects.filter(pk=nurse.user.pk).update(language="fr")

    assert "Fin demandée : en attente du boîtier." in end(nurse.client, nurse.pin)
    page = nurse.client.get(ADDRESS).content.decode()
    assert "À l&#39;essai sur le boîtier" in page, "the box has not ended it yet"
    assert "Terminer le mode ombre" not in page
    last = decode_body(sent(desk)[-1][0].kind, sent(desk)[-1][0].body)
    assert last == ShadowBody()
    assert sent(desk)[1][0].version > command.version
    answered(desk, AnswerState.APPLIED, at=START + 3 * DAY, result=report(4))
    page = nurse.client.get(ADDRESS).content.decode()
    assert "Terminé le" in page
    assert "Seulement en mode ombre (3)" in page
    assert "Terminer le mode ombre" not in page
    assert "Aucun mode ombre n&#39;est en cours." in end(nurse.client, nurse.pin)
    assert len(sent(desk)) == 2


def test_a_refusal_says_why_and_what_was_tried_before_goes_on(desk: Desk) -> None:
    watched(desk, days=0)
    physician = signer(desk, Role.PHYSICIAN, name="Dr Claire Petit")
    begun(physician.client)
    begin(physician.client, physician.pin)
    answered(desk, AnswerState.APPLIED)
    begin(physician.client, physician.pin)
    answered(desk, AnswerState.REFUSED, said="Il n'y a rien à comparer.")
    page = physician.client.get(ADDRESS).content.decode()
    assert "Le boîtier a refusé la dernière demande" in page
    assert "Il n&#39;y a rien à comparer." in page
    assert "À l&#39;essai sur le boîtier" in page
    assert "Terminer le mode ombre" in page


def test_a_draft_on_its_way_to_be_signed_is_tried_as_well(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    changed(nurse.client, weight_gain_3_days__delta="2,2")
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    assert "Mode ombre demandé" in begin(nurse.client, nurse.pin)
    assert draft_of().state == "to_sign"
    body = decode_body(sent(desk)[0][0].kind, sent(desk)[0][0].body)
    assert isinstance(body, ShadowBody)
    assert body.protocol is not None
    assert body.protocol.protocol_hash == draft_of().protocol_hash


def test_nothing_is_asked_without_the_pin_the_key_or_what_was_read(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    assert "code" in begin(nurse.client, "pas le bon code")
    assert "vient d&#39;être changé" in begin(nurse.client, nurse.pin, vu="7")
    assert "vient d&#39;être changé" in begin(nurse.client, nurse.pin, vu="<b>")
    assert "Aucun mode ombre n&#39;est en cours." in end(nurse.client, nurse.pin)
    keyless = desk.client(Role.NURSE, name="Sans Clé")
    assert "/compte/signature" in keyless.get(ADDRESS).content.decode()
    assert "pas encore de clé" in begin(keyless, "sommeil léger 7")
    nurse.client.post(f"{ADDRESS}/abandonner", seen())
    assert "plus ouvert" in begin(nurse.client, nurse.pin)
    assert sent(desk) == []


@pytest.mark.parametrize("role", [Role.INSTALLER, Role.ADMIN, Role.AUDITOR])
def test_others_may_not(desk: Desk, role: Role) -> None:
    watched(desk, days=0)
    client = desk.client(role)
    assert client.post(f"{ADDRESS}/ombre", {"code": "x"}).status_code == 403
    assert client.post(f"{ADDRESS}/ombre/fin", {"code": "x"}).status_code == 403


def test_what_a_box_says_is_shown_as_words_and_what_cannot_be_read_is_left_out(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    begin(nurse.client, nurse.pin)
    answered(desk, AnswerState.APPLIED, result=b'{"since": "never"}')
    assert "Pas encore de compte rendu" in nurse.client.get(ADDRESS).content.decode()
    answered(desk, AnswerState.APPLIED, at=START + 1, result=report(2, fault="TimeoutError", why="<script>1</script>"))
    page = nurse.client.get(ADDRESS).content.decode()
    assert "Arrêté par un défaut (TimeoutError)" in page
    assert "&lt;script&gt;1" in page


def test_an_old_report_that_comes_again_takes_no_newer_ones_place(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    begin(nurse.client, nurse.pin)
    for at, told in ((START, 2), (START + DAY, 3), (START, 2)):
        answered(desk, AnswerState.APPLIED, at=at, result=report(told))
    with acting() as database:
        (order,) = shadow_orders(database, OTHER_PATIENT, team=1)
    assert order.report is not None
    assert order.report.shadow.told == 3
    acts = rows(desk.boxes.database, "SELECT act FROM audit WHERE act = 'command_done'")
    assert len(acts) == 1, "a report is no act"


def test_an_erased_patient_leaves_no_report(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    begin(nurse.client, nurse.pin)
    answered(desk, AnswerState.APPLIED, result=report(2))
    with acting() as database:
        assert shadow_orders(database, OTHER_PATIENT, team=2) == []
        assert len(shadow_orders(database, OTHER_PATIENT, team=1)) == 1
    Patient.objects.filter(pk=draft_of().patient_id).update(ended_at=START)
    with acting() as database:
        erase(database, draft_of().patient_id, by="Anne Morel", at=START, without_box=True)
        assert shadow_orders(database, OTHER_PATIENT, team=1) == []
    assert rows(desk.boxes.database, "SELECT 1 FROM command_ack") == []
