"""The life of a CGM's session: order, history, gaps, refused frames, silence, new sensors. Nothing is skipped."""

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devices.backoff import Patience
from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_session import SessionStart
from devices.drivers.cgm_status import Annunciation
from devices.errors import RadioError
from devices.record_access import Opcode, ResponseCode
from devices.source import DeviceEventKind
from devices.wall_clock import UNKNOWN_DATE_TIME

HISTORY = range(0, 100, 5)
NOW_OFFSET = 2 * 24 * 60


def spoil(frame: bytes) -> bytes:
    return frame[:-1] + bytes((frame[-1] ^ 0xFF,))


def from_offsets(sensor: Any) -> list[int | None]:
    """Where each request for stored records began; None: all."""
    return [
        request.operands[0] if request.operands else None
        for request in sensor.requests
        if request.opcode == Opcode.REPORT_STORED_RECORDS
    ]


async def test_everything_is_enabled_before_stored_records_are_asked_for(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY))
    assert bench.log == [
        "connect",
        "pair",
        "read 2AA8",
        "read 2AAA",
        "read 2AAB",
        "subscribe 2AA7",
        "subscribe 2A52",
        "write 2A52 0101",
        "persisted",
        "closed",
    ]
    assert bench.store.offsets == list(HISTORY)
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED]


async def test_a_new_start_asks_for_what_comes_after_the_newest_record(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    sensor.measure(100)
    await bench.follow(bench.session(sensor, "cgm"), lambda: 100 in bench.store.offsets)
    assert from_offsets(sensor) == [None, 96]
    assert bench.store.sizes == [len(HISTORY), 1]


async def test_a_link_lost_in_the_middle_of_history_skips_nothing_and_sends_little_twice(
    bench: Any, sensor: Any
) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers.append(lambda frames: [*frames[:7], sensor.CUT])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY))
    # Seven came; the seventh is held back, because only an eighth would show that the sensor sends oldest first.
    assert from_offsets(sensor) == [None, 26]
    assert bench.store.offsets == list(HISTORY)
    assert DeviceEventKind.DISCONNECTED in bench.store.kinds()


async def test_a_sensor_that_sends_its_newest_first_and_is_cut_skips_nothing(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers.append(lambda frames: [*reversed(frames[5:]), sensor.CUT])
    sensor.answers.append(lambda frames: [*reversed(frames), ResponseCode.SUCCESS])
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.store.offsets == list(HISTORY)
    assert from_offsets(sensor) == [None, None]


async def test_a_long_history_is_persisted_in_bounded_batches_while_it_comes(bench: Any, sensor: Any) -> None:
    for offset in range(0, 2500, 5):
        sensor.measure(offset)
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == 500)
    assert bench.store.sizes == [200, 200, 100]
    assert bench.store.offsets == list(range(0, 2500, 5))


async def test_records_sent_twice_are_handed_on_once(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers.append(lambda frames: [frame for frame in frames for _ in range(2)] + [ResponseCode.SUCCESS])

    def live_twice() -> bool:
        if len(bench.store.readings) == len(HISTORY):
            frame = sensor.measure(100, live=True)
            sensor.send(0x2AA7, frame)
            sensor.send(0x2AA7, frame)
            sensor.measure(105, live=True)
        return 105 in bench.store.offsets

    await bench.follow(bench.session(sensor, "cgm"), live_twice)
    assert sum(bench.store.sizes) == len(HISTORY) + 2
    assert from_offsets(sensor) == [None]


async def test_a_wrong_crc_in_history_is_never_a_value_and_the_record_is_asked_for_again(
    bench: Any, sensor: Any
) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers.append(lambda frames: [*frames[:3], spoil(frames[3]), *frames[4:], ResponseCode.SUCCESS])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY))
    assert from_offsets(sensor) == [None, 6]
    assert bench.store.offsets == list(HISTORY)
    rejected = [event for event in bench.store.events if event.kind is DeviceEventKind.FRAME_REJECTED]
    assert [event.detail for event in rejected] == ["2AA7: wrong E2E-CRC"]


async def test_a_record_that_is_wrong_in_the_sensor_itself_does_not_hold_up_the_others(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.memory[15] = spoil(sensor.memory[15])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY) - 1)
    # Once from the start, then three times from where it stands, the last time going past it.
    assert from_offsets(sensor) == [None, 6, 6, 6]
    assert bench.store.offsets == [offset for offset in HISTORY if offset != 15]


