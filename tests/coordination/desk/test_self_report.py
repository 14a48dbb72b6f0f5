"""Whom a nurse follows by questionnaire: proposed, confirmed by another, links, rhythm, charts, pathways."""

from contextlib import closing

from django.apps import apps
from django.test import Client

from coordination.desk.access import Role
from coordination.desk.models import Alert, Box, Observation, Patient, SelfReport
from coordination.fleet import boxes
from coordination.handling import TAKEN
from coordination.team_database import connect_to_read
from coordination.team_origin import is_origin
from coordination.view import View
from devices.reading import Quantity, Unit
from exchange.audit_chain import Act
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.self_report_kit import CALM, DAY, SHORT_OF_BREATH, WELL, Followed
from tests.coordination.kit import OTHER_PATIENT, PATIENT, START, column_names, glucose, rows


def test_nothing_begins_before_another_person_has_confirmed_it(desk: Desk) -> None:
    followed = Followed(desk)
    page = followed.post(followed.nurse, "/proposer", protocole="heart_failure_symptoms")
    assert "Rien n&#39;est jugé tant qu&#39;un médecin ne l&#39;a pas confirmé" in page
    assert "Aucun lien n&#39;a été fait" in followed.post(followed.nurse, "/lien")
    assert followed.nurse.post(followed.page("/confirmer"), {"vu": followed.seen}).status_code == 403
    followed.post(followed.physician, "/confirmer")
    row = SelfReport.objects.get()
    assert (row.proposed_by, row.confirmed_by, row.since) == ("C. Martin", "Dr A. Roux", START)


def test_a_physician_confirms_nothing_of_their_own(desk: Desk) -> None:
    followed = Followed(desk)
    followed.post(followed.physician, "/proposer", protocole="mood_follow_up")
    assert "Rien n&#39;a été changé" in followed.post(followed.physician, "/confirmer")
    assert SelfReport.objects.get().since is None


def test_of_two_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    followed = Followed(desk)
    followed.post(followed.nurse, "/proposer", protocole="mood_follow_up")
    other = desk.client(Role.PHYSICIAN, name="Dr B. Blanc")
    seen = followed.seen
    followed.physician.post(followed.page("/confirmer"), {"vu": seen})
    page = other.post(followed.page("/confirmer"), {"vu": seen}, follow=True).content.decode()
    assert "quelqu&#39;un d&#39;autre vient de le faire" in page
    assert SelfReport.objects.get().confirmed_by == "Dr A. Roux"


def test_what_judges_no_answers_cannot_be_proposed(desk: Desk) -> None:
    followed = Followed(desk)
    for hostile in ["", "diabetes_cgm", "../../etc/passwd", "x" * 5000, "<b>", "\x00"]:
        assert "Ce suivi n&#39;existe pas" in followed.post(followed.nurse, "/proposer", protocole=hostile)
    assert not SelfReport.objects.exists()


