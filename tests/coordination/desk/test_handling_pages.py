"""What nurses and physicians do with alerts from the pages, and what they read while they do."""

import re

import pytest
from django.test import Client

from alerting.alert import Category, ChangeKind
from coordination.deadlines import DEFAULTS
from coordination.desk.access import Role
from coordination.desk.models import Alert, AlertAct, AlertOutcome, Problem
from coordination.desk.shared_database import acting
from coordination.handling import CLOSED, NEW, TAKEN, UNDO_MS
from coordination.lapses import lapse
from exchange.messages import AlertRecord
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import HOUR, MINUTE, OTHER_BOX, OTHER_PATIENT, PATIENT, START, hypo


def technical(desk: Desk, *, patient: str = PATIENT, onset: int = START) -> Alert:
    record = hypo(ChangeKind.RAISED, patient=patient, onset=onset)
    values = {name: getattr(record, name) for name in record.__struct_fields__} | {"category": Category.TECHNICAL}
    desk.receive(AlertRecord(**values), box="box-0001" if patient == PATIENT else OTHER_BOX)
    return Alert.objects.get(pk=record.alert_id)


def text(client: Client, address: str, **data: object) -> str:
    page = client.get(address, data, follow=True).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " ").replace("&#39;", "'").split())


def test_an_alert_is_shown_whole(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE, name="C. Martin")
    nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": 0})
    page = text(nurse, f"/alertes/{alert.pk}")
    for words in ("Hypoglycémie", "Haute", "diabetes_cgm v1", "ab" * 6, "Prise en charge par C. Martin", "Clore"):
        assert words in page


def test_an_alert_of_another_team_is_not_there(desk: Desk) -> None:
    alert, stranger = desk.alert(), desk.client(Role.NURSE, team=2)
    assert stranger.get(f"/alertes/{alert.pk}").status_code == 404
    for act in ("prendre", "rendre", "affecter", "prevenir", "clore", "rouvrir", "annuler"):
        data = {"vu": 0, "issue": "advised", "qui": "Dr Roche", "comment": "telephone"}
        assert stranger.post(f"/alertes/{alert.pk}/{act}", data).status_code == 404
    stranger.post("/alertes/ensemble", {"issue": "prendre", "lignes": f"{alert.pk}:0"})
    assert Alert.objects.get(pk=alert.pk).handled == 0


@pytest.mark.parametrize(
    ("act", "data"),
    [
        ("clore", {"issue": "advised"}),
        ("clore", {"issue": "recall", "rappel": "2"}),
        ("prevenir", {"qui": "Dr Roche", "comment": "telephone"}),
        ("affecter", {}),
        ("prendre", {}),
    ],
)
def test_of_two_who_act_at_once_the_second_reads_that_nothing_was_changed(
    desk: Desk, act: str, data: dict[str, str]
) -> None:
    alert = desk.alert()
    first, second = desk.client(Role.NURSE, name="C. Martin"), desk.client(Role.NURSE, name="M. Lefèvre")
    first.post(f"/alertes/{alert.pk}/prendre", {"vu": 0})
    data = {"a": str(desk.user(Role.NURSE, name="M. Lefèvre").pk)} | data
    page = second.post(f"/alertes/{alert.pk}/{act}", {"vu": 0} | data, follow=True).content.decode()
    assert "vient d&#39;être prise en charge par quelqu&#39;un d&#39;autre. Rien n&#39;a été changé." in page
    assert Alert.objects.get(pk=alert.pk).holder == "C. Martin"


def test_closing_with_an_outcome_and_a_note_shows_both_at_once(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE, name="C. Martin")
    data = {"vu": 0, "issue": "equipment", "note": "Capteur décollé", "suite": f"/alertes/{alert.pk}"}
    page = nurse.post(f"/alertes/{alert.pk}/clore", data, follow=True).content.decode()
    assert "Matériel en cause" in page
    assert "Capteur décollé" in page
    outcome = AlertOutcome.objects.get(alert=alert)
    assert (outcome.outcome, outcome.said, outcome.person) == ("artefact", "equipment", "C. Martin")
    assert Problem.objects.count() == 0
    assert "Matériel en cause" in text(nurse, "/alertes", voir="closes")


