"""Devices without record access, such as a blood-pressure monitor: they send, are set right, and are gone."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devices.drivers.blood_pressure import BloodPressureMeasurement
from devices.errors import RadioError
from devices.source import DeviceEvent, DeviceEventKind
from devices.wall_clock import UNKNOWN_DATE_TIME, CurrentTime, DateTime


def measurement(systolic: int, at: DateTime | None = None) -> bytes:
    return bytes(
        BloodPressureMeasurement(
            systolic=Decimal(systolic), diastolic=Decimal(80), mean=Decimal(93), pulse_rate=Decimal(70), time_stamp=at
        )
    )


def sends(monitor: Any, *frames: bytes, then: Any = lambda: None) -> None:
    """Let the monitor send frames once it is listened to, each in its own turn of the loop."""

    def deliver(left: list[bytes]) -> None:
        if left:
            monitor.send(0x2A35, left[0])
            asyncio.get_running_loop().call_soon(deliver, left[1:])
        else:
            then()

    monitor.on_subscribed = lambda: asyncio.get_running_loop().call_soon(deliver, list(frames))


def clock_events(bench: Any) -> list[DeviceEvent]:
    return [
        event for event in bench.store.events if event.kind in {DeviceEventKind.CLOCK_SET, DeviceEventKind.CLOCK_WRONG}
    ]


async def test_the_clock_is_set_only_when_what_was_sent_is_persisted(bench: Any, monitor: Any) -> None:
    # Once something came, the long wait for the first record is over.
    bench.patience = replace(bench.patience, begin=60.0)
    sends(monitor, measurement(120), measurement(125))
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: bool(clock_events(bench)))
    assert len(bench.store.readings) == 8
    told = bytes(CurrentTime.of(bench.clock.now, bench.zone)).hex()
    assert bench.log[:3] == ["connect", "pair", "subscribe 2A35"]
    assert bench.log[-4:] == ["read 2A2B", f"write 2A2B {told}", "read 2A2B", "closed"]
    assert bench.log[-5] == "persisted"
    assert bench.log.count("persisted") == bench.log.index(f"write 2A2B {told}") - 4
    assert clock_events(bench)[0].detail == "set and read back"


async def test_a_device_that_hangs_up_after_its_last_indication_has_done_nothing_wrong(
    bench: Any, monitor: Any
) -> None:
    sends(monitor, measurement(120), measurement(125), then=monitor.cut)
    await bench.follow(
        bench.session(monitor, "blood_pressure"), lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds()
    )
    assert len(bench.store.readings) == 8
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED, DeviceEventKind.DISCONNECTED]
    assert bench.store.events[-1].detail == "the device closed the link"


async def test_what_was_confirmed_while_the_link_was_lost_in_subscribing_is_kept(bench: Any, monitor: Any) -> None:
    def hurried() -> None:
        monitor.send(0x2A35, measurement(120))
        monitor.send(0x2A35, measurement(125))
        monitor.cut()
        raise RadioError("subscribing: the link was lost")

    monitor.on_subscribed = hurried
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: len(bench.store.readings) == 8)
    assert bench.log.count("connect") == 1


async def test_it_is_found_again_for_the_next_measurement(bench: Any, monitor: Any) -> None:
    at = DateTime.of(bench.clock.now, bench.zone)
    first, second = measurement(120, at), measurement(125, at)
    sends(monitor, first, then=monitor.cut)

    def until() -> bool:
        if bench.store.kinds()[-1] is DeviceEventKind.DISCONNECTED:
            monitor.absent = 2
            # A device that did not hear the confirmation sends a record again: the store knows its key.
            sends(monitor, first, second, then=monitor.cut)
        return len(bench.store.readings) == 8

    await bench.follow(bench.session(monitor, "blood_pressure"), until)
    assert len({key for key, _ in bench.store.readings}) == 2


async def test_a_device_with_nothing_to_send_is_set_right_all_the_same(bench: Any, monitor: Any) -> None:
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: bool(clock_events(bench)))
    assert clock_events(bench)[0].kind is DeviceEventKind.CLOCK_SET


async def test_a_clock_that_says_success_and_stays_wrong_is_told(bench: Any, monitor: Any) -> None:
    monitor.on_write[0x2A2B] = lambda _: None
    monitor.values[0x2A2B] = bytes(CurrentTime.of(bench.clock.now - 3 * 3_600_000, bench.zone))
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: bool(clock_events(bench)))
    (event,) = clock_events(bench)
    assert (event.kind, event.detail) == (
        DeviceEventKind.CLOCK_WRONG,
        "the clock was set and still shows another time",
    )


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (bytes(CurrentTime(date_time=UNKNOWN_DATE_TIME)), "the clock was set and still shows another time"),
        (b"\xea\x07", "the clock was set and says nonsense (2A2B: truncated: the month needs 1 bytes, 0 are left)"),
    ],
)
async def test_a_clock_that_shows_no_date_is_told(bench: Any, monitor: Any, shown: bytes, said: str) -> None:
    monitor.on_write[0x2A2B] = lambda _: None
    monitor.values[0x2A2B] = shown
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: bool(clock_events(bench)))
    assert clock_events(bench)[0].detail == said


async def test_a_refused_clock_does_not_end_the_visit(bench: Any, monitor: Any) -> None:
    def refuse(_: bytes) -> None:
        raise RadioError("writing 2A2B: not permitted")

    monitor.on_write[0x2A2B] = refuse

    def until() -> bool:
        if clock_events(bench):
            monitor.send(0x2A35, measurement(130))
        return bool(bench.store.readings)

    await bench.follow(bench.session(monitor, "blood_pressure"), until)
    assert clock_events(bench)[0].kind is DeviceEventKind.CLOCK_WRONG
    assert DeviceEventKind.DISCONNECTED not in bench.store.kinds()


async def test_a_device_that_hangs_up_while_its_clock_is_set_is_not_said_to_have_a_wrong_one(
    bench: Any, monitor: Any
) -> None:
    def hang_up(_: bytes) -> None:
        # The write fails first; that the link is gone is told a turn of the loop later.
        asyncio.get_running_loop().call_soon(monitor.cut)
        raise RadioError("writing 2A2B: the link was lost")

    monitor.on_write[0x2A2B] = hang_up
    await bench.follow(
        bench.session(monitor, "blood_pressure"), lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds()
    )
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED, DeviceEventKind.DISCONNECTED]


async def test_a_clock_that_was_read_back_wrong_is_told_although_the_device_hangs_up(bench: Any, monitor: Any) -> None:
    monitor.values[0x2A2B] = bytes(CurrentTime.of(bench.clock.now - 3 * 3_600_000, bench.zone))
    # Read back as wrong as before; the link is cut right after.
    monitor.on_write[0x2A2B] = lambda _: asyncio.get_running_loop().call_soon(monitor.cut)
    await bench.follow(
        bench.session(monitor, "blood_pressure"), lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds()
    )
    assert [event.kind for event in clock_events(bench)] == [DeviceEventKind.CLOCK_WRONG]


async def test_a_date_time_is_set_where_there_is_no_current_time(bench: Any, monitor: Any) -> None:
    del monitor.offered[0x2A2B]
    monitor.offered[0x2A08] = {"write"}
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: bool(clock_events(bench)))
    assert monitor.values[0x2A08] == bytes(DateTime.of(bench.clock.now, bench.zone))
    assert clock_events(bench)[0].detail == "set, and cannot be read back"


async def test_a_date_time_is_read_back_where_it_can_be(bench: Any, monitor: Any) -> None:
    del monitor.offered[0x2A2B]
    monitor.offered[0x2A08] = {"write", "read"}
    await bench.follow(bench.session(monitor, "blood_pressure"), lambda: bool(clock_events(bench)))
    assert clock_events(bench)[0].detail == "set and read back"


def clocks_written(bench: Any) -> list[str]:
    return [entry.split()[1] for entry in bench.log if entry.startswith("write 2A")]


async def test_a_quirk_is_known_by_the_model_once_the_device_has_named_it(bench: Any, monitor: Any) -> None:
    monitor.offered |= {0x2A08: {"write"}, 0x2A24: {"read"}}
    monitor.values[0x2A24] = b"UA-651BLE"

    def until() -> bool:
        if "read 2A24" in bench.log and bench.log.count("connect") == 1:
            monitor.cut()
        return len(clocks_written(bench)) == 2

    await bench.follow(bench.session(monitor, "blood_pressure"), until)
    assert clocks_written(bench) == ["2A2B", "2A08"]


async def test_a_quirk_is_not_forgotten_when_the_device_is_heard_without_its_name(bench: Any, monitor: Any) -> None:
    monitor.offered[0x2A08] = {"write"}
    monitor.name = "A&D_UA-651BLE_D57B3F"

    def until() -> bool:
        if clocks_written(bench) and bench.log.count("connect") == 1:
            monitor.name = None
            monitor.cut()
        return len(clocks_written(bench)) == 2

    await bench.follow(bench.session(monitor, "blood_pressure"), until)
    assert clocks_written(bench) == ["2A08", "2A08"]


async def test_a_device_without_a_clock_is_left_alone(bench: Any, monitor: Any) -> None:
    monitor.offered[0x2A2B] = {"read"}

    def until() -> bool:
        if bench.store.kinds() == [DeviceEventKind.CONNECTED] and not bench.store.readings:
            asyncio.get_running_loop().call_later(0.2, monitor.send, 0x2A35, measurement(120))
        return bool(bench.store.readings)

    await bench.follow(bench.session(monitor, "blood_pressure"), until)
    assert not clock_events(bench)
    assert not any(entry.startswith("write") for entry in bench.log)


async def test_a_refused_frame_is_said_and_the_others_are_kept(bench: Any, monitor: Any) -> None:
    sends(monitor, measurement(120), measurement(125)[:4], b"", b"", measurement(130), then=monitor.cut)
    await bench.follow(
        bench.session(monitor, "blood_pressure"), lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds()
    )
    assert len(bench.store.readings) == 8
    said = [event.detail for event in bench.store.events if event.kind is DeviceEventKind.FRAME_REJECTED]
    assert said == [
        "2A35: truncated: the diastolic pressure needs 2 bytes, 1 are left",
        "2A35: truncated: the flags needs 1 bytes, 0 are left",
        "2A35: truncated: the flags needs 1 bytes, 0 are left (1 more)",
    ]


async def test_a_link_lost_while_describing_is_tried_again(bench: Any, sensor: Any) -> None:
    sensor.read_errors[0x2AA8] = [RadioError("reading 2AA8: the link was lost")]
    sensor.measure(0)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.log.count("connect") == 2