async def test_the_same_refusal_is_said_once_and_then_counted(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.memory[15] = spoil(sensor.memory[15])

    def until() -> bool:
        if len(bench.store.readings) == len(HISTORY) - 1:
            sensor.cut()
        return DeviceEventKind.DISCONNECTED in bench.store.kinds()

    await bench.follow(bench.session(sensor, "cgm"), until)
    details = [event.detail for event in bench.store.events if event.kind is DeviceEventKind.FRAME_REJECTED]
    assert details == ["2AA7: wrong E2E-CRC", "2AA7: wrong E2E-CRC (3 more)"]


@pytest.mark.parametrize("lost", ["lost", "spoilt"])
async def test_what_is_missing_among_live_values_is_fetched_before_later_ones_are_handed_on(
    bench: Any, sensor: Any, lost: str
) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    steps = iter([100, 105, 110])

    def live() -> bool:
        offset = next(steps, None)
        if offset == 105:
            frame = sensor.measure(105)
            if lost == "spoilt":
                sensor.send(0x2AA7, spoil(frame))
            offset = next(steps)
        if offset is not None:
            sensor.measure(offset, live=True)
        return 110 in bench.store.offsets

    # The steps begin when history is persisted.
    await bench.follow(
        bench.session(sensor, "cgm"), lambda: live() if len(bench.store.readings) >= len(HISTORY) else False
    )
    assert bench.store.offsets == [*HISTORY, 100, 105, 110]
    assert from_offsets(sensor)[:2] == [None, 101]


async def test_live_values_that_come_during_history_wait_for_it(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)

    def with_live(frames: list[bytes]) -> list[Any]:
        bench.clock.now += 5 * 60_000
        live = sensor.measure(NOW_OFFSET + 5)
        return [*frames[:3], live, *frames[3:], sensor.CUT]

    sensor.answers.append(with_live)
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY) + 1)
    assert bench.store.offsets == [*HISTORY, NOW_OFFSET + 5]


async def test_live_values_do_not_hide_that_the_sensor_is_silent_about_its_records(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    offset = NOW_OFFSET

    def talk_on() -> None:
        nonlocal offset
        offset += 5
        bench.clock.now += 5 * 60_000
        if sensor.open:
            sensor.measure(offset, live=True)
            asyncio.get_running_loop().call_later(0.01, talk_on)

    sensor.answers.append(lambda _: [talk_on, sensor.SILENT])
    await bench.follow(bench.session(sensor, "cgm"), lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds())
    assert sensor.requests[-1].opcode == Opcode.ABORT_OPERATION
    assert bench.store.events[-1].detail == "stored records: the device fell silent"
    assert not bench.store.readings


async def test_live_values_that_seem_old_do_not_hide_the_history_of_a_silent_sensor(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    bench.clock.now += 30 * 24 * 60 * 60_000
    live = [max(HISTORY) + 5, max(HISTORY) + 10, max(HISTORY) + 15]

    def talk() -> None:
        for offset in live:
            sensor.measure(offset, live=True)

    sensor.answers.append(lambda _: [talk, sensor.CUT])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY) + len(live))
    assert bench.store.offsets == [*HISTORY, *live]


@pytest.mark.parametrize("behind", range(20, 90, 5), ids=lambda minutes: f"{minutes} min into the session")
async def test_a_box_whose_time_is_behind_takes_no_stored_record_for_a_live_value(
    bench: Any, sensor: Any, behind: int
) -> None:
    """To such a box the records of its last minutes are of the future; cut off in their midst, it skips none."""
    for offset in HISTORY:
        sensor.measure(offset)
    bench.clock.now += (behind - NOW_OFFSET) * 60_000
    sensor.answers.append(lambda frames: [*frames[:-1], sensor.CUT])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) >= len(HISTORY) - 1)
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY))
    assert sorted(bench.store.offsets) == list(HISTORY)


async def test_a_sensor_that_falls_silent_is_told_to_abort_and_asked_again(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers.append(lambda frames: [*frames[:4], sensor.SILENT])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY))
    assert [request.opcode for request in sensor.requests] == [
        Opcode.REPORT_STORED_RECORDS,
        Opcode.ABORT_OPERATION,
        Opcode.REPORT_STORED_RECORDS,
    ]
    assert bench.store.offsets == list(HISTORY)


