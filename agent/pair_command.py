"""`veilleur pair`: what is in the air, a bond with one device, the proof that it holds, and its lines for agent.toml.

The walk itself is `devices.pairing`; here it is shown. It takes any radio, so that the simulated world runs it too, and
it runs beside `veilleur run`: BlueZ serves both.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import click
from tabulate import tabulate

from agent.errors import RequestError
from agent.terminal import Terminal
from alerting.alert import Sentence
from devices.clock import Clock
from devices.errors import RadioError
from devices.installer import Bonds
from devices.pairing import Outcome, PairingPatience, PairingState, PairingWalk
from devices.plain_text import plain
from devices.quirks import Words
from devices.radio import Radio
from devices.survey import Sighting, survey
from exchange.audit_chain import Act, Detail, Erasable

_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}")
_SHOWN_STATE = {
    PairingState.PROVED: Words(fr="prouvé", en="proved"),
    PairingState.BONDED_NOT_PROVED: Words(fr="lié, mais pas prouvé", en="bonded, but not proved"),
    PairingState.REFUSED: Words(fr="refusé", en="refused"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """What was asked for.

    Attributes:
        address: of the device to pair; None: to be chosen, or only to be shown.
        forget: address of the device whose bond is removed; None: none.
        seconds: real seconds to listen for devices.
        as_json: whether results are one JSON object.
        patients: pseudonyms that the box knows.
        zone: of the patient.
    """

    address: str | None = None
    forget: str | None = None
    seconds: float = 20.0
    as_json: bool = False
    patients: tuple[str, ...] = ()
    zone: ZoneInfo


class Note(Protocol):
    """Enters an act in the box's record; returns whether it has one yet."""

    def __call__(self, act: Act, *, reference: Erasable, detail: Detail) -> bool:
        """Enter it."""
        ...


