"""Records that are nobody's yet are kept and receipted, and never shown as somebody's."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import Category, ChangeKind
from coordination.attribution import Assignment, Owners, Reason, reason_to_set_apart
from coordination.view import View
from devices.reading import Unit
from exchange.messages import UNATTRIBUTED, AlertRecord, ObservationRecord, PatientRecord, Range
from tests.coordination.kit import BOX, HOUR, OTHER_BOX, OTHER_PATIENT, PATIENT, START, Team, glucose, hypo, rows

GIVEN = Assignment(patient=PATIENT, box=BOX, since=START, until=START + HOUR, time_zone="Europe/Paris")
LASTING = Assignment(patient=PATIENT, box=BOX, since=START, time_zone="Europe/Paris")


@pytest.mark.parametrize(
    ("record", "assignments", "reason"),
    [
        (glucose(0), [LASTING], None),
        (glucose(0, measured_at=START - 1), [LASTING], Reason.DATES),
        (glucose(0, measured_at=START + HOUR - 1), [GIVEN], None),
        (glucose(0, measured_at=START + HOUR), [GIVEN], Reason.PATIENT),
        (glucose(0, measured_at=START + HOUR), [GIVEN, LASTING], None),
        (glucose(0, patient=OTHER_PATIENT), [LASTING], Reason.PATIENT),
        (glucose(0, patient=UNATTRIBUTED), [LASTING], Reason.BOX),
        (glucose(0, unit=Unit.MMOL_PER_L), [LASTING], Reason.UNIT),
        (hypo(ChangeKind.RAISED, onset=START - HOUR), [LASTING], Reason.DATES),
        (hypo(ChangeKind.RAISED), [LASTING], None),
        (hypo(ChangeKind.RAISED, patient=BOX), [LASTING], Reason.PATIENT),
        (msgspec.structs.replace(hypo(ChangeKind.RAISED, patient=BOX), category=Category.TECHNICAL), [LASTING], None),
    ],
)
def test_dated_assignments_decide(
    record: ObservationRecord | AlertRecord, assignments: list[Assignment], reason: Reason | None
) -> None:
    assert reason_to_set_apart(record, BOX, assignments) is reason
    assert reason_to_set_apart(record, OTHER_BOX, assignments) is not None


@given(
    st.lists(
        st.builds(
            Assignment,
            patient=st.sampled_from((PATIENT, OTHER_PATIENT)),
            box=st.just(BOX),
            since=st.integers(START, START + 6),
            until=st.one_of(st.none(), st.integers(START, START + 9)),
            time_zone=st.just("Europe/Paris"),
        ),
        max_size=5,
    ),
    st.lists(
        st.tuples(
            st.sampled_from((PATIENT, OTHER_PATIENT, UNATTRIBUTED)),
            st.integers(START - 1, START + 10),
            st.sampled_from((Unit.MG_PER_DL, Unit.MMOL_PER_L)),
        ),
        max_size=20,
    ),
)
def test_a_stream_is_whose_each_of_its_values_is(
    assignments: list[Assignment], values: list[tuple[str, int, Unit]]
) -> None:
    owners = Owners({BOX: assignments})
    for patient, at, unit in values:
        record = glucose(0, patient=patient, measured_at=at, unit=unit)
        assert owners.reason(record, BOX) is reason_to_set_apart(record, BOX, assignments)
    assert owners.reason(glucose(0), OTHER_BOX) is Reason.PATIENT


def test_a_strangers_record_is_receipted_set_apart_and_alerted_once(team: Team) -> None:
    database = team.open_database()
    (receipt,) = team.store(database, team.opened(0, [glucose(0, patient=OTHER_PATIENT)], box=OTHER_BOX))
    team.store(database, team.opened(1, [glucose(1, patient=OTHER_PATIENT)], box=OTHER_BOX), at=START + HOUR)
    database.close()
    assert team.read_receipt(receipt).epochs[0].ranges == (Range(first=0, last=0),)
    view = View(team.database)
    assert list(view.readings()) == []
    (alert,) = view.alerts(standing=True)
    assert (alert.rule, alert.box, alert.patient, alert.origin) == ("to_attribute", OTHER_BOX, None, "team")
    assert alert.raised_at == START
    assert OTHER_BOX in alert.why.fr
    assert OTHER_BOX in alert.why.en
    assert view.fleet().to_attribute == ((OTHER_BOX, 2),)
    view.close()


def test_records_from_before_the_box_was_given_raise_nothing(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(-100_000), glucose(0, patient=UNATTRIBUTED)]))
    database.close()
    assert rows(team.database, "SELECT reason FROM to_attribute ORDER BY seq") == [("dates",), ("box",)]
    assert rows(team.database, "SELECT count(*) FROM alert") == [(0,)]


def test_a_completed_assignment_takes_up_what_was_set_apart_and_ends_the_alert(team: Team) -> None:
    database = team.open_database()
    sent: list[PatientRecord] = [
        glucose(0, patient=OTHER_PATIENT),
        hypo(ChangeKind.RAISED, patient=OTHER_PATIENT),
        glucose(1, unit=Unit.K_PA),
    ]
    team.store(database, team.opened(0, sent))
    database.close()
    both = team.settings(
        (PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"),
        (OTHER_PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"),
    )
    database = team.open_database(both, at=START + HOUR)
    team.store(database, team.opened(0, sent), at=START + HOUR)
    database.close()
    view = View(team.database)
    (reading,) = view.readings()
    assert (reading.patient, reading.seq, reading.stored_at) == (OTHER_PATIENT, 0, START)
    told = {alert.rule: alert for alert in view.alerts()}
    assert told["to_attribute"].resolved_at == START + HOUR
    assert told["hypo_level_1"].patient == OTHER_PATIENT
    view.close()
    assert rows(team.database, "SELECT seq, reason FROM to_attribute") == [(2, "unit")]


def test_a_patient_given_another_box_leaves_the_first_where_the_second_begins(team: Team) -> None:
    team.open_database().close()
    moved = team.settings((PATIENT, OTHER_BOX, "2025-11-22T09:00:00Z", "diabetes_cgm"))
    database = team.open_database(moved, at=START + 5 * HOUR)
    begins = START + 2_000_000
    team.store(
        database,
        team.opened(0, [glucose(0, measured_at=begins - 1), glucose(1, measured_at=begins)]),
        team.opened(0, [glucose(2, measured_at=begins - 1), glucose(3, measured_at=begins)], box=OTHER_BOX),
    )
    database.close()
    assert rows(team.database, "SELECT name, count FROM observation JOIN box ON box.id = box_id ORDER BY count") == [
        (BOX, 1040),
        (OTHER_BOX, 1043),
    ]


def test_another_beginning_on_the_same_box_corrects_the_first(team: Team) -> None:
    team.open_database().close()
    corrected = team.settings((PATIENT, BOX, "2025-11-22T08:31:40Z", "diabetes_cgm"))
    database = team.open_database(corrected)
    team.store(database, team.opened(0, [glucose(0), glucose(1)]))
    database.close()
    assert rows(team.database, "SELECT seq FROM observation") == [(1,)]
    assert rows(team.database, "SELECT seq, reason FROM to_attribute") == [(0, "dates")]


def test_a_patient_taken_out_of_the_settings_is_no_longer_shown_and_may_come_back(team: Team) -> None:
    team.open_database().close()
    without = team.settings((OTHER_PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"))
    database = team.open_database(without, at=START)
    team.store(database, team.opened(0, [glucose(-1), glucose(0)]))
    database.close()
    assert rows(team.database, "SELECT seq FROM observation") == [(0,)]
    team.open_database(at=START + HOUR).close()
    assert rows(team.database, "SELECT seq FROM observation ORDER BY seq") == [(0,), (1,)]


def test_an_alert_known_as_one_patients_is_never_taken_over_for_another(team: Team) -> None:
    both = team.settings(
        (PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"),
        (OTHER_PATIENT, OTHER_BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"),
    )
    database = team.open_database(both)
    mine = hypo(ChangeKind.RAISED)
    team.store(database, team.opened(0, [mine]))
    forged = msgspec.structs.replace(hypo(ChangeKind.RETRACTED, patient=OTHER_PATIENT), alert_id=mine.alert_id)
    team.store(database, team.opened(0, [forged], box=OTHER_BOX))
    database.close()
    view = View(team.database)
    (alert,) = view.alerts()
    assert (alert.patient, alert.change) == (PATIENT, ChangeKind.RAISED)
    view.close()
    assert rows(team.database, "SELECT reason FROM to_attribute") == [("alert",)]
