"""One reading through: kept first, judged after, nothing lost to a fault in judging."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.counts import Counts
from agent.handed import Handed
from agent.judging import Judging
from agent.pipeline import Pipeline
from agent.room import Limits
from agent.settings import Assignment, Device, Patient
from agent.settings_file import load_protocol
from agent.store import Arrival, Store
from agent.store_reader import Kept
from agent.store_thread import StoreThread
from agent.technical import TechnicalAlerts
from agent.technical_rules import QUIET_MS
from alerting.alert import AlertChange, Audience, ChangeKind, Priority
from alerting.care_protocol import CareProtocol, Step
from alerting.engine import Engine
from alerting.rules import LevelRule
from devices.drivers import driver_named
from devices.reading import ClockTrust, Reading, Validity
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts
from exchange.messages import AlertRecord, ObservationRecord
from tests.agent.kit import BOX, MINUTE, PATIENT, START, Desk, glucose, open_store, weight

CGM = "C4:B0:00:00:00:01"


class ManualClock:
    """Shows what it is told to."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def seconds_until(self, at_ms: int) -> float:
        return max(0.0, (at_ms - self.now) / 1000)


async def tolerant(work: Callable[[], Awaitable[None]]) -> bool:
    """What the daemon's guard does, without the pause."""
    try:
        await work()
    except RuntimeError:
        return False
    return True


SMALL = str(Path(__file__).parents[1] / "alerting" / "small" / "diabetes_cgm.toml")


def one_patient(protocol: str = SMALL) -> Patient:
    return Patient(pseudonym=PATIENT, protocol=load_protocol(protocol, Path()), zone=ZoneInfo("Europe/Paris"))


def one_device(patient: Patient, *, given_on: int = 0) -> Device:
    person = Assignment(patient=patient, given_on=given_on)
    return Device(address=CGM, driver=driver_named("cgm"), people=(person,))


class Box:
    """A pipeline and its judging over a real store, their tasks running."""

    def __init__(
        self,
        pipeline: Pipeline,
        judging: Judging,
        store: StoreThread,
        device: Device,
        desk: Desk,
        clock: ManualClock,
    ) -> None:
        self.pipeline = pipeline
        self.judging = judging
        self.store = store
        self.device = device
        self.desk = desk
        self.clock = clock

    async def give(self, *readings: Reading, events: Sequence[DeviceEvent] = ()) -> None:
        """Give readings when they are received: no clock is behind what it has seen."""
        self.clock.now = max([self.clock.now, *(reading.received_at for reading in readings)])
        await self.pipeline.ingest(self.device, Batch(readings=readings, events=tuple(events)))

    async def hear(self, facts: DeviceFacts) -> None:
        await self.pipeline.ingest(self.device, Batch(facts=facts))

    async def settle(self) -> None:
        """Return when everything handed over was judged."""
        await self.give()
        await self.give()
        await self.judging.settled()

    async def tick(self, now: int) -> None:
        """Let time pass, and be judged."""
        self.judging.tick(now)
        await self.judging.settled()

    async def sent(self) -> tuple[list[int], list[tuple[str, str]]]:
        """Counts of the observations, and (kind, rule) of the alert changes, that wait for the team."""
        await self.settle()
        records = await self.store.call(self.desk.waiting)
        return (
            [record.count for record in records if isinstance(record, ObservationRecord)],
            [(record.kind.value, record.rule) for record in records if isinstance(record, AlertRecord)],
        )


