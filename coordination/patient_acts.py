"""What people do with a patient's follow-up: take on, give a box, take it back, end.

Each act runs inside a transaction of the caller's, with its entry in the record of acts. Whom a box is given to is
dated: what it measured before is never theirs. A patient has one box at a time (DECISIONS 20): another one needs the
first to end, or somebody to say that both serve. What was set apart for want of an assignment is attributed in the
same transaction, and the inbox takes up who is followed while it runs, since the roster's number changes.

Not here: erasing (patient_erasure), who they are (identity_vault), and who may (the desk's access).
"""

import re
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.erased_patients import is_erased
from coordination.errors import CoordinationError
from coordination.sql import Sql
from coordination.sql_records import Records, Roster
from exchange.audit_chain import Act, Erasable
from exchange.messages import UNATTRIBUTED

PSEUDONYM: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,47}")
RESERVED: Final = frozenset({"nouveau", "a-attribuer", "archives", UNATTRIBUTED})
"""Parts of the desk's own addresses."""
_TREES: Final = (
    "acacia", "alisier", "aulne", "bouleau", "buis", "cedre", "cerisier", "charme", "chene", "citronnier", "cormier",
    "cypres", "epicea", "erable", "figuier", "frene", "genevrier", "hetre", "houx", "if", "laurier", "lilas",
    "marronnier", "meleze", "merisier", "mimosa", "murier", "noisetier", "noyer", "olivier", "oranger", "orme", "osier",
    "peuplier", "pin", "platane", "poirier", "pommier", "prunier", "robinier", "sapin", "saule", "sorbier", "sureau",
    "tamaris", "thuya", "tilleul", "tremble", "troene", "viorne",
)  # fmt: skip
_TRIES: Final = 200


class OtherBox(StrEnum):
    """What becomes of a box that a patient has when they are given another."""

    REFUSE = "refuse"
    """Nobody said: the second one is refused."""
    ENDS = "ends"
    """Its assignment ends when the other begins."""
    STAYS = "stays"
    """Both transmit for the patient, as somebody declared: a second home, a day centre."""


def new_pseudonym(taken: Callable[[str], bool]) -> str:
    """Return a name that can be said over the telephone and says nothing: a tree and a number, "cedre-417".

    Raises:
        CoordinationError: nearly all are taken.
    """
    for _ in range(_TRIES):
        name = f"{secrets.choice(_TREES)}-{100 + secrets.randbelow(900)}"
        if not taken(name):
            return name
    raise CoordinationError(
        Sentence(fr="Presque tous les pseudonymes d'arbres sont pris.", en="Nearly all pseudonyms of trees are taken."),
        hint=Sentence(fr="En choisir un soi-même.", en="Choose one yourself."),
    )


def is_taken(connection: Sql, pseudonym: str) -> bool:
    """Return whether a pseudonym is or was somebody's, a box's name, or one of ours."""
    row = connection.execute(
        "SELECT 1 FROM patient WHERE pseudonym = ? UNION ALL SELECT 1 FROM box WHERE name = ?", (pseudonym, pseudonym)
    ).fetchone()
    return row is not None or pseudonym in RESERVED or is_erased(connection, pseudonym)


def take_on(
    connection: Sql, *, pseudonym: str, team: int, time_zone: str, protocol: str, text: str, by: str, at: int
) -> int:
    """Begin a follow-up; return the patient's row.

    Args:
        connection: in a transaction.
        pseudonym: 3 to 48 of a-z, 0-9 and -, free.
        team: its row.
        time_zone: an IANA name, checked by the caller.
        protocol: hash of the care protocol.
        text: that protocol, resolved.
        by: who takes them on.
        at: ms UTC.

    Raises:
        CoordinationError: the pseudonym is none or taken.
    """
    if not PSEUDONYM.fullmatch(pseudonym) or is_taken(connection, pseudonym):
        raise CoordinationError(
            Sentence(
                fr=f"Le pseudonyme « {pseudonym} » est déjà pris ou mal formé.",
                en=f"The pseudonym '{pseudonym}' is taken or malformed.",
            ),
            hint=Sentence(
                fr="3 à 48 caractères a-z, 0-9 et -, jamais un nom ni un numéro de boîtier.",
                en="3 to 48 of a-z, 0-9 and -, never a name nor a box's id.",
            ),
        )
    connection.execute(
        "INSERT INTO care_protocol (hash, text, first_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (protocol, text, at)
    )
    row = connection.execute(
        "INSERT INTO patient (pseudonym, time_zone, team_id, followed_by, begun_at)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (pseudonym, time_zone, team, protocol, at),
    ).fetchone()
    _enter(connection, Act.PATIENT_TAKEN_ON, pseudonym, by, at, {"protocol": protocol[:16]})
    _changed(connection)
    return int(row[0])


