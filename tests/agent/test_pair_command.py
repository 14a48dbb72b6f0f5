"""`veilleur pair`: what an installer sees, is asked and is told, over a radio in memory."""

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from agent.account import account
from agent.audit_beside import enter_beside
from agent.cli import main
from agent.errors import RequestError
from agent.pair_command import Note, PairCommand, PairRequest
from agent.terminal import Terminal
from devices.clock import SystemClock
from devices.errors import RadioError
from devices.installer import Installer
from devices.pairing import PairingPatience
from devices.quirks import QUIRKS
from devices.radio import Advertisement
from tests.agent.test_keys_changed import box_settings, opened

MONITOR = "C4:B0:00:00:00:02"
STRANGER = "C4:B0:00:00:00:09"
REFUSED = "C4:B0:00:00:00:08"
NOW = 1_763_800_000_000


class Clock:
    def now_ms(self) -> int:
        return NOW

    def seconds_until(self, at_ms: int) -> float:
        return 0.0


class Link:
    """A monitor that is bonded with whoever asks, or that fails as the test says."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.closed = asyncio.Event()

    def has(self, characteristic: int) -> bool:
        return characteristic in {0x2A35, 0x2A49}

    def properties(self, characteristic: int) -> frozenset[str]:
        return frozenset({0x2A35: {"indicate"}, 0x2A49: {"read"}}.get(characteristic, ()))

    async def read(self, characteristic: int) -> bytes:
        return b"\x00\x00"

    async def write(self, characteristic: int, value: bytes) -> None:
        raise RadioError("not written in a pairing", device=MONITOR)

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        on_value(bytes.fromhex("1e780050005d00ea070b160800004600010000"))

    async def pair(self) -> None:
        assert self.world.installer is not None, "somebody answers while a device is paired"
        if self.world.code is not None and await self.world.installer.passkey(MONITOR) != self.world.code:
            raise RadioError("pairing: Authentication Failed", device=MONITOR)
        self.world.bonds.add(MONITOR)

    async def wait_closed(self) -> None:
        await self.closed.wait()


class World:
    """A radio and the bonds of a box, in memory."""

    def __init__(self) -> None:
        self.bonds: set[str] = set()
        self.code: int | None = None
        self.installer: Installer | None = None
        self.broken: RadioError | None = None
        self.silent_after = False
        name = next(quirk.names[0] for quirk in QUIRKS if quirk.refused is not None and quirk.names)
        self.heard = [
            Advertisement(address=STRANGER, name="Television", rssi=-40),
            Advertisement(address=MONITOR, name="Monitor", services=frozenset({0x1810}), rssi=-82),
            Advertisement(address=REFUSED, name=name, services=frozenset({0x181F}), rssi=-70),
        ]

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        return None if self.silent_after else self.heard[1]

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        async def heard() -> AsyncIterator[Advertisement]:
            if self.broken is not None:
                raise self.broken
            for advertisement in self.heard:
                yield advertisement
            await asyncio.Event().wait()

        yield heard()

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[Link]:
        link = Link(self)
        yield link
        link.closed.set()

    async def bonded(self, device: str) -> bool:
        return device in self.bonds

    async def forget(self, device: str) -> bool:
        known = device in self.bonds
        self.bonds.discard(device)
        return known

    @asynccontextmanager
    async def attending(self, device: str, installer: Installer) -> AsyncIterator[None]:
        self.installer = installer
        yield
        self.installer = None


async def run(world: World, *, terminal: Terminal | None = None, note: Note | None = None, **asked: Any) -> int:
    request = PairRequest(**{"seconds": 0.05, "zone": ZoneInfo("Europe/Paris"), "patients": ("patient-1",), **asked})
    command = PairCommand(
        request,
        radio=world,
        bonds=world,
        terminal=terminal or Terminal(lang="en", interactive=False, settle=0.0),
        clock=Clock(),
        patience=PairingPatience(again=0.1, listen=0.01, pause=0.0),
        note=note,
    )
    return await command.run()


async def test_without_anybody_to_ask_it_shows_who_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(World()) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["no.", "address", "name", "signal", "driver", "remarks"]
    assert "blood_pressure" in shown[1], "those that are read come first"
    assert "weak (-82 dBm)" in shown[1]
    assert any(STRANGER in line and "no driver reads it" in line for line in shown)
    assert any(REFUSED in line for line in shown)


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_name_that_a_stranger_chose_commands_no_terminal_and_fakes_no_line(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    world = World()
    hostile = "\x1b[2J\x9b31mScale\r\n1  C4:B0:00:00:00:02  Monitor\u202e" + "x" * 900
    world.heard[0] = Advertisement(address=STRANGER, name=hostile, rssi=-40)
    await run(world, as_json=as_json)
    shown = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert sum("Monitor" in line and "blood_pressure" in line for line in shown.splitlines()) == 1
    assert "x" * 41 not in shown
    if as_json:
        (name,) = (item["name"] for item in json.loads(shown)["seen"] if item["address"] == STRANGER)
        assert len(name) <= 40
        assert name.isprintable()


async def test_a_device_is_paired_by_its_address_and_its_settings_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = World()
    assert await run(world, address=MONITOR.lower()) == 0
    shown = capsys.readouterr().out
    assert f"{MONITOR}: proved · " in shown
    assert "4 trial values came and were not kept." in shown
    block = tomllib.loads(shown[shown.index("[[devices]]") :])["devices"][0]
    assert {key: str(value) for key, value in block.items()} == {
        "address": MONITOR,
        "driver": "blood_pressure",
        "patient": "patient-1",
        "from": "2025-11-22 08:26:40+00:00",
    }
    assert MONITOR in world.bonds


async def test_the_code_of_an_option_is_used_and_a_wrong_one_said(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.code = 123_456
    wrong = Terminal(lang="fr", interactive=False, settle=0.0, code=654_321)
    assert await run(world, address=MONITOR, terminal=wrong) == 1
    shown = capsys.readouterr().out
    assert f"{MONITOR} : refusé · l'appairage a échoué" in shown
    assert "Vérifier le code" in shown
    assert "[[devices]]" not in shown
    assert "654321" not in shown
    right = Terminal(lang="fr", interactive=False, settle=0.0, code=123_456)
    assert await run(world, address=MONITOR, terminal=right) == 0


async def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.silent_after = True
    assert await run(world, address=MONITOR, as_json=True) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["seen"][0]["address"] == MONITOR
    outcome = shown["outcome"]
    assert (outcome["state"], outcome["device"]) == ("bonded_not_proved", MONITOR)
    assert tomllib.loads(outcome["settings"])["devices"][0]["driver"] == "blood_pressure"
    assert await run(world, as_json=True) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"seen"}


async def test_a_device_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(World(), address="C4:B0:00:00:00:77") == 1
    assert "C4:B0:00:00:00:77 was not heard" in capsys.readouterr().err


async def test_a_pairing_and_a_bond_that_is_forgotten_are_acts_and_where_there_is_no_record_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, world = box_settings(tmp_path), World()
    note = partial(enter_beside, settings, SystemClock())
    assert await run(world, address=MONITOR, note=note) == 0
    assert "never been started" in capsys.readouterr().err
    opened(settings).close()
    world = World()
    assert await run(world, address=MONITOR, note=note) == 0
    for known in (0, 1):
        assert await run(world, forget=MONITOR, note=note) == known
    store = opened(settings)
    found = store.audited(lambda log: [entry for entry, _ in log.entries()], now_ms=0)[1:]
    store.close()
    assert [(entry.act, entry.by) for entry in found] == [("device_paired", account()), ("device_forgotten", account())]
    assert found[0].detail == {"driver": "blood_pressure", "state": "proved"}
    assert found[0].ref == found[1].ref
    assert MONITOR not in str(found)


async def test_a_bond_is_forgotten_and_the_other_half_is_spoken_of(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.bonds.add(MONITOR)
    assert await run(world, forget=MONITOR) == 0
    assert "keeps its half" in capsys.readouterr().out
    assert await run(world, forget=MONITOR) == 1
    assert "unknown to the box" in capsys.readouterr().out
    assert await run(world, forget=MONITOR, as_json=True) == 1
    assert json.loads(capsys.readouterr().out) == {"device": MONITOR, "forgotten": False}


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (RadioError("scanning: gone", service_gone=True), "systemctl start bluetooth"),
        (RadioError("scanning: powered off"), "rfkill unblock"),
    ],
)
async def test_a_machine_without_bluetooth_is_told_what_to_do(error: RadioError, hint: str) -> None:
    world = World()
    world.broken = error
    with pytest.raises(RequestError) as refused:
        await run(world)
    assert hint in refused.value.hint.fr
    assert hint in refused.value.hint.en


def test_an_address_that_is_none_is_refused_in_one_line() -> None:
    result = CliRunner().invoke(main, ["--lang", "fr", "pair", "--address", "nonsense"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "n'est pas une adresse Bluetooth" in result.stderr


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Somebody at a terminal, who types a line."""
    person, terminal = os.openpty()
    with open(terminal, encoding="utf-8") as stdin:  # noqa: PTH123 a descriptor
        monkeypatch.setattr(sys, "stdin", stdin)
        yield lambda line: (os.write(person, f"{line}\n".encode()), None)[1]
    os.close(person)


