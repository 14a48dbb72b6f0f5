"""Scales over the virtual air: users and their consents, results of two packets, live and stored, and broadcasts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from devices.backoff import Patience
from devices.broadcast import BroadcastSource
from devices.consent import Consent
from devices.drivers import BROADCASTS, driver_named
from devices.drivers.xiaomi_scale import ScaleUnit
from devices.reading import ClockTrust, Quantity, Reading, Validity
from devices.session import Session
from devices.source import DeviceEventKind, Source
from simulators.bumble_radio import Backends
from simulators.faults import ChangeBattery, CutLink, DuplicateFrames, HangUp, SetClock
from simulators.patients import Weighing
from simulators.peripherals.body_composition import BodyCompositionScale, BodyWeighing
from simulators.peripherals.peripheral import Peripheral
from simulators.peripherals.weight_scale import WeightScale
from simulators.peripherals.xiaomi_scale import XiaomiScale
from tests.simulators.kit import START, WITHIN, Diary, Room, find, ledger, session_of

pytestmark = pytest.mark.radio

ADDRESS = "C4:B0:00:00:00:04"
XIAOMI = "C4:B0:00:00:00:05"
MINUTE = 60_000
CODES = {1: 1234, 2: 4321}
CONSENTS = tuple(Consent(user=user, code=code) for user, code in CODES.items())


def weighing(number: int, *, user: int | None = 1, fat: int | None = 262) -> BodyWeighing:
    return BodyWeighing(
        at=START - 600 * MINUTE + number * MINUTE,
        weight=70_040 + number * 100,
        fat=fat,
        muscle=0 if fat is None else 24_660 + number * 10,
        water=0 if fat is None else 34_000,
        user=user,
    )


def scale(room: Room, **options: Any) -> BodyCompositionScale:
    return BodyCompositionScale(ADDRESS, room.where, **{"name": "Veilleur fat", "codes": CODES, **options})


def session(room: Room, box: Backends, diary: Diary, consents: tuple[Consent, ...] = CONSENTS) -> Session:
    return Session(
        radio=room.radio(box),
        driver=driver_named("body_composition"),
        device=ADDRESS,
        zone=room.zone,
        clock=room.clock,
        resume=diary.resume,
        consents=consents,
        patience=Patience(
            find=WITHIN, connect=5.0, begin=0.1, quiet=0.05, consent=0.2, unheard=0.01, after_visit=0.01, first=0.02
        ),
    )


@asynccontextmanager
async def following(diary: Diary, source: Source) -> AsyncIterator[None]:
    task = asyncio.create_task(diary.follow(source))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            await task


def by_user(diary: Diary) -> dict[int | None, list[int]]:
    """Return the weights in grams that the box knows of each user."""
    known: dict[int | None, list[int]] = {}
    for reading in diary.readings.values():
        if reading.quantity is Quantity.BODY_WEIGHT:
            known.setdefault(reading.provenance.user, []).append(reading.count)
    return {user: sorted(weights) for user, weights in known.items()}


@pytest.mark.parametrize("two_packets", [False, True])
async def test_two_users_have_their_own_weighings_with_every_quantity(room: Room, *, two_packets: bool) -> None:
    device, diary = scale(room, two_packets=two_packets), Diary()
    device.preload([weighing(1), weighing(2, user=2), weighing(3), weighing(4, user=2)])
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary)):
        await diary.until(lambda: len(diary.readings) == len(room.witness.readings))
    assert diary.known() == ledger(room.witness.readings)
    assert {quantity for _, _, quantity in diary.readings} == {
        "body_weight",
        "body_fat",
        "muscle_mass",
        "body_water_mass",
    }
    assert by_user(diary) == {1: [70_140, 70_340], 2: [70_240, 70_440]}
    assert all(reading.clock is ClockTrust.TRUSTED for reading in diary.readings.values())
    assert device.unsent == 0


async def test_a_link_cut_in_the_middle_of_a_weighing_loses_nothing_and_gives_nothing_twice(room: Room) -> None:
    device, diary = scale(room, two_packets=True), Diary()
    device.preload([weighing(number, user=1 + number % 2) for number in range(6)])
    await device.suffer(CutLink(device="body_composition", after_frames=5))
    await device.suffer(DuplicateFrames(device="body_composition", frames=4))
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary)):
        await diary.until(lambda: len(diary.readings) == len(room.witness.readings))
        await room.witness.until(lambda: device.unsent == 0)
    assert room.witness.count("connected") >= 2
    assert diary.known() == ledger(room.witness.readings)


async def test_a_weighing_that_is_shown_and_then_stored_is_one(room: Room) -> None:
    device, diary = scale(room, shows_live=True, hangs_up=False), Diary()
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary)):
        await diary.until(lambda: diary.count(DeviceEventKind.CLOCK_SET) == 1)
        device.take(BodyWeighing(at=room.clock.now_ms(), weight=70_040, fat=262, muscle=24_660, water=34_000, user=1))
        await diary.until(lambda: len(diary.readings) == 4)
        await room.witness.until(lambda: device.unsent == 0)
    weights = [reading for reading in diary.readings.values() if reading.quantity is Quantity.BODY_WEIGHT]
    assert [reading.count for reading in weights] == [70_040]
    assert sorted((device, quantity, count) for device, quantity, count, _ in diary.known()) == sorted(
        (device, quantity, count) for device, quantity, count, _ in ledger(room.witness.readings)
    )


async def test_somebody_whom_the_scale_does_not_know_is_nobodys_user(room: Room) -> None:
    device, diary = scale(room, shows_live=True), Diary()
    device.take(weighing(1, user=None))
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary)):
        await diary.until(lambda: len(diary.readings) == 1)
    assert by_user(diary) == {None: [70_140]}
    assert room.witness.readings == []


async def test_a_wrong_code_keeps_one_users_weighings_back_and_nobody_elses(room: Room) -> None:
    device, diary = scale(room), Diary()
    device.preload([weighing(1), weighing(2, user=2)])
    await room.switch_on(device)
    wrong = (Consent(user=1, code=1), CONSENTS[1])
    async with following(diary, session(room, await room.box(), diary, wrong)):
        await diary.until(lambda: len(diary.readings) == 4)
        await diary.until(lambda: diary.count(DeviceEventKind.CLOCK_SET) == 1)
    assert by_user(diary) == {2: [70_240]}
    assert [event.detail for event in diary.events if event.kind is DeviceEventKind.CONSENT_REFUSED] == [
        "the consent code of user 1 is wrong"
    ]
    assert device.unsent == 1


async def test_a_consent_that_is_never_answered_gives_the_weighings_all_the_same(room: Room) -> None:
    device, diary = scale(room, answers_consent=False), Diary()
    device.preload([weighing(1), weighing(2, user=2)])
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary)):
        await diary.until(lambda: len(diary.readings) == len(room.witness.readings))
    assert by_user(diary) == {1: [70_140], 2: [70_240]}
    assert diary.count(DeviceEventKind.CONSENT_REFUSED) == 0


async def test_with_shoes_on_only_the_weight_is_known(room: Room) -> None:
    device, diary = scale(room), Diary()
    device.preload([weighing(1, fat=None)])
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary)):
        await diary.until(lambda: len(diary.readings) == 2)
    said = {reading.quantity: (reading.validity, reading.count) for reading in diary.readings.values()}
    assert said == {
        Quantity.BODY_WEIGHT: (Validity.VALID, 70_140),
        Quantity.BODY_FAT: (Validity.INVALID, 0),
    }


async def test_a_scale_with_nothing_to_say_hangs_up_and_waits_for_somebody(room: Room) -> None:
    device, diary = scale(room, idle_seconds=0.2), Diary()
    device.preload([weighing(1)])
    await room.switch_on(device)
    async with following(diary, session(room, await room.box(), diary, ())):
        await diary.until(lambda: diary.count(DeviceEventKind.DISCONNECTED) == 1)
    assert (diary.readings, device.unsent, device.wants_link()) == ({}, 1, False)
    device.take(weighing(2))
    assert device.wants_link()
    await device.suffer(HangUp(device="body_composition", hangs_up=False))
    await device.suffer(ChangeBattery(device="body_composition", keeps_records=False))
    assert device.unsent == 0


async def test_a_weight_scale_says_whose_a_weighing_is(room: Room) -> None:
    device, diary = WeightScale(ADDRESS, room.where, name="Veilleur scale"), Diary()
    device.take(Weighing(at=START - 2 * MINUTE, count=70_040), user=3)
    device.take(Weighing(at=START - MINUTE, count=81_500), user=255)
    device.take(Weighing(at=START, count=90_000))
    await room.switch_on(device)
    async with following(diary, session_of(room, await room.box(), device, diary)):
        await diary.until(lambda: len(diary.readings) == 3)
    assert by_user(diary) == {3: [70_040], None: [81_500, 90_000]}


# Broadcasts


def xiaomi(room: Room, **options: Any) -> XiaomiScale:
    return XiaomiScale(
        XIAOMI,
        room.where,
        **{
            "name": "MIBFS",
            "settling_seconds": 0.1,
            "standing_seconds": 0.2,
            "lingering_seconds": 0.3,
            **options,
        },
    )


def broadcast(room: Room, box: Backends, device: Peripheral) -> BroadcastSource:
    return BroadcastSource(
        radio=room.radio(box),
        driver=next(driver for driver in BROADCASTS if driver.name == device.kind),
        device=device.address,
        zone=room.zone,
        clock=room.clock,
        patience=Patience(first=0.02, cap_brief=0.05),
    )


def knows(diary: Diary, number: int) -> bool:
    return len(diary.readings) == number


def fell_silent(room: Room, times: int) -> bool:
    return room.witness.count("silent") == times


def only(diary: Diary) -> Reading:
    (reading,) = diary.readings.values()
    return reading


@pytest.mark.parametrize("electrodes", [True, False])
@pytest.mark.parametrize("unit", ScaleUnit)
async def test_one_weighing_is_one_reading_and_costs_no_connection(
    room: Room, *, electrodes: bool, unit: ScaleUnit
) -> None:
    device, diary = xiaomi(room, electrodes=electrodes, unit=unit), Diary()
    await room.switch_on(device)
    async with following(diary, broadcast(room, await room.box(), device)):
        device.take(Weighing(at=room.clock.now_ms(), count=70_040))
        await diary.until(lambda: bool(diary.readings))
        await room.witness.until(lambda: room.witness.count("silent") == 1)
    assert diary.known() == ledger(room.witness.readings)
    assert (diary.repeats, only(diary).clock) == (0, ClockTrust.TRUSTED)
    assert room.witness.count("connected") == 0


async def test_a_result_is_heard_by_a_box_that_comes_when_the_person_has_left(room: Room) -> None:
    device, diary = xiaomi(room, lingering_seconds=WITHIN, settling_seconds=0.0, standing_seconds=0.0), Diary()
    await room.switch_on(device)
    device.take(Weighing(at=room.clock.now_ms(), count=70_040))
    box = await room.box()
    heard = await find(box, XIAOMI)
    assert heard.name == "MIBFS"
    async with following(diary, broadcast(room, box, device)):
        await diary.until(lambda: bool(diary.readings))
    assert diary.known() == ledger(room.witness.readings)


async def test_a_scale_whose_clock_was_never_set_is_read_at_the_time_of_arrival(room: Room) -> None:
    device, diary = xiaomi(room), Diary()
    await device.suffer(
        SetClock(
            device="xiaomi_scale",
            shows=datetime(1970, 1, 3, 18, 24, 58),  # noqa: DTZ001 a wall clock has no zone
        )
    )
    await room.switch_on(device)
    async with following(diary, broadcast(room, await room.box(), device)):
        for number in (1, 2):
            device.take(Weighing(at=room.clock.now_ms(), count=69_000 + number * 1000))
            await diary.until(partial(knows, diary, number))
            await room.witness.until(partial(fell_silent, room, number))
    assert sorted(reading.count for reading in diary.readings.values()) == [70_000, 71_000]
    assert {reading.clock for reading in diary.readings.values()} == {ClockTrust.UNKNOWN}
    assert all(abs(reading.measured_at - room.clock.now_ms()) < 10 * MINUTE for reading in diary.readings.values())


async def test_a_broadcast_is_heard_while_another_device_is_visited(room: Room) -> None:
    device, diary = xiaomi(room), Diary()
    visited, visits = scale(room, hangs_up=False), Diary()
    visited.preload([weighing(number) for number in range(3)])
    await room.switch_on(visited)
    await room.switch_on(device)
    box = await room.box()
    async with following(diary, broadcast(room, box, device)), following(visits, session(room, box, visits)):
        await visits.until(lambda: len(visits.readings) == 12)
        device.take(Weighing(at=room.clock.now_ms(), count=70_040))
        await diary.until(lambda: bool(diary.readings))
    assert only(diary).count == 70_050
