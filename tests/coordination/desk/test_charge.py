"""How much work alerts are, how often they were of use, and what a team sets about both."""

import pytest

from alerting.alert import ChangeKind
from coordination.deadlines import MINUTE, spans_of
from coordination.desk.access import Role
from coordination.desk.feedback import tallies, tally_of, worth_trying
from coordination.desk.models import Alert, Team, TeamMinutes, WeeklyBudget
from coordination.desk.pace import minutes_of, pace
from coordination.desk.shared_database import acting
from coordination.outcomes import MEANINGS, Said
from coordination.reading_hours import hours_of
from devices.reading import Quantity
from exchange.messages import AlertRecord, EvidenceItem, FindingItem
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_handling_pages import text
from tests.coordination.kit import HOUR, START, hypo


def close_each(desk: Desk, *outcomes: tuple[str, int]) -> Alert:
    """Let one alert after the other come with a value (mg/dL), and be closed with an outcome by C. Martin."""
    nurse = desk.client(Role.NURSE, name="C. Martin")
    for number, (came, value) in enumerate(outcomes):
        record = hypo(ChangeKind.RAISED, onset=START + number * HOUR)
        at = record.raised_at
        reading = EvidenceItem(
            quantity=Quantity.GLUCOSE_INTERSTITIAL,
            count=10 * value,
            measured_at=at,
            received_at=at,
            device="d",
            key="k",
        )
        values = {name: getattr(record, name) for name in record.__struct_fields__} | {
            "evidence": (reading,),
            "finding": FindingItem(measure="quanta", value=10 * value, threshold=700),
        }
        desk.clock.now = at
        desk.receive(AlertRecord(**values))
        nurse.post(f"/alertes/{record.alert_id}/clore", {"vu": 0, "issue": came})
    return Alert.objects.order_by("raised_at").last()


SELDOM = (
    ("measured_again", 68),
    ("measured_again", 65),
    ("nothing_needed", 62),
    ("advised", 55),
    ("emergency", 50),
    ("measured_again", 69),
    ("duplicate", 69),
)


def test_alerts_of_use_are_counted_by_rule_and_patient_and_doubles_are_not(desk: Desk) -> None:
    last = close_each(desk, *SELDOM)
    tally = tally_of(last)
    assert tally is not None
    assert (tally.useful, tally.of) == (2, 6)
    (rule,) = tallies(Team.objects.get(pk=1), now=desk.clock.now)
    assert (rule.rule, rule.tally, rule.patients) == ("hypo_level_1", tally, 1)
    nurse = desk.client(Role.NURSE)
    assert "2 utiles sur 6" in text(nurse, "/charge")
    assert "2 utiles sur 6" in text(nurse, f"/alertes/{last.pk}")


def test_a_threshold_is_proposed_that_keeps_every_alert_that_was_of_use_and_nothing_is_changed(desk: Desk) -> None:
    close_each(desk, *SELDOM)
    before = list(Alert.objects.order_by("pk").values_list("pk", "version", "record"))
    (found,) = worth_trying(Team.objects.get(pk=1), now=desk.clock.now)
    assert found.proposal is not None
    assert found.now is not None
    assert found.then is not None
    assert (found.proposal.spared, found.now.fr, found.then.fr) == (4, "70\u00a0mg/dL", "55,1\u00a0mg/dL")
    assert "seuil de 70 mg/dL à 55,1 mg/dL : 4 alertes inutiles de moins" in text(desk.client(Role.NURSE), "/charge")
    assert list(Alert.objects.order_by("pk").values_list("pk", "version", "record")) == before


def test_another_teams_alerts_are_in_nobodys_count(desk: Desk) -> None:
    close_each(desk, *SELDOM)
    desk.user(Role.NURSE, team=2)
    other = Team.objects.get(pk=2)
    assert (tallies(other, now=desk.clock.now), worth_trying(other, now=desk.clock.now)) == ((), ())
    assert pace(other, days=7, now=desk.clock.now).closed == 0
    assert "patient-7f3a" not in text(desk.client(Role.NURSE, team=2), "/charge")


def test_work_is_counted_by_what_came_of_each_alert_against_what_a_week_has_room_for(desk: Desk) -> None:
    close_each(desk, ("advised", 60), ("equipment", 60))
    team = Team.objects.get(pk=1)
    TeamMinutes.objects.create(team=team, said="advised", minutes=30)
    TeamMinutes.objects.create(team=team, said="week", minutes=190)
    found = pace(team, days=7, now=desk.clock.now)
    (load,) = found.loads
    minutes = 30 + MEANINGS[Said.EQUIPMENT].minutes
    assert (load.name, load.minutes, load.budget, load.percent) == ("C. Martin", minutes, 190, 20)
    assert (found.closed, found.closed_in_time) == (2, 2)
    WeeklyBudget.objects.create(team=team, user_id=load.user, minutes=95)
    assert pace(team, days=28, now=desk.clock.now).loads[0].budget == 4 * 95


