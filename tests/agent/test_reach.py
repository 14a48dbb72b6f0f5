"""How far back readings are kept: as far as a rule can look and no further; forgetting loses and repeats nothing."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.counts import Counts
from agent.reach import LEAST_MS, memory, needed_from
from agent.settings import Patient
from agent.settings_file import load_protocol, packaged_protocols
from agent.store import WAITED_MS, Judgement, Store
from agent.store_thread import StoreThread
from agent.upkeep import Upkeep
from alerting.alert import AlertChange, ChangeKind
from alerting.engine import Engine
from alerting.retention import memory_of
from tests.agent.kit import PATIENT, START, Desk, arrivals, glucose, open_store, receipt
from tests.agent.shadow_kit import ZONE, ManualClock, one_patient
from tests.agent.test_store import change

DAY = 86_400_000
EXAMPLES = int(os.environ.get("VEILLEUR_EXAMPLES", "10"))
"""`make test` takes the short form."""


def filled(path: Path, desk: Desk) -> Store:
    """Thirty days of readings, one an hour, judged up to the last day."""
    store = open_store(path)
    for day in range(30):
        readings = [glucose(str(100 + hour), day * 1440 + hour * 60) for hour in range(24)]
        store.accept(arrivals(*readings), desk.sealer, now_ms=START)
    store.keep_judgement(Judgement(patient=PATIENT, cursor=29 * 24, snapshot=b"s"), desk.sealer, now_ms=START)
    return store


def forget(store: Store, *, before_day: int, limit: int = 10_000) -> int:
    at = START + before_day * DAY
    return store.forget_readings(PATIENT, before_ms=at, now_ms=START + 30 * DAY, limit=limit)


def everything_received(store: Store) -> None:
    store.receipted(receipt(store, (0, store.backlog()[0] - 1)), now_ms=START)


def test_readings_beyond_every_window_go_bit_by_bit_and_no_other(tmp_path: Path, desk: Desk) -> None:
    store = filled(tmp_path / "box.db", desk)
    everything_received(store)
    assert store.kept_from(PATIENT) == START
    assert [forget(store, before_day=10, limit=100) for _ in range(4)] == [100, 100, 40, 0]
    assert store.kept_from(PATIENT) == START + 10 * DAY
    kept = store.history(PATIENT, since=0, until_row=10_000)
    assert len(kept) == 20 * 24
    assert min(item.reading.measured_at for item in kept) == START + 10 * DAY
    store.close()


def test_a_forgotten_reading_handed_over_again_is_still_known(tmp_path: Path, desk: Desk) -> None:
    store = filled(tmp_path / "box.db", desk)
    everything_received(store)
    forget(store, before_day=10)
    again = arrivals(glucose("105", 5 * 60), glucose("111", 5 * 1440 + 11 * 60))
    assert store.accept(again, desk.sealer, now_ms=START) == {}
    assert store.backlog()[1] == 0
    store.close()


def test_nothing_is_forgotten_while_something_has_waited_for_the_team_for_more_than_a_day(
    tmp_path: Path, desk: Desk
) -> None:
    store = filled(tmp_path / "box.db", desk)
    assert forget(store, before_day=10) == 0
    everything_received(store)
    recent = START + 30 * DAY - WAITED_MS
    store.accept(arrivals(glucose("90", 29 * 1440 + 1)), desk.sealer, now_ms=recent)
    assert forget(store, before_day=10) == 240
    store.close()


def test_what_was_not_judged_yet_is_never_forgotten(tmp_path: Path, desk: Desk) -> None:
    store = filled(tmp_path / "box.db", desk)
    everything_received(store)
    assert forget(store, before_day=100) == 29 * 24
    assert len(store.unjudged(PATIENT)) == 24
    store.close()


def test_what_was_forgotten_is_gone_from_the_raw_file(tmp_path: Path, desk: Desk) -> None:
    store = filled(tmp_path / "box.db", desk)
    everything_received(store)
    gone = [
        body for (body,) in store._connection.execute("select body from reading where measured_at < ?", (START + DAY,))
    ]
    forget(store, before_day=10)
    store.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(gone) == 24
    assert [body for body in gone if body[4:20] in raw] == []


def test_digests_of_forgotten_readings_go_once_no_device_can_hold_them(tmp_path: Path, desk: Desk) -> None:
    store = filled(tmp_path / "box.db", desk)
    everything_received(store)
    forget(store, before_day=10)
    later = START + 405 * DAY
    store.forget_readings(PATIENT, before_ms=START + 10 * DAY, now_ms=later, limit=10)
    (left,) = store._connection.execute("select count(*) from reading where state = 5").fetchone()
    assert left == 5 * 24
    store.close()


def patient(name: str, shadow: str | None = None) -> Patient:
    tried = None if shadow is None else load_protocol(shadow, Path())
    return Patient(pseudonym=PATIENT, protocol=load_protocol(name, Path()), zone=ZONE, shadow=tried)


def test_every_packaged_protocol_finds_what_it_can_look_at() -> None:
    now = START + 3000 * DAY
    for name in packaged_protocols():
        protocol = load_protocol(name, Path())
        engine = Engine(protocol, patient=PATIENT, zone=ZONE, since=now - 36 * DAY)
        kept = needed_from(patient(name), (), now)
        assert kept <= engine.history_from, name
        assert kept == now - max(LEAST_MS, memory_of(protocol) + DAY)


def test_the_longer_of_a_protocol_and_its_shadow_and_the_oldest_alert_that_stands_decide() -> None:
    now = START + 3000 * DAY
    lengths = {name: memory_of(load_protocol(name, Path())) for name in packaged_protocols()}
    longest = max(lengths, key=lengths.__getitem__)
    shortest = min(lengths, key=lengths.__getitem__)
    assert needed_from(patient(shortest, longest), (), now) == needed_from(patient(longest), (), now)
    before = needed_from(patient(shortest), (), now)
    assert needed_from(patient(shortest), (now - DAY, now - 100 * DAY), now) == before - 100 * DAY


def test_alerts_that_stand_or_ended_lately_keep_what_they_rest_on(tmp_path: Path, desk: Desk) -> None:
    store = open_store(tmp_path / "box.db")
    stands, lately = change(number=1), replace(change(number=2), kind=ChangeKind.RESOLVED, resolved_at=START + DAY)
    others = [
        replace(lately, alert_id="3" * 32, resolved_at=START - 1),
        replace(lately, alert_id="4" * 32, kind=ChangeKind.RETRACTED, resolved_at=None),
        replace(stands, alert_id="5" * 32, protocol=""),
    ]
    changes = (stands, replace(lately, onset=START - DAY), *(replace(one, onset=1) for one in others))
    judgement = Judgement(patient=PATIENT, cursor=1, snapshot=b"s", changes=changes)
    store.keep_judgement(judgement, desk.sealer, now_ms=START)
    assert sorted(store.onsets(PATIENT, since=START)) == [START - DAY, START]
    assert store.onsets("patient-21c8", since=0) == []
    store.close()


@given(
    silence=st.integers(0, 11),
    length=st.integers(0, 100),
    low_at=st.integers(5, 11),
    late=st.integers(1, 12),
    lasts=st.sampled_from([9, 20_000]),
)
@example(silence=3, length=25, low_at=5, late=1, lasts=20_000)
@example(silence=3, length=24, low_at=5, late=1, lasts=20_000)
@settings(max_examples=EXAMPLES, deadline=None)
def test_late_readings_are_judged_the_same_where_what_no_window_reaches_is_gone(
    silence: int, length: int, low_at: int, late: int, lasts: int
) -> None:
    """Over a restart, with a rule of absence: what was forgotten is never taken for a silence."""
    who = one_patient(None)
    gap = range(silence * 288, silence * 288 + length)
    low = range(low_at * 288, low_at * 288 + lasts)
    readings = [
        glucose("60" if number in low else "100", 5 * number) for number in range(12 * 288) if number not in gap
    ]
    came_late = readings[-12:-1][:late]
    on_time = [one for one in readings if one not in came_late]
    engine = Engine(who.protocol, patient=PATIENT, zone=ZONE, since=START)
    engine.feed(on_time)
    snapshot = engine.snapshot()
    now, reach = on_time[-1].measured_at, memory_of(who.protocol) + DAY
    onsets = [one.onset for one in engine.told if one.resolved_at is None or one.resolved_at >= now - reach]
    kept_from = needed_from(who, onsets, now) + memory(who) - reach

    def told(whole_from: int | None) -> tuple[list[AlertChange], list[str]]:
        again = Engine.restore(who.protocol, snapshot, zone=ZONE)
        begin = max(again.history_needed(came_late), whole_from or 0)
        history = [one for one in readings if one.measured_at >= begin]
        changes = again.rejudge(history, whole_from=whole_from)
        return list(changes), [one.alert_id for one in again.open_alerts]

    whole = told(None)
    assert told(kept_from) == whole


def _is_tidy(store: Store) -> bool:
    return store.kept_from(PATIENT) == START + 20 * DAY and store.notes() == ()


async def test_upkeep_lets_go_of_what_has_served_and_tells_what_was_noted(tmp_path: Path, desk: Desk) -> None:
    first = filled(tmp_path / "box.db", desk)
    everything_received(first)
    first.close()
    store = StoreThread()
    await store.open(lambda: open_store(tmp_path / "box.db"))
    told: list[str] = []
    who = patient("diabetes_cgm")
    now = START + 20 * DAY - needed_from(who, (), 0)

    async def epoch(_: str) -> None:
        pass

    upkeep = Upkeep(
        store=store,
        sealer=desk.sealer,
        clock=ManualClock(now),
        counts=Counts(),
        notice=told.append,
        on_epoch=epoch,
        patients=(who,),
        round_s=0.01,
    )
    before = await store.call(Store.this_epoch)
    upkeep.was_set_back()
    work = asyncio.create_task(upkeep.run())
    async with asyncio.timeout(20):
        while not await store.call(_is_tidy):
            pass
    work.cancel()
    await asyncio.wait([work])
    assert told == ["database_set_back"]
    assert await store.call(Store.this_epoch) != before
    assert await store.call(lambda one: one._connection.execute("select count(*) from data_key").fetchone()[0]) <= 2
    await store.close()
