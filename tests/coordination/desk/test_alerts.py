"""The worklist, and what two nurses do with it."""

from alerting.alert import Acknowledgement, ChangeKind
from coordination.acknowledging import acknowledge
from coordination.desk.access import Role
from coordination.desk.models import Alert
from coordination.handling import NEW, TAKEN
from tests.coordination.desk.kit import Desk
from tests.coordination.kit import MINUTE, START, hypo


def test_an_alert_of_a_box_stands_in_the_worklist(desk: Desk) -> None:
    desk.alert()
    desk.clock.now = START + 20 * MINUTE
    page = desk.client(Role.NURSE).get("/alertes").content.decode()
    assert "Hypoglycémie" in page
    assert "Haute" in page
    assert "il y a 5\u00a0min" in page


def test_repeats_of_one_problem_are_one_row(desk: Desk) -> None:
    desk.alert()
    desk.alert(onset=START + 60 * MINUTE)
    page = desk.client(Role.NURSE).get("/alertes").content.decode()
    assert page.count("Prendre en charge</button>") == 1
    assert "+1 répétition" in page


def test_a_nurse_takes_an_alert_in_hand_and_gives_it_back(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE, name="C. Martin")
    assert nurse.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled}).status_code == 302
    alert.refresh_from_db()
    assert (alert.state, alert.holder) == (TAKEN, "C. Martin")
    assert "Par vous" in nurse.get("/alertes").content.decode()
    nurse.post(f"/alertes/{alert.pk}/rendre", {"vu": alert.handled})
    alert.refresh_from_db()
    assert (alert.state, alert.holder) == (NEW, "")


def test_of_two_nurses_one_wins_and_the_other_is_told(desk: Desk) -> None:
    alert = desk.alert()
    first, second = desk.client(Role.NURSE, name="C. Martin"), desk.client(Role.NURSE, name="M. Lefèvre")
    first.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    page = second.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled}, follow=True).content.decode()
    assert "vient d&#39;être prise en charge par quelqu&#39;un d&#39;autre. Rien n&#39;a été changé." in page
    assert Alert.objects.get(pk=alert.pk).holder == "C. Martin"


def test_what_another_team_has_is_not_there(desk: Desk) -> None:
    alert, stranger = desk.alert(), desk.client(Role.NURSE, team=2)
    assert "Hypoglycémie" not in stranger.get("/alertes").content.decode()
    assert stranger.post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled}).status_code == 404
    assert Alert.objects.get(pk=alert.pk).state == NEW


def test_a_problem_is_taken_and_given_back_with_all_its_repeats(desk: Desk) -> None:
    first, second = desk.alert(), desk.alert(onset=START + 60 * MINUTE)
    nurse = desk.client(Role.NURSE, name="C. Martin")
    nurse.post(f"/alertes/{second.pk}/prendre", {"vu": second.handled})
    assert set(Alert.objects.values_list("state", "holder")) == {(TAKEN, "C. Martin")}
    second.refresh_from_db()
    nurse.post(f"/alertes/{second.pk}/rendre", {"vu": second.handled})
    assert set(Alert.objects.filter(pk__in=(first.pk, second.pk)).values_list("state", "holder")) == {(NEW, "")}


def test_a_namesake_gives_back_nothing_of_hers(desk: Desk) -> None:
    alert = desk.alert()
    desk.client(Role.NURSE, name="C. Martin").post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    alert.refresh_from_db()
    other = desk.user(Role.NURSE, name="Somebody Else")
    other.name = "C. Martin"
    other.save()
    namesake = desk.client()
    namesake.force_login(other)
    namesake.post(f"/alertes/{alert.pk}/rendre", {"vu": alert.handled})
    assert Alert.objects.get(pk=alert.pk).state == TAKEN


def test_an_alert_that_moves_stays_in_the_hands_that_it_was_in(desk: Desk) -> None:
    alert = desk.alert()
    desk.client(Role.NURSE, name="C. Martin").post(f"/alertes/{alert.pk}/prendre", {"vu": alert.handled})
    moved = hypo(ChangeKind.REVISED, onset=START + 5 * MINUTE, supersedes=alert.pk)
    desk.receive(moved)
    now = Alert.objects.get(pk=moved.alert_id)
    assert (now.state, now.holder, now.holder_id) == (TAKEN, "C. Martin", Alert.objects.get(pk=alert.pk).holder_id)


def test_what_was_seen_by_command_is_in_that_persons_hands(desk: Desk) -> None:
    alert = desk.alert()
    acknowledge(desk.boxes.database, alert.pk, Acknowledgement(by="M. Lefèvre", at=START))
    assert "M. Lefèvre" in desk.client(Role.NURSE).get("/alertes").content.decode()
