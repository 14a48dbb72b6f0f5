"""`veilleur-desk enrol`: print a code, wait for the box, let the nurse compare six digits.

The office listens in this process, or in another one that is running already (`--serve`); either way the digits come
out of the database and the answer goes into it. Not here: what is printed how (`identity_commands`).
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from alerting.alert import Sentence
from coordination.audit_beside import account
from coordination.authority import Authority
from coordination.box_identity import Revoked
from coordination.enrolment_wishes import NO_WISH, Wish, wished_for
from coordination.enrolments import Claim, Enrolments, Known
from coordination.errors import CoordinationError
from coordination.office import LOOK_S, Office, busy, now_ms
from coordination.place import Place
from coordination.protocol_sources import packaged_protocols
from coordination.revoking import control, enrolment_of
from coordination.settings import EnrolmentSettings, Settings, read_settings
from coordination.team_database import ERRORS, as_error, connect
from exchange.enrolment import Given, GivenPatient, shown
from exchange.enrolment_code import EnrolmentCode
from exchange.errors import UNDECODABLE, TeamListError
from exchange.identity import TeamKeys, key_id
from exchange.team_list import verify_team_list

logger = logging.getLogger(__name__)


class Nurse(Protocol):
    """Whoever sits at the desk."""

    def tell(self, sentence: Sentence) -> None:
        """Say something."""

    def ask(self, question: Sentence) -> str:
        """Return what is typed in; called in a thread of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A code, and for whom it is."""

    box: str
    code: EnrolmentCode
    until: int


def given_to(settings: Settings, box: str, *, also: Sequence[GivenPatient] = ()) -> Given:
    """Return what a box of that id is given; `also` are patients whom desk.toml does not give it.

    Raises:
        CoordinationError: nobody is to be watched by it, or a file is missing.
    """
    enrolment = enrolment_of(settings)
    patients = sorted((one for one in settings.assignments if one.box == box), key=lambda one: one.patient)
    named = {one.patient for one in settings.assignments}
    wished = tuple(one for one in also if one.pseudonym not in named)
    if not patients and not wished:
        raise CoordinationError(
            Sentence(
                fr=f"Aucun patient n'a {box} dans {settings.path}.", en=f"No patient has {box} in {settings.path}."
            ),
            hint=Sentence(
                fr=f'Y ajouter [[patients]] avec box = "{box}", puis recommencer.',
                en=f'Add [[patients]] with box = "{box}" there, then begin again.',
            ),
        )
    for one in patients:
        name = settings.protocol_names[one.patient]
        if name not in packaged_protocols():
            # A threshold of the team's own needs two signatures: it comes as a signed order, never with a code.
            raise CoordinationError(
                Sentence(
                    fr=f"Le protocole de {one.patient} ('{name}') est un fichier, que deux personnes doivent signer.",
                    en=f"The protocol of {one.patient} ('{name}') is a file of the team's, which two people must sign.",
                ),
                hint=Sentence(
                    fr="Enrôler avec un protocole livré, puis envoyer le fichier signé au boîtier.",
                    en="Enrol with a protocol that ships, then send the signed file to the box.",
                ),
            )
    try:
        ca = (Path(enrolment.authority) / "ca.pem").read_bytes()
        team = Path(enrolment.team).read_bytes()
    except OSError as error:
        raise CoordinationError(
            Sentence(
                fr=f"{error.filename} ne peut pas être lu ({error.strerror}).",
                en=f"{error.filename} cannot be read ({error.strerror}).",
            ),
            hint=Sentence(
                fr="Vérifier 'enrolment.authority' et 'enrolment.team' dans desk.toml.",
                en="Check 'enrolment.authority' and 'enrolment.team' in desk.toml.",
            ),
        ) from error
    _believable(enrolment, team)
    return Given(
        box=box,
        ca=ca,
        root=enrolment.root or None,
        team=team,
        broker=enrolment.broker_host or settings.broker.host,
        broker_port=settings.broker.port,
        office=enrolment.host,
        office_port=enrolment.port,
        relay=enrolment.relay or None,
        patients=tuple(
            GivenPatient(pseudonym=one.patient, protocol=settings.protocol_names[one.patient], time_zone=one.time_zone)
            for one in patients
        )
        + wished,
    )


def _believable(enrolment: EnrolmentSettings, team: bytes) -> None:
    """Refuse to give a box what it could not believe.

    Raises:
        CoordinationError: the list is not one that the root signed; or, without a root, no plain file.
    """
    try:
        if enrolment.root:
            root = bytes.fromhex(enrolment.root)
            verify_team_list(team, roots={key_id(root): root})
        else:
            msgspec.json.decode(team, type=TeamKeys)
    except (TeamListError, *UNDECODABLE) as error:
        raise CoordinationError(
            Sentence(
                fr=f"{enrolment.team} n'est pas une liste qu'un boîtier croirait ({error}).",
                en=f"{enrolment.team} is no list that a box would believe ({error}).",
            ),
            hint=Sentence(
                fr="Mettre dans 'enrolment.root' la racine que montre 'veilleur-desk keys list'.",
                en="Put into 'enrolment.root' the root that 'veilleur-desk keys list' shows.",
            ),
        ) from error


def office_of(settings: Settings) -> Office:
    """Return the office of these settings, not yet open.

    Raises:
        CoordinationError: the settings have no [enrolment], or the authority cannot be used.
    """
    enrolment = enrolment_of(settings)

    async def replaced(box: str, taken: Revoked) -> None:
        try:
            await control(settings).revoke(box, taken.serials, deny=False)
        except CoordinationError as error:
            # The box that replaces it need not wait for the broker.
            logger.warning("the machine that was %s is not kept out yet: %s %s", box, error.why.en, error.hint.en)

    async def welcomed(box: str) -> None:
        try:
            await control(settings).allow(box)
        except CoordinationError as error:
            logger.warning("the broker may still deny %s: %s %s", box, error.why.en, error.hint.en)

    return Office(
        authority=Authority.open(Path(enrolment.authority)),
        database=settings.database,
        listed=settings.signers,
        given=lambda box: _given_now(settings, box),
        replaced=replaced,
        welcomed=welcomed,
        host=enrolment.host,
        listen=enrolment.listen,
        port=enrolment.port,
    )


def _given_now(settings: Settings, box: str) -> Given:
    """Return what a box is given by desk.toml as it is now, and by the wish of its code: an office is open for long."""
    return given_to(read_settings(settings.path), box, also=already_given(settings.database, box))


def already_given(database: Place, box: str) -> tuple[GivenPatient, ...]:
    """Return the patients whom the desk gave a box; the database is made, or upgraded, where the inbox has not yet.

    Raises:
        DatabaseUnusableError, DatabaseBusyError: it cannot be read.
    """
    connection = connect(database)
    try:
        return wished_for(connection, box)
    except ERRORS as error:
        raise as_error(error) from error
    finally:
        connection.close()


def invite(
    settings: Settings, box: str, *, by: str = "", wish: Wish = NO_WISH, database: Place | None = None
) -> Invitation:
    """Make a code for a box.

    Args:
        settings: the team's.
        box: its id.
        by: who asks for it, the account of this process when left out.
        wish: for whom, when it is asked for at the desk.
        database: the one of the settings when left out.

    Raises:
        CoordinationError: the box could not be given what it needs, or the database takes nothing.
    """
    enrolment = enrolment_of(settings)
    place = database or settings.database
    # Looked at for what would be missing; the time zone comes with the wish, from the database.
    wished = (GivenPatient(pseudonym=wish.patient, protocol=wish.protocol, time_zone="UTC"),) if wish.patient else ()
    given = given_to(settings, box, also=(*already_given(place, box), *wished))
    code = EnrolmentCode.make(host=enrolment.host, port=enrolment.port, ca=given.ca)
    with Enrolments(place, settings.signers) as kept:
        until = kept.open(code, box=box, at=now_ms(), by=by or account(), wish=wish)
    return Invitation(box=box, code=code, until=until)


async def serve(settings: Settings) -> None:
    """Keep the office open until SIGTERM or SIGINT.

    Raises:
        CoordinationError: it cannot open.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    enrolment = enrolment_of(settings)
    async with AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(office_of(settings).opened())
        except OSError as error:
            raise _cannot_listen(enrolment, error) from error
        logger.info("the enrolment office listens on %s, port %d", enrolment.listen or "all addresses", port)
        await told.wait()