async def test_live_values_are_not_kept_back_by_records_that_the_sensor_does_not_give(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers += [lambda _: [sensor.SILENT]] * 3

    def until() -> bool:
        if DeviceEventKind.HISTORY_FAILED in bench.store.kinds() and 100 not in sensor.memory:
            sensor.measure(100, live=True)
            sensor.measure(110, live=True)
        if 110 in bench.store.offsets and bench.store.kinds()[-1] is DeviceEventKind.HISTORY_FAILED:
            sensor.cut()
        return len(bench.store.readings) == len(HISTORY) + 2

    await bench.follow(bench.session(sensor, "cgm"), until)
    # What was owed is fetched at the next connection, though later values are persisted already.
    assert bench.store.offsets == [100, 110, *HISTORY]
    assert from_offsets(sensor) == [None, None, None, 0]


async def test_a_sensor_that_cannot_choose_is_asked_for_everything(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    sensor.measure(100)
    sensor.answers.append(lambda _: [ResponseCode.OPERATOR_NOT_SUPPORTED])
    await bench.follow(bench.session(sensor, "cgm"), lambda: 100 in bench.store.offsets)
    assert from_offsets(sensor) == [None, 96, None]


async def test_no_records_is_a_success(bench: Any, sensor: Any) -> None:
    sensor.answers.append(lambda _: [ResponseCode.NO_RECORDS_FOUND, lambda: sensor.measure(NOW_OFFSET, live=True)])
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.store.offsets == [NOW_OFFSET]
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED]


async def test_a_new_sensor_on_the_same_link_is_followed_from_its_beginning(bench: Any, sensor: Any) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    new_start = bench.clock.now - 10 * 60_000

    def until() -> bool:
        if len(bench.store.readings) == len(HISTORY) and 5 in sensor.memory and len(sensor.memory) == len(HISTORY):
            sensor.memory.clear()
            sensor.values[0x2AAA] = bytes(SessionStart.of(new_start, bench.zone, crc=True))
            sensor.measure(0, 130)
            sensor.measure(5, 131)
            sensor.measure(10, 132, live=True)
        return bool(bench.store.offsets == [0, 5, 10])

    await bench.follow(bench.session(sensor, "cgm"), until)
    assert bench.store.offsets == [0, 5, 10]
    assert len(bench.store.readings) == len(HISTORY) + 3
    assert {key.partition(":")[0] for key, _ in bench.store.readings} >= {str(new_start)}


async def test_frames_that_come_too_fast_close_the_link_and_are_fetched_again(bench: Any, sensor: Any) -> None:
    bench.patience = replace(bench.patience, queue=6)
    for offset in HISTORY:
        sensor.measure(offset)

    def all_at_once(frames: list[bytes]) -> list[Any]:
        return [lambda: [sensor.send(0x2AA7, frame) for frame in frames]]

    sensor.answers += [all_at_once, all_at_once]
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(bench.store.readings) == len(HISTORY))
    assert bench.store.offsets == list(HISTORY)
    assert from_offsets(sensor) == [None, 21, 46]


async def test_a_lost_bond_is_said_once_and_again_when_it_is_lost_anew(bench: Any, sensor: Any) -> None:
    lost = RadioError("key missing", device=sensor.device, bond_lost=True)
    sensor.connect_errors += [lost, lost, lost]
    sensor.measure(0)

    def until() -> bool:
        if bench.store.readings and sensor.open and bench.store.kinds().count(DeviceEventKind.BOND_LOST) == 1:
            sensor.connect_errors.append(lost)
            sensor.cut()
        return bool(bench.store.kinds().count(DeviceEventKind.BOND_LOST) == 2)

    await bench.follow(bench.session(sensor, "cgm"), until)
    assert bench.store.kinds() == [
        DeviceEventKind.BOND_LOST,
        DeviceEventKind.CONNECTED,
        DeviceEventKind.DISCONNECTED,
        DeviceEventKind.BOND_LOST,
    ]


async def test_a_sensor_without_a_session_start_is_told_the_time_before_anything_else(bench: Any, sensor: Any) -> None:
    sensor.values[0x2AAA] = bytes(SessionStart(date_time=UNKNOWN_DATE_TIME, crc=True))
    sensor.measure(0)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert [entry[:10] for entry in bench.log[2:9]] == [
        "read 2AA8",
        "read 2AAA",
        "read 2AAB",
        "write 2AAA",
        "read 2AA8",
        "read 2AAA",
        "read 2AAB",
    ]


