"""Practising: the installer's pairing command on virtual devices, in one process, with nothing kept."""

import asyncio
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from agent.pair_command import PairCommand, PairRequest
from agent.terminal import Terminal
from devices.bleak_radio import BleakRadio
from devices.clock import SystemClock
from devices.pairing import PairingPatience
from simulators.bumble_bonds import BumbleBonds
from simulators.bumble_radio import Backends, start_host
from simulators.clock import AcceleratedClock
from simulators.home import Home, HomeSettings
from simulators.household import read_household
from simulators.link import BoxController

_BOX = "F0:F1:F2:F3:F4:F5"
_SPEED = 7200.0
"""A day passes in twelve seconds, so that each device is used again within a few."""
_ZONE = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """What is practised.

    Attributes:
        household: name of a home that ships, or a file.
        address: of the device to pair; None: it is asked for.
        seconds: real seconds to listen.
        settle: real seconds that a device is given when nobody can be asked.
        passkey: what is typed in as the code; None: it is asked for.
        lang: "fr" or "en".
        interactive: whether somebody can be asked.
    """

    household: str
    address: str | None
    seconds: float
    settle: float
    passkey: int | None
    lang: str
    interactive: bool


def practise_pairing(practice: Practice) -> int:
    """Let somebody pair a device of a home that lives while they do; return the command's exit code.

    Raises:
        HomeError: there is no such home.
        RequestError: the address is none.
    """
    logging.getLogger("bumble").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        return asyncio.run(_practise(practice, Path(folder), nowhere))


async def _practise(practice: Practice, folder: Path, nowhere: IO[str]) -> int:
    clock = AcceleratedClock.starting_now(start_ms=SystemClock().now_ms(), speed=_SPEED)
    settings = HomeSettings(hci="", ledger=folder, clock=clock, zone=_ZONE, household=practice.household, days=14)
    home = Home(settings, nowhere, lambda _: None)
    living = asyncio.create_task(home.live(asyncio.StreamReader()), name="home")
    try:
        controller = BoxController("box", home.air)
        box = await start_host(controller, controller, address=_BOX, keystore=folder / "bonds.json")
        return await _command(practice, box, clock).run()
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


def _command(practice: Practice, box: Backends, clock: AcceleratedClock) -> PairCommand:
    people = tuple(person.name for person in read_household(practice.household).people)
    return PairCommand(
        PairRequest(address=practice.address, seconds=practice.seconds, patients=people, zone=_ZONE),
        radio=BleakRadio(client_backend=box.client, scanner_backend=box.scanner),
        bonds=BumbleBonds(box.adapter),
        terminal=Terminal(
            lang=practice.lang, interactive=practice.interactive, code=practice.passkey, settle=practice.settle
        ),
        clock=clock,
        patience=PairingPatience(),
    )
