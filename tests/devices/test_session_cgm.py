"""A session with a sensor whose life is over, warming up, or that only borrows the standard's numbers."""

from typing import Any

import pytest

from devices.drivers.cgm import CgmMeasurement
from devices.drivers.cgm_session import SessionStart
from devices.drivers.cgm_status import Annunciation, CgmStatus
from devices.errors import RadioError
from devices.medfloat import Special
from devices.reading import Quality
from devices.record_access import ResponseCode
from devices.source import DeviceEventKind
from devices.wall_clock import UNKNOWN_DATE_TIME

NOW_OFFSET = 2 * 24 * 60
# 16 bytes of cipher, made here, of no device.
CIPHER = bytes.fromhex("8e3b0f5f2d6a914cc01df7a2387be455")


def offers_status(sensor: Any, annunciation: Annunciation) -> None:
    sensor.offered[0x2AA9] = {"read"}
    sensor.values[0x2AA9] = bytes(CgmStatus(time_offset=NOW_OFFSET - 60, annunciation=annunciation, crc=True))


def details(bench: Any, kind: DeviceEventKind) -> set[str]:
    return {event.detail for event in bench.store.events if event.kind is kind}


async def test_a_sensor_that_was_stopped_is_told_before_anything_comes_from_it(bench: Any, sensor: Any) -> None:
    offers_status(sensor, Annunciation.SESSION_STOPPED)
    sensor.answers.append(lambda _: [ResponseCode.NO_RECORDS_FOUND])
    await bench.follow(bench.session(sensor, "cgm"), lambda: DeviceEventKind.SENSOR_EXPIRED in bench.store.kinds())
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED, DeviceEventKind.SENSOR_EXPIRED]


async def test_a_sensor_that_runs_says_nothing_of_its_end(bench: Any, sensor: Any) -> None:
    offers_status(sensor, Annunciation.BATTERY_LOW)
    sensor.measure(NOW_OFFSET - 5)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED]


async def test_a_sensor_that_nobody_started_is_told_the_time_and_nothing_else(bench: Any, sensor: Any) -> None:
    offers_status(sensor, Annunciation.SESSION_STOPPED)
    sensor.offered[0x2AAC] = {"write", "indicate"}
    unset = bytes(SessionStart(date_time=UNKNOWN_DATE_TIME, crc=True))
    sensor.values[0x2AAA] = unset
    sensor.on_write[0x2AAA] = lambda _: None
    await bench.follow(bench.session(sensor, "cgm"), lambda: DeviceEventKind.DRIVER_REFUSED in bench.store.kinds())
    written = [entry.split()[1] for entry in bench.log if entry.startswith("write")]
    assert written == ["2AAA"]
    assert bench.store.readings == {}


@pytest.mark.parametrize("characteristic", [0x2AA8, 0x2AAA, 0x2AAB, 0x2AA9])
async def test_a_device_whose_description_is_another_protocol_is_refused_and_never_listened_to(
    bench: Any, sensor: Any, characteristic: int
) -> None:
    offers_status(sensor, Annunciation.NONE)
    sensor.values[characteristic] = CIPHER
    await bench.follow(bench.session(sensor, "cgm"), lambda: DeviceEventKind.FRAME_REJECTED in bench.store.kinds())
    (reason,) = details(bench, DeviceEventKind.FRAME_REJECTED)
    assert reason.startswith(f"{characteristic:04X}: ")
    assert "E2E-CRC" in reason
    assert not any(entry.startswith(("subscribe", "write")) for entry in bench.log)
    assert bench.store.readings == {}


async def test_a_device_that_lets_nobody_read_it_gives_nothing(bench: Any, sensor: Any) -> None:
    sensor.read_errors[0x2AA8] = [RadioError("insufficient authorisation", device=sensor.device) for _ in range(3)]
    sensor.measure(NOW_OFFSET - 5)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    assert bench.log.count("read 2AA8") == 4
    assert bench.log.index("subscribe 2AA7") > max(i for i, entry in enumerate(bench.log) if entry == "read 2AA8")


async def test_records_of_another_protocol_are_refused_one_by_one_and_none_is_a_value(bench: Any, sensor: Any) -> None:
    sensor.memory = dict.fromkeys((5, 10), CIPHER)

    def live() -> None:
        sensor.send(0x2AA7, CIPHER[::-1])

    sensor.answers = [lambda frames: [*frames, ResponseCode.SUCCESS] for _ in range(2)]
    sensor.answers.append(lambda frames: [*frames, ResponseCode.SUCCESS, live])
    await bench.follow(bench.session(sensor, "cgm"), lambda: len(details(bench, DeviceEventKind.FRAME_REJECTED)) == 2)
    assert bench.store.readings == {}
    assert all(detail.startswith("2AA7: ") for detail in details(bench, DeviceEventKind.FRAME_REJECTED))


async def test_a_sensor_that_warms_up_says_so_with_each_record(bench: Any, sensor: Any) -> None:
    early = CgmMeasurement(
        glucose=Special.NAN, time_offset=NOW_OFFSET - 5, annunciation=Annunciation.CALIBRATION_NOT_ALLOWED, crc=True
    )
    sensor.memory[NOW_OFFSET - 5] = bytes(early)
    await bench.follow(bench.session(sensor, "cgm"), lambda: bool(bench.store.readings))
    (reading,) = bench.store.readings.values()
    assert Quality.WARMING_UP in reading.quality
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED, DeviceEventKind.SENSOR_WARMING_UP]
