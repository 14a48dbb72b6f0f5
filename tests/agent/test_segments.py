"""Readings of streams: many in one sealed row, and each of them as safe, as judged and as known as any other."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.shadow_store import Pair, ShadowJudgement, ShadowState
from agent.store import Arrival, Judgement, ReadingState, Store
from agent.store_reader import Kept
from devices.reading import Quantity, Reading
from exchange.messages import ObservationRecord
from exchange.sealing import LANE_DENSE
from tests.agent.kit import (
    MINUTE,
    OXIMETER,
    PATIENT,
    START,
    Desk,
    arrivals,
    glucose,
    make_reading,
    open_store,
    receipt,
    spo2,
)
from tests.agent.test_store import change

OLD = Path(__file__).parent / "databases" / "step_0002.db"


def stream(store: Store, desk: Desk, *readings: Reading, patient: str = PATIENT) -> list[Kept]:
    kept = store.accept_streamed(arrivals(*readings, patient=patient), {}, desk.sealer, now_ms=START)
    return kept.get(patient, [])


def sparse(store: Store, desk: Desk, *readings: Reading) -> None:
    store.accept(arrivals(*readings), desk.sealer, now_ms=START)


def rows(store: Store, table: str) -> int:
    return int(store._connection.execute(f"select count(*) from {table}").fetchone()[0])


def test_many_values_of_a_stream_are_one_row_and_one_entry(store: Store, desk: Desk) -> None:
    readings = [spo2("97", second) for second in range(60)]
    kept = stream(store, desk, *readings)
    assert [item.reading for item in kept] == readings
    assert (rows(store, "segment"), rows(store, "reading"), rows(store, "outbox")) == (1, 0, 1)
    (entry,) = store.waiting(limit=10)
    assert (entry.first, entry.last, entry.lane) == (0, 59, LANE_DENSE)
    sent = desk.waiting(store)
    assert [record.measured_at for record in sent if isinstance(record, ObservationRecord)] == [
        reading.measured_at for reading in readings
    ]


def test_values_of_two_patients_are_apart(store: Store, desk: Desk) -> None:
    both = [Arrival(patient=patient, reading=spo2("97", 1, device=patient)) for patient in ("patient-a", "patient-b")]
    store.accept_streamed(both, {}, desk.sealer, now_ms=START)
    assert rows(store, "segment") == 2
    assert [len(desk.records(entry.body)) for entry in store.waiting(limit=10)] == [1, 1]
    assert [kept.reading for kept in store.unjudged("patient-b")] == [both[1].reading]


def test_more_than_an_envelope_holds_is_cut(store: Store, desk: Desk) -> None:
    kept = stream(store, desk, *(spo2(f"{90 + second % 9}", second) for second in range(1300)))
    assert [item.row for item in kept] == list(range(1, 1301))
    assert rows(store, "segment") == 3
    assert len(desk.waiting(store)) == 1300


def test_the_readings_of_both_lanes_are_judged_in_the_order_in_which_they_came(store: Store, desk: Desk) -> None:
    sparse(store, desk, glucose("100", 0))
    stream(store, desk, spo2("97", 1), spo2("96", 2))
    sparse(store, desk, glucose("101", 5))
    stream(store, desk, spo2("95", 301))
    unjudged = store.unjudged(PATIENT)
    assert [item.row for item in unjudged] == [1, 2, 3, 4, 5]
    assert [item.reading.count for item in unjudged] == [1000, 970, 960, 1010, 950]
    # A cursor may stand inside a segment.
    store.keep_judgement(Judgement(patient=PATIENT, cursor=2, snapshot=b"s"), desk.sealer, now_ms=START)
    assert [item.row for item in store.unjudged(PATIENT)] == [3, 4, 5]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True)), max_size=8),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_history_is_that_of_rows_whatever_the_lane(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, batches: list[tuple[bool, list[int]]], since: int, until: int
) -> None:
    store = open_store(tmp_path_factory.mktemp("box") / "veilleur.db")
    came: list[Reading] = []
    for dense, seconds in batches:
        # The lane is the device's, so that the same second in the other lane is another reading.
        quantity, device = (Quantity.SPO2, OXIMETER) if dense else (Quantity.HEART_RATE, "C4:B0:00:00:00:06")
        readings = [make_reading(quantity, "97", START + second, device=device, key=f"{second}") for second in seconds]
        came += [reading for reading in readings if reading not in came]
        (stream if dense else sparse)(store, desk, *readings)
    numbered = list(enumerate(came, 1))
    found = store.history(PATIENT, since=START + since, until_row=until)
    expected = sorted(
        (
            (reading.measured_at, row)
            for row, reading in numbered
            if reading.measured_at >= START + since and row <= until
        )
    )
    assert [(item.reading.measured_at, item.row) for item in found] == expected
    assert all(came[item.row - 1] == item.reading for item in found)
    assert [(item.row, item.reading) for item in store.unjudged(PATIENT)] == numbered
    # A shadow reads the same, in parts.
    after, parts = (START + since, -1), []
    while part := store.shadow_history(PATIENT, after=after, until_row=until, limit=3):
        parts += part
        after = (part[-1].reading.measured_at, part[-1].row)
    assert parts == found
    judged, row = [], 0
    while part := store.shadow_unjudged(PATIENT, after=row, until=until, limit=3):
        judged += part
        row = part[-1].row
    assert [item.row for item in judged] == [number for number, _ in numbered if number <= until]
    store.close()


def test_repeats_in_a_stream_are_recognised_also_after_a_restart(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "veilleur.db"
    first = open_store(path)
    assert len(stream(first, desk, spo2("97", 1), spo2("97", 1), spo2("96", 2))) == 2
    assert len(stream(first, desk, spo2("96", 2), spo2("95", 3))) == 1
    first.close()
    again = open_store(path)
    assert stream(again, desk, spo2("97", 1), spo2("95", 3)) == []
    # The same moment and bytes of another quantity are another reading.
    other = replace(spo2("97", 1), quantity=Quantity.HEART_RATE)
    assert [item.reading for item in stream(again, desk, other)] == [other]
    assert again.backlog() == (4, 4)
    again.close()


def test_what_becomes_of_one_value_is_kept_beside_its_segment(store: Store, desk: Desk) -> None:
    stream(store, desk, *(spo2("97", second) for second in range(5)))
    marked = ((2, ReadingState.QUARANTINED), (4, ReadingState.TOO_LATE))
    store.keep_judgement(Judgement(patient=PATIENT, cursor=5, snapshot=b"s", marked=marked), desk.sealer, now_ms=START)
    assert [item.row for item in store.history(PATIENT, since=0, until_row=9)] == [1, 3, 5]
    found = store.shadow_history(PATIENT, after=(0, -1), until_row=9, limit=9)
    assert [item.row for item in found] == [1, 3, 4, 5]
    assert store.shadows.readings_within(PATIENT, START + 1000, START + 3000) == 2
    assert len(desk.waiting(store)) == 5


def test_a_shadow_may_leave_out_one_value_of_a_segment(store: Store, desk: Desk) -> None:
    sparse(store, desk, glucose("100", 0))
    stream(store, desk, *(spo2("97", second) for second in range(1, 4)))
    pair = Pair(name="n", version=1, protocol_hash="0" * 64, beside="1" * 64)
    state = ShadowState(pair=pair, since=START, counted_from=START, until=START, cursor=4, snapshot=b"s")
    store.keep_shadow(PATIENT, ShadowJudgement(state=state, left_out=(1, 3)), now_ms=START)
    found = store.shadow_history(PATIENT, after=(0, -1), until_row=9, limit=9)
    assert [item.row for item in found] == [2, 4]
    store.erase_shadow(PATIENT)
    found = store.shadow_history(PATIENT, after=(0, -1), until_row=9, limit=9)
    assert [item.row for item in found] == [1, 2, 3, 4]


def test_values_that_are_nobodys_are_sent_and_never_judged(store: Store, desk: Desk) -> None:
    stray = [Arrival(patient="to-be-attributed", reading=spo2("97", 1), attributed=False)]
    store.accept_streamed(stray, {}, desk.sealer, now_ms=START)
    assert store.unjudged("to-be-attributed") == []
    sent = desk.waiting(store)
    assert [record.patient for record in sent if isinstance(record, ObservationRecord)] == ["to-be-attributed"]


def test_the_newest_value_of_a_stream_is_remembered_of_its_device(store: Store, desk: Desk) -> None:
    stream(store, desk, spo2("97", 1), spo2("96", 2))
    assert store.last_reading(OXIMETER) == spo2("96", 2)


def test_a_failure_leaves_nothing_of_a_segment(store: Store, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no more entropy")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_remember_devices", broken)
        with pytest.raises(OSError, match="entropy"):
            stream(store, desk, spo2("97", 1))
    assert (store.backlog(), rows(store, "segment")) == ((0, 0), 0)
    assert [item.row for item in stream(store, desk, spo2("97", 1))] == [1]


def test_alerts_go_first_then_sparse_readings_and_streams_last_the_newest_first_of_each(
    store: Store, desk: Desk
) -> None:
    for minute in range(2):
        sparse(store, desk, glucose("100", 5 * minute))
        stream(store, desk, *(spo2("97", 60 * minute + second) for second in range(3)))
    judgement = Judgement(patient=PATIENT, cursor=1, snapshot=b"s", changes=(change(),))
    store.keep_judgement(judgement, desk.sealer, now_ms=START)
    sparse(store, desk, glucose("101", 15))
    assert [(entry.lane, entry.first) for entry in store.waiting(limit=10)] == [
        (0, 8),
        (1, 9),
        (1, 4),
        (1, 0),
        (2, 5),
        (2, 1),
    ]


def test_nothing_of_a_stream_can_be_read_in_the_files(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "veilleur.db")
    stream(store, desk, *(spo2("97", second) for second in range(300)))
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    raw += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [word for word in (PATIENT, "spo2", OXIMETER, "/min", "observation") if word.encode() in raw] == []


def test_a_segment_that_was_altered_or_moved_is_left_out_and_counted(store: Store, desk: Desk) -> None:
    stream(store, desk, spo2("97", 1))
    stream(store, desk, spo2("96", 2))
    sparse(store, desk, glucose("100", 0))
    store._connection.execute("update segment set body = (select body from segment where first = 2) where first = 1")
    assert [item.row for item in store.unjudged(PATIENT)] == [2, 3]
    assert [item.row for item in store.history(PATIENT, since=0, until_row=9)] == [3, 2]
    assert store.take_altered() == {"segment": 1}
    assert len(desk.waiting(store)) == 3, "what is sealed for the team still goes"
    assert [item.reading for item in stream(store, desk, spo2("95", 3))] == [spo2("95", 3)]


def test_what_no_rule_reaches_any_more_is_forgotten_segment_by_segment(store: Store, desk: Desk) -> None:
    for minute in range(4):
        stream(store, desk, *(spo2("97", 60 * minute + second) for second in range(10)))
    at = START + 2 * MINUTE
    assert store.forget_readings(PATIENT, before_ms=at, now_ms=START, limit=100) == 0, "nothing is judged yet"
    store.keep_judgement(Judgement(patient=PATIENT, cursor=35, snapshot=b"s"), desk.sealer, now_ms=START)
    assert store.kept_from(PATIENT) == START
    # Not while something has waited for the team for more than a day.
    late = START + 2 * 86_400_000
    assert store.forget_readings(PATIENT, before_ms=at, now_ms=late, limit=100) == 0
    store.receipted(receipt(store, (0, 39)), now_ms=START)
    assert store.forget_readings(PATIENT, before_ms=at, now_ms=late, limit=5) == 10, "a segment goes whole"
    assert store.forget_readings(PATIENT, before_ms=at, now_ms=late, limit=100) == 10
    assert store.forget_readings(PATIENT, before_ms=at + 10 * MINUTE, now_ms=late, limit=100) == 10, "as far as judged"
    assert store.stream(PATIENT).forgotten_to == START + 2 * MINUTE + 9001
    assert store.kept_from(PATIENT) == START + 3 * MINUTE


def test_a_database_from_before_segments_goes_on_with_its_numbers(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "veilleur.db"
    shutil.copy(OLD, path)
    connection = sqlite3.connect(path)
    before = connection.execute("select coalesce(max(id), 0) from reading").fetchone()[0]
    connection.close()
    store = open_store(path)
    assert before > 0
    assert [item.row for item in stream(store, desk, spo2("97", 1))] == [before + 1]
    sparse(store, desk, glucose("100", 100_000))
    assert [item.row for item in store.history(PATIENT, since=START + MINUTE * 100_000, until_row=2**40)] == [
        before + 2
    ]
    store.close()
