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


@pytest.mark.parametrize("said", [None, RadioError("refused")])
async def test_a_device_that_does_not_answer_is_not_asked_again(said: RadioError | None) -> None:
    about, silent = About(within=0.001), link({0x2A19: said})
    assert await about.battery(silent) is None
    assert await about.battery(silent) is None
    assert silent.asked == [0x2A19]


async def test_a_device_introduces_itself_once() -> None:
    about = About(within=5)
    named = link({0x2A29: b"A&D\0Medical\n", 0x2A24: b"UA-651BLE" + b"x" * 60, 0x2A26: b"\xff\0"})
    facts = await about.introduction(named)
    assert facts == DeviceFacts(manufacturer="A&DMedical", model=("UA-651BLE" + "x" * 60)[:40], firmware="\ufffd")
    assert await about.introduction(named) is None
