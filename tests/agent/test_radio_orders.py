"""Scanning and pairing by order, with nobody beside the box: what `veilleur pair` does, told in the answer."""

import json
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent import radio_orders
from agent.obeying import Handler
from agent.radio_orders import PairOrder, ScanOrder
from agent.taken_up import TakenUp
from devices.errors import RadioError
from devices.pairing import PairingPatience
from exchange.audit_chain import Act, Detail, Erasable
from exchange.command_answers import MAX_RESULT_BYTES, Answer, AnswerState
from exchange.command_bodies import PairBody, ScanBody
from exchange.commands import CommandKind
from tests.agent.command_kit import Keys, box
from tests.agent.kit import PATIENT
from tests.agent.test_pair_command import MONITOR, STRANGER, Clock, World
from tests.exchange.office import INSTALLER, Office

Entered = list[tuple[Act, str, str | Erasable, dict[str, str | int | Erasable]]]


async def given(
    folder: Path,
    world: World,
    body: PairBody | ScanBody,
    entered: Entered | None = None,
    *,
    patient: str = "",
    taken: list[TakenUp] | None = None,
) -> Answer:
    """Give an order; `taken` are the devices that the box was then asked to read, which it does where it is given."""
    office, keys = Office(), Keys()
    patience = PairingPatience(again=0.1, listen=0.01, pause=0.0)
    zone = ZoneInfo("Europe/Paris")

    async def enter(act: Act, *, by: str, reference: str | Erasable, detail: Detail) -> int | None:
        if entered is not None:
            entered.append((act, by, reference, dict(detail)))
        return 1

    async def take_up(device: TakenUp) -> bool:
        if taken is not None:
            taken.append(device)
        return taken is not None

    pair = PairOrder(
        world, world, clock=Clock(), zone=zone, enter=enter, take_up=take_up, settle=0.0, patience=patience
    )
    others: dict[CommandKind, Handler] = {CommandKind.SCAN: ScanOrder(world), CommandKind.PAIR: pair}
    kind = CommandKind.PAIR if isinstance(body, PairBody) else CommandKind.SCAN
    async with box(folder, office, keys, others=others) as running:
        return await running.ordered(
            office.sealed(office.command(kind, body, subject=patient), keys.opening, INSTALLER)
        )


async def test_a_scan_tells_who_is_there(tmp_path: Path) -> None:
    answer = await given(tmp_path, World(), ScanBody(seconds=1))
    assert answer.state is AnswerState.APPLIED
    seen = json.loads(answer.result)["seen"]
    assert {item["address"]: item["driver"] for item in seen}[MONITOR] == "blood_pressure"
    assert STRANGER in {item["address"] for item in seen}


async def test_a_crowd_does_not_burst_the_answer(tmp_path: Path) -> None:
    world = World()
    heard = world.heard[0]
    world.heard = [
        replace(heard, address=f"C4:B0:00:00:{number // 256:02X}:{number % 256:02X}", name="\u00e9" * 400)
        for number in range(190)
    ]
    answer = await given(tmp_path, world, ScanBody(seconds=1))
    assert answer.state is AnswerState.APPLIED
    assert len(answer.result) <= MAX_RESULT_BYTES
    assert json.loads(answer.result)["seen"]


async def test_a_device_is_paired_with_the_code_of_the_order_and_proved(tmp_path: Path) -> None:
    world = World()
    world.code = 123_456
    entered: Entered = []
    answer = await given(tmp_path, world, PairBody(address=MONITOR, passkey=123_456), entered)
    assert answer.state is AnswerState.APPLIED, answer
    ((act, by, reference, detail),) = entered
    assert (act, by, reference) == (Act.DEVICE_PAIRED, INSTALLER, Erasable(value=MONITOR))
    assert detail == {"driver": "blood_pressure", "state": "proved", "command": answer.command}
    result = json.loads(answer.result)
    assert (result["state"], result["driver"], result["device"]) == ("proved", "blood_pressure", MONITOR)
    assert world.bonds == {MONITOR}
    assert b"123456" not in answer.result


async def test_a_device_whose_owner_the_order_names_is_read_from_when_the_pairing_began(tmp_path: Path) -> None:
    taken: list[TakenUp] = []
    answer = await given(tmp_path, World(), PairBody(address=MONITOR), patient=PATIENT, taken=taken)
    assert answer.state is AnswerState.APPLIED, answer
    assert taken == [TakenUp(address=MONITOR, driver="blood_pressure", patient=PATIENT, given_on=Clock().now_ms())]
    assert json.loads(answer.result)["taken_up"] is True
    assert "désormais" in answer.said[1].fr


async def test_a_device_that_cannot_be_taken_up_is_paired_and_that_is_said(tmp_path: Path) -> None:
    answer = await given(tmp_path, World(), PairBody(address=MONITOR), patient=PATIENT)
    assert answer.state is AnswerState.APPLIED, answer
    assert json.loads(answer.result)["taken_up"] is False
    assert "ne le prend pas de lui-même" in answer.said[1].fr


async def test_what_is_not_proved_or_nobodys_is_not_read(tmp_path: Path) -> None:
    taken: list[TakenUp] = []
    (tmp_path / "nobodys").mkdir()
    nobodys = await given(tmp_path / "nobodys", World(), PairBody(address=MONITOR), taken=taken)
    assert "taken_up" not in json.loads(nobodys.result)
    world = World()
    world.code = 123_456
    (tmp_path / "refused").mkdir()
    refused = await given(tmp_path / "refused", world, PairBody(address=MONITOR), patient=PATIENT, taken=taken)
    assert refused.state is AnswerState.REFUSED
    assert taken == []


@pytest.mark.parametrize(("passkey", "reason"), [(None, "not_proved"), (654_321, "not_proved")])
async def test_a_wrong_or_missing_code_pairs_nothing(tmp_path: Path, passkey: int | None, reason: str) -> None:
    world = World()
    world.code = 123_456
    answer = await given(tmp_path, world, PairBody(address=MONITOR, passkey=passkey))
    assert (answer.state, answer.reason) == (AnswerState.REFUSED, reason)
    assert not world.bonds
    assert answer.said[0].fr


async def test_a_device_that_is_not_heard_and_a_radio_that_fails_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio_orders, "LISTEN_S", 0.05)
    (tmp_path / "one").mkdir()
    silent = await given(tmp_path / "one", World(), PairBody(address="C4:B0:00:00:00:77"))
    assert (silent.state, silent.reason) == (AnswerState.REFUSED, "not_heard")
    world = World()
    world.broken = RadioError("the adapter is gone", device=None)
    for name, body in (("two", ScanBody(seconds=1)), ("three", PairBody(address=MONITOR))):
        (tmp_path / name).mkdir()
        broken = await given(tmp_path / name, world, body)
        assert (broken.state, broken.reason) == (AnswerState.REFUSED, "radio")
