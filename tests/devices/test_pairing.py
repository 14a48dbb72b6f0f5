"""What pairing says of devices that only broadcast, that are hard to reach, or that give nothing that proves a bond."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.drivers import BROADCASTS, driver_named
from devices.errors import RadioError
from devices.installer import Installer
from devices.pairing import Outcome, PairingPatience, PairingState, PairingWalk
from devices.radio import Advertisement
from devices.survey import MOST, Sighting, survey

ADDRESS = "C4:B0:00:00:00:05"
WEIGHING = bytes.fromhex("22c83fea070b16080000")
"""Made here: Xiaomi's weight format, stabilised, 81.64 kg on 2026-11-22 at 08:00:00."""


class Clock:
    def now_ms(self) -> int:
        return 1_795_334_400_000

    def seconds_until(self, at_ms: int) -> float:
        return 0.0


class Device:
    """A radio on which there is one device, its link, the box's bonds and an installer: all that a walk meets."""

    def __init__(self) -> None:
        self.characteristics: dict[int, set[str]] = {0x2A35: {"indicate"}, 0x2A19: {"read"}}
        self.said: list[Advertisement] = []
        self.connect_errors: list[RadioError] = []
        self.read_errors: list[RadioError] = []
        self.values: dict[int, bytes] = {}
        self.bonds: set[str] = set()
        self.log: list[str] = []
        self.hangs_up = False
        self.keeps_key = True

    # The radio

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        return Advertisement(address=address)

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        async def heard() -> AsyncIterator[Advertisement]:
            for advertisement in self.said:
                yield advertisement
            await asyncio.Event().wait()

        yield heard()

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator["Device"]:
        self.log.append("connect")
        if self.connect_errors:
            raise self.connect_errors.pop(0)
        yield self

    # The link

    def has(self, characteristic: int) -> bool:
        return characteristic in self.characteristics

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset(self.characteristics.get(characteristic, ()))

    async def read(self, characteristic: int) -> bytes:
        if self.read_errors:
            raise self.read_errors.pop(0)
        return self.values.get(characteristic, b"\x57")

    async def write(self, characteristic: int, value: bytes) -> None:
        raise AssertionError("pairing writes nothing")

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        self.log.append(f"listen {characteristic:04X}")
        on_value(b"\xff")

    async def pair(self) -> None:
        self.log.append("pair")
        if self.keeps_key:
            self.bonds.add(ADDRESS)

    async def wait_closed(self) -> None:
        if self.hangs_up:
            raise RadioError("the link was lost", device=ADDRESS)
        await asyncio.Event().wait()

    # The bonds

    async def bonded(self, device: str) -> bool:
        return device in self.bonds

    async def forget(self, device: str) -> bool:
        raise AssertionError("pairing forgets nobody")

    @asynccontextmanager
    async def attending(self, device: str, installer: Installer) -> AsyncIterator[None]:
        self.log.append("attend")
        yield

    # The installer

    async def passkey(self, device: str) -> int | None:
        return None

    async def confirm(self, device: str, code: str) -> bool:
        return False

    def show(self, device: str, code: str) -> None:
        self.log.append("show")

    async def leave_pairing_mode(self, device: str) -> None:
        self.log.append("leave")


@pytest.fixture
def device() -> Device:
    return Device()


async def pair(device: Device, driver: Any) -> Outcome:
    walk = PairingWalk(
        radio=device,
        bonds=device,
        installer=device,
        clock=Clock(),
        zone=ZoneInfo("Europe/Paris"),
        patience=PairingPatience(again=0.05, listen=0.01, pause=0.0),
    )
    return await walk.pair(Sighting(heard=Advertisement(address=ADDRESS), driver=driver, refused=None))


MONITOR = driver_named("blood_pressure")


async def test_a_device_that_broadcasts_is_proved_by_what_can_be_read_of_it(device: Device) -> None:
    spoken = Advertisement(address=ADDRESS, services=frozenset({0x181D}), service_data={0x181D: WEIGHING})
    device.said = [
        Advertisement(address=ADDRESS, name="somebody else's words"),
        replace(spoken, service_data={0x181D: b"\x22"}),
        spoken,
    ]
    outcome = await pair(device, BROADCASTS[0])
    assert (outcome.state, outcome.readings) == (PairingState.PROVED, 1)
    assert device.log == [], "nothing is connected, bonded or left"


async def test_a_device_that_broadcasts_nothing_that_can_be_read_is_refused(device: Device) -> None:
    spoken = Advertisement(address=ADDRESS, services=frozenset({0x181D}), service_data={0x181D: WEIGHING[:1]})
    device.said = [spoken]
    outcome = await pair(device, BROADCASTS[0])
    assert outcome.state is PairingState.REFUSED
    assert outcome.advice is not None


async def test_a_link_that_fails_is_tried_again_and_a_frame_that_says_nothing_counts_for_none(device: Device) -> None:
    device.connect_errors = [RadioError("InProgress", device=ADDRESS)] * 2
    outcome = await pair(device, MONITOR)
    assert (outcome.state, outcome.readings) == (PairingState.PROVED, 0)
    assert device.log == ["attend", *["connect"] * 3, "pair", "leave", "connect", "listen 2A35"]


