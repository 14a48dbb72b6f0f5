"""Frames between the radio's callbacks and the session."""

import asyncio

import pytest

from devices.frame_queue import Arrival, FrameQueue


def arrival(number: int) -> Arrival:
    return Arrival(characteristic=0x2A35, frame=bytes((number,)), received_at=number)


async def test_frames_come_out_in_order_and_then_the_end() -> None:
    queue = FrameQueue(10)
    for number in range(3):
        queue.put(arrival(number))
    queue.end()
    assert [await queue.get() for _ in range(4)] == [arrival(0), arrival(1), arrival(2), None]
    assert not queue.overflowed


async def test_what_comes_before_a_link_that_was_given_up_is_gone_is_kept() -> None:
    queue = FrameQueue(10)
    queue.end()
    assert await queue.get() is None
    queue.put(arrival(9))
    assert [await queue.get() for _ in range(2)] == [arrival(9), None]


async def test_a_full_queue_ends_instead_of_dropping_in_the_middle() -> None:
    queue = FrameQueue(2)
    for number in range(4):
        queue.put(arrival(number))
    assert queue.overflowed
    assert [await queue.get() for _ in range(3)] == [arrival(0), arrival(1), None]


async def test_waiting_ends_with_a_frame_the_end_or_the_time() -> None:
    queue = FrameQueue(2)
    with pytest.raises(TimeoutError):
        await queue.get(0.01)
    with pytest.raises(TimeoutError):
        await queue.get(0.0)
    asyncio.get_running_loop().call_soon(queue.put, arrival(1))
    assert await queue.get(5.0) == arrival(1)
    asyncio.get_running_loop().call_soon(queue.end)
    assert await queue.get() is None


async def test_what_waits_is_taken_at_once_and_can_be_put_back_first() -> None:
    queue = FrameQueue(10)
    for number in range(4):
        queue.put(arrival(number))
    taken = queue.take(2)
    assert taken == [arrival(0), arrival(1)]
    queue.put_back(taken)
    assert queue.take(10) == [arrival(number) for number in range(4)]
    assert queue.take(10) == []
