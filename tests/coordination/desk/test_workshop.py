"""A protocol from its first change to the queue: what a nurse sees, what a physician signs, what is refused."""

import base64

import msgspec
import pytest
from django.db import connection
from django.test import Client

from coordination.database import Answered
from coordination.desk.access import Role
from coordination.desk.models import Box, BoxAssignment, Patient, ProtocolDraft, ProtocolSignature, ReplayJob
from coordination.desk.shared_database import acting
from coordination.patient_erasure import erase
from exchange.audit_chain import Entry
from exchange.command_answers import Answer, AnswerState
from exchange.commands import SignedCommand, decode, encode
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.workshop_kit import (
    ADDRESS,
    PINS,
    begun,
    changed,
    draft_of,
    just_shown,
    seen,
    signer,
    watched,
    worked,
)
from tests.coordination.kit import BOX, OTHER_BOX, OTHER_PATIENT, START


def test_a_draft_begins_with_what_holds_and_shows_what_is_allowed(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = desk.client(Role.NURSE)
    assert "Commencer un projet" in nurse.get(ADDRESS).content.decode()
    begun(nurse)
    page = nurse.get(ADDRESS).content.decode()
    assert "permis : de 1,5 à 3,0 · actuel 2,0" in page
    assert "Rien encore : les seuils sont ceux d&#39;aujourd&#39;hui." in page


def test_who_comes_for_a_rule_finds_its_numbers_before_all_others(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = desk.client(Role.NURSE)
    # As the pages of an alert and of the load lead there; a draft is begun first.
    address = f"{ADDRESS}?regle=weight_gain_1_day"
    assert 'name="regle" value="weight_gain_1_day"' in nurse.get(address).content.decode()
    begin = {"pack": "heart_failure", "regle": "weight_gain_1_day"}
    assert nurse.post(f"{ADDRESS}/commencer", begin).headers["Location"] == address

    def first(page: str) -> str:
        return page.partition('<fieldset class="wsg')[2].partition("</fieldset>")[0]

    assert "v.weight_gain_1_day.delta" in first(nurse.get(address).content.decode())
    for other in (ADDRESS, f"{ADDRESS}?regle=none_such"):
        assert "v.weight_gain_1_day.delta" not in first(nurse.get(other).content.decode())


def test_the_whole_way_to_the_queue(desk: Desk) -> None:
    watched(desk)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    physician = signer(desk, Role.PHYSICIAN, name="Dr Claire Petit")
    begun(nurse.client)
    assert changed(nurse.client, weight_gain_3_days__delta="1,6", weight_gain_3_days__end_delta="0,9") == 302
    nurse.client.post(f"{ADDRESS}/rejouer", {"jours": "90"})
    assert worked(desk).state == "done", worked(desk).fault_fr
    page = nurse.client.get(ADDRESS).content.decode()
    assert "Charge de l&#39;équipe" in page
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    assert draft_of().state == "to_sign"
    page = nurse.client.get(f"{ADDRESS}/signature").content.decode()
    assert "1,6" in page
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    physician.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": physician.pin})
    assert draft_of().state == "signed"
    nurse.client.post(f"{ADDRESS}/envoyer", seen())
    assert draft_of().state == "sent"
    views = list(desk.database.commands.views())
    assert (views[0].kind, views[0].signed_by, views[0].state) == (
        "protocol",
        ("Anne Morel", "Dr Claire Petit"),
        "queued",
    )
    assert "En file" in nurse.client.get(ADDRESS).content.decode()
    assert ProtocolDraft.objects.count() == 1


def test_what_lies_beyond_the_limits_is_not_saved_and_says_so_beside_the_number(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = desk.client(Role.NURSE)
    before = begun(nurse).text
    page = nurse.post(f"{ADDRESS}/modifier", {**seen(), "v.weight_gain_3_days.delta": "1,0"}).content.decode()
    assert "hors des limites : de 1,5 kg à 3,0 kg" in page
    assert 'value="1,0"' in page, "what was typed is still there"
    assert draft_of().text == before
    page = nurse.post(f"{ADDRESS}/modifier", {**seen(), "v.weight_gain_3_days.delta": "deux"}).content.decode()
    assert "Écrire un nombre" in page
    assert draft_of().text == before


def test_of_two_who_change_a_draft_at_once_one_is_told_and_nothing_of_hers_is_kept(desk: Desk) -> None:
    watched(desk, days=0)
    first, second = desk.client(Role.NURSE, name="C. Martin"), desk.client(Role.NURSE, name="M. Lefèvre")
    begun(first)
    looked = seen()
    assert changed(first, weight_gain_3_days__delta="2,2") == 302
    page = second.post(f"{ADDRESS}/modifier", {**looked, "v.weight_gain_3_days.delta": "2,6"}).content.decode()
    assert "vient d&#39;être changé par C. Martin. Rien n&#39;a été enregistré." in page
    assert "2.2 kg" in draft_of().text
    page = second.post(f"{ADDRESS}/commencer", {"pack": "heart_failure"}, follow=True).content.decode()
    assert "Quelqu&#39;un a déjà commencé un projet" in page
    assert ProtocolDraft.objects.count() == 1


def test_the_advanced_text_is_kept_only_without_faults_and_shows_them_with_their_lines(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = desk.client(Role.NURSE)
    text = begun(nurse).text
    wrong = text + '\n[adapt.weight_gain_3_dayz]\ndelta = "2.2 kg"\n'
    page = nurse.post(f"{ADDRESS}/texte", {**seen(), "texte": wrong}).content.decode()
    assert "ligne 7" in page
    assert "weight_gain_3_dayz" in page
    assert draft_of().text == text
    right = text + '\n[adapt.weight_gain_3_days]\ndelta = "2.2 kg"\n'
    assert nurse.post(f"{ADDRESS}/texte", {**seen(), "texte": right}).status_code == 302
    assert draft_of().text == right
    assert "actuel 2,0" in nurse.get(ADDRESS).content.decode()


@pytest.mark.parametrize(
    "hostile",
    [
        "\0",
        "name = \0",
        "\u202e" * 50,
        "<script>alert(1)</script>",
        "'; DROP TABLE protocol_draft; --",
        "a = " + "[" * 5000,
        "x" * 2_000_000,
        '[adapt."<img src=x>"]\ndelta = "2 kg"',
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
        "1e999999999",
    ],
)
def test_whatever_is_typed_changes_nothing_and_breaks_nothing(desk: Desk, hostile: str) -> None:
    watched(desk, days=0)
    nurse = desk.client(Role.NURSE)
    text = begun(nurse).text
    answers = [
        nurse.post(f"{ADDRESS}/texte", {**seen(), "texte": hostile}),
        nurse.post(f"{ADDRESS}/modifier", {**seen(), "v.weight_gain_3_days.delta": hostile}),
        nurse.post(f"{ADDRESS}/modifier", {"vu": hostile, "v.weight_gain_3_days.delta": "2,1"}),
        nurse.post(f"{ADDRESS}/rejouer", {"jours": hostile}),
        nurse.post(f"{ADDRESS}/proposer", {"vu": hostile}, follow=True),
        nurse.get(ADDRESS, {"v.weight_gain_3_days.delta": hostile[:2000]}),
    ]
    assert {answer.status_code for answer in answers} <= {200, 302, 400}
    assert all(b"<script>alert" not in answer.content and b"<img src=x" not in answer.content for answer in answers)
    assert (draft_of().text, draft_of().state) == (text, "draft")


def test_another_team_finds_nothing_of_a_workshop(desk: Desk) -> None:
    watched(desk, days=0)
    begun(desk.client(Role.NURSE))
    stranger = desk.client(Role.NURSE, Role.PHYSICIAN, team=2)
    just_shown(stranger)
    for what in ("", "/rejeu", "/signature"):
        assert stranger.get(f"{ADDRESS}{what}").status_code == 404, what
    acts = ("commencer", "modifier", "texte", "rejouer", "rejeu/annuler", "proposer", "reprendre", "abandonner")
    for what in (*acts, "signer", "contresigner", "envoyer"):
        sent = {**seen(), "code": PINS[Role.NURSE], "pack": "heart_failure"}
        assert stranger.post(f"{ADDRESS}/{what}", sent).status_code == 404, what
    assert (draft_of().state, draft_of().revision) == ("draft", 1)


def test_a_draft_that_was_given_up_can_be_signed_and_sent_by_nobody(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    begun(nurse.client)
    changed(nurse.client, weight_gain_3_days__delta="2,2")
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    nurse.client.post(f"{ADDRESS}/abandonner", seen())
    assert draft_of().state == "abandoned"
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    nurse.client.post(f"{ADDRESS}/envoyer", seen())
    assert draft_of().state == "abandoned"
    assert list(desk.database.commands.views()) == []
    assert "Commencer un projet" in nurse.client.get(ADDRESS).content.decode()


def answered(desk: Desk, state: AnswerState, *, protocol_hash: str = "", reason: str = "") -> None:
    """Let the box answer the order that was sent last."""
    answer = Answer(
        box=OTHER_BOX,
        command=draft_of().command_id,
        state=state,
        at=START,
        reason=reason,
        protocol_hash=protocol_hash or draft_of().protocol_hash,
    )
    desk.boxes.store(desk.database, Answered(answer=answer, at=START))


def test_the_page_says_how_far_a_protocol_came_by_the_boxs_own_answers(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = sent(desk)
    assert "En file : attend que le boîtier soit joignable." in nurse.get(ADDRESS).content.decode()
    answered(desk, AnswerState.ACCEPTED)
    assert "Reçu par le boîtier" in nurse.get(ADDRESS).content.decode()
    answered(desk, AnswerState.APPLIED)
    page = nurse.get(ADDRESS).content.decode()
    assert "Appliqué le" in page
    assert f"{draft_of().protocol_hash[:12]}</span> (la même)" in page


def test_applied_is_not_said_of_another_hash(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = sent(desk)
    answered(desk, AnswerState.APPLIED, protocol_hash="cd" * 32)
    page = nurse.get(ADDRESS).content.decode()
    assert "Appliqué le" not in page
    assert "avec une autre empreinte" in page


def test_a_refusal_is_told_with_its_reason_in_words(desk: Desk) -> None:
    holding = watched(desk, days=0)
    nurse = sent(desk)
    answered(desk, AnswerState.REFUSED, reason="role", protocol_hash=holding.protocol_hash)
    page = nurse.get(ADDRESS).content.decode()
    assert "Refusé par le boîtier le" in page
    assert "les signataires n&#39;ont pas le rôle qu&#39;il faut" in page
    assert "Le protocole précédent continue." in page


def sent(desk: Desk) -> Client:
    """Let a draft be signed by two and queued; return the nurse's browser."""
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    physician = signer(desk, Role.PHYSICIAN, name="Dr Claire Petit")
    begun(nurse.client)
    changed(nurse.client, weight_gain_3_days__delta="2,2")
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    physician.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": physician.pin})
    nurse.client.post(f"{ADDRESS}/envoyer", seen())
    assert draft_of().state == "sent"
    return nurse.client


def test_a_draft_that_is_begun_while_another_is_on_its_way_goes_on_from_that(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = sent(desk)
    text = begun(nurse).text
    assert "version = 4" in text
    assert "2.2 kg" in text, "what two people signed is not undone"
    assert "2,2 kg" in nurse.get(ADDRESS).content.decode(), "the page still compares with what the box applies"


def test_what_would_be_refused_by_the_box_is_said_before_it_is_sent(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = sent(desk)
    begun(nurse)
    changed(nurse, weight_gain_3_days__delta="2,4")
    text = draft_of().text.replace("version = 4", "version = 3")
    nurse.post(f"{ADDRESS}/texte", {**seen(), "texte": text})
    page = nurse.post(f"{ADDRESS}/proposer", seen(), follow=True).content.decode()
    assert "n&#39;est pas plus haute que celle qui vaut (3)" in page
    assert draft_of().state == "draft"


def test_a_draft_that_another_protocol_overtook_or_whose_box_changed_is_not_sent(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = signer(desk, Role.NURSE, name="Anne Morel")
    physician = signer(desk, Role.PHYSICIAN, name="Dr Claire Petit")
    begun(nurse.client)
    changed(nurse.client, weight_gain_3_days__delta="2,2")
    nurse.client.post(f"{ADDRESS}/proposer", seen())
    nurse.client.post(f"{ADDRESS}/signer", {**seen(), "code": nurse.pin})
    physician.client.post(f"{ADDRESS}/contresigner", {**seen(), "code": physician.pin})
    command = decode(base64.b64decode(draft_of().command))
    newer = msgspec.structs.replace(command, id="f" * 32, version=command.version + 1)
    order = SignedCommand(command=encode(newer))
    desk.database.commands.queue(newer, order, signed_by=("X",), now=command.issued_at)
    page = nurse.client.post(f"{ADDRESS}/envoyer", seen(), follow=True).content.decode()
    assert "Un autre protocole est parti pour ce patient depuis." in page
    BoxAssignment.objects.filter(patient__pseudonym=OTHER_PATIENT).update(box=Box.objects.get(name=BOX))
    page = nurse.client.post(f"{ADDRESS}/envoyer", seen(), follow=True).content.decode()
    assert "Le boîtier du patient a changé depuis." in page
    assert draft_of().state == "signed"


def test_a_step_of_the_way_is_an_act_of_who_took_it(desk: Desk) -> None:
    watched(desk, days=0)
    nurse = sent(desk)
    begun(nurse)
    nurse.post(f"{ADDRESS}/abandonner", seen())
    with connection.cursor() as cursor:
        cursor.execute("SELECT act, body FROM audit ORDER BY n")
        acts = [(act, msgspec.json.decode(body, type=Entry)) for act, body in cursor.fetchall()]
    steps = [
        act for act, _ in acts if act in {"protocol_proposed", "command_signed", "command_sent", "protocol_abandoned"}
    ]
    assert steps == ["protocol_proposed", "command_signed", "command_signed", "command_sent", "protocol_abandoned"]
    assert all(OTHER_PATIENT not in msgspec.json.encode(entry).decode() for _, entry in acts)
    assert {entry.by for act, entry in acts if act == "command_signed"} == {"Anne Morel", "Dr Claire Petit"}


def test_a_patient_who_is_erased_takes_their_drafts_signatures_and_replays_along(desk: Desk) -> None:
    watched(desk)
    nurse = sent(desk)
    begun(nurse)
    nurse.post(f"{ADDRESS}/rejouer", {"jours": "28"})
    assert ProtocolSignature.objects.count() == 2
    Patient.objects.filter(pk=draft_of().patient_id).update(ended_at=START)
    with acting() as database:
        erase(database, draft_of().patient_id, by="Anne Morel", at=START, without_box=True)
    assert not ProtocolDraft.objects.exists()
    assert not ProtocolSignature.objects.exists()
    assert not ReplayJob.objects.exists()