@pytest.mark.parametrize("data", [{}, {"issue": "recall"}, {"issue": "recall", "rappel": "99"}, {"issue": "cured"}])
def test_what_says_nothing_closes_nothing(desk: Desk, data: dict[str, str]) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    page = nurse.post(f"/alertes/{alert.pk}/clore", {"vu": 0} | data, follow=True).content.decode()
    assert "rien n&#39;a été changé" in page
    assert Alert.objects.get(pk=alert.pk).state == NEW


def test_an_alert_is_assigned_to_a_member_who_finds_it_among_hers(desk: Desk) -> None:
    alert, other = desk.alert(), desk.user(Role.NURSE, name="M. Lefèvre")
    desk.client(Role.NURSE).post(f"/alertes/{alert.pk}/affecter", {"vu": 0, "a": other.pk})
    assert (Alert.objects.get(pk=alert.pk).state, Alert.objects.get(pk=alert.pk).holder_id) == (TAKEN, other.pk)
    assert "Hypoglycémie" in text(desk.client(Role.NURSE, name="M. Lefèvre"), "/alertes", voir="les-miennes")


def test_nobody_of_another_team_or_role_is_given_an_alert(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    for stranger in (desk.user(Role.NURSE, name="elsewhere", team=2), desk.user(Role.ADMIN, name="admin here")):
        nurse.post(f"/alertes/{alert.pk}/affecter", {"vu": 0, "a": stranger.pk})
        assert Alert.objects.get(pk=alert.pk).handled == 0


def test_what_a_physician_was_told_of_stands_on_the_physicians_page(desk: Desk) -> None:
    alert = desk.alert()
    physician = desk.client(Role.PHYSICIAN, name="Dr A. Roche")
    assert "Hypoglycémie" not in text(physician, "/alertes", voir="medecin")
    data = {"vu": 0, "qui": "Dr A. Roche", "comment": "de-vive-voix"}
    desk.client(Role.NURSE, name="C. Martin").post(f"/alertes/{alert.pk}/prevenir", data)
    assert "Médecin prévenu" in text(physician, "/alertes", voir="medecin")
    assert "Dr A. Roche, de vive voix" in text(physician, f"/alertes/{alert.pk}")


def test_what_nobody_takes_is_shown_to_the_physicians_and_says_since_when(desk: Desk) -> None:
    desk.alert()
    desk.clock.now = START + DEFAULTS[1].ack
    with acting() as database:
        lapse(database, at=desk.clock.now)
    assert "faute de suite à temps" in text(desk.client(Role.PHYSICIAN), "/alertes", voir="medecin")


def test_what_was_done_a_moment_ago_is_undone_with_one_button(desk: Desk) -> None:
    alert, repeat = desk.alert(), desk.alert(onset=START + HOUR)
    nurse = desk.client(Role.NURSE, name="C. Martin")
    page = nurse.post(f"/alertes/{repeat.pk}/prendre", {"vu": 0}, follow=True).content.decode()
    turn = re.search(r'name="tour" value="([0-9a-f]+)"', page)
    assert turn is not None
    nurse.post(f"/alertes/{repeat.pk}/annuler", {"tour": turn.group(1)})
    assert set(Alert.objects.values_list("state", "holder")) == {(NEW, "")}
    assert AlertAct.objects.filter(alert=alert).count() == 2


def test_too_late_is_said_in_words_and_changes_nothing(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": 0})
    turn = AlertAct.objects.get().turn
    desk.clock.now += UNDO_MS + 1
    page = nurse.post(f"/alertes/{alert.pk}/annuler", {"tour": turn}, follow=True).content.decode()
    assert "trop tard pour annuler" in page
    assert Alert.objects.get(pk=alert.pk).state == TAKEN


def test_what_was_closed_can_be_opened_again(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    nurse.post(f"/alertes/{alert.pk}/clore", {"vu": 0, "issue": "advised"})
    nurse.post(f"/alertes/{alert.pk}/rouvrir", {"vu": 1})
    assert Alert.objects.get(pk=alert.pk).state == TAKEN


def test_several_at_once_are_technical_ones_or_of_one_patient_and_nothing_else(desk: Desk) -> None:
    mine, theirs = desk.alert(), desk.alert(patient=OTHER_PATIENT)
    nurse = desk.client(Role.NURSE, name="C. Martin")
    chosen = [f"{mine.pk}:0", f"{theirs.pk}:0"]
    page = nurse.post("/alertes/ensemble", {"issue": "prendre", "lignes": chosen}, follow=True).content.decode()
    assert "seulement pour des alertes techniques" in page
    assert set(Alert.objects.values_list("state", flat=True)) == {NEW}


def test_technical_ones_of_several_patients_are_closed_at_once_and_undone_at_once(desk: Desk) -> None:
    first, second = technical(desk), technical(desk, patient=OTHER_PATIENT)
    nurse = desk.client(Role.NURSE, name="C. Martin")
    assert 'name="lignes"' in nurse.get("/alertes").content.decode()
    nurse.post("/alertes/ensemble", {"issue": "equipment", "lignes": [f"{first.pk}:0", f"{second.pk}:0"]})
    assert set(Alert.objects.values_list("state", flat=True)) == {CLOSED}
    nurse.post(f"/alertes/{first.pk}/annuler", {"tour": AlertAct.objects.first().turn})
    assert set(Alert.objects.values_list("state", flat=True)) == {NEW}


def test_before_and_after_are_the_neighbours_in_the_list_that_one_came_from(desk: Desk) -> None:
    first, second = desk.alert(), desk.alert(patient=OTHER_PATIENT, onset=START + MINUTE)
    nurse = desk.client(Role.NURSE)
    page = nurse.get(f"/alertes/{first.pk}").content.decode()
    assert f'rel="next" href="/alertes/{second.pk}"' in page
    assert 'rel="prev"' not in page
    assert f'rel="prev" href="/alertes/{first.pk}"' in nurse.get(f"/alertes/{second.pk}").content.decode()
    only = nurse.get(f"/alertes/{second.pk}", {"patient": OTHER_PATIENT}).content.decode()
    assert 'rel="prev"' not in only


ODD = "<script>alert(1)</script>\u202e'; DROP TABLE alert; -- {{ 7 * 7 }} \0"


@pytest.mark.parametrize("words", [ODD, "x" * 5000])
def test_whatever_is_written_into_a_field_is_shown_as_written_and_runs_nothing(desk: Desk, words: str) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE)
    data = {"vu": 0, "qui": words, "comment": "telephone", "note": words}
    assert nurse.post(f"/alertes/{alert.pk}/prevenir", data).status_code == 302
    page = nurse.get(f"/alertes/{alert.pk}").content.decode()
    assert "<script>alert(1)" not in page
    assert ("&lt;script&gt;" in page and "{{ 7 * 7 }}" in page) or words != ODD
    odd = {"voir": words, "patient": words, "parcours": words, "page": words, "priorite": words}
    for address in ("/alertes", f"/alertes/{alert.pk}"):
        assert nurse.get(address, odd).status_code == 200
    for act, field in (("prendre", "vu"), ("affecter", "a"), ("clore", "issue"), ("annuler", "tour")):
        assert nurse.post(f"/alertes/{alert.pk}/{act}", {field: words}).status_code == 302
    assert nurse.post("/alertes/ensemble", {"issue": words, "lignes": [words]}).status_code == 302
    assert Alert.objects.get(pk=alert.pk).handled == 1
