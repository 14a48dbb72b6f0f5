"""Frames that are one record come out as one, and no frame is lost for the other half that never came."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.drivers.blood_pressure import BloodPressureDriver
from devices.frame_queue import Arrival
from devices.joining import Joiner


class Halves(BloodPressureDriver):
    """A driver for which a frame that begins with 1 awaits the next on the other characteristic."""

    def awaits(self, characteristic: int, frame: bytes) -> int | None:
        return 0x2A34 if frame[:1] == b"\1" else None


def arrival(characteristic: int, frame: bytes) -> Arrival:
    return Arrival(characteristic=characteristic, frame=frame, received_at=0)


@pytest.fixture
def joined() -> list[Arrival]:
    return []


async def test_two_halves_come_out_as_one(joined: list[Arrival]) -> None:
    joiner = Joiner(Halves(), joined.append, within=60)
    joiner.put(arrival(0x2A18, b"\1first"))
    assert not joined
    joiner.put(arrival(0x2A34, b"second"))
    assert [(item.frame, item.rest) for item in joined] == [(b"\1first", b"second")]


async def test_a_half_whose_other_does_not_come_is_handed_on_before_what_came(joined: list[Arrival]) -> None:
    joiner = Joiner(Halves(), joined.append, within=60)
    joiner.put(arrival(0x2A18, b"\1first"))
    joiner.put(arrival(0x2A52, b"\6"))
    assert [item.frame for item in joined] == [b"\1first", b"\6"]


async def test_a_first_half_that_comes_again_is_no_second_half(joined: list[Arrival]) -> None:
    joiner = Joiner(Halves(), joined.append, within=60)
    for frame in (b"\1first", b"\1first", b"second"):
        joiner.put(arrival(0x2A34, frame))
    assert [(item.frame, item.rest) for item in joined] == [(b"\1first", b""), (b"\1first", b"second")]


async def test_a_half_is_handed_on_alone_when_its_time_is_up() -> None:
    alone: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
    joiner = Joiner(Halves(), alone.set_result, within=0.001)
    joiner.put(arrival(0x2A18, b"\1first"))
    async with asyncio.timeout(5):
        assert (await alone).rest == b""


async def test_a_half_is_handed_on_when_the_link_ends(joined: list[Arrival]) -> None:
    joiner = Joiner(Halves(), joined.append, within=60)
    joiner.put(arrival(0x2A18, b"\1first"))
    joiner.flush()
    joiner.flush()
    assert [item.frame for item in joined] == [b"\1first"]


@given(frames=st.lists(st.tuples(st.sampled_from([0x2A18, 0x2A34]), st.sampled_from([b"\1", b"\2"]))))
@settings(max_examples=100, deadline=None)
def test_every_frame_comes_out_once_in_order(frames: list[tuple[int, bytes]]) -> None:
    async def run() -> list[Arrival]:
        joined: list[Arrival] = []
        take: Callable[[Arrival], None] = joined.append
        joiner = Joiner(Halves(), take, within=60)
        for characteristic, frame in frames:
            joiner.put(arrival(characteristic, frame))
        joiner.flush()
        return joined

    joined = asyncio.run(run())
    out = [piece for item in joined for piece in (item.frame, item.rest) if piece]
    assert out == [frame for _, frame in frames]
