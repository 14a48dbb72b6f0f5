"""Taking a box out of the team: its keys at the inbox first, then its certificates at the broker.

The database comes first and is enough for the promise: from that commit on the inbox refuses whatever the box signs,
even if the broker cannot be told. What failed later is told, and the same command run again does all of it again.
"""

from pathlib import Path

from alerting.alert import Sentence
from coordination.audit_beside import account
from coordination.authority import Authority
from coordination.box_identity import Listed, Revoked, revoke_box
from coordination.broker_control import BrokerAddress, BrokerControl
from coordination.enrolment_acts import EnrolmentActs
from coordination.enrolment_wishes import void_codes
from coordination.errors import CoordinationError
from coordination.place import Place
from coordination.settings import EnrolmentSettings, Settings
from coordination.team_database import connect, transaction


def enrolment_of(settings: Settings) -> EnrolmentSettings:
    """Return the section that says how boxes join and leave.

    Raises:
        CoordinationError: there is none.
    """
    if settings.enrolment is None:
        raise CoordinationError(
            Sentence(
                fr=f"{settings.path} n'a pas de section [enrolment].", en=f"{settings.path} has no [enrolment] section."
            ),
            hint=Sentence(
                fr="L'ajouter comme dans configs/desk.toml, puis 'veilleur-desk createca'.",
                en="Add it as in configs/desk.toml, then run 'veilleur-desk createca'.",
            ),
        )
    return settings.enrolment


def control(settings: Settings) -> BrokerControl:
    """Return what can be done to the broker of these settings.

    Raises:
        CoordinationError: the settings have no [enrolment], or the authority cannot be used.
    """
    enrolment = enrolment_of(settings)
    return BrokerControl(
        authority=Authority.open(Path(enrolment.authority)),
        address=BrokerAddress(host=settings.broker.host, port=settings.broker.port),
        crl=Path(enrolment.crl) if enrolment.crl else None,
        acl=Path(enrolment.acl) if enrolment.acl else None,
        reload=enrolment.reload,
    )


def revoke_at_inbox(database: Place, box: str, *, listed: Listed, reason: str, at: int, by: str = "") -> Revoked:
    """Let nothing count any more that a box signs; its open codes neither. Run again, it is the same.

    Raises:
        CoordinationError: there is no such box.
        DatabaseBusyError, DatabaseUnusableError: nothing was changed.
    """
    connection = connect(database)
    try:
        with transaction(connection):
            if box in listed:
                connection.execute("INSERT INTO box (name) VALUES (?) ON CONFLICT DO NOTHING", (box,))
            if connection.execute("SELECT 1 FROM box WHERE name = ?", (box,)).fetchone() is None:
                raise CoordinationError(
                    Sentence(fr=f"Aucun boîtier '{box}' ici.", en=f"There is no box '{box}' here."),
                    hint=Sentence(
                        fr="'veilleur-desk boxes' donne leurs noms.", en="'veilleur-desk boxes' lists their names."
                    ),
                )
            void_codes(connection, box)
            taken = revoke_box(connection, box, listed=listed, reason=reason, at=at)
            EnrolmentActs(connection, at=at).revoked(box, taken, reason=reason, by=by or account())
            return taken
    finally:
        connection.close()


async def revoke(
    settings: Settings, box: str, *, reason: str, serials: tuple[str, ...], at: int, by: str = ""
) -> tuple[Revoked, float | CoordinationError]:
    """Revoke a box; return what was taken from it, and after how many seconds the broker refused it, or why not yet.

    Args:
        settings: the team's.
        box: its id.
        reason: why, for the record.
        serials: of certificates that were not issued by an enrolment.
        at: ms UTC, real time.
        by: who decides; the account of this process when left out.

    Raises:
        CoordinationError: nothing was revoked.
    """
    broker = control(settings)
    taken = revoke_at_inbox(settings.database, box, listed=settings.signers, reason=reason, at=at, by=by)
    try:
        return taken, await broker.revoke(box, (*taken.serials, *serials))
    except CoordinationError as error:
        return taken, error
