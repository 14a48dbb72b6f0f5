"""Whatever the order, the repeats and the cuts into envelopes: the same rows, once."""

import tempfile
from itertools import pairwise
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import ChangeKind
from coordination.attribution import Assignment
from coordination.database import Moment
from coordination.sql_database import SqlDatabase
from exchange.messages import ObservationRecord, Range, Record
from exchange.sealing import Opened
from tests.coordination.kit import (
    BOX,
    EPOCH,
    HOUR,
    OTHER_EPOCH,
    OTHER_PATIENT,
    PATIENT,
    START,
    Team,
    contents,
    glucose,
    hypo,
    opened,
    rows,
)

TABLES = (
    "observation",
    "received_range",
    "alert",
    "alert_event",
    "problem",
    "device",
    "to_attribute",
)

REVISED_FROM = hypo(ChangeKind.RAISED).alert_id
RECORDS: tuple[Record, ...] = (
    glucose(0),
    hypo(ChangeKind.RAISED),
    glucose(1),
    glucose(2, patient=OTHER_PATIENT),
    glucose(-100_000),
    hypo(ChangeKind.RESOLVED),
    glucose(3, device="C4:B0:00:00:00:09"),
    hypo(ChangeKind.REVISED, onset=START + 60_000, supersedes=REVISED_FROM),
    hypo(ChangeKind.CONFIRMED, onset=START + 60_000),
    glucose(4),
    hypo(ChangeKind.RAISED, patient=OTHER_PATIENT),
    glucose(5),
    hypo(ChangeKind.RETRACTED, onset=START + 60_000),
    glucose(6),
    hypo(ChangeKind.RAISED, onset=START + 120_000),
    hypo(ChangeKind.REVISED, onset=START + 180_000, supersedes=hypo(ChangeKind.RAISED, onset=START + 120_000).alert_id),
    # Under thresholds of before it began when it had.
    hypo(ChangeKind.REVISED, onset=START + 120_000, supersedes=hypo(ChangeKind.RAISED, onset=START + 180_000).alert_id),
)

OTHERS = tuple(
    msgspec.structs.replace(record, key=f"other:{record.key}") if isinstance(record, ObservationRecord) else record
    for record in RECORDS
)
"""What the box sent under the other epoch: readings of their own."""


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[tuple[str, int, int]]]:
    """Cut both epochs into envelopes, send each at least once in any order, drained into any batches."""
    envelopes: list[tuple[str, int, int]] = []
    for epoch in (EPOCH, OTHER_EPOCH):
        for _ in range(draw(st.integers(1, 2))):
            cuts = draw(st.sets(st.integers(1, len(RECORDS) - 1), max_size=6))
            edges = [0, *sorted(cuts), len(RECORDS)]
            envelopes += [(epoch, first, end) for first, end in pairwise(edges)]
    repeats = draw(st.lists(st.sampled_from(envelopes), max_size=6))
    sent = draw(st.permutations([*envelopes, *repeats]))
    batches: list[list[tuple[str, int, int]]] = [[]]
    for envelope in sent:
        if draw(st.booleans()):
            batches.append([])
        batches[-1].append(envelope)
    return batches


def _envelope(epoch: str, first: int, end: int) -> Opened:
    # The box sealed its second database's records later; within an epoch its clock was set back on the way.
    created = START + (10_000 if epoch == EPOCH else 90_000) - first
    records = RECORDS if epoch == EPOCH else OTHERS
    return opened(first, records[first:end], epoch=epoch, created=created)