async def test_a_link_that_keeps_failing_is_said(device: Device) -> None:
    device.connect_errors = [RadioError("InProgress", device=ADDRESS)] * 3
    outcome = await pair(device, MONITOR)
    assert outcome.state is PairingState.REFUSED
    assert "InProgress" in outcome.why.fr


async def test_a_bonded_device_with_nothing_to_read_is_not_made_to_give_a_measurement_away(device: Device) -> None:
    device.bonds.add(ADDRESS)
    device.characteristics = {0x2A35: {"indicate"}}
    outcome = await pair(device, MONITOR)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert device.log == ["leave", "connect"]


async def test_a_device_that_refuses_to_be_read_has_lost_its_bond(device: Device) -> None:
    device.read_errors = [RadioError("insufficient encryption", device=ADDRESS, bond_lost=True)]
    outcome = await pair(device, MONITOR)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "--forget" in (outcome.advice.en if outcome.advice else "")


async def test_a_device_that_hangs_up_after_it_gave_what_it_had_is_proved(device: Device) -> None:
    device.hangs_up = True
    assert (await pair(device, MONITOR)).state is PairingState.PROVED


async def test_a_link_that_fails_before_anything_was_read_proves_nothing(device: Device) -> None:
    device.read_errors = [RadioError("the link was lost", device=ADDRESS)]
    outcome = await pair(device, MONITOR)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "the link was lost" in outcome.why.en


async def test_a_device_that_describes_itself_wrongly_is_not_proved(device: Device) -> None:
    sensor = driver_named("cgm")
    device.characteristics = {0x2AA7: {"notify"}, 0x2A52: {"indicate"}, 0x2AA8: {"read"}}
    device.values = {0x2AA8: b"\x00"}
    outcome = await pair(device, sensor)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "2AA8" in outcome.why.en


async def test_a_sensor_without_the_control_point_that_its_history_needs_is_refused(device: Device) -> None:
    device.characteristics = {0x2AA7: {"notify"}}
    outcome = await pair(device, driver_named("cgm"))
    assert outcome.state is PairingState.REFUSED
    assert "2A52" in outcome.why.en
    assert "pair" not in device.log


async def test_an_adapter_that_fails_while_bonding_is_no_fault_of_the_device(device: Device) -> None:
    device.connect_errors = [RadioError("the adapter is gone")]
    with pytest.raises(RadioError, match="adapter"):
        await pair(device, MONITOR)


async def test_the_survey_adds_up_what_a_device_says_in_pieces(device: Device) -> None:
    device.said = [
        Advertisement(address=ADDRESS, services=frozenset({0x1810}), rssi=-90),
        Advertisement(address=ADDRESS, name="Monitor", manufacturer_data={1: b"\x01"}, rssi=-55),
        Advertisement(address="C4:B0:00:00:00:06", services=frozenset({0x1810, 0x181D}), rssi=-70),
        Advertisement(address="C4:B0:00:00:00:07", rssi=-90),
    ]
    first, second, third = await survey(device, seconds=0.05)
    assert (first.address, first.heard.name, first.heard.rssi, first.signal.en) == (ADDRESS, "Monitor", -55, "strong")
    assert first.driver is MONITOR
    assert second.refused is not None
    assert "several drivers" in second.refused.en
    assert (third.refused and third.refused.fr, third.signal.fr) == ("aucun pilote ne le lit", "très faible")


async def test_the_survey_ends_when_the_one_that_is_looked_for_is_read(device: Device) -> None:
    device.said = [Advertisement(address=ADDRESS, services=frozenset({0x1810}))]
    async with asyncio.timeout(10):
        assert len(await survey(device, seconds=60.0, until=ADDRESS)) == 1


async def test_a_model_that_advertises_another_of_its_services_is_read_by_its_own_driver(device: Device) -> None:
    device.said = [Advertisement(address=ADDRESS, name="BF720", services=frozenset({0x181D}))]
    (seen,) = await survey(device, seconds=0.05)
    assert seen.driver is driver_named("body_composition")
    assert seen.quirk is not None


async def test_what_can_be_read_over_a_link_without_a_kept_key_proves_no_bond(device: Device) -> None:
    device.keeps_key = False
    outcome = await pair(device, MONITOR)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "key" in outcome.why.en
    assert device.log.count("connect") == 1


async def test_somebody_who_makes_up_addresses_does_not_hide_the_device_in_the_hand(device: Device) -> None:
    near = Advertisement(address=ADDRESS, services=frozenset({0x1810}), rssi=-50)
    crowd = [Advertisement(address=f"D0:00:00:00:{n // 256:02X}:{n % 256:02X}", rssi=-70) for n in range(3 * MOST)]
    device.said = [*crowd[:MOST], near, *crowd[MOST:]]
    seen = await survey(device, seconds=0.3)
    assert len(seen) == MOST
    assert seen[0].address == ADDRESS
    far = Advertisement(address=ADDRESS, rssi=-95)
    device.said = [far, *crowd, Advertisement(address=ADDRESS, services=frozenset({0x1810}), rssi=-95)]
    assert ADDRESS in {item.address for item in await survey(device, seconds=5.0, until=ADDRESS)}
