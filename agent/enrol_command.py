"""`veilleur enrol`: bring this box to its team with a code, and compare six digits with the nurse on the telephone."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from agent.account import account
from agent.audit_beside import write_beside
from agent.audit_log import AuditLog
from agent.enrolled_box import Places
from agent.enrolling import Enrolled, enrol
from agent.enrolment_errors import EnrolmentFailedError
from agent.errors import SettingsError, StoreError, VaultError
from agent.own_acts import identity_held
from agent.settings import Settings
from agent.settings_file import read_settings
from alerting.alert import Sentence
from devices.clock import SystemClock
from exchange.audit_chain import Act
from exchange.enrolment import shown
from exchange.enrolment_code import CodeError, EnrolmentCode
from exchange.errors import IdentityError


class Person(Protocol):
    """Whoever stands at the box."""

    def tell(self, sentence: Sentence) -> None:
        """Say something."""

    async def ask(self, question: Sentence) -> str:
        """Return a line that they type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolRequest:
    """What was asked for.

    Attributes:
        code: as typed or scanned.
        config: agent.toml, which need not exist.
        state: folder of the database, for the first settings.
        new_keys: whether to set the keys aside that the box has.
        unattended: whether nobody stands at the box: the nurse alone compares.
    """

    code: str
    config: Path
    state: Path
    new_keys: bool = False
    unattended: bool = False


async def run_enrolment(request: EnrolRequest, person: Person) -> Enrolled:
    """Enrol this box.

    Raises:
        EnrolmentFailedError, SettingsError, IdentityError: why not, and what to do next.
    """
    try:
        code = EnrolmentCode.read(request.code)
    except CodeError as error:
        raise EnrolmentFailedError(
            Sentence(
                fr="Ce n'est pas un code d'enrôlement entier.", en=f"That is not a whole enrolment code ({error})."
            ),
            Sentence(
                fr="Le recopier ou le scanner à nouveau, entre apostrophes : il commence par VEILLEUR:.",
                en="Copy or scan it again, between quotes: it begins with VEILLEUR:.",
            ),
        ) from error
    if request.config.exists():
        places = Places.of(read_settings(request.config), request.config)
    else:
        places = Places.new(request.config, state=request.state)
    if request.new_keys:
        for moved in places.set_keys_aside():
            person.tell(Sentence(fr=f"Ancienne clé mise de côté : {moved}", en=f"Old key set aside: {moved}"))
    person.tell(
        Sentence(fr=f"Connexion à {code.host}, port {code.port} …", en=f"Connecting to {code.host}, port {code.port} …")
    )

    async def compare(box: str, digits: str) -> bool:
        person.tell(
            Sentence(
                fr=f"\nCe boîtier sera {box}. Lire à l'équipe, au téléphone :    {shown(digits)}\n",
                en=f"\nThis box will be {box}. Read to the team, on the telephone:    {shown(digits)}\n",
            )
        )
        if request.unattended:
            return True
        answer = await person.ask(
            Sentence(
                fr="L'équipe a-t-elle exactement ce nombre sous les yeux ? [o/n]",
                en="Does the team have exactly this number before its eyes? [y/n]",
            )
        )
        if answer.strip().lower() not in {"o", "oui", "y", "yes"}:
            return False
        person.tell(Sentence(fr="En attente de l'équipe …", en="Waiting for the team …"))
        return True

    try:
        enrolled = await enrol(code, places, compare=compare)
    except EnrolmentFailedError as error:
        _enter(request.config, partial(refused, why=error.why.en))
        raise
    _enter(request.config, joined)
    _say(enrolled, request.config, person)
    if request.new_keys and not enrolled.first:
        person.tell(
            Sentence(
                fr="Ensuite : 'sudo systemctl restart veilleur', pour sceller sous les nouvelles clés. "
                "Ce qui attend part aussi.",
                en="Next: 'sudo systemctl restart veilleur', to seal under the new keys. What waits leaves as well.",
            )
        )
    return enrolled


def _enter(config: Path, work: Callable[[AuditLog, Settings, int], None]) -> None:
    """Enter what came of it in the record of acts, where there is one that this account may write.

    A box that was never started has none, and a key that only systemd hands over is not here: what holds now is then
    entered by the box at its next start.
    """
    with suppress(SettingsError, StoreError, VaultError, IdentityError, sqlite3.Error, OSError):
        settings = read_settings(config)
        write_beside(settings, SystemClock(), lambda log, at: work(log, settings, at))


def joined(log: AuditLog, settings: Settings, at: int) -> None:
    """Enter that somebody enrolled this box, with which key and certificate; its next start then has nothing to say."""
    identity_held(log, settings, at, by=account(), enrolled=True)


def refused(log: AuditLog, settings: Settings, at: int, *, why: str) -> None:
    """Enter that somebody tried to enrol this box, and why it came to nothing."""
    log.enter(Act.ENROLMENT_REFUSED, at=at, by=account(), reference=settings.box, detail={"why": why})


def _say(enrolled: Enrolled, config: Path, person: Person) -> None:
    if not enrolled.first:
        person.tell(
            Sentence(
                fr=f"{enrolled.box} a un nouveau certificat ; ses réglages n'ont pas changé.",
                en=f"{enrolled.box} has a new certificate; its settings are unchanged.",
            )
        )
        return
    person.tell(
        Sentence(
            fr=f"{enrolled.box} est enrôlé ; réglages écrits dans {config}.\n"
            "Ensuite : 'veilleur pair' pour chaque appareil, puis 'sudo systemctl start veilleur'.",
            en=f"{enrolled.box} is enrolled; settings written to {config}.\n"
            "Next: 'veilleur pair' for each device, then 'sudo systemctl start veilleur'.",
        )
    )
    try:
        read_settings(config)
    except SettingsError as error:
        for fault in error.faults:
            person.tell(Sentence(fr=f"À compléter : {fault.fr}", en=f"To complete: {fault.en}"))