def _stored(batches: list[list[tuple[str, int, int]]]) -> dict[str, list[tuple[object, ...]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "desk.db"
        database = SqlDatabase(path)
        # What is compared does not depend on whether the disk keeps it.
        database._connection.execute("PRAGMA synchronous = OFF")
        given = Assignment(patient=PATIENT, box=BOX, since=START - HOUR, time_zone="Europe/Paris")
        database.enrol([BOX], [given], at=START)
        for batch in batches:
            arrivals = [_envelope(*envelope) for envelope in batch]
            database.store(arrivals, moment=Moment(at=START), receipt_at=START, sign=lambda _: b"")
        database.close()
        return contents(path, *TABLES)


IN_ORDER = _stored([[(epoch, number, number + 1)] for epoch in (EPOCH, OTHER_EPOCH) for number in range(len(RECORDS))])


@settings(max_examples=50, deadline=None)
@given(deliveries())
def test_any_order_repeats_and_cuts_end_in_the_same_rows(batches: list[list[tuple[str, int, int]]]) -> None:
    found = _stored(batches)
    # The time at which a box sealed an envelope is a fact of the envelope, so cuts may change `created` alone.
    for table in TABLES:
        assert [_without_created(table, row) for row in found[table]] == [
            _without_created(table, row) for row in IN_ORDER[table]
        ]


def _without_created(table: str, row: tuple[object, ...]) -> tuple[object, ...]:
    if table == "problem":
        # Its last two columns count what changed before it.
        return row[:-2]
    if table == "alert_event" and row[2] == "":
        # What the inbox itself says is numbered after what was said before it.
        row = (*row[:3], *row[4:])
    place = {"alert_event": 5, "to_attribute": 5}.get(table)
    return row if place is None else (*row[:place], *row[place + 1 :])


def test_what_is_compared_is_what_should_be_there() -> None:
    own = [
        record
        for record in RECORDS
        if getattr(record, "patient", None) != OTHER_PATIENT and record != glucose(-100_000)
    ]
    readings = [record for record in own if isinstance(record, ObservationRecord)]
    assert len(IN_ORDER["observation"]) == 2 * len(readings)
    assert IN_ORDER["received_range"] == [(BOX, EPOCH, 0, len(RECORDS) - 1), (BOX, OTHER_EPOCH, 0, len(RECORDS) - 1)]
    assert len(IN_ORDER["to_attribute"]) == 2 * (len(RECORDS) - len(own))
    kinds = {row[0]: row[5] for row in IN_ORDER["alert"] if row[3] == "box"}
    assert kinds[REVISED_FROM] == "resolved"
    assert [(row[1], row[3]) for row in IN_ORDER["problem"]] == [(PATIENT, "hypo_level_1"), (None, "to_attribute")]
    assert sorted(map(str, kinds.values())) == ["resolved", "retracted", "revised", "revised"]
    back = hypo(ChangeKind.RAISED, onset=START + 120_000).alert_id
    assert [row[5] for row in IN_ORDER["problem"] if row[1] == PATIENT] == [back]


def test_an_envelope_that_overlaps_what_came_before_adds_only_the_rest(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0), glucose(1), glucose(2)]))
    team.store(database, team.opened(1, [glucose(1), glucose(2), glucose(3)]))
    database.close()
    assert rows(team.database, "SELECT seq, count FROM observation ORDER BY seq") == [
        (0, 1040),
        (1, 1041),
        (2, 1042),
        (3, 1043),
    ]


def test_what_devices_remember_stands_behind_the_ranges(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(0, [glucose(0)]))
    database._connection.execute("DELETE FROM received_range")
    team.store(database, team.opened(0, [glucose(0)]))
    database.close()
    assert rows(team.database, "SELECT count(*) FROM observation") == [(1,)]


def test_a_text_that_one_engine_cannot_keep_stops_no_inbox_and_is_known_again(team: Team) -> None:
    database = team.open_database()
    hostile = [glucose(number, key=f"\0{number % 2}", source="de\0vice", device_time=None) for number in range(4)]
    team.store(database, team.opened(0, hostile[:2]))
    team.store(database, team.opened(0, hostile[:3]), team.opened(9, [glucose(1, key="\0" + "1")]))
    database.close()
    kept = rows(team.database, "SELECT seq, key, source FROM observation ORDER BY seq")
    assert [tuple(str(value).replace("\ufffd", "\0") for value in row) for row in kept] == [
        (str(number), f"\0{number % 2}", "de\0vice") for number in range(3)
    ]


def test_a_repeat_is_receipted_again_and_the_receipt_lists_exact_ranges(team: Team) -> None:
    database = team.open_database()
    team.store(database, team.opened(10, [glucose(10)]))
    first, second = team.opened(0, [glucose(0), glucose(1)]), team.opened(4, [glucose(4)])
    (before,) = team.store(database, second, first, second)
    (again,) = team.store(database, second, first, second)
    for signed in (before, again):
        receipt = team.read_receipt(signed)
        (part,) = receipt.epochs
        assert part.epoch == EPOCH
        assert part.ranges == (Range(first=0, last=1), Range(first=4, last=4))
        assert part.high == 10
    kept = database._connection.execute("SELECT signature, high FROM receipt").fetchall()
    assert kept == [(again.data, 10)]
    database.close()


def test_one_receipt_lists_every_epoch_of_a_box(team: Team) -> None:
    database = team.open_database()
    receipts = team.store(
        database,
        team.opened(0, [glucose(0)]),
        team.opened(7, [glucose(1)], epoch=OTHER_EPOCH),
    )
    database.close()
    assert [{(part.epoch, part.high) for part in team.read_receipt(one).epochs} for one in receipts] == [
        {(EPOCH, 0), (OTHER_EPOCH, 7)}
    ]
