"""A device that hands its memory over again: the same reading under another number is received, and stored once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import ChangeKind
from devices.reading import ClockTrust, Validity
from exchange.receipts import Received
from exchange.sealing import LANE_DENSE, Opened
from tests.coordination.kit import (
    BOX,
    EPOCH,
    HOUR,
    MINUTE,
    OTHER_BOX,
    OTHER_EPOCH,
    OTHER_PATIENT,
    START,
    USUAL,
    Team,
    glucose,
    hypo,
    opened,
    rows,
)

STORED = "SELECT epoch, seq FROM observation ORDER BY epoch, seq"


def of_a_stream(number: int, *, seq: int, **changes: Any) -> Opened:
    """An envelope of the dense lane."""
    envelope = opened(seq, [glucose(number, **changes)])
    return replace(envelope, header=msgspec.structs.replace(envelope.header, lane=LANE_DENSE))


def test_what_a_box_took_over_again_after_it_lost_its_database_is_stored_once(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0), glucose(1)]))
    (receipt,) = team.store(database, team.opened(0, [glucose(0), glucose(1), glucose(2)], epoch=OTHER_EPOCH))
    database.close()
    assert rows(team.database, STORED) == [(EPOCH, 0), (EPOCH, 1), (OTHER_EPOCH, 2)]
    assert rows(team.database, "SELECT sum(repeats) FROM device_record") == [(2,)]
    # The box may let go of all of it: its numbers were received.
    (part,) = team.read_receipt(receipt).epochs
    assert isinstance(part, Received)
    assert (part.ranges[0].first, part.ranges[0].last) == (0, 2)
    assert rows(team.database, "SELECT epoch, first, last FROM received_range ORDER BY epoch") == [
        (EPOCH, 0, 1),
        (OTHER_EPOCH, 0, 2),
    ]


def test_a_repeat_of_what_gave_way_in_a_full_buffer_and_had_arrived_all_the_same_is_stored_once(team: Team) -> None:
    database = team.open_database()
    team.store(database, of_a_stream(0, seq=0))
    team.store(database, of_a_stream(0, seq=9))
    database.close()
    assert rows(team.database, STORED) == [(EPOCH, 0)]


def test_two_values_that_a_stream_dates_by_arrival_are_two_however_alike(team: Team) -> None:
    database = team.open_database()
    same = {"measured_at": START, "received_at": START, "clock": ClockTrust.UNKNOWN}
    team.store(database, of_a_stream(0, seq=0, **same))
    team.store(database, of_a_stream(0, seq=1, **same))
    database.close()
    assert rows(team.database, STORED) == [(EPOCH, 0), (EPOCH, 1)]
    assert rows(team.database, "SELECT count(*) FROM device_record") == [(0,)], "nor do streams pay for it"


@pytest.mark.parametrize(
    "changes",
    [{"count": 1}, {"validity": Validity.QUESTIONABLE}, {"device": "C4:B0:00:00:00:09"}, {"key": "another"}],
)
def test_what_differs_in_anything_that_matters_is_another_reading(team: Team, changes: dict[str, Any]) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0)]))
    team.store(database, team.opened(1, [glucose(0, **changes)]))
    database.close()
    assert rows(team.database, STORED) == [(EPOCH, 0), (EPOCH, 1)]


def test_another_box_that_hears_the_same_device_says_something_of_its_own(team: Team) -> None:
    other = (OTHER_PATIENT, OTHER_BOX, "2025-11-01T00:00:00Z", "diabetes_cgm")
    database = team.open_database(team.settings(USUAL, other))
    team.store(database, team.opened(0, [glucose(0)]))
    team.store(database, team.opened(0, [glucose(0, patient=OTHER_PATIENT)], box=OTHER_BOX))
    database.close()
    assert rows(team.database, "SELECT name FROM observation JOIN box ON box.id = box_id ORDER BY name") == [
        (BOX,),
        (OTHER_BOX,),
    ]


def test_what_is_set_apart_twice_is_stored_once_when_it_is_attributed(team: Team) -> None:
    database = team.open_database(team.settings(USUAL))
    for epoch in (EPOCH, OTHER_EPOCH):
        team.store(database, team.opened(0, [glucose(0, patient=OTHER_PATIENT)], epoch=epoch))
    later = team.settings(USUAL, (OTHER_PATIENT, BOX, "2025-11-01T00:00:00Z", "diabetes_cgm"))
    database.enrol((BOX,), later.assignments, at=START + HOUR)
    database.close()
    assert rows(team.database, "SELECT count(*) FROM to_attribute") == [(0,)]
    assert len(rows(team.database, STORED)) == 1


@settings(max_examples=30, deadline=None)
@given(
    sent=st.lists(st.tuples(st.sampled_from((EPOCH, OTHER_EPOCH)), st.integers(0, 30), st.integers(0, 5)), max_size=40)
)
def test_whatever_numbers_they_come_under_each_reading_is_stored_once(
    sent: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    team = Team(Path(tmp_path_factory.mktemp("team")))
    database = team.open_database()
    database._connection.execute("PRAGMA synchronous = OFF")
    first: dict[tuple[str, int], int] = {}
    for epoch, seq, number in sent:
        team.store(database, opened(seq, [glucose(number)], epoch=epoch))
        first.setdefault((epoch, seq), number)
    database.close()
    keys = [str(key) for (key,) in rows(team.database, "SELECT key FROM observation")]
    assert sorted(keys) == sorted({glucose(number).key for number in first.values()})


def test_alerts_are_no_readings(team: Team) -> None:
    database = team.open_database()
    for epoch in (EPOCH, OTHER_EPOCH):
        team.store(database, team.opened(0, [hypo(ChangeKind.RAISED, onset=START + MINUTE)], epoch=epoch))
    database.close()
    assert rows(team.database, "SELECT count(*) FROM alert_event") == [(2,)]
