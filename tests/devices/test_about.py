"""What a device says about itself: asked for once, never waited for."""

import asyncio
from typing import Any

import pytest

from devices.about import About
from devices.errors import RadioError
from devices.source import DeviceFacts


class Link:
    """A link whose readable values are given; a missing one is never answered."""

    def __init__(self, values: dict[int, bytes | RadioError | None]) -> None:
        self.values = values
        self.asked: list[int] = []

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset({"read"} if characteristic in self.values else ())

    async def read(self, characteristic: int) -> bytes:
        self.asked.append(characteristic)
        said = self.values[characteristic]
        if isinstance(said, RadioError):
            raise said
        if said is None:
            await asyncio.Event().wait()
        return said or b""


def link(values: dict[int, bytes | RadioError | None]) -> Any:
    return Link(values)


@pytest.mark.parametrize(("said", "percent"), [(b"\x57", 87), (b"\x00", 0), (b"\x65", None), (b"", None)])
async def test_a_battery_is_a_percentage_or_nothing(said: bytes, percent: int | None) -> None:
    assert await About(within=5).battery(link({0x2A19: said})) == percent


async def test_a_device_without_a_battery_is_not_asked() -> None:
    assert await About(within=5).battery(link({})) is None


async def test_a_device_that_does_not_answer_is_not_asked_again() -> None:
    about, silent = About(within=0.001), link({0x2A19: None})
    assert await about.battery(silent) is None
    assert await about.battery(silent) is None
    assert silent.asked == [0x2A19]


async def test_a_device_that_refuses_each_time_is_asked_three_times() -> None:
    about, refusing = About(within=5), link({0x2A19: RadioError("refused")})
    for _ in range(5):
        assert await about.battery(refusing) is None
    assert refusing.asked == [0x2A19] * 3


async def test_links_that_were_lost_now_and_then_do_not_hide_a_battery_that_runs_low() -> None:
    about = About(within=5)
    for _ in range(4):
        assert await about.battery(link({0x2A19: RadioError("the link was lost")})) is None
        assert await about.battery(link({0x2A19: b"\x05"})) == 5


async def test_a_device_that_hung_up_before_it_had_said_all_is_asked_for_the_rest() -> None:
    about, lost = About(within=5), RadioError("the link was lost")
    assert await about.introduction(link({0x2A29: b"A&D", 0x2A24: lost, 0x2A26: lost})) == DeviceFacts(
        manufacturer="A&D"
    )
    named = link({0x2A29: b"A&D", 0x2A24: b"UA-651BLE", 0x2A26: b"1.0"})
    assert await about.introduction(named) == DeviceFacts(manufacturer="A&D", model="UA-651BLE", firmware="1.0")
    assert about.model == "UA-651BLE"
    assert await about.introduction(named) is None


async def test_a_device_introduces_itself_once() -> None:
    about = About(within=5)
    named = link({0x2A29: b"A&D\0Medical\n", 0x2A24: b"UA-651BLE" + b"x" * 60, 0x2A26: b"\xff\0"})
    facts = await about.introduction(named)
    assert facts == DeviceFacts(manufacturer="A&DMedical", model=("UA-651BLE" + "x" * 60)[:40], firmware="\ufffd")
    assert await about.introduction(named) is None