async def test_a_sensor_that_does_not_take_the_time_is_refused_and_left_alone(bench: Any, sensor: Any) -> None:
    sensor.values[0x2AAA] = bytes(SessionStart(date_time=UNKNOWN_DATE_TIME, crc=True))
    sensor.on_write[0x2AAA] = lambda _: None
    await bench.follow(
        bench.session(sensor, "cgm"), lambda: bench.store.kinds().count(DeviceEventKind.DRIVER_REFUSED) == 2
    )
    assert set(bench.store.kinds()) == {DeviceEventKind.DRIVER_REFUSED}
    assert not any(entry.startswith("subscribe") for entry in bench.log)


async def test_a_description_with_a_wrong_crc_is_said_and_tried_again(bench: Any, sensor: Any) -> None:
    right = sensor.values[0x2AAA]
    sensor.values[0x2AAA] = spoil(right)
    sensor.measure(0)

    def until() -> bool:
        sensor.values[0x2AAA] = right
        return bool(bench.store.readings)

    await bench.follow(bench.session(sensor, "cgm"), until)
    assert bench.store.events[0].detail == "2AAA: wrong E2E-CRC"


async def test_a_device_without_what_its_driver_needs_is_refused(bench: Any, sensor: Any) -> None:
    del sensor.offered[0x2A52]
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.events))
    assert bench.store.events[0].detail == "the device has no 2A52"


async def test_an_absent_device_and_a_failing_adapter_are_waited_for(bench: Any, sensor: Any) -> None:
    sensor.absent = 3
    sensor.find_error = RadioError("the adapter is gone")
    sensor.connect_errors.append(RadioError("no answer"))
    sensor.measure(0)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED]


async def test_an_old_record_that_comes_by_itself_is_handed_on_without_asking_for_history(
    bench: Any, sensor: Any
) -> None:
    for offset in HISTORY:
        sensor.measure(offset)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    bench.log.clear()
    sensor.answers.append(lambda _: [ResponseCode.NO_RECORDS_FOUND, lambda: sensor.send(0x2AA7, sensor.memory[50])])
    await bench.follow(bench.session(sensor, "cgm"), lambda: "persisted" in bench.log)
    assert bench.store.offsets == list(HISTORY)
    # What it says about its session was looked at again, and is the same.
    assert bench.log.count("read 2AAA") == 2
    assert len(from_offsets(sensor)) == 2


async def test_live_values_that_come_too_fast_close_the_link_and_are_fetched_again(bench: Any, sensor: Any) -> None:
    bench.patience = replace(bench.patience, queue=3)
    for offset in HISTORY:
        sensor.measure(offset)

    def until() -> bool:
        if len(bench.store.readings) == len(HISTORY) and 100 not in sensor.memory:
            for offset in range(100, 150, 5):
                sensor.measure(offset, live=True)
        return 145 in bench.store.offsets

    await bench.follow(bench.session(sensor, "cgm"), until)
    assert bench.store.offsets == [*HISTORY, *range(100, 150, 5)]
    assert "frames came faster than they could be kept" in [event.detail for event in bench.store.events]


async def test_an_answer_that_comes_too_late_is_no_measurement(bench: Any, sensor: Any) -> None:
    sensor.measure(0)

    def late() -> bool:
        if bench.store.offsets == [0]:
            sensor.respond(ResponseCode.SUCCESS)
            sensor.measure(5, live=True)
        return 5 in bench.store.offsets

    await bench.follow(bench.session(sensor, "cgm"), late)
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED]


async def test_owed_records_are_asked_for_again_while_live_values_come(bench: Any, sensor: Any) -> None:
    bench.patience = replace(bench.patience, history_retry=0.0)
    for offset in HISTORY:
        sensor.measure(offset)
    sensor.answers += [lambda _: [sensor.SILENT]] * 3

    def until() -> bool:
        if DeviceEventKind.HISTORY_FAILED in bench.store.kinds() and 100 not in sensor.memory:
            sensor.measure(100, live=True)
        return 100 in bench.store.offsets

    await bench.follow(bench.session(sensor, "cgm"), until)
    assert bench.store.offsets == [*HISTORY, 100]
    assert bench.log.count("connect") == 3


async def test_a_sensor_without_a_place_for_the_time_is_refused(bench: Any, sensor: Any) -> None:
    del sensor.offered[0x2AAA]
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.events))
    assert bench.store.events[0].detail == "the device has no 2AAA"


async def test_a_sensor_whose_time_has_run_out_says_so_though_it_has_nothing_more_to_say(
    bench: Any, sensor: Any
) -> None:
    bench.clock.now += 14 * 24 * 3_600_000
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.events))
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED, DeviceEventKind.SENSOR_EXPIRED]


