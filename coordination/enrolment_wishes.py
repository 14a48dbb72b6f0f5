"""For whom a code was asked for at the desk: the team, the person, and the patient whom the box will watch.

The wish lies with its code, so that an office in another process finds it. It comes true in the transaction that makes
the machine the box: the patient is given the box from then on, in the record of acts too, unless somebody has given
them another one meanwhile (a second box for a patient needs the first ended).

Functions of one open transaction. Not here: the life of a code (enrolments), and who may wish (the desk's access).
"""

from dataclasses import dataclass

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.errors import CoordinationError
from coordination.protocol_sources import packaged_protocols
from coordination.sql import Sql
from exchange.audit_chain import Act, Erasable
from exchange.enrolment import GivenPatient

LIFETIME_MS = 24 * 3_600_000
AT_THE_DESK_MS = 600_000
"""A code that is shown while somebody stands at the box need not hold for a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wished beside a box.

    Attributes:
        team: whose box it will be, None to leave that as it is.
        by: row of who asks in the desk's table of people, None from a command.
        patient: pseudonym, "" for those that desk.toml gives the box.
        protocol: name of a protocol that ships, for the patient.
        lasts: ms for which the code holds.
    """

    team: int | None = None
    by: int | None = None
    patient: str = ""
    protocol: str = ""
    lasts: int = LIFETIME_MS


NO_WISH = Wish()


def keep_wish(connection: Sql, place: str, box: str, wish: Wish) -> None:
    """Keep with a code what is wished.

    Raises:
        CoordinationError: the box is another team's, or the patient cannot have it.
    """
    if wish.team is None:
        return
    _take_in(connection, box, wish.team)
    if wish.patient:
        _may_have(connection, box, wish)
    connection.execute(
        "UPDATE enrolment SET team_id = ?, opened_by = ?, patient = ?, protocol = ? WHERE place = ?",
        (wish.team, wish.by, wish.patient, wish.protocol, place),
    )


def _take_in(connection: Sql, box: str, team: int) -> None:
    """Let a box that nobody uses yet be this team's."""
    row = connection.execute(
        "SELECT team_id, heard_at IS NOT NULL OR EXISTS (SELECT 1 FROM box_key WHERE box_id = box.id)"
        ' OR EXISTS (SELECT 1 FROM box_assignment WHERE box_id = box.id AND "to" IS NULL)'
        " FROM box WHERE name = ?",
        (box,),
    ).fetchone()
    if row[0] == team:
        return
    if row[1]:
        raise CoordinationError(
            Sentence(fr=f"{box} ne peut pas être enrôlé ici.", en=f"{box} cannot be enrolled here."),
            hint=Sentence(
                fr="Vérifier le numéro imprimé sur le boîtier ; s'il est juste, prévenir votre administrateur.",
                en="Check the number printed on the box; if it is right, tell your administrator.",
            ),
        )
    connection.execute("UPDATE box SET team_id = ? WHERE name = ?", (team, box))


def _may_have(connection: Sql, box: str, wish: Wish) -> None:
    known = connection.execute(
        "SELECT 1 FROM patient WHERE pseudonym = ? AND team_id = ?", (wish.patient, wish.team)
    ).fetchone()
    if known is None:
        raise CoordinationError(
            Sentence(fr=f"Aucun patient '{wish.patient}' ici.", en=f"There is no patient '{wish.patient}' here."),
            hint=Sentence(fr="Vérifier le pseudonyme.", en="Check the pseudonym."),
        )
    if wish.protocol not in packaged_protocols():
        raise CoordinationError(
            Sentence(fr="Choisir un protocole livré pour ce patient.", en="Choose a protocol that ships for them."),
            hint=Sentence(
                fr="Un seuil propre au patient s'envoie ensuite, signé par deux personnes.",
                en="A threshold of the patient's own is sent afterwards, signed by two people.",
            ),
        )
    other = _held_by(connection, wish.patient)
    if other not in {None, box}:
        raise CoordinationError(
            Sentence(
                fr=f"{wish.patient} a déjà le boîtier {other}.", en=f"{wish.patient} has the box {other} already."
            ),
            hint=Sentence(fr="Mettre d'abord fin à cette attribution.", en="End that assignment first."),
        )


def _held_by(connection: Sql, patient: str) -> str | None:
    row = connection.execute(
        "SELECT box.name FROM box_assignment JOIN box ON box.id = box_id JOIN patient ON patient.id = patient_id"
        ' WHERE pseudonym = ? AND "to" IS NULL',
        (patient,),
    ).fetchone()
    return None if row is None else str(row[0])


def wished_for(connection: Sql, box: str) -> tuple[GivenPatient, ...]:
    """Return the patients that a box is given beside those of desk.toml: whom its code is for, and whom it has."""
    rows = connection.execute(
        "SELECT enrolment.patient, enrolment.protocol, time_zone FROM enrolment JOIN box ON box.id = box_id"
        " JOIN patient ON pseudonym = enrolment.patient WHERE box.name = ?"
        " AND (enrolment.state IN ('open', 'claimed', 'confirmed') OR (enrolment.state = 'done'"
        " AND EXISTS (SELECT 1 FROM box_assignment AS held WHERE held.box_id = box.id"
        ' AND held.patient_id = patient.id AND held."to" IS NULL))) ORDER BY created_at DESC',
        (box,),
    ).fetchall()
    found: dict[str, GivenPatient] = {}
    for patient, protocol, zone in rows:
        found.setdefault(patient, GivenPatient(pseudonym=patient, protocol=protocol, time_zone=zone))
    return tuple(found[patient] for patient in sorted(found))


def fulfil(connection: Sql, place: str, box: str, *, by: str, at: int) -> None:
    """Give the patient of a code the box from `at` on (ms UTC), unless they have one."""
    row = connection.execute("SELECT patient FROM enrolment WHERE place = ?", (place,)).fetchone()
    patient = "" if row is None else str(row[0])
    if not patient or _held_by(connection, patient) is not None:
        return
    connection.execute(
        'INSERT INTO box_assignment (box_id, patient_id, "from", listened, origin)'
        " SELECT box.id, patient.id, ?, listened, 'desk' FROM box, patient, inbox_listening"
        " WHERE box.name = ? AND patient.pseudonym = ? ON CONFLICT DO NOTHING",
        (at, box, patient),
    )
    # Every worker of the inbox takes up who is known.
    connection.execute("UPDATE inbox_listening SET roster = roster + 1")
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(Act.BOX_ASSIGNED, at=at, by=by, reference=box, detail={"patient": Erasable(value=patient)})


def void_codes(connection: Sql, box: str) -> None:
    """Let no code of a box hold any longer."""
    connection.execute(
        "UPDATE enrolment SET state = 'void' FROM box"
        " WHERE box.id = box_id AND box.name = ? AND state IN ('open', 'claimed', 'confirmed')",
        (box,),
    )
