"""Orders about devices: what is in the air around the box, and pairing one, while nobody may stand beside the box.

The walk is the one of `veilleur pair` (devices.pairing). Who answers it here is the order: the six digits, when the
device shows any, are in it; what a person would have to compare or type in at the device is refused.

An order that says whose the device is has it read from then on (taken_up). Without, it is paired only: the settings are
to say whose it is.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from agent.obeying import Done, Order, applied, refused
from agent.taken_up import TakenUp
from alerting.alert import Sentence
from devices.clock import Clock
from devices.errors import RadioError
from devices.installer import Bonds
from devices.pairing import Outcome, PairingPatience, PairingState, PairingWalk
from devices.radio import Radio
from devices.survey import Sighting, survey
from exchange.audit_chain import Act, Detail, Erasable
from exchange.command_answers import MAX_RESULT_BYTES
from exchange.command_bodies import PairBody, ScanBody

SHOWN = 60
"""Devices that an answer lists, the strongest ones of those that are read first."""
LISTEN_S = 60.0
"""Real seconds to hear the device that is to be paired."""
SETTLE_S = 20.0
"""Real seconds for the device to leave its pairing mode by itself."""


class Enter(Protocol):
    """Enters an act in the box's record (`Audit.enter`)."""

    async def __call__(self, act: Act, *, by: str, reference: str | Erasable, detail: Detail) -> int | None:
        """Return once it is on the disk."""


TakeUp = Callable[[TakenUp], Awaitable[bool]]
"""Has a paired device read; returns whether it is, as it was asked."""


class ScanOrder:
    """Obeys `scan`."""

    def __init__(self, radio: Radio) -> None:
        self._radio = radio

    async def __call__(self, order: Order) -> Done:
        """Listen, and return who was heard."""
        if not isinstance(order.body, ScanBody):
            return refused("malformed")
        try:
            seen = await survey(self._radio, seconds=order.body.seconds)
        except RadioError:
            return refused("radio", _RADIO)
        listed = [_shown(item) for item in seen[:SHOWN]]
        return applied(result=_bounded({"seen": listed}))


class PairOrder:
    """Obeys `pair`."""

    def __init__(
        self,
        radio: Radio,
        bonds: Bonds,
        *,
        clock: Clock,
        zone: ZoneInfo,
        enter: Enter,
        take_up: TakeUp,
        settle: float | None = None,
        patience: PairingPatience | None = None,
    ) -> None:
        """`enter` keeps in the record of acts what came of a pairing, `take_up` has the device read."""
        self._enter = enter
        self._take_up = take_up
        self._radio = radio
        self._bonds = bonds
        self._clock = clock
        self._zone = zone
        self._settle = SETTLE_S if settle is None else settle
        self._patience = patience

    async def __call__(self, order: Order) -> Done:
        """Pair it and prove it, and have it read by the box when the order says whose it is."""
        body, began = order.body, self._clock.now_ms()
        if not isinstance(body, PairBody):
            return refused("malformed")
        try:
            seen = await survey(self._radio, seconds=LISTEN_S, until=body.address)
            chosen = next((item for item in seen if item.address == body.address), None)
            if chosen is None:
                return refused("not_heard", _NOT_HEARD)
            walk = PairingWalk(
                radio=self._radio,
                bonds=self._bonds,
                installer=_Absent(body.passkey, settle=self._settle),
                clock=self._clock,
                zone=self._zone,
                patience=self._patience,
            )
            outcome = await walk.pair(chosen)
        except RadioError:
            return refused("radio", _RADIO)
        driver = "" if chosen.driver is None else chosen.driver.name
        by = ", ".join(one.name for one in order.by)
        detail: Detail = {"driver": driver, "state": outcome.state.value, "command": order.command.id}
        await self._enter(Act.DEVICE_PAIRED, by=by, reference=Erasable(value=outcome.device), detail=detail)
        found = {"driver": driver or None} | _told(outcome)
        said = Sentence(fr=outcome.why.fr, en=outcome.why.en)
        if outcome.state is not PairingState.PROVED:
            return refused("not_proved", said, result=_bounded(found))
        patient = order.command.subject
        if not patient:
            return applied(said, result=_bounded(found))
        read = await self._take_up(TakenUp(address=body.address, driver=driver, patient=patient, given_on=began))
        return applied(said, _READ if read else _NOT_READ, result=_bounded(found | {"taken_up": read}))


class _Absent:
    """An installer who is not there: answers what the order says, and nothing else."""

    def __init__(self, passkey: int | None, *, settle: float) -> None:
        self._passkey = passkey
        self._settle = settle

    async def passkey(self, device: str) -> int | None:
        """Return the digits in the order."""
        del device
        return self._passkey

    async def confirm(self, device: str, code: str) -> bool:
        """Refuse: nobody compares."""
        del device, code
        return False

    def show(self, device: str, code: str) -> None:
        """Show nobody anything."""

    async def leave_pairing_mode(self, device: str) -> None:
        """Wait for the device to leave it by itself."""
        del device
        await asyncio.sleep(self._settle)


def _shown(item: Sighting) -> dict[str, Any]:
    return {
        "address": item.address,
        "name": item.name,
        "rssi": item.heard.rssi,
        "driver": None if item.driver is None else item.driver.name,
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    advice = outcome.advice
    return {
        "device": outcome.device,
        "state": outcome.state.value,
        "why": {"fr": outcome.why.fr, "en": outcome.why.en},
        "advice": None if advice is None else {"fr": advice.fr, "en": advice.en},
        "read": list(outcome.read),
        "trial_readings": outcome.readings,
    }


def _bounded(found: dict[str, Any]) -> bytes:
    """Return a result as JSON that an answer can carry: a list is cut short, weakest devices first."""
    result = json.dumps(found, ensure_ascii=False).encode()
    while len(result) > MAX_RESULT_BYTES and found.get("seen"):
        found = found | {"seen": found["seen"][:-1]}
        result = json.dumps(found, ensure_ascii=False).encode()
    return result


_READ = Sentence(
    fr="Le boîtier lit désormais cet appareil pour ce patient.",
    en="The box reads this device for this patient from now on.",
)
_NOT_READ = Sentence(
    fr="Le boîtier ne le prend pas de lui-même : ses réglages nomment déjà cet appareil, ou ne connaissent pas ce "
    "patient.",
    en="The box does not take it up by itself: its settings name this device already, or do not know this patient.",
)
_RADIO = Sentence(
    fr="Le Bluetooth du boîtier ne répond pas : réessayer, puis redémarrer le boîtier.",
    en="The box's Bluetooth does not answer: try again, then restart the box.",
)
_NOT_HEARD = Sentence(
    fr="Cet appareil n'a pas été entendu : l'allumer ou le mettre en mode appairage près du boîtier, puis réessayer.",
    en="This device was not heard: switch it on or put it into pairing mode near the box, then try again.",
)