async def accompany(settings: Settings, invitation: Invitation, nurse: Nurse, *, by: str) -> bool:
    """Wait with the nurse until the box has it all; return whether it does.

    Raises:
        CoordinationError: the office cannot open, or the database cannot be read.
    """
    place = invitation.code.place
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(office_of(settings).opened())
        except OSError as error:
            if not busy(error):
                raise _cannot_listen(enrolment_of(settings), error) from error
            nurse.tell(
                Sentence(
                    fr="Un autre programme tient déjà le guichet d'enrôlement ; on attend le boîtier ici.",
                    en="Another program holds the enrolment office already; the box is waited for here.",
                )
            )
        nurse.tell(
            Sentence(fr="En attente du boîtier (Ctrl-C pour arrêter).", en="Waiting for the box (Ctrl-C to stop).")
        )
        asked: set[str] = set()
        while True:
            state, claims = await _look(settings, place)
            if state == "done":
                return True
            if state in {"refused", "void"} or now_ms() >= invitation.until:
                return False
            for claim in claims:
                if claim.digits not in asked:
                    asked.add(claim.digits)
                    yes = await asyncio.to_thread(compare, claim, nurse)
                    await _decide(settings, claim, yes=yes, by=by, nurse=nurse)
            await asyncio.sleep(LOOK_S)


