"""A shadow judges beside the protocol that is applied, tells nobody, and harms nothing."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.shadow import CURSOR_LAG
from agent.shadow_comparison import outcome_of
from agent.shadow_store import KeptAlert
from agent.store import Store
from alerting.alert import AlertChange
from alerting.backtest import AlertOutcome, backtest
from alerting.engine import Engine
from devices.reading import Reading
from exchange.messages import AlertRecord
from tests.agent.kit import MINUTE, PATIENT, START, Desk, glucose, open_store
from tests.agent.shadow_kit import (
    ACTIVE,
    CANDIDATE,
    HOUR,
    ZONE,
    ManualClock,
    ShadowBox,
    active_side,
    judgeable,
    kinds,
    not_taken_back,
    one_patient,
    protocol,
    reader,
    running,
    shadow_alerts,
    shadow_rows,
)

LOW = tuple(glucose("76", minute) for minute in range(0, 30, 5))
"""Low for the candidate, not for the protocol that is applied."""
COURSE = (*LOW, *(glucose("50", minute) for minute in range(30, 60, 5)), *(glucose("100", m) for m in range(60, 90, 5)))

SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def batch(path: Path, *, since: int, until: int | None = None) -> list[AlertOutcome]:
    """What a backtest of the candidate says over what the box kept, each told when the engine first says so."""
    readings = judgeable(path)
    engine = Engine(CANDIDATE, patient=PATIENT, zone=ZONE, since=since)
    told: dict[str, int] = {}
    for change in (*engine.feed(readings), *(() if until is None else engine.tick(until))):
        if change.told_at is not None:
            told.setdefault(change.alert_id, change.told_at)
    found = list(backtest(CANDIDATE, {PATIENT: readings}, zone=ZONE, since=since, until=until))
    assert {one.alert_id for one in found if one.told_at is not None} == set(told)
    return [replace(one, told_at=told.get(one.alert_id)) for one in found]


def outcomes(alerts: Sequence[KeptAlert]) -> list[AlertOutcome]:
    """As a trial has them; why one was not told at once is not kept of those that were told."""
    return [outcome_of(one) for one in alerts]


def as_kept(found: Sequence[AlertOutcome]) -> list[AlertOutcome]:
    return [one if one.told_at is None else replace(one, suppressed=None) for one in found]


def lives(found: Sequence[AlertOutcome]) -> list[tuple[str, int, int, int | None]]:
    return [(one.rule, one.onset, one.raised_at, one.resolved_at) for one in found]


# --- it tells nobody --------------------------------------------------------------------------------------------


async def test_what_a_shadow_raises_is_kept_apart_and_told_to_nobody(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        await box.give(*LOW)
        await box.settle()
        assert await box.store.call(Store.standing_alerts) == []
        sent = await box.store.call(desk.waiting)
    assert [record for record in sent if isinstance(record, AlertRecord)] == []
    (alert,) = shadow_alerts(path)
    assert (alert.record.rule, alert.record.protocol_version, alert.standing) == ("low", 2, True)
    assert alert.told_at == alert.record.raised_at
    assert "76" in alert.record.en


values = st.sampled_from(["40", "50", "53.9", "54", "66", "70", "75", "79.9", "80", "100", "130"])
given_readings = st.lists(
    st.lists(st.tuples(st.integers(0, 120), values), min_size=1, max_size=12, unique_by=lambda pair: pair[0]),
    min_size=1,
    max_size=6,
)


def as_readings(pairs: Sequence[tuple[int, str]]) -> list[Reading]:
    return [glucose(value, 5 * number) for number, value in pairs]


@SLOW
@given(batches=given_readings, hours=st.integers(0, 8))
def test_with_or_without_a_shadow_the_box_keeps_tells_and_sends_the_same(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, batches: list[list[tuple[int, str]]], hours: int
) -> None:
    async def live(path: Path, *, shadowed: bool) -> dict[str, object]:
        clock = ManualClock(START + 10 * HOUR)
        async with running(path, desk, one_patient(CANDIDATE if shadowed else None), clock=clock) as box:
            for pairs in batches:
                await box.give(*as_readings(pairs))
                await box.settle()
            await box.tick(clock.now + hours * HOUR)
            await box.settle()
        return active_side(path, desk)

    folder = tmp_path_factory.mktemp("boxes")
    with_one = asyncio.run(live(folder / "with.db", shadowed=True))
    without = asyncio.run(live(folder / "without.db", shadowed=False))
    assert with_one == without
    assert shadow_rows(folder / "with.db")["shadow"] == 1
    assert shadow_rows(folder / "without.db") == {"shadow": 0, "shadow_alert": 0, "shadow_left_out": 0}


def test_no_plaintext_of_a_shadow_lies_in_the_database(tmp_path: Path, desk: Desk) -> None:
    async def live() -> None:
        async with running(tmp_path / "box.db", desk) as box:
            await box.give(*COURSE)
            await box.settle()

    asyncio.run(live())
    raw = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    words = (PATIENT, "low_watch", "very_low", "glucose", "mg/dL", CANDIDATE.protocol_hash, ACTIVE.protocol_hash)
    assert [word for word in words if word.encode() in raw] == []


# --- it says what a trial says ----------------------------------------------------------------------------------


@SLOW
@example(before=[[(87, "54"), (96, "40"), (98, "80"), (99, "80")]], after=[[(97, "40")]], cuts=set(), hours=0)
@given(
    before=given_readings, after=given_readings, cuts=st.sets(st.integers(0, 5), max_size=3), hours=st.integers(0, 9)
)
def test_a_shadow_raises_what_a_backtest_over_the_same_readings_raises(
    tmp_path_factory: pytest.TempPathFactory,
    desk: Desk,
    before: list[list[tuple[int, str]]],
    after: list[list[tuple[int, str]]],
    cuts: set[int],
    hours: int,
) -> None:
    """In any order of arrival, over restarts, with a history from before; what was taken back is left out."""
    path = tmp_path_factory.mktemp("box") / "box.db"
    since = START + 8 * HOUR
    until = START + 10 * HOUR + hours * HOUR

    async def live() -> None:
        async with running(path, desk, one_patient(None)) as box:
            for pairs in before:
                await box.give(*as_readings(pairs))
        clock = ManualClock(since)
        rest = list(enumerate(after))
        while True:
            async with running(path, desk, clock=clock) as box:
                while rest:
                    number, pairs = rest.pop(0)
                    await box.give(*as_readings(pairs))
                    await box.settle()
                    if number in cuts:
                        break
                else:
                    await box.tick(until)
                    await box.settle()
                    return

    with pytest.MonkeyPatch.context() as patch:
        # Readings come in any order here, also from after the clock: the engine is not to think that a clock was wrong.
        patch.setattr("agent.retiming.ENGINE_AHEAD_MS", 2**60)
        asyncio.run(live())
    assert lives(outcomes(not_taken_back(shadow_alerts(path)))) == lives(batch(path, since=since, until=until))


@SLOW
@given(pairs=st.lists(st.tuples(st.integers(0, 120), values), min_size=1, unique_by=lambda pair: pair[0]), at=st.data())
def test_readings_in_order_give_every_word_of_a_backtest(
    tmp_path_factory: pytest.TempPathFactory, desk: Desk, pairs: list[tuple[int, str]], at: st.DataObject
) -> None:
    path, until = tmp_path_factory.mktemp("box") / "box.db", START + 12 * HOUR
    readings = as_readings(sorted(pairs))
    cuts = sorted(at.draw(st.sets(st.integers(1, len(readings)), max_size=5)))

    async def live() -> None:
        async with running(path, desk) as box:
            for begin, end in pairwise([0, *cuts, len(readings)]):
                await box.give(*readings[begin:end])
            await box.tick(until)
            await box.settle()

    asyncio.run(live())
    assert outcomes(shadow_alerts(path)) == as_kept(batch(path, since=START, until=until))


async def test_readings_from_before_it_began_are_history_and_raise_nothing_then(tmp_path: Path, desk: Desk) -> None:
    path, begun = tmp_path / "box.db", ManualClock(START + 2 * HOUR)
    async with running(path, desk, one_patient(None)) as box:
        await box.give(*COURSE)
    async with running(path, desk, clock=begun) as box:
        await box.settle()
        assert shadow_alerts(path) == []
        await box.give(*(glucose("76", minute) for minute in range(120, 140, 5)))
        await box.settle()
    (alert,) = shadow_alerts(path)
    assert alert.record.raised_at == START + 125 * MINUTE
    store = reader(path)
    state = store.shadow_state(PATIENT)
    store.close()
    assert state is not None
    assert (state.since, state.counted_from) == (begun.now, begun.now)


async def test_late_readings_take_back_an_absence_and_add_a_low(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        await box.give(glucose("100", 0))
        box.clock.now = START + 4 * HOUR
        await box.tick(box.clock.now)
        await box.settle()
        assert kinds(shadow_alerts(path)) == [("no_glucose", "raised")]
        await box.give(*(glucose("76" if minute < 60 else "100", minute) for minute in range(5, 240, 5)))
        await box.settle()
    found = shadow_alerts(path)
    assert sorted(kinds(found)) == [("low", "added"), ("no_glucose", "retracted")] or kinds(not_taken_back(found)) == [
        ("low", "resolved")
    ]
    assert lives(outcomes(not_taken_back(found))) == lives(batch(path, since=START, until=START + 4 * HOUR))


async def test_a_reading_too_late_for_the_shadow_stays_out_when_later_ones_are_judged_again(
    tmp_path: Path, desk: Desk
) -> None:
    path, days = tmp_path / "box.db", 26 * 60
    async with running(path, desk) as box:
        # A window could reach them, but a day has passed.
        await box.give(glucose("100", days))
        await box.give(*(glucose("50", minute) for minute in range(0, 30, 5)))
        await box.settle()
        await box.give(glucose("100", days - 5))
        await box.settle()
    assert "low" not in {one.record.rule for one in shadow_alerts(path)}
    assert shadow_rows(path)["shadow_left_out"] == 6
    store = open_store(path)
    history = store.shadow_history(PATIENT, after=(0, -1), until_row=100, limit=100)
    store.close()
    assert {kept.reading.count for kept in history} == {1000}
    # Also for an engine that has nothing but what was kept.
    async with running(path, desk, clock=ManualClock(START + days * MINUTE)) as box:
        await box.give(glucose("100", days - 10))
        await box.settle()
    assert "low" not in {one.record.rule for one in shadow_alerts(path)}


# --- stops at any moment ----------------------------------------------------------------------------------------


async def test_a_stop_between_what_is_applied_and_the_shadow_loses_and_repeats_nothing(
    tmp_path: Path, desk: Desk
) -> None:
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        await box.settle()
        await box.kill_shadows()
        await box.give(*COURSE)
        assert {one.record.rule for one in await applied_alerts(box)} == {"low", "very_low"}
        assert shadow_alerts(path) == []
    for _ in range(2):
        async with running(path, desk) as box:
            await box.settle()
        assert outcomes(shadow_alerts(path)) == as_kept(batch(path, since=START))


async def test_a_stop_before_what_a_shadow_raised_is_kept_raises_it_at_the_next_start(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reached = tmp_path / "box.db", asyncio.Event()
    loop = asyncio.get_running_loop()
    async with running(path, desk) as box:
        await box.settle()
        with monkeypatch.context() as patch:

            def refused(*_: object, **__: object) -> int:
                loop.call_soon_threadsafe(reached.set)
                raise sqlite3.OperationalError("database or disk is full")

            patch.setattr(Store, "keep_shadow", refused)
            await box.give(*COURSE)
            await reached.wait()
            await box.kill_shadows()
    assert shadow_alerts(path) == []
    async with running(path, desk) as box:
        await box.settle()
    assert outcomes(shadow_alerts(path)) == as_kept(batch(path, since=START))


async def test_where_a_shadow_stands_is_kept_now_and_then_without_an_alert(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"

    async def kept_to() -> tuple[int, int]:
        state = await box.store.call(Store.shadow_state, PATIENT)
        assert state is not None
        return state.cursor, state.until

    async with running(path, desk) as box:
        await box.settle()
        for number in range(CURSOR_LAG - 1):
            await box.give(replace(glucose("100", 0), measured_at=START + number, key=str(number)))
        await box.settle()
        assert await kept_to() == (0, START)
        await box.give(replace(glucose("100", 0), measured_at=START + CURSOR_LAG, key="more"))
        await box.settle()
        assert await kept_to() == (CURSOR_LAG, START + CURSOR_LAG)
        await box.tick(START + CURSOR_LAG + HOUR)
        await box.settle()
        assert await kept_to() == (CURSOR_LAG, START + CURSOR_LAG + HOUR)


# --- it harms nobody --------------------------------------------------------------------------------------------


def only_the_shadow(method: str, monkeypatch: pytest.MonkeyPatch, poison: object) -> None:
    """Let a method of the shadow's engine do something else; that of the applied protocol's is as it was."""
    real = getattr(Engine, method)

    def instead(engine: Engine, readings: Sequence[Reading]) -> tuple[AlertChange, ...]:
        if engine.protocol.protocol_hash == CANDIDATE.protocol_hash and readings:
            poison()  # type: ignore[operator]
        found: tuple[AlertChange, ...] = real(engine, readings)
        return found

    monkeypatch.setattr(Engine, method, instead)


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), RuntimeError("a bug"), KeyError("low"), MemoryError()])
async def test_a_fault_in_a_shadow_switches_it_off_and_leaves_the_rest_as_it_was(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail() -> None:
        raise error

    plain, path = tmp_path / "plain.db", tmp_path / "box.db"
    async with running(plain, desk, one_patient(None)) as box:
        for one in COURSE:
            await box.give(one)
    caplog.clear()
    with monkeypatch.context() as patch:
        only_the_shadow("feed", patch, fail)
        async with running(path, desk) as box:
            await box.settle()
            for one in COURSE:
                await box.give(one)
            await box.settle()
            state = await box.store.call(Store.shadow_state, PATIENT)
    assert active_side(path, desk) == active_side(plain, desk)
    assert state is not None
    assert state.fault is not None
    assert (state.fault.kind, state.fault.at) == (type(error).__name__, START)
    told = [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert [line.message.split(";")[0] for line in told] == ["a shadow protocol failed and is off until the next start"]
    # With the fault gone, the next start goes on as if nothing had been.
    async with running(path, desk) as box:
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert state is not None
    assert state.fault is None
    assert outcomes(shadow_alerts(path)) == as_kept(batch(path, since=START))


async def test_a_fault_before_a_shadow_began_is_kept_and_it_begins_at_that_time(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    path = tmp_path / "box.db"
    async with running(path, desk, one_patient(None)) as box:
        await box.give(*LOW)
    begun = ManualClock(START + HOUR)
    with monkeypatch.context() as patch:
        only_the_shadow("feed", patch, fail)
        async with running(path, desk, clock=begun) as box:
            await box.settle()
            state = await box.store.call(Store.shadow_state, PATIENT)
            assert state is not None
            assert state.fault is not None
    async with running(path, desk, clock=ManualClock(START + 3 * HOUR)) as box:
        await box.give(*(glucose("76", minute) for minute in range(60, 90, 5)))
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert state is not None
    assert (state.since, state.fault) == (begun.now, None)
    assert lives(outcomes(shadow_alerts(path))) == lives(batch(path, since=begun.now))


async def test_nothing_waits_for_a_shadow_that_does_not_come_back(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, path = threading.Event(), tmp_path / "box.db"
    only_the_shadow("feed", monkeypatch, go_on.wait)
    try:
        async with running(path, desk) as box:
            await box.settle()
            await box.give(*COURSE[:3])
            # Its thread is held here, and the protocol that is applied tells what there is to tell.
            await box.give(*COURSE[3:])
            assert {one.record.rule for one in await applied_alerts(box)} == {"low", "very_low"}
            monkeypatch.setattr("agent.shadow.LONGEST_S", 0.01)
            # The limit holds for the next step: this one's is let go.
            go_on.set()
            await box.settle()
            go_on.clear()
            await box.give(glucose("100", 95))
            await box.settle()
            state = await box.store.call(Store.shadow_state, PATIENT)
    finally:
        go_on.set()
    assert state is not None
    assert state.fault is not None
    assert state.fault.kind == "TimeoutError"


async def applied_alerts(box: ShadowBox) -> list[KeptAlert]:
    return await box.store.call(lambda store: store.shadows.active_alerts(PATIENT))


async def test_a_reading_that_makes_the_applied_protocol_fail_never_reaches_the_shadow(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = Engine.feed, set[int]()

    def poisoned(engine: Engine, readings: Sequence[Reading]) -> tuple[AlertChange, ...]:
        counts = {reading.count for reading in readings}
        if engine.protocol.protocol_hash == CANDIDATE.protocol_hash:
            seen.update(counts)
        elif 777 in counts:
            raise RuntimeError("a bug")
        return real(engine, readings)

    monkeypatch.setattr(Engine, "feed", poisoned)
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        await box.give(*LOW[:2], glucose("77.7", 7), *LOW[2:])
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert state is not None
    assert (state.fault, seen) == (None, {760})
    assert outcomes(shadow_alerts(path)) == batch(path, since=START)


async def test_one_shadow_that_fails_switches_off_no_other(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    only_the_shadow("feed", monkeypatch, fail)
    sound = replace(one_patient(protocol(version=3, low=90)), pseudonym="patient-0002")
    async with running(tmp_path / "box.db", desk, one_patient(), sound) as box:
        await box.give(*LOW)
        await box.tick(START + 3 * HOUR)
        await box.settle()
    assert shadow_alerts(tmp_path / "box.db") == []
    assert kinds(shadow_alerts(tmp_path / "box.db", "patient-0002")) == [("no_glucose", "raised")]


@pytest.mark.parametrize("damage", ["snapshot", "row"])
async def test_what_was_kept_and_cannot_be_read_is_judged_again_from_the_beginning(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        await box.give(*COURSE)
        await box.tick(START + 5 * HOUR)
        await box.settle()
    before = shadow_alerts(path)
    if damage == "snapshot":
        # As an engine of another version reads it.
        monkeypatch.setattr("alerting.engine.ENGINE_VERSION", "another")
        async with running(path, desk) as box:
            await box.settle()
        found = shadow_alerts(path)
        assert {one.record.engine_version for one in found} == {"another"}
        assert lives(outcomes(found)) == lives(outcomes(before))
        assert len(found) > 1
        return
    with sqlite3.connect(path) as connection:
        connection.execute("update shadow set body = zeroblob(100)")
    connection.close()
    later = ManualClock(START + 6 * HOUR)
    async with running(path, desk, clock=later) as box:
        await box.give(glucose("100", 6 * 60))
        await box.settle()
        assert [one.rule for one in await box.store.call(Store.standing_alerts) if one.protocol] == []
    async with running(path, desk, clock=later) as box:
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert state is not None
    assert (state.since, state.fault) == (later.now, None)
    assert shadow_alerts(path) == []


# --- set, changed, removed --------------------------------------------------------------------------------------


async def test_a_changed_shadow_begins_anew_and_what_the_old_one_came_to_is_dropped(tmp_path: Path, desk: Desk) -> None:
    path, later = tmp_path / "box.db", ManualClock(START + 31 * HOUR)
    async with running(path, desk) as box:
        await box.give(*COURSE)
        await box.give(glucose("100", 30 * 60))
        await box.give(glucose("100", 2))
        await box.settle()
    assert len(shadow_alerts(path)) > 1
    assert shadow_rows(path)["shadow_left_out"] == 1
    other = protocol(version=3, low=90)
    async with running(path, desk, one_patient(other), clock=later) as box:
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert state is not None
    assert (state.since, state.pair.protocol_hash, state.pair.version) == (later.now, other.protocol_hash, 3)
    assert shadow_rows(path) == {"shadow": 1, "shadow_alert": 0, "shadow_left_out": 0}


async def test_beside_another_protocol_counting_begins_again_and_the_shadow_goes_on(tmp_path: Path, desk: Desk) -> None:
    path, later = tmp_path / "box.db", ManualClock(START + 2 * HOUR)
    async with running(path, desk) as box:
        await box.give(*COURSE)
        await box.settle()
    before = shadow_alerts(path)
    applied = protocol(version=2, low=72)
    async with running(path, desk, one_patient(active=applied), clock=later) as box:
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert state is not None
    assert (state.since, state.counted_from, state.pair.beside) == (START, later.now, applied.protocol_hash)
    assert shadow_alerts(path) == before


async def test_a_shadow_that_is_no_longer_set_is_erased_at_the_next_start(tmp_path: Path, desk: Desk) -> None:
    path = tmp_path / "box.db"
    other = replace(one_patient(), pseudonym="patient-0002")
    async with running(path, desk, one_patient(), other) as box:
        await box.give(glucose("100", 3 * 24 * 60))
        await box.give(*LOW)
        await box.tick(START + 75 * HOUR)
        await box.settle()
    assert min(shadow_rows(path).values()) > 0
    async with running(path, desk, one_patient(None), other, clock=ManualClock(START + 75 * HOUR)) as box:
        await box.settle()
    assert shadow_alerts(path) == []
    assert shadow_rows(path)["shadow"] == 1
    assert kinds(shadow_alerts(path, "patient-0002")) == [("no_glucose", "raised")]
    async with running(path, desk, one_patient(None)) as box:
        await box.settle()
    assert shadow_rows(path) == {"shadow": 0, "shadow_alert": 0, "shadow_left_out": 0}


# --- bounded ----------------------------------------------------------------------------------------------------


def low_of(hour: int) -> list[Reading]:
    return [glucose(value, 60 * hour + minute) for minute, value in ((0, "60"), (5, "60"), (10, "60"), (20, "99"))]


async def test_the_oldest_alerts_go_when_there_are_too_many_and_counting_begins_after_them(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.shadow_store.MOST_ALERTS", 3)
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        for hour in range(6):
            await box.give(*low_of(hour), glucose("99", 60 * hour + 30))
            await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    found = shadow_alerts(path)
    assert [one.record.raised_at for one in found] == [START + (60 * hour + 5) * MINUTE for hour in (3, 4, 5)]
    assert state is not None
    assert (state.since, state.counted_from) == (START, START + (60 * 2 + 5) * MINUTE + 1)


async def test_alerts_of_long_ago_go_and_one_that_stands_stays(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.shadow_store.KEEP_MS", 5 * HOUR)
    path = tmp_path / "box.db"
    async with running(path, desk) as box:
        await box.give(*low_of(0), glucose("99", 30), *low_of(1)[:3])
        await box.settle()
        assert kinds(shadow_alerts(path)) == [("low", "resolved"), ("low", "raised")]
        await box.tick(START + 9 * HOUR)
        await box.settle()
        state = await box.store.call(Store.shadow_state, PATIENT)
    assert kinds(shadow_alerts(path)) == [("low", "raised"), ("no_glucose", "raised")]
    assert state is not None
    assert state.counted_from == START + 4 * HOUR