async def test_somebody_at_a_terminal_chooses_types_the_code_and_says_when_done(
    typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    world.code = 123_456
    for line in ("1", "123 456", ""):
        typed(line)
    assert await run(world, terminal=Terminal(lang="fr", interactive=True)) == 0
    assert "Code à six chiffres" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["9", "0", "le premier"])
async def test_a_number_that_is_not_there_is_asked_for_again(
    typed: Callable[[str], None], capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    for line in (answer, "1", ""):
        typed(line)
    assert await run(World(), terminal=Terminal(lang="en", interactive=True)) == 0
    assert f"'{answer}' is none of the numbers: 1 to 3." in capsys.readouterr().err


async def test_a_terminal_confirms_codes_and_takes_no_other_for_one(
    typed: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(lang="en", interactive=True)
    for answer in ("y", "no", "12ab", "1234567", ""):
        typed(answer)
    assert await terminal.confirm(MONITOR, "123456")
    assert not await terminal.confirm(MONITOR, "123456")
    assert [await terminal.passkey(MONITOR) for _ in range(3)] == [None, None, None]
    terminal.show(MONITOR, "123456")
    assert "Type on C4:B0:00:00:00:02: 123456" in capsys.readouterr().err


async def test_a_question_that_is_not_needed_any_more_is_given_up(typed: Callable[[str], None]) -> None:
    terminal = Terminal(lang="en", interactive=True)
    question = asyncio.create_task(terminal.passkey(MONITOR))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    typed("000001")
    assert await terminal.passkey(MONITOR) == 1
