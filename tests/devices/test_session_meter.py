"""A blood-glucose meter: nothing comes by itself, numbers that may begin again, results in two frames."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devices.driver import Resume
from devices.drivers import driver_named
from devices.drivers.glucose_context import GlucoseContext, Meal
from devices.drivers.glucose_meter import GlucoseMeasurement, MeterStatus
from devices.drivers.glucose_sample import Fluid, SampleLocation
from devices.reading import Quality, Reading, Validity
from devices.record_access import Opcode, Operator, RecordRequest, RecordResponse, ResponseCode
from devices.source import DeviceEventKind
from devices.wall_clock import DateTime

MINUTE = 60_000
ACCESS, MEASUREMENT, CONTEXT = 0x2A52, 0x2A18, 0x2A34


class Meter:
    """The memory of a meter behind a scripted link, served as the Glucose service says.

    Attributes:
        memory: frames by sequence number, each with its characteristic.
        selective: False: it answers only to "all records".
    """

    def __init__(self, bench: Any, link: Any) -> None:
        self.bench = bench
        self.link = link
        self.memory: dict[int, list[tuple[int, bytes]]] = {}
        self.requests: list[RecordRequest] = []
        self.selective = True
        link.offered = {
            MEASUREMENT: {"notify"},
            CONTEXT: {"notify"},
            ACCESS: {"write", "indicate"},
            0x2A2B: {"read", "write"},
        }
        link.on_write[ACCESS] = lambda written: self.play(self.answer(written))

    def measure(self, sequence: int, glucose: int = 120, *, ago: int = 600, meal: Meal | None = None) -> None:
        """Take a value, so many minutes before now."""
        measurement = GlucoseMeasurement(
            sequence=sequence,
            base_time=DateTime.of(self.bench.clock.now - ago * MINUTE, self.bench.zone),
            concentration=Decimal(glucose),
            fluid=Fluid.CAPILLARY_WHOLE_BLOOD,
            location=SampleLocation.FINGER,
            context_follows=meal is not None,
        )
        self.memory[sequence] = [(MEASUREMENT, bytes(measurement))]
        if meal is not None:
            self.memory[sequence].append((CONTEXT, bytes(GlucoseContext(sequence=sequence, meal=meal))))

    def answer(self, written: bytes) -> list[tuple[int, bytes]]:
        """Return all that is sent in answer to a request."""
        request = RecordRequest.from_bytes(written)
        self.requests.append(request)
        chosen = sorted(self.memory)
        if request.operator == Operator.GREATER_THAN_OR_EQUAL:
            chosen = [number for number in chosen if number >= request.operands[0]]
        elif request.operator == Operator.LAST_RECORD:
            chosen = chosen[-1:]
        code = ResponseCode.SUCCESS if chosen else ResponseCode.NO_RECORDS_FOUND
        if not self.selective and request.operator != Operator.ALL_RECORDS:
            chosen, code = [], ResponseCode.OPERATOR_NOT_SUPPORTED
        frames = [frame for number in chosen for frame in self.memory[number]]
        return [*frames, (ACCESS, bytes(RecordResponse(request=request.opcode, code=code)))]

    def play(self, frames: list[tuple[int, bytes]]) -> None:
        """Send one frame after another, each in its own turn of the loop."""
        if frames:
            self.link.send(*frames[0])
            asyncio.get_running_loop().call_soon(self.play, frames[1:])

    @property
    def asked(self) -> list[int | str]:
        """What each request for stored records asked for."""
        return [
            request.operands[0] if request.operands else Operator(request.operator).name.lower()
            for request in self.requests
            if request.opcode == Opcode.REPORT_STORED_RECORDS
        ]


@pytest.fixture
def meter(bench: Any, monitor: Any) -> Meter:
    return Meter(bench, monitor)


def kept(bench: Any) -> list[Reading]:
    return list(bench.store.readings.values())


def newest(bench: Any) -> Resume:
    """Resume as a box does: from the key of the newest reading."""
    readings = kept(bench)
    if not readings:
        return Resume()
    return driver_named("glucose_meter").resume_after(max(readings, key=lambda reading: reading.order).key)


def session(bench: Any, meter: Meter) -> Any:
    return bench.session(meter.link, "glucose_meter", resume=lambda: newest(bench))


def clock_was_set(bench: Any) -> bool:
    return bool({DeviceEventKind.CLOCK_SET, DeviceEventKind.CLOCK_WRONG} & set(bench.store.kinds()))


async def visit(bench: Any, meter: Meter) -> None:
    """Let a box that was just started read all there is, until it has set the clock."""
    already = len(bench.store.events)
    followed = session(bench, meter)
    await bench.follow(
        followed, lambda: any(event.kind is DeviceEventKind.CLOCK_SET for event in bench.store.events[already:])
    )


async def test_all_is_listened_to_before_the_memory_is_read_and_the_clock_is_set_after(
    bench: Any, meter: Meter
) -> None:
    for sequence in (1, 2, 3):
        meter.measure(sequence)
    await visit(bench, meter)
    assert [reading.key.partition(":")[0] for reading in kept(bench)] == ["00001", "00002", "00003"]
    assert bench.log[:6] == ["connect", "pair", "subscribe 2A18", "subscribe 2A34", "subscribe 2A52", "write 2A52 0101"]
    assert bench.log.index("persisted") < bench.log.index("read 2A2B")
    assert bench.store.kinds() == [DeviceEventKind.CONNECTED, DeviceEventKind.CLOCK_SET]


async def test_a_box_that_comes_back_asks_for_its_newest_record_and_what_comes_after_it(
    bench: Any, meter: Meter
) -> None:
    meter.measure(7, ago=900)
    meter.measure(8, ago=800)
    await visit(bench, meter)
    meter.measure(9, 140, ago=300)
    await visit(bench, meter)
    assert meter.asked == ["all_records", 8]
    assert [(reading.key[:5], int(reading.value)) for reading in kept(bench)] == [
        ("00007", 120),
        ("00008", 120),
        ("00009", 140),
    ]
    assert sum(bench.store.sizes) == 3


async def test_a_meter_without_new_results_has_done_nothing_wrong(bench: Any, meter: Meter) -> None:
    await visit(bench, meter)
    meter.measure(1)
    await visit(bench, meter)
    await visit(bench, meter)
    assert meter.asked == ["all_records", "all_records", 1]
    assert len(kept(bench)) == 1
    assert set(bench.store.kinds()) == {DeviceEventKind.CONNECTED, DeviceEventKind.CLOCK_SET}


async def test_a_result_and_its_context_are_one(bench: Any, meter: Meter) -> None:
    meter.measure(1, meal=Meal.FASTING)
    meter.measure(2)
    meter.measure(3, meal=Meal.AFTER_MEAL)
    await visit(bench, meter)
    assert [reading.quality for reading in kept(bench)] == [Quality.FASTING, Quality.NONE, Quality.AFTER_MEAL]
    assert DeviceEventKind.FRAME_REJECTED not in bench.store.kinds()


async def test_a_context_that_never_comes_costs_no_result(bench: Any, meter: Meter) -> None:
    meter.measure(1, meal=Meal.FASTING)
    meter.measure(2, meal=Meal.FASTING)
    del meter.memory[1][1], meter.memory[2][1]
    bench.patience = replace(bench.patience, join=0.01)
    await visit(bench, meter)
    assert [reading.quality for reading in kept(bench)] == [Quality.NONE, Quality.NONE]


async def test_contexts_that_come_out_of_place_cost_no_result(bench: Any, meter: Meter) -> None:
    for sequence in (1, 2, 3):
        meter.measure(sequence, meal=Meal.BEFORE_MEAL)
    lone = [meter.memory[sequence].pop() for sequence in (1, 2, 3)]
    meter.memory[3] += lone
    await visit(bench, meter)
    assert [reading.key[:5] for reading in kept(bench)] == ["00001", "00002", "00003"]


async def test_a_meter_whose_numbers_began_again_is_read_from_its_beginning(bench: Any, meter: Meter) -> None:
    for sequence in range(1, 11):
        meter.measure(sequence, ago=1000 - sequence)
    await visit(bench, meter)
    meter.memory.clear()
    meter.requests.clear()
    meter.measure(1, 150, ago=60)
    meter.measure(2, 151, ago=50)
    await visit(bench, meter)
    assert meter.asked == [10, "last_record", "all_records"]
    assert [int(reading.value) for reading in kept(bench)[10:]] == [150, 151]
    meter.measure(3, 152, ago=40)
    await visit(bench, meter)
    assert meter.asked[3:] == [2]
    assert len(kept(bench)) == sum(bench.store.sizes) == 13


@pytest.mark.parametrize("results", [3, 4, 7])
async def test_numbers_that_began_again_and_have_come_as_far_hide_nothing(
    bench: Any, meter: Meter, results: int
) -> None:
    for sequence in (1, 2, 3):
        meter.measure(sequence, ago=1000 - sequence)
    await visit(bench, meter)
    meter.memory.clear()
    for sequence in range(1, results + 1):
        meter.measure(sequence, 150 + sequence, ago=500 - sequence)
    await visit(bench, meter)
    assert meter.asked[:3] == ["all_records", 3, "all_records"]
    assert [int(reading.value) for reading in kept(bench)[3:]] == [150 + number for number in range(1, results + 1)]
    assert sum(bench.store.sizes) == 3 + results


async def test_a_link_lost_while_numbers_that_began_again_are_read_hides_nothing(bench: Any, meter: Meter) -> None:
    meter.measure(1, ago=1000)
    await visit(bench, meter)
    for sequence in range(1, 9):
        meter.measure(sequence, 150 + sequence, ago=500 - sequence)
    cuts = iter((8, 6))
    serve = meter.play

    def play(frames: list[tuple[int, bytes]]) -> None:
        left = next(cuts, None)
        serve(frames if left is None else frames[:left])
        if left is not None:
            asyncio.get_running_loop().call_later(0.02, meter.link.cut)

    meter.link.on_write[ACCESS] = lambda written: play(meter.answer(written))
    await visit(bench, meter)
    assert [int(reading.value) for reading in kept(bench)] == [120, *range(151, 159)]


async def test_a_meter_that_cannot_choose_is_asked_for_all_and_nothing_is_kept_twice(bench: Any, meter: Meter) -> None:
    meter.selective = False
    meter.measure(1)
    await visit(bench, meter)
    meter.measure(2, ago=500)
    await visit(bench, meter)
    assert meter.asked == ["all_records", 1, "all_records"]
    assert [reading.key[:5] for reading in kept(bench)] == ["00001", "00002"]


async def test_a_result_of_a_moment_ago_is_read_too(bench: Any, meter: Meter) -> None:
    meter.measure(1, ago=0)
    await visit(bench, meter)
    meter.measure(2, ago=0)
    await visit(bench, meter)
    assert [reading.key[:5] for reading in kept(bench)] == ["00001", "00002"]
    assert sum(bench.store.sizes) == 2


async def test_what_a_result_shows_about_the_meter_comes_as_events(bench: Any, meter: Meter) -> None:
    said = GlucoseMeasurement(
        sequence=1,
        base_time=DateTime.of(bench.clock.now - 600 * MINUTE, bench.zone),
        concentration=Decimal(120),
        fluid=Fluid.CONTROL_SOLUTION,
        status=MeterStatus.BATTERY_LOW,
    )
    meter.memory[1] = [(MEASUREMENT, bytes(said))]
    await visit(bench, meter)
    (reading,) = kept(bench)
    assert reading.validity is Validity.INVALID
    assert Quality.CONTROL_SOLUTION in reading.quality
    assert DeviceEventKind.BATTERY_LOW in bench.store.kinds()


async def test_a_meter_without_a_memory_to_ask_is_refused(bench: Any, meter: Meter) -> None:
    del meter.link.offered[ACCESS]
    await bench.follow(session(bench, meter), lambda: DeviceEventKind.DRIVER_REFUSED in bench.store.kinds())
    assert bench.store.events[0].detail == "the device has no 2A52"