class PairCommand:
    """One run of the command."""

    def __init__(
        self,
        request: PairRequest,
        *,
        radio: Radio,
        bonds: Bonds,
        terminal: Terminal,
        clock: Clock,
        patience: PairingPatience | None = None,
        note: Note | None = None,
    ) -> None:
        """Take what was asked for, and what it is done with; `note` enters it in the box's record of acts.

        Raises:
            RequestError: an address is none.
        """
        self._request = request
        self._radio = radio
        self._bonds = bonds
        self._terminal = terminal
        self._clock = clock
        self._patience = patience
        self._note = note
        self._address = None if request.address is None else _address(request.address)
        self._forgotten = None if request.forget is None else _address(request.forget)

    async def run(self) -> int:
        """Do it; return 0, or 1 when a device was not found, or not proved.

        Raises:
            RequestError: the adapter or the Bluetooth service fails.
        """
        try:
            if self._forgotten is not None:
                return await self._forget(self._forgotten)
            return await self._pair()
        except RadioError as error:
            raise _radio_failed(error) from error

    async def _forget(self, device: str) -> int:
        known = await self._bonds.forget(device)
        if known:
            self._enter(Act.DEVICE_FORGOTTEN, device, {})
        if self._request.as_json:
            click.echo(json.dumps({"device": device, "forgotten": known}))
        elif known:
            self._print(
                Words(
                    fr=f"{device} : oublié par le boîtier. L'appareil garde sa moitié : l'effacer aussi dans son menu "
                    "(ou par le fabricant), sinon il ignorera le prochain appairage.",
                    en=f"{device}: forgotten by the box. The device keeps its half: clear it in its menu too "
                    "(or as its maker says), or it will ignore the next pairing.",
                )
            )
        else:
            self._print(Words(fr=f"{device} : inconnu du boîtier.", en=f"{device}: unknown to the box."))
        return 0 if known else 1

    async def _pair(self) -> int:
        self._terminal.tell(
            Sentence(
                fr=f"Mettre l'appareil en mode appairage ; écoute pendant {self._request.seconds:g} s au plus...",
                en=f"Put the device into pairing mode; listening for {self._request.seconds:g} s at most...",
            )
        )
        seen = await survey(self._radio, seconds=self._request.seconds, until=self._address)
        bonded = {item.address for item in seen if item.driver is not None and await self._bonds.bonded(item.address)}
        if not self._request.as_json:
            self._show(seen, bonded)
        chosen = await self._choose(seen)
        if chosen is None:
            if self._request.as_json:
                click.echo(json.dumps({"seen": [_as_json(item, bonded) for item in seen]}, ensure_ascii=False))
            return 0 if self._address is None else self._not_heard(self._address)
        walk = PairingWalk(
            radio=self._radio,
            bonds=self._bonds,
            installer=self._terminal,
            clock=self._clock,
            zone=self._request.zone,
            patience=self._patience,
        )
        outcome = await walk.pair(chosen)
        driver = "" if chosen.driver is None else chosen.driver.name
        self._enter(Act.DEVICE_PAIRED, outcome.device, {"driver": driver, "state": outcome.state.value})
        self._conclude(seen, bonded, chosen, outcome)
        return 0 if outcome.state is PairingState.PROVED else 1

    def _enter(self, act: Act, device: str, detail: Detail) -> None:
        """Enter an act; a box that never started has no record yet, and is only told so."""
        if self._note is not None and not self._note(act, reference=Erasable(value=device), detail=detail):
            self._terminal.tell(
                Sentence(
                    fr="Non inscrit au journal des actes : le boîtier n'a encore jamais démarré.",
                    en="Not entered in the record of acts: the box has never been started yet.",
                )
            )

    def _not_heard(self, address: str) -> int:
        self._terminal.tell(
            Sentence(
                fr=f"{address} n'a pas été entendu : l'allumer ou le mettre en mode appairage près du boîtier, puis "
                "recommencer.",
                en=f"{address} was not heard: switch it on or put it into pairing mode near the box, then try again.",
            )
        )
        return 1

    async def _choose(self, seen: Sequence[Sighting]) -> Sighting | None:
        if self._address is not None:
            return next((item for item in seen if item.address == self._address), None)
        if not seen:
            return None
        question = Sentence(
            fr="Lequel appairer ? (numéro, vide : aucun)", en="Which one to pair? (number, empty: none)"
        )
        while typed := await self._terminal.ask(question):
            number = int(typed) if typed.isascii() and typed.isdigit() else 0
            if 1 <= number <= len(seen):
                return seen[number - 1]
            self._terminal.tell(
                Sentence(
                    fr=f"« {typed} » n'est pas un des numéros : de 1 à {len(seen)}.",
                    en=f"'{typed}' is none of the numbers: 1 to {len(seen)}.",
                )
            )
        return None

    def _show(self, seen: Sequence[Sighting], bonded: set[str]) -> None:
        french = self._terminal.lang == "fr"
        headers = (
            ("n°", "adresse", "nom", "signal", "pilote", "remarques")
            if french
            else ("no.", "address", "name", "signal", "driver", "remarks")
        )
        rows = [
            (
                number,
                item.address,
                plain(item.name or "-"),
                f"{self._said(item.signal)} ({item.heard.rssi} dBm)",
                "-" if item.driver is None else item.driver.name,
                self._remarks(item, bonded),
            )
            for number, item in enumerate(seen, 1)
        ]
        if rows:
            click.echo(tabulate(rows, headers=headers, tablefmt="plain", maxcolwidths=[None, None, 20, None, None, 60]))
        else:
            self._print(Words(fr="Aucun appareil entendu.", en="No device was heard."))

    def _remarks(self, item: Sighting, bonded: set[str]) -> str:
        remarks = [] if item.refused is None else [self._said(item.refused)]
        if item.address in bonded:
            remarks.append(self._said(Words(fr="déjà lié au boîtier", en="bonded with the box already")))
        if item.quirk is not None:
            remarks.append(self._said(item.quirk.note))
        return " ; ".join(remarks)

    def _conclude(self, seen: Sequence[Sighting], bonded: set[str], chosen: Sighting, outcome: Outcome) -> None:
        block = None if outcome.state is PairingState.REFUSED else self._block(chosen)
        if self._request.as_json:
            result = {
                "device": outcome.device,
                "state": outcome.state.value,
                "why": self._said(outcome.why),
                "advice": None if outcome.advice is None else self._said(outcome.advice),
                "read": list(outcome.read),
                "trial_readings": outcome.readings,
                "settings": block,
            }
            shown = {"seen": [_as_json(item, bonded) for item in seen], "outcome": result}
            click.echo(json.dumps(shown, ensure_ascii=False))
            return
        colon = " :" if self._terminal.lang == "fr" else ":"
        click.echo(f"{outcome.device}{colon} {self._said(_SHOWN_STATE[outcome.state])} · {self._said(outcome.why)}.")
        if outcome.readings:
            self._print(
                Words(
                    fr=f"{outcome.readings} valeurs d'essai reçues, non conservées.",
                    en=f"{outcome.readings} trial values came and were not kept.",
                )
            )
        if outcome.advice is not None:
            click.echo(self._said(outcome.advice))
        if block is not None:
            self._print(Words(fr="À ajouter à agent.toml :", en="To add to agent.toml:"))
            click.echo(f"\n{block}")

    def _block(self, chosen: Sighting) -> str:
        """Return what the settings file says of the device."""
        today = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        patient = self._request.patients[0] if len(self._request.patients) == 1 else "patient-????"
        driver = "" if chosen.driver is None else chosen.driver.name
        lines = (
            "[[devices]]",
            f'address = "{chosen.address}"',
            f'driver = "{driver}"',
            f'patient = "{patient}"',
            f"from = {today}",
        )
        return "\n".join(lines)

    def _said(self, words: Words) -> str:
        return words.fr if self._terminal.lang == "fr" else words.en

    def _print(self, words: Words) -> None:
        click.echo(self._said(words))


def _as_json(item: Sighting, bonded: set[str]) -> dict[str, object]:
    return {
        "address": item.address,
        "name": item.name,
        "rssi": item.heard.rssi,
        "driver": None if item.driver is None else item.driver.name,
        "refused": None if item.refused is None else item.refused.en,
        "bonded": item.address in bonded,
    }


def _address(text: str) -> str:
    address = text.upper()
    if not _ADDRESS.fullmatch(address):
        raise RequestError(
            Sentence(fr=f"« {text} » n'est pas une adresse Bluetooth.", en=f"'{text}' is not a Bluetooth address."),
            Sentence(
                fr="Six paires hexadécimales avec deux-points, comme C4:B0:00:00:00:01.",
                en="Six pairs of hexadecimal digits with colons, such as C4:B0:00:00:00:01.",
            ),
        )
    return address


def _radio_failed(error: RadioError) -> RequestError:
    if error.service_gone:
        return RequestError(
            Sentence(
                fr="Le service Bluetooth de cette machine ne répond pas.",
                en="This machine's Bluetooth service does not answer.",
            ),
            Sentence(
                fr="« sudo systemctl start bluetooth », puis recommencer.", en="'sudo systemctl start bluetooth'."
            ),
        )
    return RequestError(
        Sentence(fr=f"L'adaptateur Bluetooth a échoué ({error}).", en=f"The Bluetooth adapter failed ({error})."),
        Sentence(
            fr="« rfkill unblock bluetooth » et « bluetoothctl power on », puis recommencer.",
            en="'rfkill unblock bluetooth' and 'bluetoothctl power on', then try again.",
        ),
    )
