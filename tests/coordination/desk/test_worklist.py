"""What stands in the worklist: which rows, in which order, how many, and what an empty one says."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerting.alert import ChangeKind
from coordination.desk.access import Role
from coordination.desk.models import Team
from coordination.desk.shared_database import acting
from coordination.desk.worklist import PAGE, Asked, Tab, waiting, worklist
from tests.coordination.desk.kit import Desk
from tests.coordination.desk.test_handling_pages import technical, text
from tests.coordination.kit import MINUTE, OTHER_PATIENT, PATIENT, START, hypo


def test_rows_are_ordered_by_priority_then_what_nobody_has_then_what_is_due_first(desk: Desk) -> None:
    later, technical_one = desk.alert(patient=OTHER_PATIENT), technical(desk, onset=START + MINUTE)
    desk.clock.now = START + MINUTE
    team = Team.objects.get(pk=1)
    nurse = desk.client(Role.NURSE)
    assert [row.alert.pk for row in worklist(team, Asked(), now=START).rows] == [later.pk, technical_one.pk]
    nurse.post(f"/alertes/{later.pk}/prendre", {"vu": 0})
    found = worklist(team, Asked(), now=START)
    assert [row.alert.pk for row in found.rows] == [later.pk, technical_one.pk]
    assert found.counts == {1: 1, 2: 0, 3: 0, 4: 1}


def test_what_is_over_taken_back_or_continued_waits_no_more(desk: Desk) -> None:
    alert = desk.alert()
    desk.receive(hypo(ChangeKind.REVISED, onset=START + 5 * MINUTE, supersedes=alert.pk))
    team = Team.objects.get(pk=1)
    (row,) = worklist(team, Asked(), now=START).rows
    assert (row.alert.onset, row.repeats) == (START + 5 * MINUTE, 0)
    desk.receive(hypo(ChangeKind.RETRACTED, onset=START + 5 * MINUTE, supersedes=alert.pk))
    assert worklist(team, Asked(), now=START).rows == ()
    assert waiting(team).count() == 0


def test_filters_and_tabs_narrow_the_list_and_the_counts_stay_the_teams(desk: Desk) -> None:
    alert = desk.alert()
    other = desk.alert(patient=OTHER_PATIENT)
    team, user = Team.objects.get(pk=1), desk.user(Role.NURSE)
    desk.client(Role.NURSE).post(f"/alertes/{alert.pk}/prendre", {"vu": 0})

    def shown(**asked: object) -> list[str]:
        found = worklist(team, Asked(user=user.pk, **asked), now=START)  # type: ignore[arg-type]
        assert sum(found.counts.values()) == 2
        return [row.alert.pk for row in found.rows]

    assert shown(tab=Tab.MINE) == [alert.pk]
    assert shown(search=OTHER_PATIENT[:9].upper()) == [other.pk]
    assert shown(priority=2) == []
    assert shown(pathway="nothing") == []
    assert len(shown(pathway="diabetes_cgm")) == 2


def test_a_long_list_is_cut_into_pages_that_miss_nothing(desk: Desk) -> None:
    records = []
    for number in range(PAGE + 3):
        record = hypo(ChangeKind.RAISED, onset=START + number * MINUTE)
        values = {name: getattr(record, name) for name in record.__struct_fields__} | {"rule": f"rule_{number}"}
        records.append(type(record)(**values))
    desk.receive(*records)
    team = Team.objects.get(pk=1)
    first, second = (worklist(team, Asked(page=page), now=START) for page in (1, 2))
    assert (len(first.rows), first.more, first.total, len(second.rows), second.more) == (PAGE, True, PAGE + 3, 3, False)
    assert {row.alert.pk for row in first.rows + second.rows} == {record.alert_id for record in records}
    assert "Page suivante" in text(desk.client(Role.NURSE), "/alertes")


def test_a_closed_alert_is_found_among_the_closed_ones_by_its_patient(desk: Desk) -> None:
    alert, nurse = desk.alert(), desk.client(Role.NURSE, name="C. Martin")
    nurse.post(f"/alertes/{alert.pk}/clore", {"vu": 0, "issue": "emergency"})
    assert "Orienté vers le 15" in text(nurse, "/alertes", voir="closes", patient=PATIENT)
    assert "Orienté vers le 15" not in text(nurse, "/alertes", voir="closes", patient=OTHER_PATIENT)


def test_an_empty_list_says_how_many_boxes_are_heard(desk: Desk) -> None:
    nurse = desk.client(Role.NURSE)
    assert desk.database is not None
    assert "Aucun boîtier n'a encore envoyé de message" in text(nurse, "/alertes")
    alert = desk.alert()
    nurse.post(f"/alertes/{alert.pk}/clore", {"vu": 0, "issue": "advised"})
    assert "de 2 boîtiers sur 2." in text(nurse, "/alertes")
    with acting() as database:
        database.execute(
            'INSERT INTO device_silence (box_id, "from", cause) VALUES (?, ?, ?)',
            (alert.box.pk, START, "not_transmitted"),
        )
    page = text(nurse, "/alertes")
    assert "de 1 boîtiers sur 2." in page
    assert "muet" in page


@pytest.mark.parametrize("count", [1, 12])
def test_a_page_asks_the_database_as_often_whatever_its_length(desk: Desk, count: int) -> None:
    records = []
    for number in range(count):
        record = hypo(ChangeKind.RAISED, onset=START + number * MINUTE)
        values = {name: getattr(record, name) for name in record.__struct_fields__} | {"rule": f"rule_{number}"}
        records.append(type(record)(**values))
    desk.receive(*records)
    client = desk.client(Role.NURSE)
    client.get("/alertes")
    with CaptureQueriesContext(connection) as queries:
        client.get("/alertes")
    assert len(queries) <= 12


@pytest.mark.parametrize(
    "address",
    ["/alertes", "/alertes?voir=les-miennes", "/alertes?priorite=4", "/alertes?voir=closes", "/alertes?patient=7f3a"],
)
def test_no_page_of_the_list_reads_every_alert_that_there_ever_was(desk: Desk, address: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip(
            "PostgreSQL reads a small table whole, whatever its indexes; benchmarks/desk_worklist.py measures it"
        )
    desk.alert()
    client = desk.client(Role.NURSE)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    asked = [query["sql"] for query in queries if '"alert"' in query["sql"] and query["sql"].startswith("SELECT")]
    assert asked
    with connection.cursor() as cursor:
        for statement in asked:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            steps = [row[3] for row in cursor.fetchall()]
            assert not [step for step in steps if step.startswith("SCAN alert")], (statement, steps)
