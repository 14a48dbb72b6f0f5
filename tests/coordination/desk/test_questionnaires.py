"""The page behind a link: no account, once, nothing of the patient, and what it is no service for."""

import hashlib
import sqlite3

from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordination.desk.models import Alert, Observation, QuestionnaireLink
from coordination.questionnaire_links import GUESSES, HOUR_MS
from coordination.team_origin import origin_name
from devices.reading import Quantity, Unit
from exchange.audit_chain import Act
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.self_report_kit import CALM, SHORT_OF_BREATH, WELL, Followed
from tests.coordination.kit import PATIENT, is_file, rows


def phone() -> Client:
    return Client(enforce_csrf_checks=True)


def test_answers_are_readings_of_the_team_and_their_alert_stands_at_once(desk: Desk) -> None:
    followed = Followed(desk).begin()
    said = followed.answer(SHORT_OF_BREATH)
    assert "Merci, vos réponses sont enregistrées" in said
    kept = {one.quantity: one for one in Observation.objects.filter(source="questionnaire").select_related("box")}
    assert {name: one.count for name, one in kept.items()} == {
        Quantity.SYMPTOM_DYSPNOEA: 3,
        Quantity.SYMPTOM_ORTHOPNOEA: 0,
        Quantity.SYMPTOM_OEDEMA: 0,
        Quantity.SYMPTOM_FATIGUE: 1,
    }
    assert {(one.unit, one.validity, one.clock, one.box.name) for one in kept.values()} == {
        (Unit.SCORE.value, "valid", "trusted", origin_name(1))
    }
    (alert,) = Alert.objects.filter(origin="team")
    assert (alert.rule_id, alert.patient.pseudonym, alert.team_id) == ("dyspnoea_marked", PATIENT, 1)
    assert "3\u00a0points\u00a0sur 4 le 22 novembre" in alert.text_fr
    assert "symptom_dyspnoea" in alert.evidence
    worklist = followed.nurse.get("/alertes").content.decode()
    assert "Essoufflement au moindre effort" in worklist


def test_a_link_is_answered_once_and_looking_spends_nothing(desk: Desk) -> None:
    followed = Followed(desk).begin()
    link = followed.link()
    for _ in range(3):
        assert phone().get(link).status_code == 200
        assert phone().head(link).status_code == 200
    assert phone().post(link, WELL).status_code == 200
    again = phone().post(link, SHORT_OF_BREATH)
    assert again.status_code == 410
    assert "déjà enregistrées" in again.content.decode()
    assert phone().get(link).status_code == 410
    assert Observation.objects.filter(source="questionnaire").count() == 4
    assert not Alert.objects.filter(origin="team").exists()


def test_a_link_ends_by_time_and_by_the_next_one(desk: Desk) -> None:
    followed = Followed(desk).begin()
    first = followed.link()
    second = followed.link()
    assert phone().get(first).status_code == 410
    assert phone().post(first, WELL).status_code == 410
    desk.clock.now += 96 * HOUR_MS - 1
    assert phone().get(second).status_code == 200
    desk.clock.now += 1
    assert phone().post(second, WELL).status_code == 410
    assert not Observation.objects.filter(source="questionnaire").exists()


def test_the_page_says_nothing_of_the_patient_and_what_it_is_no_service_for(desk: Desk) -> None:
    followed = Followed(desk).begin("mood_follow_up")
    link = followed.link()
    for shown in (phone().get(link), phone().post(link, {}), phone().post(link, CALM), phone().get(link)):
        page = shown.content.decode()
        assert PATIENT not in page
        assert "Psychiatrie" not in page
        assert "Ce n'est pas un service d'urgence" in page.replace("&#39;", "'")
        assert 'href="tel:15"' in page
        assert 'href="tel:3114"' in page
        assert "<script" not in page
        assert shown.headers["Referrer-Policy"] == "no-referrer"
        assert shown.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert shown.headers["Cache-Control"] == "no-store"
        assert not shown.cookies


def test_whoever_thinks_of_death_reads_first_whom_to_call_and_the_alert_is_high(desk: Desk) -> None:
    followed = Followed(desk).begin("mood_follow_up")
    said = followed.answer(CALM | {"q-thoughts": "1"})
    assert "attendez pas que l&#39;équipe vous lise" in said
    assert said.index("tel:3114") < said.index("Vous pouvez fermer")
    (alert,) = Alert.objects.filter(origin="team")
    assert (alert.rule_id, alert.prio) == ("thoughts_of_death", 1)