def assign(connection: Sql, *, patient: int, box: int, since: int, other_box: OtherBox, by: str, at: int) -> int:
    """Give a box to a patient from a time on; return how many records were waiting for it and are theirs now.

    Args:
        connection: in a transaction.
        patient: their row.
        box: its row.
        since: ms UTC; what was measured before stays set apart.
        other_box: what becomes of one that the patient has.
        by: who gives it.
        at: ms UTC.

    Raises:
        CoordinationError: the patient has another box, this one already, or their follow-up ended.
    """
    pseudonym, ended = connection.execute("SELECT pseudonym, ended_at FROM patient WHERE id = ?", (patient,)).fetchone()
    if ended is not None:
        raise _refused(
            Sentence(fr="Le suivi de ce patient est terminé.", en="This patient's follow-up has ended."),
            Sentence(fr="Le reprendre avant de lui attribuer un boîtier.", en="Resume it before giving them a box."),
        )
    others = connection.execute(
        'SELECT id, box_id, "from" FROM box_assignment WHERE patient_id = ? AND "to" IS NULL', (patient,)
    ).fetchall()
    if any(other == box and begun <= since for _, other, begun in others):
        raise _refused(
            Sentence(fr="Ce boîtier est déjà attribué à ce patient.", en="This box is this patient's already."),
            Sentence(fr="Il n'y a rien à faire.", en="There is nothing to do."),
        )
    if any(other != box for _, other, _ in others) and other_box is OtherBox.REFUSE:
        raise _refused(
            Sentence(
                fr="Ce patient a déjà un boîtier : un second demande que le premier finisse.",
                en="This patient has a box already: a second one needs the first to end.",
            ),
            Sentence(
                fr="Dire si l'autre boîtier s'arrête au même moment, ou si les deux servent.",
                en="Say whether the other box ends at the same time, or both serve.",
            ),
        )
    for row, other, begun in others:
        if other != box and other_box is OtherBox.STAYS:
            continue
        # Given from an earlier time on, the same box was never given at the later one.
        connection.execute(
            """UPDATE box_assignment SET "to" = ?, origin = 'desk' WHERE id = ?""", (max(begun, since), row)
        )
        _box_act(connection, Act.BOX_TAKEN_BACK, other, pseudonym, by, at)
    connection.execute(
        'INSERT INTO box_assignment (box_id, patient_id, "from", listened, origin)'
        " SELECT ?, ?, ?, listened, 'desk' FROM inbox_listening WHERE true"
        """ ON CONFLICT (box_id, patient_id, "from") DO UPDATE SET "to" = NULL, origin = 'desk'""",
        (box, patient, since),
    )
    _box_act(connection, Act.BOX_ASSIGNED, box, pseudonym, by, at)
    _changed(connection)
    return _attribute(connection, at)


def take_back(connection: Sql, *, patient: int, by: str, at: int) -> int:
    """End every assignment of a patient that lasts, at `at` (ms UTC); return how many there were."""
    pseudonym = _pseudonym(connection, patient)
    held = connection.execute(
        'SELECT id, box_id FROM box_assignment WHERE patient_id = ? AND "to" IS NULL', (patient,)
    ).fetchall()
    for row, box in held:
        connection.execute(
            """UPDATE box_assignment SET "to" = greatest("from", ?), origin = 'desk' WHERE id = ?""", (at, row)
        )
        _box_act(connection, Act.BOX_TAKEN_BACK, box, pseudonym, by, at)
    if held:
        _changed(connection)
    return len(held)


def end_follow_up(connection: Sql, *, patient: int, by: str, at: int) -> bool:
    """End a follow-up and the box's assignment with it; False when it had ended. Nothing is deleted."""
    if not connection.execute(
        "UPDATE patient SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (at, patient)
    ).rowcount:
        return False
    take_back(connection, patient=patient, by=by, at=at)
    _enter(connection, Act.FOLLOW_UP_ENDED, _pseudonym(connection, patient), by, at, {})
    _changed(connection)
    return True


def resume(connection: Sql, *, patient: int, by: str, at: int) -> bool:
    """Take a patient on again whose follow-up had ended; False when it had not. A box is given anew."""
    if not connection.execute(
        "UPDATE patient SET ended_at = NULL WHERE id = ? AND ended_at IS NOT NULL", (patient,)
    ).rowcount:
        return False
    _enter(connection, Act.PATIENT_TAKEN_ON, _pseudonym(connection, patient), by, at, {"again": 1})
    _changed(connection)
    return True


def _attribute(connection: Sql, at: int) -> int:
    waiting = "SELECT count(*) FROM to_attribute"
    before = connection.execute(waiting).fetchone()[0]
    Records(connection, Roster.load(connection), stored_at=at).attribute_again()
    return int(before) - int(connection.execute(waiting).fetchone()[0])


def _changed(connection: Sql) -> None:
    """Let every worker of the inbox read again who is followed."""
    connection.execute("UPDATE inbox_listening SET roster = roster + 1")


def _pseudonym(connection: Sql, patient: int) -> str:
    return str(connection.execute("SELECT pseudonym FROM patient WHERE id = ?", (patient,)).fetchone()[0])


def _refused(why: Sentence, hint: Sentence) -> CoordinationError:
    return CoordinationError(why, hint=hint)


def _box_act(  # noqa: PLR0917 - an entry's parts
    connection: Sql, act: Act, box: int, pseudonym: str, by: str, at: int
) -> None:
    (name,) = connection.execute("SELECT name FROM box WHERE id = ?", (box,)).fetchone()
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(act, at=at, by=by, reference=str(name), detail={"patient": Erasable(value=pseudonym)})


def _enter(  # noqa: PLR0917 - an entry's parts
    connection: Sql, act: Act, pseudonym: str, by: str, at: int, detail: dict[str, str | int]
) -> None:
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(act, at=at, by=by, reference=Erasable(value=pseudonym), detail=detail)
