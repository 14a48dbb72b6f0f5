"""What a device was told has arrived is kept, however the link ends: the device may have forgotten it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devices.consent import Consent
from devices.drivers.blood_pressure import BloodPressureMeasurement
from devices.drivers.body_composition import BodyCompositionMeasurement
from devices.drivers.pulse_oximeter import Continuous, SpO2PR, SpotCheck
from devices.drivers.pulse_oximeter_status import MeasurementStatus
from devices.errors import RadioError
from devices.reading import Quantity
from devices.slots import SlottedRadio
from devices.source import DeviceEventKind

PRESSURE, COMPOSITION, CONTROL = 0x2A35, 0x2A9C, 0x2A9F
SPOT, CONTINUOUS, ACCESS = 0x2A5E, 0x2A5F, 0x2A52


def pressure(systolic: int) -> bytes:
    return bytes(BloodPressureMeasurement(systolic=Decimal(systolic), diastolic=Decimal(80), mean=Decimal(93)))


def sends_while_closing(monitor: Any, characteristic: int, frame: bytes) -> None:
    """Let the device send something between the box's wish to close the link and its end."""
    cut, left = monitor.cut, [frame]

    def cut_late() -> None:
        if left:
            monitor.send(characteristic, left.pop())
        cut()

    monitor.cut = cut_late


def values(bench: Any, quantity: Quantity) -> list[str]:
    return [str(one.value) for one in bench.store.readings.values() if one.quantity is quantity]


def ended(bench: Any) -> Any:
    return lambda: DeviceEventKind.DISCONNECTED in bench.store.kinds()


async def test_what_comes_while_a_link_that_failed_is_being_closed_is_kept(bench: Any, monitor: Any) -> None:
    monitor.offered = {PRESSURE: {"indicate"}, CONTROL: {"write", "indicate"}}

    def unanswered(_: bytes) -> None:
        raise RadioError("writing 2A9F: no answer in 15 s", device=monitor.device)

    monitor.on_write[CONTROL] = unanswered
    sends_while_closing(monitor, PRESSURE, pressure(150))
    session = bench.session(monitor, "blood_pressure", consents=(Consent(user=1, code=1),))
    await bench.follow(session, ended(bench))
    assert values(bench, Quantity.BLOOD_PRESSURE_SYSTOLIC) == ["150.0"]


async def test_what_comes_while_a_link_gives_way_to_another_is_kept(bench: Any, monitor: Any) -> None:
    radio: Any = SlottedRadio(monitor, slots=1, turn=0.0)
    radio.device = monitor.device
    monitor.offered = {PRESSURE: {"indicate"}}
    monitor.on_subscribed = lambda: monitor.send(PRESSURE, pressure(140))
    sends_while_closing(monitor, PRESSURE, pressure(150))

    async def another() -> None:
        async with radio.connect("C4:B0:00:00:00:09", within=1.0):
            await asyncio.Event().wait()

    waiting: list[asyncio.Task[None]] = []

    def until() -> bool:
        if bench.store.readings and not waiting:
            waiting.append(asyncio.create_task(another()))
        return DeviceEventKind.DISCONNECTED in bench.store.kinds()

    try:
        await bench.follow(bench.session(radio, "blood_pressure"), until)
    finally:
        for task in waiting:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert values(bench, Quantity.BLOOD_PRESSURE_SYSTOLIC) == ["140.0", "150.0"]


async def test_a_record_whose_second_half_the_link_did_not_bring_is_kept(bench: Any, monitor: Any) -> None:
    bench.patience = replace(bench.patience, join=60.0)
    monitor.offered = {COMPOSITION: {"indicate"}, CONTROL: {"write", "indicate"}}
    half = BodyCompositionMeasurement(
        body_fat=Decimal("22.5"), user_id=1, weight=Decimal("70.05"), multiple_packets=True
    )

    def lost(_: bytes) -> None:
        monitor.send(COMPOSITION, bytes(half))
        raise RadioError("writing 2A9F: the link was lost", device=monitor.device)

    monitor.on_write[CONTROL] = lost
    session = bench.session(monitor, "body_composition", consents=(Consent(user=1, code=1),))
    await bench.follow(session, ended(bench))
    assert values(bench, Quantity.BODY_WEIGHT) == ["70.050"]


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_an_oximeter_that_never_says_that_these_were_all_is_read_all_the_same(
    bench: Any, monitor: Any, count: int
) -> None:
    monitor.offered = {SPOT: {"indicate"}, CONTINUOUS: {"notify"}, ACCESS: {"write", "indicate"}}
    stored = [
        bytes(
            SpotCheck(
                normal=SpO2PR(spo2=Decimal(90 + number), pulse_rate=Decimal(70)),
                measurement_status=MeasurementStatus.FROM_STORAGE,
            )
        )
        for number in range(count)
    ]

    def answer(_: bytes) -> None:
        for frame in stored:
            monitor.send(SPOT, frame)
        monitor.send(CONTINUOUS, bytes(Continuous(normal=SpO2PR(spo2=Decimal(81), pulse_rate=Decimal(72)))))

    monitor.on_write[ACCESS] = answer
    await bench.follow(bench.session(monitor, "pulse_oximeter"), ended(bench))
    assert values(bench, Quantity.SPO2) == [*(f"{90 + number}.0" for number in range(count)), "81.0"]
