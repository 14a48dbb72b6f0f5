"""A device that is only listened to: each result once, whatever the air and the radio do."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devices.broadcast import BroadcastSource
from devices.drivers import BROADCASTS
from devices.drivers.xiaomi_scale import CompositionBroadcast
from devices.errors import RadioError
from devices.radio import Advertisement, Connection
from devices.source import Batch, DeviceEventKind
from devices.wall_clock import UNKNOWN_DATE_TIME, DateTime

DEVICE = "C4:B0:00:00:00:05"
(DRIVER,) = (driver for driver in BROADCASTS if driver.name == "xiaomi_scale")
MINUTE = 60_000


class ScriptedAir:
    """A radio that hears what the test says, one thing after the other, then nothing more.

    `asked` holds the address of each time that somebody began to listen, `listening` how many do now.
    """

    def __init__(self, *script: Advertisement | RadioError | Callable[[], None]) -> None:
        self.script = list(script)
        self.asked: list[str | None] = []
        self.listening = 0

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        self.asked.append(address)
        self.listening += 1
        try:
            yield self._hear()
        finally:
            self.listening -= 1

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        raise AssertionError(f"{address} was looked for to connect to it")

    def connect(self, address: str, *, within: float) -> AbstractAsyncContextManager[Connection]:
        raise AssertionError(f"a broadcast cost a connection to {address}")

    async def _hear(self) -> AsyncIterator[Advertisement]:
        while self.script:
            await asyncio.sleep(0)
            step = self.script.pop(0)
            if isinstance(step, RadioError):
                raise step
            if isinstance(step, Advertisement):
                yield step
            else:
                step()
        await asyncio.Event().wait()


def source(bench: Any, air: ScriptedAir) -> BroadcastSource:
    return BroadcastSource(
        radio=air,
        driver=DRIVER,
        device=DEVICE.lower(),
        zone=bench.zone,
        clock=bench.clock,
        patience=bench.patience,
        rng=random.Random(1),
    )


def result(bench: Any, kilograms: str = "70.04", *, minutes_ago: int = 0, **changes: Any) -> Advertisement:
    at = DateTime.of(bench.clock.now - minutes_ago * MINUTE, bench.zone)
    said = CompositionBroadcast(weight=Decimal(kilograms), time_stamp=at, **{"settled": True, **changes})
    return Advertisement(address=DEVICE, services=frozenset({0x181B}), service_data={0x181B: bytes(said)})


async def collect(bench: Any, air: ScriptedAir) -> list[Batch]:
    """Return every batch until the script is at its end."""
    batches: list[Batch] = []
    ended = asyncio.Event()
    air.script.append(ended.set)

    async def follow() -> None:
        async with aclosing(source(bench, air).batches()) as stream:
            async for batch in stream:
                batches.append(batch)  # noqa: PERF401 what came before the end of the script counts

    task = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        await ended.wait()
    task.cancel()
    await asyncio.wait({task})
    return batches


def weights(batches: list[Batch]) -> list[str]:
    return [str(reading.value) for batch in batches for reading in batch.readings]


def kinds(batches: list[Batch]) -> list[DeviceEventKind]:
    return [event.kind for batch in batches for event in batch.events]


async def test_a_result_is_handed_on_once_from_settling_to_long_after(bench: Any) -> None:
    settled = [result(bench)] * 5 + [result(bench, has_impedance=True, impedance=502)] * 5
    air = ScriptedAir(result(bench, "69", settled=False), *settled, *[result(bench, removed=True)] * 50)
    batches = await collect(bench, air)
    assert weights(batches) == ["70.040"]
    assert (air.asked, air.listening) == ([DEVICE], 0)
    assert batches[-1].readings[0].device == DEVICE


async def test_an_undated_result_that_is_repeated_for_hours_is_one(bench: Any) -> None:
    payload = bytes(CompositionBroadcast(weight=Decimal("70.04"), time_stamp=UNKNOWN_DATE_TIME, settled=True))
    undated = replace(result(bench), service_data={0x181B: payload})

    def later(minutes: int) -> Callable[[], None]:
        return lambda: setattr(bench.clock, "now", bench.clock.now + minutes * MINUTE)

    script = [step for _ in range(50) for step in (undated, later(3))]
    assert weights(await collect(bench, ScriptedAir(*script))) == ["70.040"]
    # After a silence it is another weighing, though it weighs the same.
    again = ScriptedAir(undated, later(3), undated, later(61), undated)
    assert weights(await collect(bench, again)) == ["70.040", "70.040"]


async def test_the_next_weighing_is_another(bench: Any) -> None:
    first, second = result(bench, minutes_ago=2), result(bench, "70.5")
    assert weights(await collect(bench, ScriptedAir(first, second, first, second))) == ["70.040", "70.500"]


async def test_a_result_counts_as_handed_on_only_when_it_is_persisted(bench: Any) -> None:
    air = ScriptedAir(*[result(bench)] * 3)
    made = source(bench, air)
    async with asyncio.timeout(10), aclosing(made.batches()) as stream:
        assert weights([await anext(stream)]) == ["70.040"]
        # The consumer is killed here, before it could persist.
    air.script = [result(bench)]
    async with asyncio.timeout(10), aclosing(made.batches()) as stream:
        assert weights([await anext(stream)]) == ["70.040"]
    assert air.listening == 0


async def test_that_it_was_heard_is_told_once_a_minute(bench: Any) -> None:
    start = bench.clock.now

    def after(seconds: int) -> Callable[[], None]:
        def move() -> None:
            bench.clock.now = start + seconds * 1000

        return move

    silent = Advertisement(address=DEVICE)
    air = ScriptedAir(silent, silent, after(59), silent, after(60), silent, silent, after(-3600), silent)
    batches = await collect(bench, air)
    assert [batch.facts.seen_at for batch in batches if batch.facts] == [start, start + 60_000, start - 3_600_000]
    assert all(batch.facts for batch in batches)


async def test_a_refused_frame_is_said_once_then_counted_by_the_hour(bench: Any) -> None:
    wrong = Advertisement(address=DEVICE, service_data={0x181B: b"\x02\x26"})

    def an_hour_later() -> None:
        bench.clock.now += 3_600_000

    air = ScriptedAir(wrong, wrong, wrong, result(bench), an_hour_later, wrong, wrong)
    batches = await collect(bench, air)
    assert weights(batches) == ["70.040"]
    reason = "181B: truncated: the year needs 2 bytes, 0 are left"
    said = [event.detail for batch in batches for event in batch.events]
    assert said == [reason, f"{reason} (3 more)", reason]
    assert set(kinds(batches)) == {DeviceEventKind.FRAME_REJECTED}


async def test_a_radio_that_fails_is_listened_to_again(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gone = [RadioError("scanning: no adapter", service_gone=True) for _ in range(4)]
    air = ScriptedAir(*gone, result(bench), RadioError("scanning: no adapter"), result(bench), result(bench, "71"))
    batches = await collect(bench, air)
    assert weights(batches) == ["70.040", "71.000"]
    assert air.asked == [DEVICE] * 6
    # Once when it failed, and once more when it failed again after something was heard.
    assert caplog.messages == ["device 00:05: scanning: no adapter"] * 2


async def test_what_no_living_person_weighs_is_told(bench: Any) -> None:
    batches = await collect(bench, ScriptedAir(result(bench, "0.5"), result(bench, "0.5")))
    assert weights(batches) == ["0.500"]
    assert kinds(batches) == [DeviceEventKind.VALUE_IMPLAUSIBLE]


async def test_a_device_that_encrypts_is_refused_once_with_its_reason(bench: Any) -> None:
    encrypted = Advertisement(
        address=DEVICE,
        name="Xiaomi Scale S400 0000",
        service_data={0xFE95: bytes.fromhex("3058d53b0000000000000008")},
    )
    batches = await collect(bench, ScriptedAir(encrypted, encrypted, encrypted))
    assert kinds(batches) == [DeviceEventKind.DRIVER_REFUSED]
    (event,) = batches[0].events
    assert event.detail.startswith("the device encrypts its advertisements")


async def test_a_repeated_result_is_known_although_256_others_came_between(bench: Any) -> None:
    """Older ones are the store's to recognise: they have the key that they had."""
    first = result(bench)
    others = [result(bench, str(Decimal(60) + Decimal(number) / 20)) for number in range(256)]
    batches = await collect(bench, ScriptedAir(first, *others, first))
    again = [reading for batch in batches for reading in batch.readings if str(reading.value) == "70.040"]
    assert len(again) == 2
    assert again[0].key == again[1].key


def test_its_device_is_named_as_readings_name_it(bench: Any) -> None:
    assert source(bench, ScriptedAir()).device == DEVICE