def test_two_questions_of_one_quantity_add_up(desk: Desk) -> None:
    Followed(desk).begin("mood_follow_up").answer({"q-interest": "2", "q-down": "2", "q-sleep": "0", "q-thoughts": "0"})
    assert Observation.objects.get(quantity=Quantity.SYMPTOM_MOOD).count == 4
    assert Alert.objects.get(origin="team").rule_id == "mood_low"


def test_a_question_may_be_left_out_where_it_says_so_and_nowhere_else(desk: Desk) -> None:
    followed = Followed(desk).begin("mood_follow_up")
    link = followed.link()
    refused = phone().post(link, {"q-interest": "0", "q-sleep": "1"})
    page = refused.content.decode()
    assert "Il manque une réponse" in page
    assert 'href="#q-down"' in page
    assert 'href="#q-thoughts"' not in page
    assert page.count(" checked") == 2
    assert phone().post(link, {"q-interest": "0", "q-down": "0", "q-sleep": "1"}).status_code == 200
    assert set(Observation.objects.filter(source="questionnaire").values_list("quantity", flat=True)) == {
        Quantity.SYMPTOM_MOOD,
        Quantity.SYMPTOM_SLEEP,
    }


HOSTILE = ("", "5", "-1", "0 ", "٣", "1e1", "0x1", "999999999999", "'; DROP TABLE observation; --", "\x00", "\u202e1")


def test_what_no_choice_says_is_no_answer(desk: Desk) -> None:
    link = Followed(desk).begin().link()
    for value in HOSTILE:
        page = phone().post(link, WELL | {"q-effort": value}).content.decode()
        assert "Il manque une réponse" in page, value
    assert not Observation.objects.filter(source="questionnaire").exists()


@given(token=st.text(max_size=60).filter(lambda text: "/" not in text and text not in {"", ".", ".."}))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_an_address_leads_nowhere(desk: Desk, token: str) -> None:
    assert Client(REMOTE_ADDR="192.0.2.9").get("/q/" + token).status_code in {404, 429}


def test_guessing_is_slowed_by_address_and_keeps_nobody_else_out(desk: Desk) -> None:
    followed = Followed(desk).begin()
    good = followed.link()
    guesser, other = Client(REMOTE_ADDR="192.0.2.1"), Client(REMOTE_ADDR="192.0.2.2")
    codes = [guesser.get(f"/q/{number:032d}").status_code for number in range(GUESSES + 3)]
    assert codes == [404] * GUESSES + [429] * 3
    assert other.get("/q/" + "0" * 32).status_code == 404
    assert guesser.get(good).status_code == 200
    desk.clock.now += HOUR_MS + 1
    assert guesser.get("/q/" + "0" * 32).status_code == 404


def test_the_database_can_open_no_link(desk: Desk) -> None:
    followed = Followed(desk).begin()
    token = followed.link().removeprefix("/q/")
    row = QuestionnaireLink.objects.get(state="open")
    assert row.token_hash == hashlib.sha256(b"veilleur/v1/questionnaire-link\x00" + token.encode()).hexdigest()
    if is_file(desk.boxes.database):
        dump = "\n".join(sqlite3.connect(desk.boxes.database).iterdump())
        assert token not in dump
        assert row.token_hash in dump


def test_what_was_sent_and_answered_is_in_the_record_without_the_pseudonym(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.answer(WELL)
    found = rows(desk.boxes.database, "SELECT act, body FROM audit ORDER BY n")
    acts = [str(act) for act, _ in found]
    assert [act for act in acts if act.startswith(("self_report", "questionnaire"))] == [
        Act.SELF_REPORT_PROPOSED,
        Act.SELF_REPORT_BEGUN,
        Act.QUESTIONNAIRE_SENT,
        Act.QUESTIONNAIRE_ANSWERED,
    ]
    assert not [body for _, body in found if PATIENT in str(body)]


def test_both_languages_and_only_these(desk: Desk) -> None:
    link = Followed(desk).begin().link()
    assert "How are you?" in Client(HTTP_ACCEPT_LANGUAGE="en").get(link).content.decode()
    assert "Comment allez-vous ?" in Client(HTTP_ACCEPT_LANGUAGE="de").get(link).content.decode()