def test_what_was_undone_or_opened_again_is_no_work_done(desk: Desk) -> None:
    last = close_each(desk, ("advised", 60))
    desk.client(Role.NURSE, name="C. Martin").post(f"/alertes/{last.pk}/rouvrir", {"vu": 1})
    assert pace(Team.objects.get(pk=1), days=7, now=desk.clock.now).closed == 0
    assert tally_of(last) is None


def test_a_call_that_reached_nobody_is_work_all_the_same(desk: Desk) -> None:
    alert = desk.alert()
    desk.client(Role.NURSE).post(f"/alertes/{alert.pk}/clore", {"vu": 0, "issue": "recall", "rappel": "2"})
    (load,) = pace(Team.objects.get(pk=1), days=7, now=desk.clock.now).loads
    assert load.minutes == minutes_of(Team.objects.get(pk=1))["recall"]


def filled(desk: Desk, **changes: object) -> dict[str, object]:
    return {name: str(value) for name, value in minutes_of(Team.objects.get(pk=1)).items()} | changes


def test_a_team_sets_its_minutes_and_the_act_is_entered(desk: Desk) -> None:
    nurse = desk.client(Role.NURSE, name="C. Martin")
    row = desk.user(Role.NURSE, name="C. Martin").pk
    nurse.post("/charge/minutes", filled(desk, advised="15", **{f"semaine-{row}": "300"}))
    assert minutes_of(Team.objects.get(pk=1))["advised"] == 15
    assert WeeklyBudget.objects.get().minutes == 300
    with acting() as database:
        acts = [row[0] for row in database.execute("SELECT body FROM audit WHERE act = 'settings_changed'").fetchall()]
    assert len(acts) == 1
    assert "C. Martin" in acts[0]
    nurse.post("/charge/minutes", filled(desk, **{f"semaine-{row}": ""}))
    assert WeeklyBudget.objects.count() == 0


@pytest.mark.parametrize("value", ["", "-1", "2.5", "99999", "dix", "1\0", "\u0663"])
def test_minutes_that_are_none_change_nothing(desk: Desk, value: str) -> None:
    nurse = desk.client(Role.NURSE)
    page = nurse.post("/charge/minutes", filled(desk, advised=value), follow=True).content.decode()
    assert "Écrire partout un nombre entier de minutes" in page
    deadlines = {f"{name}-{priority}": "30" for name in ("prendre", "clore") for priority in (1, 2, 3, 4)}
    nurse.post("/charge/delais", deadlines | {"prendre-1": value})
    with acting() as database:
        assert spans_of(database, 1)[1].ack == 30 * MINUTE
        assert database.execute("SELECT count(*) FROM team_deadline").fetchone() == (0,)
    assert TeamMinutes.objects.count() == 0


def test_a_team_sets_its_deadlines(desk: Desk) -> None:
    deadlines = {f"{name}-{priority}": "45" for name in ("prendre", "clore") for priority in (1, 2, 3, 4)}
    desk.client(Role.PHYSICIAN).post("/charge/delais", deadlines)
    alert = desk.alert()
    assert (alert.ack_due, alert.act_due) == (START + 45 * MINUTE, START + 90 * MINUTE)


def test_a_team_says_when_it_reads_and_deadlines_count_that_time_alone(desk: Desk) -> None:
    deadlines = {f"{name}-{priority}": "45" for name in ("prendre", "clore") for priority in (1, 2, 3, 4)}
    hours = {"heures": "limitees", "jours": ["0", "1", "2", "3", "4"], "ouvre": "08:00", "ferme": "18:00"}
    nurse = desk.client(Role.NURSE)
    for wrong in ({"jours": []}, {"ouvre": "25:00"}, {"ferme": "08:30"}, {"ouvre": "\u0660\u0668:00"}):
        page = nurse.post("/charge/delais", deadlines | hours | wrong, follow=True).content.decode()
        assert "une fin au moins une heure après le début" in page
    with acting() as database:
        assert hours_of(database, 1) is None
    nurse.post("/charge/delais", deadlines | hours)
    alert = desk.alert()
    # START is a Saturday morning: the next reading hours begin on Monday at eight, seven in UTC.
    assert alert.ack_due == 1_763_967_600_000 + 45 * MINUTE
    nurse.post("/charge/delais", deadlines | {"heures": "toujours"})
    with acting() as database:
        assert hours_of(database, 1) is None
