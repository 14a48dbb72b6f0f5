"""The installer at a terminal, or somebody who gave all answers beforehand (`devices.installer.Installer`).

What is asked and told goes to standard error, so that standard output carries results only. Codes are shown and
typed in, and neither logged nor kept.
"""

import asyncio
import sys
from dataclasses import dataclass

import click

from alerting.alert import Sentence
from devices.installer import LARGEST_PASSKEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Who answers while a device is paired.

    Attributes:
        lang: "fr" or "en".
        interactive: whether somebody can be asked.
        code: what they would type in as the code that the device shows; None: nothing.
        settle: real seconds that a device is given to leave its pairing mode when nobody can be asked.
    """

    lang: str
    interactive: bool
    code: int | None = None
    settle: float = 15.0

    def tell(self, sentence: Sentence) -> None:
        """Say something on the way."""
        click.echo(sentence.fr if self.lang == "fr" else sentence.en, err=True)

    async def ask(self, question: Sentence) -> str:
        """Return a line that somebody types; empty when nobody can be asked. Cancelling gives up the question."""
        if not self.interactive:
            return ""
        click.echo(f"{question.fr if self.lang == 'fr' else question.en} ", nl=False, err=True)
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ready.set)
        try:
            # A terminal hands over whole lines, so reading does not wait any more.
            await ready.wait()
        finally:
            loop.remove_reader(sys.stdin.fileno())
        return sys.stdin.readline().strip()

    async def passkey(self, device: str) -> int | None:
        """Return the six digits that the device shows, 0 to 999999; None to give up."""
        if self.code is not None:
            return self.code
        typed = await self.ask(
            Sentence(
                fr=f"Code à six chiffres affiché par {device} (vide pour renoncer) :",
                en=f"Six-digit code shown by {device} (empty to give up):",
            )
        )
        digits = typed.replace(" ", "")
        return int(digits) if digits.isascii() and digits.isdigit() and int(digits) <= LARGEST_PASSKEY else None

    async def confirm(self, device: str, code: str) -> bool:
        """Return whether the device shows the same code."""
        answer = await self.ask(
            Sentence(fr=f"{device} affiche-t-il {code} ? [o/n]", en=f"Does {device} show {code}? [y/n]")
        )
        return answer.lower() in {"o", "oui", "y", "yes"}

    def show(self, device: str, code: str) -> None:
        """Show a code that is to be typed in at the device."""
        self.tell(Sentence(fr=f"À taper sur {device} : {code}", en=f"Type on {device}: {code}"))

    async def leave_pairing_mode(self, device: str) -> None:
        """Have the device taken out of its pairing mode and used as a patient does."""
        self.tell(
            Sentence(
                fr=f"Quitter le mode appairage de {device} (l'éteindre au besoin), puis prendre une mesure d'essai.",
                en=f"Leave the pairing mode of {device} (switch it off if need be), then take a trial measurement.",
            )
        )
        if self.interactive:
            await self.ask(Sentence(fr="Entrée quand c'est fait :", en="Enter when done:"))
        else:
            await asyncio.sleep(self.settle)