def test_another_team_sees_nothing_of_it_and_changes_nothing(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.answer(SHORT_OF_BREATH)
    stranger = desk.client(Role.NURSE, Role.PHYSICIAN, team=2)
    assert stranger.get(followed.page()).status_code == 404
    for act in ("/proposer", "/confirmer", "/arreter", "/rythme", "/lien"):
        assert stranger.post(followed.page(act), {"vu": followed.seen}).status_code == 404
    assert PATIENT not in stranger.get("/parcours").content.decode()
    assert "Essoufflement" not in stranger.get("/alertes").content.decode()


def test_the_alerts_of_a_patient_of_another_team_are_that_teams(desk: Desk) -> None:
    followed = Followed(desk)
    desk.user(Role.NURSE, team=2)
    patient = Patient.objects.get(pseudonym=PATIENT)
    patient.team_id = 2
    patient.save(update_fields=["team_id"])
    followed.nurse = desk.client(Role.NURSE, team=2)
    followed.physician = desk.client(Role.PHYSICIAN, team=2, name="Dr C. Noir")
    followed.begin().answer(SHORT_OF_BREATH)
    assert Alert.objects.get(origin="team").team_id == 2
    assert "Essoufflement" in followed.nurse.get("/alertes").content.decode()


def test_the_nurse_reads_answers_in_their_own_words_on_charts_and_pages(desk: Desk) -> None:
    followed = Followed(desk).begin()
    for week, answers in enumerate((WELL, WELL, SHORT_OF_BREATH)):
        desk.clock.now = START + 7 * week * DAY
        followed.answer(answers)
    page = followed.nurse.get(f"/patients/{PATIENT}?jours=30").content.decode()
    assert "30 j, 3 réponses · de 1 à 4 points" in page
    assert page.count("Au moindre effort : m&#39;habiller, faire quelques pas") >= 2
    assert "questionnaire:" not in page
    whole = followed.nurse.get(followed.page()).content.decode()
    assert "Au moindre effort : m&#39;habiller, faire quelques pas" in whole
    assert "functional class of the New York Heart Association" in whole


def test_weight_that_says_little_alone_is_high_together_with_breathlessness(desk: Desk) -> None:
    followed = Followed(desk, OTHER_PATIENT).begin()
    for day in range(16):
        desk.clock.now = START + day * DAY
        if day % 7 == 1:
            followed.answer(WELL if day < 14 else SHORT_OF_BREATH | {"q-effort": "2"})
        desk.receive(
            glucose(
                day,
                patient=OTHER_PATIENT,
                quantity=Quantity.BODY_WEIGHT,
                count=71_000 if day < 14 else 72_600,
                unit=Unit.KILOGRAM,
                device_unit=Unit.KILOGRAM,
                measured_at=desk.clock.now - 1000,
                received_at=desk.clock.now,
                device="scale",
                key=str(day),
            ),
            box="box-0002",
        )
    followed.answer({"q-effort": "2", "q-lying": "0", "q-legs": "0", "q-tired": "0"})
    told = {alert.rule_id: alert for alert in Alert.objects.filter(origin="team")}
    assert told["breathless_and_heavier"].prio == 1
    assert "Poids qui monte un peu" in told["breathless_and_heavier"].text_fr
    assert told["weight_up"].told_at is None, "a weak sign is told with others, or in the digest"


def test_an_alert_of_the_team_is_taken_in_hand_and_no_box_is_told(desk: Desk) -> None:
    followed = Followed(desk).begin("mood_follow_up")
    followed.answer(CALM | {"q-thoughts": "2"})
    alert = Alert.objects.get(origin="team")
    followed.nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    alert.refresh_from_db()
    assert alert.state == TAKEN
    assert rows(desk.boxes.database, "SELECT kind FROM command") == []


def test_a_latched_alert_ends_once_it_was_seen_and_the_answers_are_well_again(desk: Desk) -> None:
    followed = Followed(desk).begin("mood_follow_up")
    followed.answer(CALM | {"q-thoughts": "2"})
    desk.clock.now += DAY
    followed.answer(CALM)
    alert = Alert.objects.get(rule_id="thoughts_of_death")
    assert alert.resolved_at is None, "nobody has seen it"
    followed.nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    desk.clock.now += DAY
    followed.look()
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_a_rhythm_that_the_team_gives_by_hand_says_when_a_link_is_due(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.post(followed.nurse, "/rythme", tous_les="7")
    assert "à remettre" in followed.nurse.get("/parcours").content.decode()
    link = followed.link()
    assert "à remettre" not in followed.nurse.get("/parcours").content.decode()
    Client().post(link, WELL)
    desk.clock.now += 7 * DAY
    assert "à remettre" in followed.nurse.get("/parcours").content.decode()


def test_a_rhythm_is_of_days_that_are_possible(desk: Desk) -> None:
    followed = Followed(desk).begin()
    for days in ["0", "32", "-1", "x", "7; DROP TABLE self_report", "٧", "9" * 400]:
        followed.post(followed.nurse, "/rythme", tous_les=days)
        assert SelfReport.objects.get().every_days in {None, 7}, days


def test_a_follow_up_that_is_ended_voids_its_links_and_resolves_its_alerts(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.answer(SHORT_OF_BREATH)
    link = followed.link()
    followed.post(followed.nurse, "/arreter")
    assert Client().post(link, WELL).status_code == 410
    followed.look()
    alert = Alert.objects.get(rule_id="dyspnoea_marked")
    assert alert.resolved_at == desk.clock.now
    assert "arrêté" in alert.text_fr
    acts = [act for (act,) in rows(desk.boxes.database, "SELECT act FROM audit ORDER BY n")]
    assert acts.count(Act.SELF_REPORT_ENDED) == 1
    assert Observation.objects.filter(source="questionnaire").count() == 4, "what was answered stays"
    followed.begin("mood_follow_up")
    assert SelfReport.objects.get().protocol == "mood_follow_up"


def test_pages_say_when_nobody_follows_answers(desk: Desk) -> None:
    followed = Followed(desk).begin()
    assert "Personne ne suit les réponses" in followed.nurse.get("/parcours").content.decode()
    followed.look()
    assert "Personne ne suit les réponses" not in followed.nurse.get("/parcours").content.decode()
    desk.clock.now += DAY
    assert "Personne ne suit les réponses" in followed.nurse.get(followed.page()).content.decode()


def test_pathways_name_protocols_patients_and_questionnaires(desk: Desk) -> None:
    followed = Followed(desk)
    page = followed.nurse.get("/parcours").content.decode()
    assert "Personne n&#39;est suivi par questionnaire" in page
    assert "heart_failure_symptoms v1" in page
    assert PATIENT in page
    followed.begin()
    assert "Insuffisance cardiaque : symptômes et poids" in followed.nurse.get("/parcours").content.decode()


def test_the_tables_are_as_django_reads_them(desk: Desk) -> None:
    desk.database.commands.boxes()
    connection = connect_to_read(desk.boxes.database)
    for name in ("selfreport", "questionnairelink", "selfreportpass"):
        model = apps.get_model("desk", name)
        columns = {field.column for field in model._meta.concrete_fields}
        assert columns == set(column_names(connection, model._meta.db_table))
    connection.close()


def test_what_stands_for_the_team_is_shown_as_no_box(desk: Desk) -> None:
    followed = Followed(desk).begin()
    followed.answer(SHORT_OF_BREATH)
    assert rows(desk.boxes.database, "SELECT count(*) FROM box WHERE name = '@team-1'") == [(1,)]
    assert not Box.objects.filter(name="@team-1").exists()
    assert Alert.objects.get(origin="team").box.name == "@team-1"
    assert all(not is_origin(line.box) for line in boxes(desk.boxes.database, {}, at=START))
    with closing(View(desk.boxes.database)) as view:
        assert view.fleet().boxes == 2
    assert desk.database.commands.boxes() == ("box-0001", "box-0002")
    for address in ("/patients", f"/patients/{PATIENT}", "/alertes", "/parcours"):
        assert "@team" not in followed.nurse.get(address).content.decode(), address