async def test_what_a_reading_shows_about_its_device_comes_as_events(bench: Any, sensor: Any) -> None:
    for offset, glucose, said in (
        (0, 1500, Annunciation.NONE),
        (5, 5, Annunciation.BATTERY_LOW),
        (10, 120, Annunciation.BATTERY_LOW),
        (15, 120, Annunciation.SESSION_STOPPED),
    ):
        record = CgmMeasurement(glucose=Decimal(glucose), time_offset=offset, annunciation=said, crc=True)
        sensor.memory[offset] = bytes(record)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.store.kinds() == [
        DeviceEventKind.CONNECTED,
        DeviceEventKind.VALUE_IMPLAUSIBLE,
        DeviceEventKind.VALUE_IMPLAUSIBLE,
        DeviceEventKind.BATTERY_LOW,
        DeviceEventKind.SENSOR_EXPIRED,
    ]
    assert not any(character.isdigit() for event in bench.store.events for character in event.detail)


def test_a_session_is_known_by_its_devices_address(bench: Any, sensor: Any) -> None:
    assert bench.session(sensor, "cgm", device="c4:b0:00:00:00:01").device == sensor.device


async def test_a_cancelled_consumer_closes_the_link(bench: Any, sensor: Any) -> None:
    connected = asyncio.Event()

    async def consume() -> None:
        async with aclosing(bench.session(sensor, "cgm").batches()) as batches:
            async for _ in batches:
                connected.set()

    consumer = asyncio.create_task(consume())
    async with asyncio.timeout(5):
        await connected.wait()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert bench.log[-1] == "closed"
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_fault_of_the_house_is_not_kept_quiet(bench: Any, sensor: Any) -> None:
    def broken() -> Any:
        raise LookupError("the store is broken")

    with pytest.raises(LookupError, match="the store is broken"):
        await bench.follow(bench.session(sensor, "cgm", resume=broken), lambda: False)
    assert bench.log[-1] == "closed"


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_goes_wrong_the_store_never_has_a_hole(bench: Any, sensor: Any, seed: int) -> None:
    """Random cuts, refusals, repeats and lost notifications: at every moment what is persisted has no hole."""
    # More attempts than the test can spoil, so that no record is given up.
    bench.patience = replace(bench.patience, history_attempts=15)
    chance = random.Random(seed)
    taken = 0

    def take() -> None:
        nonlocal taken
        taken += 1
        bench.clock.now += 5 * 60_000
        frame = sensor.measure(NOW_OFFSET + 5 * taken)
        if chance.random() < 0.8:
            sensor.send(0x2AA7, spoil(frame) if chance.random() < 0.2 else frame)

    def unreliable(frames: list[bytes]) -> list[Any]:
        script: list[Any] = []
        for frame in frames:
            script += [spoil(frame) if chance.random() < 0.05 else frame] * (2 if chance.random() < 0.1 else 1)
            if chance.random() < 0.1:
                script.append(take)
        if chance.random() < 0.5:
            return [*script[: chance.randrange(len(script) + 1)], sensor.CUT]
        return [*script, ResponseCode.SUCCESS]

    async def world() -> None:
        while True:
            if taken < 100:
                take()
            if chance.random() < (0.1 if taken < 100 else 0.02):
                sensor.cut()
            await asyncio.sleep(0.001)

    def until() -> bool:
        offsets = sorted(bench.store.offsets)
        assert offsets == [NOW_OFFSET + 5 * (index + 1) for index in range(len(offsets))]
        return taken >= 100 and len(offsets) == taken

    for _ in range(25):
        take()
    sensor.answers += [unreliable] * 12
    happening = asyncio.create_task(world())
    await bench.follow(bench.session(sensor, "cgm"), until)
    happening.cancel()


def test_every_default_duration_is_positive_and_the_bounds_are_in_order() -> None:
    patience = Patience()
    assert 0 < patience.first <= patience.cap_brief <= patience.cap
    assert patience.quiet <= patience.begin
    assert patience.batch <= 200 < patience.queue


async def test_a_device_that_is_heard_and_lets_nobody_in_is_within_reach(bench: Any, sensor: Any) -> None:
    sensor.connect_errors = [RadioError("connecting: no answer", device=sensor.device)] * 3
    seen: list[int | None] = []
    async with asyncio.timeout(10), aclosing(bench.session(sensor, "cgm").batches()) as batches:
        async for batch in batches:
            if batch.facts is not None:
                seen.append(batch.facts.seen_at)
            if len(seen) == 2:
                break
    assert seen == [bench.clock.now] * 2
    assert sensor.connect_errors