def compare(claim: Claim, nurse: Nurse) -> bool:
    """Let the nurse compare the digits of a machine that waits; return what she says."""
    words = {
        Known.NEW: Sentence(fr="nouvelle machine", en="a new machine"),
        Known.SAME: Sentence(fr="la même machine qu'avant", en="the same machine as before"),
        Known.OTHER: Sentence(fr="UNE AUTRE MACHINE qu'avant", en="ANOTHER MACHINE than before"),
    }[claim.known]
    nurse.tell(
        Sentence(
            fr=f"\n{claim.box} ({words.fr}) montre :    {shown(claim.digits)}\n",
            en=f"\n{claim.box} ({words.en}) shows:    {shown(claim.digits)}\n",
        )
    )
    answer = nurse.ask(
        Sentence(
            fr="Qui est devant le boîtier lit-il exactement ce nombre ? [o/n]",
            en="Does whoever stands at the box read out exactly this number? [y/n]",
        )
    )
    if answer.strip().lower() not in {"o", "oui", "y", "yes"}:
        return False
    if claim.known is not Known.OTHER:
        return True
    nurse.tell(
        Sentence(
            fr=f"{claim.box} était une autre machine. Si elle n'a pas été remplacée ou remise à neuf, refuser.\n"
            "L'ancienne ne sera plus crue ; ce qu'elle n'a pas encore transmis ne le sera plus.",
            en=f"{claim.box} was another machine. If it was neither replaced nor set up anew, refuse.\n"
            "The old one is believed no more; what it has not transmitted yet never will be.",
        )
    )
    typed = nurse.ask(
        Sentence(
            fr=f"Taper {claim.box} pour remplacer l'ancienne machine, ou Entrée pour refuser :",
            en=f"Type {claim.box} to replace the old machine, or Enter to refuse:",
        )
    )
    return typed.strip() == claim.box


async def _look(settings: Settings, place: str) -> tuple[str, tuple[Claim, ...]]:
    def inside() -> tuple[str, tuple[Claim, ...]]:
        with Enrolments(settings.database, settings.signers) as kept:
            return kept.state(place), kept.waiting(place)

    return await asyncio.to_thread(inside)


async def _decide(settings: Settings, claim: Claim, *, yes: bool, by: str, nurse: Nurse) -> None:
    def inside() -> bool:
        with Enrolments(settings.database, settings.signers) as kept:
            return kept.decide(claim, yes=yes, by=by, at=now_ms())

    if not await asyncio.to_thread(inside):
        nurse.tell(
            Sentence(
                fr="Le boîtier a recommencé entre-temps : comparer les nouveaux chiffres.",
                en="The box began again meanwhile: compare the new digits.",
            )
        )


def _cannot_listen(enrolment: EnrolmentSettings, error: OSError) -> CoordinationError:
    return CoordinationError(
        Sentence(
            fr=f"Impossible d'écouter sur le port {enrolment.port} ({error.strerror}).",
            en=f"It is impossible to listen on port {enrolment.port} ({error.strerror}).",
        ),
        hint=Sentence(
            fr="Vérifier 'enrolment.listen' et 'enrolment.port' dans desk.toml.",
            en="Check 'enrolment.listen' and 'enrolment.port' in desk.toml.",
        ),
    )