@asynccontextmanager
async def running(
    path: Path,
    desk: Desk,
    *,
    clock: ManualClock | None = None,
    protocol: str = SMALL,
    given_on: int = 0,
    device: Device | None = None,
    group_commit: float = 0.0,
    limits: Limits | None = None,
    begin: Callable[[StoreThread], Awaitable[object]] | None = None,
) -> AsyncIterator[Box]:
    clock = clock or ManualClock()
    device = device or one_device(one_patient(protocol), given_on=given_on)
    patients = {person.patient.pseudonym: person.patient for person in device.people}
    store = StoreThread()
    await store.open(lambda: open_store(path, limits=limits))
    if begin is not None:
        await begin(store)
    judging = Judging(
        box=BOX,
        store=store,
        sealer=desk.sealer,
        patients=list(patients.values()),
        devices=[device],
        clock=clock,
        on_kept=lambda: None,
        guard=tolerant,
    )
    pipeline = Pipeline(
        store=store,
        sealer=desk.sealer,
        devices=[device],
        clock=clock,
        judging=judging,
        counts=Counts(),
        on_kept=lambda: None,
        group_commit=group_commit,
    )
    await pipeline.start()
    tasks = [asyncio.create_task(judging.run()), asyncio.create_task(pipeline.run())]
    await judging.started.wait()
    try:
        yield Box(pipeline, judging, store, device, desk, clock)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await pipeline.stop()
        await store.close()


async def test_a_low_that_lasts_is_told_to_the_team_with_its_readings(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        for minute, value in ((0, "95"), (5, "66"), (10, "64"), (15, "62")):
            await box.give(glucose(value, minute))
        counts, alerts = await box.sent()
    assert counts == [950, 660, 640, 620]
    assert alerts == [("raised", "hypo_level_1")]


async def test_a_restart_goes_on_where_judging_stood(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("66", 0))
        await box.settle()
    # Killed here: the cursor was not kept, so that the reading is judged again.
    async with running(tmp_path / "box.db", desk, clock=ManualClock(START + 60 * MINUTE)) as box:
        await box.give(glucose("64", 5))
        await box.give(glucose("62", 10))
        assert (await box.sent())[1] == [("raised", "hypo_level_1")]
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("62", 10))
        counts, alerts = await box.sent()
    assert counts == [660, 640, 620]
    assert alerts == [("raised", "hypo_level_1")]


