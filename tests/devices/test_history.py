"""The record access procedure by itself."""

from typing import Any

import pytest

from devices.errors import RadioError
from devices.frame_queue import Arrival, FrameQueue
from devices.history import RecordAccess, RecordAccessError
from devices.record_access import Opcode, RecordCount, RecordRequest, RecordResponse, ResponseCode


@pytest.fixture
def queue(bench: Any, sensor: Any) -> FrameQueue:
    """What comes from the sensor, which is listened to."""
    queue = FrameQueue(100)
    sensor.open = True
    for characteristic in (0x2AA7, 0x2A52):
        sensor.subscribers[characteristic] = lambda frame, characteristic=characteristic: queue.put(
            Arrival(characteristic=characteristic, frame=frame, received_at=0)
        )
    return queue


async def report(bench: Any, sensor: Any, queue: FrameQueue) -> list[bytes]:
    records: list[bytes] = []

    async def keep(arrival: Arrival) -> bool:
        records.append(arrival.frame)
        return True

    access = RecordAccess(sensor.device, sensor, queue, bench.patience)
    await access.report(RecordRequest.report_all(), keep)
    return records


async def test_answers_to_other_requests_are_passed_over(bench: Any, sensor: Any, queue: FrameQueue) -> None:
    sensor.measure(5)

    def with_strays(frames: list[bytes]) -> list[Any]:
        aborted = RecordResponse(request=Opcode.ABORT_OPERATION, code=ResponseCode.SUCCESS)
        strays = [bytes(RecordCount(number=3)), bytes(aborted)]
        return [lambda: [sensor.send(0x2A52, stray) for stray in strays], *frames, ResponseCode.SUCCESS]

    sensor.answers.append(with_strays)
    assert await report(bench, sensor, queue) == [sensor.memory[5]]


async def test_a_refusal_carries_its_code(bench: Any, sensor: Any, queue: FrameQueue) -> None:
    sensor.answers.append(lambda _: [ResponseCode.PROCEDURE_NOT_COMPLETED])
    with pytest.raises(RecordAccessError, match="code 8") as refused:
        await report(bench, sensor, queue)
    assert refused.value.code == ResponseCode.PROCEDURE_NOT_COMPLETED


async def test_an_answer_that_is_none_ends_the_procedure(bench: Any, sensor: Any, queue: FrameQueue) -> None:
    sensor.answers.append(lambda _: [lambda: sensor.send(0x2A52, b"\x06\x00")])
    with pytest.raises(RecordAccessError, match="2A52: truncated"):
        await report(bench, sensor, queue)


@pytest.mark.parametrize("answer", [b"", b"\x06\x00", b"\x05\x00\x01\x00"])
async def test_an_abort_that_is_not_answered_properly_is_over_after_its_time(
    bench: Any, sensor: Any, queue: FrameQueue, answer: bytes
) -> None:
    sensor.on_write[0x2A52] = lambda written: sensor.send(0x2A52, answer) if written[0] == 3 and answer else None
    with pytest.raises(RecordAccessError, match="silent"):
        await report(bench, sensor, queue)
    assert sensor.log[-1] == "write 2A52 0300"


async def test_records_that_come_after_an_abort_are_left_in_the_device(
    bench: Any, sensor: Any, queue: FrameQueue
) -> None:
    sensor.measure(5)
    sensor.answers.append(lambda _: [sensor.SILENT])
    plain = sensor.on_write[0x2A52]

    def write(written: bytes) -> None:
        if written[0] == Opcode.ABORT_OPERATION:
            sensor.send(0x2AA7, sensor.memory[5])
        plain(written)

    sensor.on_write[0x2A52] = write
    with pytest.raises(RecordAccessError, match="silent"):
        await report(bench, sensor, queue)
    assert queue.take(1) == []


async def test_a_link_that_ends_ends_the_procedure(bench: Any, sensor: Any, queue: FrameQueue) -> None:
    sensor.answers.append(lambda _: [queue.end])
    with pytest.raises(RadioError, match="the link was lost") as lost:
        await report(bench, sensor, queue)
    assert not isinstance(lost.value, RecordAccessError)


async def test_a_link_that_ends_while_aborting_is_a_silence_all_the_same(
    bench: Any, sensor: Any, queue: FrameQueue
) -> None:
    sensor.on_write[0x2A52] = lambda written: queue.end() if written[0] == 3 else None
    with pytest.raises(RecordAccessError, match="silent"):
        await report(bench, sensor, queue)
