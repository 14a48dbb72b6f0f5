"""Pairing with bleak's BlueZ backend and the box's own agent: what BlueZ asks, who answers, and what stays refused."""

import asyncio
import json
from zoneinfo import ZoneInfo

import pytest

from agent.pair_command import PairCommand, PairRequest
from agent.terminal import Terminal
from devices.bleak_connection import Limits
from devices.bleak_radio import BleakRadio
from devices.bluez_agent import Capability, PairingAgent, refusing_surprises, registered
from devices.bluez_bonds import BluezBonds
from devices.bluez_bus import BluezCallError, system_bus
from devices.clock import SystemClock
from devices.errors import RadioError
from devices.pairing import Outcome, PairingPatience, PairingState, PairingWalk
from devices.survey import survey
from tests.bluez.kit import DEVICE, WITHIN, Machine
from tests.bluez.test_session import FIRST, MONITOR

pytestmark = pytest.mark.process


class Person:
    """An installer who knows a code, and remembers what they were asked and shown."""

    def __init__(self, code: int | None = None, *, agrees: bool = True) -> None:
        self.code = code
        self.agrees = agrees
        self.asked: list[tuple[str, str]] = []
        self.thinking = asyncio.Event()
        self.slow = False

    async def passkey(self, device: str) -> int | None:
        self.asked.append(("passkey", device))
        if self.slow:
            self.thinking.set()
            await asyncio.Event().wait()
        return self.code

    async def confirm(self, device: str, code: str) -> bool:
        self.asked.append((f"confirm {code}", device))
        return self.agrees

    def show(self, device: str, code: str) -> None:
        self.asked.append((f"show {code}", device))

    async def leave_pairing_mode(self, device: str) -> None:
        self.asked.append(("leave", device))


def radio() -> BleakRadio:
    return BleakRadio(adapter="hci0", limits=Limits(procedure=5.0, pairing=5.0, closing=5.0))


async def paired(person: Person, *, connect: float = 5.0) -> Outcome:
    through = radio()
    walk = PairingWalk(
        radio=through,
        bonds=BluezBonds(adapter="hci0"),
        installer=person,
        clock=SystemClock(),
        zone=ZoneInfo("Europe/Paris"),
        patience=PairingPatience(connect=connect, again=5.0, listen=0.1, pause=0.05),
    )
    (seen,) = [item for item in await survey(through, seconds=WITHIN, until=DEVICE) if item.address == DEVICE]
    return await walk.pair(seen)