async def test_time_that_passes_tells_an_absence_and_a_late_history_takes_it_back(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("100", 0))
        await box.settle()
        # A silent device is told of first, to whom can put it right; then comes what the protocol says of the patient.
        for told in ({("raised", "out_of_reach")}, {("raised", "out_of_reach"), ("raised", "no_glucose")}):
            box.clock.now = box.judging.next_deadline() or 0
            await box.tick(box.clock.now)
            assert set((await box.sent())[1]) == told
        minutes = range(5, (box.clock.now - START) // MINUTE + 10, 5)
        await box.give(*(glucose("100", minute) for minute in minutes))
        alerts = (await box.sent())[1]
    assert set(alerts[2:]) == {("resolved", "out_of_reach"), ("retracted", "no_glucose")}


async def test_readings_from_before_the_device_was_given_are_never_judged(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk, given_on=START + 60 * MINUTE) as box:
        await box.give(*(glucose("40", minute) for minute in range(0, 60, 5)))
        counts, alerts = await box.sent()
        records = await box.store.call(desk.waiting)
    assert len(counts) == 12
    assert alerts == [("raised", "to_be_attributed")]
    observed = [record for record in records if isinstance(record, ObservationRecord)]
    assert {record.patient for record in observed} == {"to-be-attributed"}


def shared_scale(*, until: int | None = None) -> Device:
    """A scale of two people, told apart by weight."""
    anne, bruno = (replace(one_patient("heart_failure"), pseudonym=name) for name in ("patient-anne", "patient-bruno"))
    people = (
        Assignment(patient=anne, given_on=0, until=until, weight=(50_000, 60_000)),
        Assignment(patient=bruno, given_on=0, weight=(70_000, 90_000)),
    )
    return Device(address="C4:B0:00:00:00:03", driver=driver_named("weight_scale"), people=people)


async def observed(box: Box) -> list[tuple[str, int]]:
    await box.settle()
    records = await box.store.call(box.desk.waiting)
    return [(record.patient, record.count) for record in records if isinstance(record, ObservationRecord)]


async def test_two_people_and_one_scale_are_judged_each_by_their_own_weights(tmp_path: Path, desk: Desk) -> None:
    day = 24 * 60
    async with running(tmp_path / "box.db", desk, device=shared_scale()) as box:
        for number in range(4):
            # The one is steady, the other gains a kilogram a day: nobody jumps by twenty.
            await box.give(weight("55", number * day), weight(f"{80 + number}", number * day + 1))
        given = await observed(box)
        standing = await box.store.call(Store.standing_alerts)
    assert given == [
        pair for number in range(4) for pair in (("patient-anne", 55_000), ("patient-bruno", 80_000 + 1000 * number))
    ]
    gaining = [(alert.patient, alert.rule) for alert in standing if alert.rule.startswith("weight_gain")]
    assert gaining == [("patient-bruno", "weight_gain_3_days")]


async def test_what_cannot_be_attributed_is_sent_told_and_judged_for_nobody(tmp_path: Path, desk: Desk) -> None:
    visitor = weight("120", 2)
    async with running(tmp_path / "box.db", desk, device=shared_scale()) as box:
        await box.give(weight("55", 0), weight("80", 1), visitor)
        assert await observed(box) == [
            ("patient-anne", 55_000),
            ("patient-bruno", 80_000),
            ("to-be-attributed", 120_000),
        ]
        assert (await box.sent())[1] == [("raised", "weight_out_of_range")] * 2, "either may be the one"
        assert {alert.patient for alert in await box.store.call(Store.standing_alerts)} == {
            "patient-anne",
            "patient-bruno",
        }
        # Advertised or stored, it comes again and again: nothing new, and nothing to be told again.
        box.clock.now = START + QUIET_MS // 2
        await box.give(visitor)
        await box.settle()
        await box.tick(START + 2 * MINUTE + QUIET_MS)
        alerts = [alert for alert in (await box.sent())[1] if alert[1] == "weight_out_of_range"]
    assert sorted(alerts) == [("raised", "weight_out_of_range")] * 2 + [("resolved", "weight_out_of_range")] * 2


async def test_who_has_the_device_now_is_told_of_what_cannot_be_attributed(tmp_path: Path, desk: Desk) -> None:
    for now, told in ((START, ["patient-anne", "patient-bruno"]), (START + MINUTE, ["patient-bruno"])):
        path, clock = tmp_path / f"{now}.db", ManualClock(now)
        async with running(path, desk, clock=clock, device=shared_scale(until=START + MINUTE)) as box:
            await box.give(weight("120", 0))
            await box.settle()
            records = await box.store.call(desk.waiting)
        assert [record.patient for record in records if isinstance(record, AlertRecord)] == told


async def test_a_patient_who_gains_out_of_their_range_is_told_to_the_team_each_day(tmp_path: Path, desk: Desk) -> None:
    day = 24 * 60
    async with running(tmp_path / "box.db", desk, device=shared_scale()) as box:
        for number, kilograms in enumerate(("80", "101", "102")):
            box.clock.now = START + number * day * MINUTE
            await box.give(weight(kilograms, number * day))
            await box.settle()
        records = await box.store.call(desk.waiting)
    told = [record for record in records if isinstance(record, AlertRecord) and record.patient == "patient-bruno"]
    assert [(record.kind.value, record.rule) for record in told] == [
        ("raised", "weight_out_of_range"),
        ("resolved", "weight_out_of_range"),
        ("raised", "weight_out_of_range"),
    ]


async def test_readings_too_late_to_be_judged_are_sent_and_marked(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("100", 3 * 24 * 60))
        await box.give(glucose("50", 0), glucose("50", 5), glucose("50", 10))
        counts, alerts = await box.sent()
        await box.give(glucose("100", 3 * 24 * 60 - 5))
        # Judged again for the late one, the history still leaves out what was too late.
        assert "hypo_level_1" not in {rule for _, rule in (await box.sent())[1]}
    assert counts == [1000, 500, 500, 500]
    assert [alert for alert in alerts if alert[1] == "not_judged"] == [("raised", "not_judged")]


async def test_a_fault_in_judging_holds_nothing_back_and_quarantines_the_one_reading(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Engine.feed
    tried = 0

    def poisoned(engine: Engine, readings: Sequence[Reading]) -> tuple[AlertChange, ...]:
        nonlocal tried
        if any(reading.count == 777 for reading in readings):
            tried += 1
            raise RuntimeError("a bug")
        return feed(engine, readings)

    monkeypatch.setattr(Engine, "feed", poisoned)
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("66", 0), glucose("64", 5), glucose("77.7", 7), glucose("62", 10))
        counts, alerts = await box.sent()
        assert await box.store.call(Store.unjudged, PATIENT) == []
    assert counts == [660, 640, 777, 620]
    assert sorted(alerts) == [("raised", "hypo_level_1"), ("raised", "judging_quarantined")]
    assert tried >= 3


async def test_a_disk_that_refuses_for_a_while_loses_nothing(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = Store.accept
    refused: list[int] = []

    def full(store: Store, *args: object, **kwargs: object) -> object:
        if len(refused) < 2:
            refused.append(1)
            raise sqlite3.OperationalError("database or disk is full")
        return accept(store, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "accept", full)
    monkeypatch.setattr("agent.store_thread.DISK_PAUSE_S", 0)
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(glucose("100", 0))
        assert (await box.sent())[0] == [1000]
    assert len(refused) == 2


async def test_what_a_device_does_wrong_becomes_one_technical_alert(tmp_path: Path, desk: Desk) -> None:
    lost = DeviceEvent(kind=DeviceEventKind.BOND_LOST, device=CGM, at=START)
    async with running(tmp_path / "box.db", desk) as box:
        for _ in range(3):
            await box.give(events=[lost])
        assert (await box.sent())[1] == [("raised", "bond_lost")]
        await box.give(glucose("100", 0))
        assert (await box.sent())[1] == [("raised", "bond_lost"), ("resolved", "bond_lost")]


async def test_technical_alerts_survive_a_restart_and_end_after_a_quiet_while(tmp_path: Path, desk: Desk) -> None:
    rejected = DeviceEvent(kind=DeviceEventKind.FRAME_REJECTED, device=CGM, at=START)
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(events=[rejected])
        await box.settle()
    async with running(tmp_path / "box.db", desk) as box:
        await box.tick(START + QUIET_MS - 1)
        assert ("resolved", "frame_rejected") not in (await box.sent())[1]
        await box.give(events=[replace(rejected, at=START + 5 * MINUTE)])
        await box.tick(START + QUIET_MS)
        assert ("resolved", "frame_rejected") not in (await box.sent())[1]
        await box.tick(START + QUIET_MS + 5 * MINUTE)
        alerts = (await box.sent())[1]
    assert [kind for kind, rule in alerts if rule == "frame_rejected"] == ["raised", "resolved"]


async def test_a_changed_protocol_ends_what_it_no_longer_says_and_keeps_what_still_holds(
    tmp_path: Path, desk: Desk
) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(*(glucose("62", minute) for minute in range(0, 30, 5)))
        assert ("raised", "hypo_level_1") in (await box.sent())[1]
        await box.judging.stop()
    later = ManualClock(START + 30 * MINUTE)
    async with running(tmp_path / "box.db", desk, clock=later, protocol="heart_failure") as box:
        standing = await box.store.call(Store.standing_alerts)
        alerts = (await box.sent())[1]
    assert ("resolved", "hypo_level_1") in alerts
    assert [alert.rule for alert in standing if alert.protocol == "diabetes_cgm"] == []


async def test_history_resumes_from_the_newest_reading_that_is_safe(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        assert box.pipeline.last_reading(CGM) is None
        await box.give(glucose("100", 10), glucose("101", 5))
        assert box.pipeline.last_reading(CGM) == glucose("100", 10)
    async with running(tmp_path / "box.db", desk) as box:
        assert box.pipeline.last_reading(CGM) == glucose("100", 10)


@pytest.mark.parametrize("method", ["keep_judgement", "keep_technical"])
async def test_a_disk_that_refuses_the_consequences_costs_neither_alert_nor_reading(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real, refused = getattr(Store, method), 0

    def full(store: Store, *args: object, **kwargs: object) -> object:
        nonlocal refused
        if refused < 6:
            refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        return real(store, *args, **kwargs)

    monkeypatch.setattr("agent.store_thread.DISK_PAUSE_S", 0)
    lost = DeviceEvent(kind=DeviceEventKind.BOND_LOST, device=CGM, at=START)
    async with running(tmp_path / "box.db", desk) as box:
        monkeypatch.setattr(Store, method, full)
        await box.give(events=[lost])
        await box.settle()
        await box.give(*(glucose("62", minute) for minute in range(0, 15, 5)))
        counts, alerts = await box.sent()
    assert refused == 6
    assert counts == [620, 620, 620]
    assert alerts == [("raised", "bond_lost"), ("resolved", "bond_lost"), ("raised", "hypo_level_1")]


async def test_a_stop_while_an_alert_is_being_kept_does_not_lose_it(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with running(tmp_path / "box.db", desk) as box:
        await box.give(*(glucose("62", minute) for minute in range(0, 10, 5)))
        await box.settle()
        with monkeypatch.context() as patched:
            patched.setattr(StoreThread, "persist", never)
            box.judging.hand_over(Handed((), {PATIENT: await kept(box, glucose("61", 10))}))
            await reached.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await box.judging.stop()
    async with running(tmp_path / "box.db", desk) as box:
        assert (await box.sent())[1] == [("raised", "hypo_level_1")]


async def kept(box: Box, reading: Reading) -> list[Kept]:
    """Transaction A by itself."""
    arrival = Arrival(patient=PATIENT, reading=reading)
    by_patient = await box.store.call(Store.accept, [arrival], box.desk.sealer, now_ms=START)
    return by_patient[PATIENT]


async def test_a_new_version_of_a_protocol_continues_the_alert_that_still_holds(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(*(glucose("62", minute) for minute in range(0, 30, 5)))
        before = (await box.sent())[1]
        await box.judging.stop()
    newer = replace(load_protocol(SMALL, Path()), version=2)
    monkeypatch.setattr("tests.agent.test_pipeline.load_protocol", lambda *_: newer)
    async with running(tmp_path / "box.db", desk, clock=ManualClock(START + 30 * MINUTE)) as box:
        assert (await box.sent())[1] == before == [("raised", "hypo_level_1")]
        # What the sensor still held from before the change is judged too.
        await box.give(*(glucose("100", minute) for minute in range(30, 60, 5)))
        assert (await box.sent())[1] == [*before, ("resolved", "hypo_level_1")]


def escalating(version: int = 1) -> CareProtocol:
    """The small protocol, whose medium alerts that nobody has seen go to the nurse after twenty minutes."""
    steps = {Priority.MEDIUM: (Step(after=20 * MINUTE, audience=Audience.NURSE),)}
    small = load_protocol(SMALL, Path())
    return replace(small, version=version, telling=replace(small.telling, steps=steps))


async def test_an_alert_that_nobody_has_seen_is_escalated_once_also_over_a_restart(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = escalating()
    monkeypatch.setattr("tests.agent.test_pipeline.load_protocol", lambda *_: protocol)
    raised_at = START + 10 * MINUTE
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(*(glucose("62", minute) for minute in range(0, 15, 5)))
        await box.settle()
        assert box.judging.next_deadline() == raised_at + 20 * MINUTE
        box.clock.now = raised_at + 20 * MINUTE
        await box.tick(box.clock.now)
        told = (await box.sent())[1]
    assert [one for one in told if one[1] == "hypo_level_1"] == [
        ("raised", "hypo_level_1"),
        ("escalated", "hypo_level_1"),
    ]
    async with running(tmp_path / "box.db", desk, clock=ManualClock(raised_at + 60 * MINUTE)) as box:
        await box.tick(box.clock.now)
        assert [one for one in (await box.sent())[1] if one[0] == "escalated"] == [("escalated", "hypo_level_1")]


async def test_what_a_new_protocol_raises_is_escalated_from_when_it_was_applied(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(*(glucose("75", minute) for minute in range(0, 60, 5)))
        assert (await box.sent())[1] == []
        await box.judging.stop()
    stricter = escalating(version=2)
    low, *others = stricter.rules
    assert isinstance(low, LevelRule)
    stricter = replace(stricter, rules=(replace(low, threshold=800, end_threshold=800), *others))
    monkeypatch.setattr("tests.agent.test_pipeline.load_protocol", lambda *_: stricter)
    applied_at = START + 58 * MINUTE
    async with running(tmp_path / "box.db", desk, clock=ManualClock(applied_at)) as box:
        await box.tick(applied_at)
        assert (await box.sent())[1] == [("raised", "hypo_level_1")]
        await box.tick(applied_at + 20 * MINUTE - 1)
        assert (await box.sent())[1] == [("raised", "hypo_level_1")]
        await box.tick(applied_at + 20 * MINUTE)
        assert ("escalated", "hypo_level_1") in (await box.sent())[1]


async def test_an_undated_reading_at_the_first_meeting_may_be_anybodys(tmp_path: Path, desk: Desk) -> None:
    undated = replace(glucose("62", 0), clock=ClockTrust.UNKNOWN)
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(undated)
        await box.give(glucose("100", 5))
        await box.give(replace(glucose("101", 10), clock=ClockTrust.UNKNOWN))
        await box.settle()
        records = await box.store.call(desk.waiting)
        alerts = (await box.sent())[1]
    patients = [record.patient for record in records if isinstance(record, ObservationRecord)]
    assert patients == ["to-be-attributed", PATIENT, PATIENT]
    assert alerts == [("raised", "to_be_attributed")]


async def test_a_technical_alert_ends_when_its_device_is_no_longer_the_boxs(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.give(events=[DeviceEvent(kind=DeviceEventKind.BOND_LOST, device=CGM, at=START)])
        await box.settle()
    technical = TechnicalAlerts(BOX)
    store = open_store(tmp_path / "box.db")
    ended = technical.restore(store.standing_alerts(), [("C4:B0:00:00:00:09", PATIENT)], START + MINUTE)
    assert [(change.kind, change.rule, change.resolved_at) for change in ended] == [
        (ChangeKind.RESOLVED, "bond_lost", START + MINUTE)
    ]
    store.close()


async def test_keeping_goes_on_while_judging_fails_for_good(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> tuple[AlertChange, ...]:
        raise RuntimeError("a bug")

    async with running(tmp_path / "box.db", desk) as box:
        monkeypatch.setattr(Engine, "feed", broken)
        for minute in range(0, 60, 5):
            await box.give(glucose("100", minute))
        records = await box.store.call(desk.waiting)
    assert len([record for record in records if isinstance(record, ObservationRecord)]) == 12


async def test_a_dead_adapter_is_the_boxs_one_alert_and_goes_on_over_a_restart(tmp_path: Path, desk: Desk) -> None:
    dead = DeviceEvent(kind=DeviceEventKind.ADAPTER_DEAD, device="hci0", at=START, detail="power-cycled")
    async with running(tmp_path / "box.db", desk, protocol="heart_failure") as box:
        box.pipeline.notice(dead)
        await box.give(events=[replace(dead, device=CGM)])
        await box.tick(START + 120 * MINUTE)
        (raised,) = [r for r in await box.store.call(desk.waiting) if isinstance(r, AlertRecord)]
    assert (raised.rule, raised.patient) == ("adapter_dead", BOX)
    later = ManualClock(START + 180 * MINUTE)
    async with running(tmp_path / "box.db", desk, clock=later, protocol="heart_failure") as box:
        await box.give(events=[replace(dead, at=later.now)])
        await box.tick(later.now + MINUTE)
        assert (await box.sent())[1] == [("raised", "adapter_dead")]
        box.pipeline.notice(replace(dead, kind=DeviceEventKind.ADAPTER_RECOVERED, at=later.now + 2 * MINUTE))
        assert (await box.sent())[1] == [("raised", "adapter_dead"), ("resolved", "adapter_dead")]


async def test_what_happened_while_judging_was_far_behind_is_told_all_the_same_and_in_its_order(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.judging.BEHIND", 2)
    clock = ManualClock()
    dead = DeviceEvent(kind=DeviceEventKind.ADAPTER_DEAD, device="hci0", at=START)
    lost = DeviceEvent(kind=DeviceEventKind.BOND_LOST, device=CGM, at=START)
    async with running(tmp_path / "box.db", desk, clock=clock) as box:
        # Nobody judges in between: nothing here waits.
        box.pipeline.notice(dead)
        box.pipeline.notice(dead)
        box.pipeline.notice(replace(dead, kind=DeviceEventKind.ADAPTER_RECOVERED, at=START + MINUTE))
        box.judging.hand_over(Handed(((box.device, Batch(events=(lost,))),), {}))
        box.judging.tick(START + MINUTE)
        assert (await box.sent())[1] == [
            ("raised", "adapter_dead"),
            ("resolved", "adapter_dead"),
            ("raised", "bond_lost"),
        ]
        await box.give(*(glucose("100", minute) for minute in range(5, 60, 5)))
        assert (await box.sent())[1][-1] == ("resolved", "bond_lost")


async def test_readings_that_found_no_place_among_those_to_be_judged_are_judged(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.judging.BEHIND", 1)
    async with running(tmp_path / "box.db", desk) as box:
        for minute in range(0, 30, 5):
            await box.give(glucose("66", minute))
            box.judging.tick(START)
            box.judging.tick(START)
        await box.settle()
        assert ("raised", "hypo_level_1") in (await box.sent())[1]


async def test_a_device_whose_battery_was_low_is_silent_for_that(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.hear(DeviceFacts(seen_at=START, battery=6))
        await box.give(glucose("100", 0))
        await box.tick(START + 31 * MINUTE)
        assert (await box.sent())[1] == [("raised", "battery_low")]


async def test_that_a_key_was_kept_outlasts_a_restart(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        assert not box.pipeline.key_was_kept(CGM)
        box.pipeline.note_key(CGM)
        assert box.pipeline.key_was_kept(CGM)
    async with running(tmp_path / "box.db", desk) as box:
        await box.hear(DeviceFacts(seen_at=START))
        assert box.pipeline.key_was_kept(CGM)


async def test_a_disk_that_takes_no_facts_holds_no_reading_up(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def refuse(*_: object, **__: object) -> None:
        loop.call_soon_threadsafe(tried.set)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "keep_device_facts", refuse)
    async with running(tmp_path / "box.db", desk) as box:
        await box.hear(DeviceFacts(battery=80))
        async with asyncio.timeout(10):
            await tried.wait()
            await box.give(glucose("100", 0))
        assert (await box.sent())[0] == [1000]


async def test_an_unusable_reading_ends_no_silence(tmp_path: Path, desk: Desk) -> None:
    async with running(tmp_path / "box.db", desk) as box:
        await box.tick(START + 31 * MINUTE)
        box.clock.now = START + 32 * MINUTE
        await box.give(replace(glucose("100", 32), validity=Validity.INVALID))
        assert (await box.sent())[1] == [("raised", "out_of_reach")]
        box.clock.now = START + 33 * MINUTE
        await box.give(glucose("100", 33))
        assert (await box.sent())[1] == [("raised", "out_of_reach"), ("resolved", "out_of_reach")]
