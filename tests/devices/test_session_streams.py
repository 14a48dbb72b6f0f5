"""Devices that send a value a second: thinned, fetched around, and never asked for again."""

from decimal import Decimal
from typing import Any

import pytest

from devices.drivers.heart_rate import HeartRateMeasurement
from devices.drivers.pulse_oximeter import Continuous, SpO2PR, SpotCheck
from devices.drivers.pulse_oximeter_status import MeasurementStatus
from devices.reading import Quantity, Reading
from devices.record_access import Opcode, RecordRequest, RecordResponse, ResponseCode
from devices.source import DeviceEventKind
from devices.wall_clock import DateTime

RATE, SPOT, CONTINUOUS, ACCESS = 0x2A37, 0x2A5E, 0x2A5F, 0x2A52


def kept(bench: Any, quantity: Quantity) -> list[int]:
    readings: list[Reading] = list(bench.store.readings.values())
    return [reading.count // 10 for reading in readings if reading.quantity is quantity]


def value(spo2: int, pulse: int = 72) -> bytes:
    return bytes(Continuous(normal=SpO2PR(spo2=Decimal(spo2), pulse_rate=Decimal(pulse))))


def stored(minute: int, spo2: int, perfusion: str = "4.2") -> bytes:
    return bytes(
        SpotCheck(
            normal=SpO2PR(spo2=Decimal(spo2), pulse_rate=Decimal(70)),
            time_stamp=DateTime(year=2026, month=11, day=22, hours=7, minutes=minute, seconds=0),
            measurement_status=MeasurementStatus.FROM_STORAGE,
            pulse_amplitude_index=Decimal(perfusion),
        )
    )


@pytest.fixture
def oximeter(bench: Any, monitor: Any) -> Any:
    """An oximeter with two spot-checks in its memory and a finger in it."""
    monitor.offered = {SPOT: {"indicate"}, CONTINUOUS: {"notify"}, ACCESS: {"write", "indicate"}}

    def answer(written: bytes) -> None:
        assert RecordRequest.from_bytes(written) == RecordRequest.report_all()
        monitor.send(SPOT, stored(1, 95))
        monitor.send(CONTINUOUS, value(91))
        monitor.send(SPOT, stored(2, 96))
        monitor.send(ACCESS, bytes(RecordResponse(request=Opcode.REPORT_STORED_RECORDS, code=ResponseCode.SUCCESS)))

    monitor.on_write[ACCESS] = answer
    return monitor


async def test_a_record_of_several_quantities_is_fetched_whole_and_what_comes_meanwhile_is_live(
    bench: Any, oximeter: Any
) -> None:
    await bench.follow(bench.session(oximeter, "pulse_oximeter"), lambda: kept(bench, Quantity.SPO2) == [95, 96, 91])
    assert kept(bench, Quantity.PULSE_RATE) == [70, 70, 72]
    assert len(kept(bench, Quantity.PERFUSION_INDEX)) == 2


async def test_a_refused_value_of_a_stream_asks_for_nothing(bench: Any, oximeter: Any) -> None:
    def stream() -> None:
        oximeter.on_subscribed = lambda: None
        oximeter.send(CONTINUOUS, value(90)[:-1])
        oximeter.send(CONTINUOUS, value(89))
        oximeter.send(CONTINUOUS, value(88)[:-1])
        oximeter.send(CONTINUOUS, value(87))

    started = bench.session(oximeter, "pulse_oximeter")
    events = bench.store.kinds

    def seen() -> bool:
        if 91 in kept(bench, Quantity.SPO2) and 89 not in kept(bench, Quantity.SPO2):
            stream()
        return 87 in kept(bench, Quantity.SPO2)

    await bench.follow(started, seen)
    assert DeviceEventKind.FRAME_REJECTED in events()
    assert [entry for entry in bench.log if entry.startswith("write 2A52")] == ["write 2A52 0101"]


async def test_each_minute_of_a_stream_begins_anew(bench: Any, monitor: Any) -> None:
    monitor.offered = {RATE: {"notify"}}

    def beats() -> None:
        for second, rate in enumerate([70] * 150):
            bench.clock.now = begun + second * 1000
            monitor.send(RATE, bytes(HeartRateMeasurement(heart_rate=rate)))
        monitor.send(RATE, bytes(HeartRateMeasurement(heart_rate=99)))

    begun = bench.clock.now
    monitor.on_subscribed = beats
    await bench.follow(bench.session(monitor, "heart_rate"), lambda: 99 in kept(bench, Quantity.HEART_RATE))
    assert kept(bench, Quantity.HEART_RATE) == [70, 70, 70, 99]