@pytest.mark.parametrize(
    ("ask", "person", "asked"),
    [
        ("nothing", Person(), []),
        ("authorization", Person(), []),
        ("service", Person(), []),
        ("passkey:7", Person(code=7), ["passkey"]),
        ("pin:000007", Person(code=7), ["passkey"]),
        ("confirmation:42", Person(), ["confirm 000042"]),
        ("display:42", Person(), ["show 000042"]),
        ("display-pin:0042", Person(), ["show 0042"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_device_is_bonded_in_whatever_way_it_wants_and_proved(
    machine: Machine, ask: str, person: Person, asked: list[str]
) -> None:
    await machine.bluez(ask=ask)
    await machine.device(MONITOR, name="Monitor")
    assert not await BluezBonds(adapter="hci0").bonded(DEVICE)
    outcome = await paired(person)
    assert outcome.state is PairingState.PROVED, outcome
    assert outcome.read == ("2A19", "2A35")
    assert person.asked == [(question, DEVICE) for question in [*asked, "leave"]]
    assert await BluezBonds(adapter="hci0").bonded(DEVICE)
    assert not await BluezBonds(adapter="hci7").bonded(DEVICE)


@pytest.mark.parametrize(
    ("ask", "person"),
    [
        ("passkey:7", Person(code=8)),
        ("passkey:7", Person(code=None)),
        ("confirmation:42", Person(agrees=False)),
        ("another", Person()),
    ],
    ids=["wrong code", "no code", "other code shown", "another device asks"],
)
async def test_what_is_not_answered_rightly_is_not_bonded(machine: Machine, ask: str, person: Person) -> None:
    await machine.bluez(ask=ask)
    await machine.device(MONITOR, name="Monitor")
    outcome = await paired(person)
    assert outcome.state is PairingState.REFUSED
    assert "Authentication" in outcome.why.en
    assert ("leave", DEVICE) not in person.asked
    assert not await BluezBonds(adapter="hci0").bonded(DEVICE)


async def test_a_device_that_forgets_its_bond_at_once_is_not_proved(machine: Machine) -> None:
    await machine.bluez(forgetful=True)
    await machine.device(MONITOR, name="Monitor")
    outcome = await paired(Person(), connect=1.0)
    assert outcome.state is PairingState.BONDED_NOT_PROVED
    assert "does not know this box" in outcome.why.en


async def test_a_device_that_cannot_be_reached_is_no_lost_bond(machine: Machine) -> None:
    await machine.bluez()
    await machine.device(MONITOR, name="Monitor")
    await paired(Person())
    through = radio()
    assert await through.find(DEVICE, within=WITHIN) is not None
    await machine.power("hci0", on=False)
    with pytest.raises(RadioError, match="NotReady") as failed:
        async with through.connect(DEVICE, within=1.0):
            pass
    assert not failed.value.bond_lost


async def test_a_question_that_bluez_cancels_is_taken_back_from_the_installer(machine: Machine) -> None:
    await machine.bluez(ask="cancelled")
    await machine.device(MONITOR, name="Monitor")
    person = Person()
    person.slow = True
    async with asyncio.timeout(WITHIN):
        outcome = await paired(person)
    assert person.thinking.is_set()
    assert outcome.state is PairingState.REFUSED


async def test_a_forgotten_device_is_no_longer_bonded(machine: Machine) -> None:
    await machine.bluez()
    await machine.device(MONITOR, name="Monitor")
    bonds = BluezBonds(adapter="hci0")
    assert not await bonds.forget(DEVICE), "BlueZ does not know it yet"
    await paired(Person())
    assert await bonds.forget(DEVICE)
    assert not await bonds.bonded(DEVICE)
    assert (await paired(Person())).state is PairingState.PROVED, "it is heard and bonded anew"


async def test_a_box_that_pairs_nobody_bonds_with_nobody(machine: Machine) -> None:
    bluez = await machine.bluez(ask="authorization")
    await machine.device(MONITOR, name="Monitor")
    async with refusing_surprises(again=0.05):
        await machine.until("Pairable", True)
        through = radio()
        assert await through.find(DEVICE, within=WITHIN) is not None
        async with through.connect(DEVICE, within=WITHIN) as link:
            with pytest.raises(RadioError, match="Authentication"):
                await link.pair()
        assert (await paired(Person())).state is PairingState.PROVED, "an installer comes before the guard"
        await bluez.kill()
        await machine.bluez()
        await machine.until("Pairable", True)


async def test_one_connection_has_one_agent_and_leaves_none_behind(machine: Machine) -> None:
    await machine.bluez()
    async with system_bus() as bus:
        async with registered(bus, PairingAgent(), Capability.NOTHING):
            await machine.until("Pairable", True)
        await machine.until("Pairable", False)
        with pytest.raises(BluezCallError) as refused:
            await bus.call("/org/bluez", "org.bluez.AgentManager1", "UnregisterAgent", "o", "/org/veilleur/agent")
        assert refused.value.name == "org.bluez.Error.DoesNotExist"


async def test_the_command_shows_pairs_and_says_what_to_write_down(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    await machine.bluez(ask="passkey:123456")
    device = await machine.device(MONITOR, name="Monitor")
    command = PairCommand(
        PairRequest(
            address=DEVICE, seconds=WITHIN, as_json=True, patients=("patient-1",), zone=ZoneInfo("Europe/Paris")
        ),
        radio=radio(),
        bonds=BluezBonds(adapter="hci0"),
        terminal=Terminal(lang="en", interactive=False, code=123_456, settle=0.0),
        clock=SystemClock(),
        patience=PairingPatience(connect=5.0, again=5.0, listen=1.0, pause=0.05),
    )
    running = asyncio.create_task(command.run())
    await device.until("subscribed", "2A35")
    await device.push("2A35", FIRST)
    await device.until("confirmed", "2A35")
    assert await running == 0
    outcome = json.loads(capsys.readouterr().out)["outcome"]
    assert (outcome["state"], outcome["trial_readings"]) == ("proved", 4)
