"""Pairing and its proof, with the box's own radio over the virtual air: what an installer is told is what holds."""

import asyncio

import pytest

from devices.drivers import driver_named
from devices.errors import RadioError
from devices.pairing import Outcome, PairingPatience, PairingState, PairingWalk
from devices.quirks import QUIRKS
from devices.survey import Sighting, survey
from simulators.bumble_bonds import BumbleBonds
from simulators.bumble_radio import Backends
from simulators.faults import LoseBond, RequirePasskey
from simulators.patients import Pressure
from simulators.peripherals.blood_pressure import BloodPressureMonitor
from simulators.peripherals.peripheral import Peripheral
from simulators.peripherals.weight_scale import WeightScale
from tests.simulators.kit import START, WITHIN, Room, adapter_of, lose_controller

pytestmark = pytest.mark.radio

BRIEF = PairingPatience(connect=5.0, again=2.0, listen=0.3, pause=0.01)


class Person:
    """An installer who knows a code, and handles the device in between."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code
        self.asked: list[str] = []
        self.left: list[str] = []
        self.meanwhile: list[object] = []

    async def passkey(self, device: str) -> int | None:
        self.asked.append(device)
        return self.code

    async def confirm(self, device: str, code: str) -> bool:
        raise AssertionError("nothing to compare here")

    def show(self, device: str, code: str) -> None:
        raise AssertionError("nothing to show here")

    async def leave_pairing_mode(self, device: str) -> None:
        self.left.append(device)
        for action in self.meanwhile:
            await action  # type: ignore[misc]


def monitor(room: Room, name: str = "Veilleur BP") -> BloodPressureMonitor:
    return BloodPressureMonitor("C4:B0:00:00:00:02", room.where, name=name)


def walk(room: Room, box: Backends, person: Person) -> PairingWalk:
    return PairingWalk(
        radio=room.radio(box),
        bonds=BumbleBonds(adapter_of(box)),
        installer=person,
        clock=room.clock,
        zone=room.zone,
        patience=BRIEF,
    )


async def sighted(room: Room, box: Backends, device: Peripheral) -> Sighting:
    found = await survey(room.radio(box), seconds=WITHIN, until=device.address)
    return next(item for item in found if item.address == device.address)


async def paired(room: Room, box: Backends, device: Peripheral, person: Person) -> Outcome:
    return await walk(room, box, person).pair(await sighted(room, box, device))


async def test_the_survey_says_who_is_there_and_who_reads_it(room: Room) -> None:
    here, scale = monitor(room), WeightScale("C4:B0:00:00:00:03", room.where, name="Veilleur scale")
    for device in (here, scale):
        await room.switch_on(device)
    found = await survey(room.radio(await room.box()), seconds=0.5)
    assert {item.address: item.driver and item.driver.name for item in found} == {
        here.address: "blood_pressure",
        scale.address: "weight_scale",
    }
    assert all(item.refused is None and item.heard.name for item in found)


async def test_a_device_is_bonded_left_found_again_and_read(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)
    outcome = await paired(room, box, device, person)
    assert outcome.state is PairingState.PROVED, outcome
    assert "2A35" in outcome.read
    assert person.left == [device.address]
    assert person.asked == []
    assert await BumbleBonds(adapter_of(box)).bonded(device.address)


async def test_a_trial_measurement_is_counted_in_the_proof(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)

    async def measure() -> None:
        device.take(Pressure(at=START, systolic=120, diastolic=80, mean=93, pulse=70))

    person.meanwhile.append(measure())
    outcome = await paired(room, box, device, person)
    assert (outcome.state, outcome.readings) == (PairingState.PROVED, 4)


async def test_a_device_that_shows_a_passkey_is_bonded_with_it(room: Room) -> None:
    device, person, box = monitor(room), Person(code=123_456), await room.box()
    await room.switch_on(device)
    await device.suffer(RequirePasskey(device=device.address, passkey=123_456))
    outcome = await paired(room, box, device, person)
    assert outcome.state is PairingState.PROVED, outcome
    assert person.asked == [device.address]


@pytest.mark.parametrize("code", [654_321, None], ids=["wrong", "given up"])
async def test_a_wrong_passkey_or_none_is_refused_and_leaves_no_bond(room: Room, code: int | None) -> None:
    device, person, box = monitor(room), Person(code=code), await room.box()
    await room.switch_on(device)
    await device.suffer(RequirePasskey(device=device.address, passkey=123_456))
    outcome = await paired(room, box, device, person)
    assert outcome.state is PairingState.REFUSED
    assert outcome.advice is not None
    assert person.left == []
    assert not await BumbleBonds(adapter_of(box)).bonded(device.address)
    assert adapter_of(box).ask_passkey is None


async def test_a_device_that_does_not_keep_its_bond_is_not_proved(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)
    person.meanwhile.append(device.suffer(LoseBond(device=device.address)))
    outcome = await paired(room, box, device, person)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "does not know this box" in outcome.why.en
    assert outcome.advice is not None
    assert "--forget" in outcome.advice.en


async def test_a_device_that_is_not_used_again_is_not_proved(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)
    person.meanwhile.append(room.switch_off(device))
    outcome = await paired(room, box, device, person)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "not heard again" in outcome.why.en


async def test_a_bonded_device_is_only_proved_and_gives_away_nothing(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)
    await paired(room, box, device, person)
    device.take(Pressure(at=START, systolic=120, diastolic=80, mean=93, pulse=70))
    outcome = await paired(room, box, device, person)
    assert (outcome.state, outcome.readings) == (PairingState.PROVED, 0)
    assert "2A35" not in outcome.read, "it may forget what it once sent"
    assert device.wants_link(), "its measurement is still to be fetched by the box"


async def test_a_forgotten_bond_is_made_anew(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    bonds = BumbleBonds(adapter_of(box))
    await room.switch_on(device)
    await paired(room, box, device, person)
    assert await bonds.forget(device.address)
    assert not await bonds.forget(device.address)
    await device.suffer(LoseBond(device=device.address))
    assert (await paired(room, box, device, person)).state is PairingState.PROVED


async def test_a_device_that_speaks_another_protocol_is_refused_without_a_link(room: Room) -> None:
    quirk = next(quirk for quirk in QUIRKS if quirk.refused is not None and quirk.names)
    device, person, box = monitor(room, name=quirk.names[0]), Person(), await room.box()
    await room.switch_on(device)
    found = await survey(room.radio(box), seconds=0.5)
    outcome = await walk(room, box, person).pair(found[0])
    assert outcome.state is PairingState.REFUSED
    assert outcome.why == quirk.refused
    assert room.witness.count("connected") == 0


async def test_a_device_without_what_its_driver_needs_is_refused_before_it_is_bonded(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)
    seen = await sighted(room, box, device)
    mistaken = Sighting(heard=seen.heard, driver=driver_named("weight_scale"), refused=None)
    outcome = await walk(room, box, person).pair(mistaken)
    assert outcome.state is PairingState.REFUSED
    assert "2A9D" in outcome.why.en
    assert not await BumbleBonds(adapter_of(box)).bonded(device.address)


async def test_an_adapter_that_goes_is_no_fault_of_the_device(room: Room) -> None:
    device, person, box = monitor(room), Person(), await room.box()
    await room.switch_on(device)
    seen = await sighted(room, box, device)

    async def unplug() -> None:
        lose_controller(box)

    person.meanwhile.append(unplug())
    with pytest.raises(RadioError) as failed:
        async with asyncio.timeout(WITHIN):
            await walk(room, box, person).pair(seen)
    assert failed.value.device is None
