"""A device is bonded once by the box itself; what was forgotten since is nobody to talk to."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from devices.bonded_once import BondedOnce
from devices.errors import RadioError
from devices.installer import Installer
from devices.radio import Advertisement

SCALE = "C4:B0:00:00:00:03"


class System:
    """A radio and the keys that the system keeps, in memory."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.links = 0

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        return Advertisement(address=address)

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        async def heard() -> AsyncIterator[Advertisement]:
            yield Advertisement(address=address or SCALE)

        yield heard()

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator["Link"]:
        self.links += 1
        yield Link(self, address)

    async def bonded(self, device: str) -> bool:
        return device in self.keys

    async def forget(self, device: str) -> bool:
        raise AssertionError("a running box forgets nobody")

    def attending(self, device: str, installer: Installer) -> AbstractAsyncContextManager[None]:
        raise AssertionError("nobody is there")


class Link:
    """Bonds with whoever asks."""

    def __init__(self, system: System, address: str) -> None:
        self.system, self.address = system, address

    def has(self, characteristic: int) -> bool:
        return False

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset()

    async def read(self, characteristic: int) -> bytes:
        raise RadioError("absent", device=self.address)

    async def write(self, characteristic: int, value: bytes) -> None:
        raise RadioError("absent", device=self.address)

    async def subscribe(self, characteristic: int, on_value: object) -> None:
        raise RadioError("absent", device=self.address)

    async def pair(self) -> None:
        self.system.keys.add(self.address)

    async def wait_closed(self) -> None:
        return


async def visit(radio: BondedOnce) -> None:
    """What a session does."""
    async with radio.connect(SCALE, within=1.0) as link:
        await link.pair()


@pytest.fixture
def system() -> System:
    return System()


@pytest.fixture
def radio(system: System) -> BondedOnce:
    kept: set[str] = set()
    return BondedOnce(system, system, was_kept=kept.__contains__, on_kept=kept.add)


async def test_whoever_answers_for_a_device_that_was_forgotten_is_not_let_in(system: System, radio: BondedOnce) -> None:
    await visit(radio)
    await visit(radio)
    system.keys.clear()
    with pytest.raises(RadioError) as refused:
        await visit(radio)
    assert refused.value.bond_lost
    assert refused.value.device == SCALE, "the adapter is not at fault"
    assert (system.links, system.keys) == (2, set())


async def test_a_device_that_an_installer_paired_again_is_let_in(system: System, radio: BondedOnce) -> None:
    await visit(radio)
    await visit(radio)
    system.keys.clear()
    system.keys.add(SCALE)
    await visit(radio)
    assert system.links == 3


async def test_a_device_that_never_left_a_key_is_bonded_at_each_visit(system: System, radio: BondedOnce) -> None:
    for _ in range(3):
        await visit(radio)
        system.keys.clear()
    assert system.links == 3


async def test_everything_else_is_the_radios_own(radio: BondedOnce) -> None:
    assert await radio.find(SCALE, within=1.0) == Advertisement(address=SCALE)
    async with radio.listen(None) as heard:
        assert [item.address async for item in heard] == [SCALE]
