"""What people do with a draft until it is signed: begin it, change it, propose it, take it back, give it up.

Rules of this room:

- Each act says which revision its person looked at; when somebody changed the draft since, nothing is done and they are
  told (`OutdatedError`). A patient has one open draft: whoever comes works on the same.
- What is proposed is an order's canonical bytes, and signatures are over these: nothing of it can change any more.
  Taking it back to change it drops the signatures.

Each act runs inside a transaction of the caller's, with its entry in the record of acts. Not here: signing
and sending (draft_orders), who may (the desk's access), and trying a draft (replay_jobs).
"""

import base64
from contextlib import nullcontext
from dataclasses import dataclass

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import check_protocol
from coordination.audit_log import AuditLog
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.packs import FaultyError, OutdatedError, finder
from coordination.requests import Request, Signed, make_command, protocol_body
from coordination.sql import Sql
from coordination.sql_commands import SqlCommands
from exchange.audit_chain import Act, Erasable
from exchange.commands import CommandKind, CommandSignature, decode, encode
from exchange.errors import CommandError

DRAFT, TO_SIGN, SIGNED, SENT, ABANDONED = "draft", "to_sign", "signed", "sent", "abandoned"
OPEN = (DRAFT, TO_SIGN, SIGNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who signed a draft, as what, with which key, when (ms UTC)."""

    role: str
    key: str
    name: str
    user: int
    at: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A draft as it is now.

    Attributes:
        id: its row.
        patient: pseudonym.
        state: see above.
        revision: counts its changes.
        text: the protocol file.
        by: who changed it last; `at` is when, ms UTC.
        box: for which box it is proposed.
        raw: the order's canonical bytes, empty before it is proposed.
        command_id: the order's id.
        protocol_hash: of the protocol in it.
        signatures: nurse's first.
    """

    id: int
    team: int
    patient_row: int
    patient: str
    state: str
    revision: int
    text: str
    by: str
    at: int
    box: str
    raw: bytes
    command_id: str
    protocol_hash: str
    signatures: tuple[Signature, ...]

    @property
    def request(self) -> Request:
        """What is signed, with who signed it so far."""
        signed = tuple(
            Signed(name=one.name, signature=CommandSignature(key=one.key, signature=one.signature))
            for one in self.signatures
        )
        return Request(raw=self.raw, command=decode(self.raw), signed=signed)


_COLUMNS = (
    "protocol_draft.id, protocol_draft.team_id, patient_id, pseudonym, state, revision, text, by, at, box, command,"
    " command_id, protocol_hash"
)


def open_draft(connection: Sql, team: int, patient: int) -> Draft | None:
    """Return the draft of a patient (by row) that somebody works on, None when there is none."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM protocol_draft JOIN patient ON patient.id = patient_id"  # noqa: S608
        " WHERE protocol_draft.team_id = ? AND patient_id = ? AND state IN (?, ?, ?)",
        (team, patient, *OPEN),
    ).fetchone()
    return None if row is None else _draft(connection, row)


def sent_drafts(connection: Sql, team: int, patient: int, *, most: int = 5) -> list[Draft]:
    """Return what was sent of a patient, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM protocol_draft JOIN patient ON patient.id = patient_id"  # noqa: S608
        " WHERE protocol_draft.team_id = ? AND patient_id = ? AND state = ? ORDER BY protocol_draft.id DESC LIMIT ?",
        (team, patient, SENT, most),
    ).fetchall()
    return [_draft(connection, row) for row in rows]


def _draft(connection: Sql, row: tuple[object, ...]) -> Draft:
    number, team, patient_row, patient, state, revision, text, by, at, box, command, command_id, protocol_hash = row
    signatures = connection.execute(
        'SELECT role, key, name, "user", at, signature FROM protocol_signature WHERE draft_id = ? ORDER BY role',
        (number,),
    ).fetchall()
    return Draft(
        id=int(str(number)),
        team=int(str(team)),
        patient_row=int(str(patient_row)),
        patient=str(patient),
        state=str(state),
        revision=int(str(revision)),
        text=str(text),
        by=str(by),
        at=int(str(at)),
        box=str(box),
        raw=base64.b64decode(str(command)),
        command_id=str(command_id),
        protocol_hash=str(protocol_hash),
        signatures=tuple(
            Signature(role=one[0], key=one[1], name=one[2], user=one[3], at=one[4], signature=bytes.fromhex(one[5]))
            for one in signatures
        ),
    )


# --- writing it -------------------------------------------------------------------------------------------


def begin(connection: Sql, *, team: int, patient: int, text: str, by: Handler, at: int) -> None:
    """Begin a draft of a patient (by row).

    Raises:
        OutdatedError: somebody began one already.
    """
    made = connection.execute(
        "INSERT INTO protocol_draft (team_id, patient_id, state, revision, text, made_by, made_at, by, at, box,"
        " command, command_id, protocol_hash) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, '', '', '', '')"
        " ON CONFLICT DO NOTHING",
        (team, patient, DRAFT, text, by.name, at, by.name, at),
    ).rowcount
    if not made:
        raise OutdatedError(
            Sentence(
                fr="Quelqu'un a déjà commencé un projet pour ce patient : le voici.",
                en="Somebody has begun a draft for this patient already: here it is.",
            ),
            hint=Sentence(fr="Le continuer, ou l'abandonner d'abord.", en="Go on with it, or give it up first."),
        )


def change(connection: Sql, draft: Draft, *, text: str, revision: int, by: Handler, at: int) -> None:
    """Keep another text of a draft; only one without faults is kept.

    Raises:
        FaultyError: the text has faults.
        OutdatedError: it was changed, or proposed, since `revision`.
    """
    checked = check_protocol(text.encode(), packs=finder(connection, draft.team))
    if checked.protocol is None:
        raise FaultyError(checked.faults)
    changed = connection.execute(
        "UPDATE protocol_draft SET text = ?, revision = revision + 1, by = ?, at = ?"
        " WHERE id = ? AND revision = ? AND state = ?",
        (text, by.name, at, draft.id, revision, DRAFT),
    ).rowcount
    require_changed(connection, changed, draft)


def propose(
    connection: Sql, draft: Draft, *, holding: CareProtocol | None, revision: int, by: Handler, at: int, now: int
) -> None:
    """Make an order of a draft, ready to be signed.

    Args:
        connection: in a transaction.
        draft: to be proposed.
        holding: what the patient is judged by, None when the team does not know it.
        revision: which one they looked at.
        by: who.
        at: ms UTC by the desk's clock.
        now: ms UTC, real time: orders know no other.

    Raises:
        FaultyError: the text has faults.
        OutdatedError: it was changed since.
        CoordinationError: no box transmits for the patient, or a box would refuse it.
    """
    packs = finder(connection, draft.team)
    checked = check_protocol(draft.text.encode(), packs=packs)
    if checked.protocol is None:
        raise FaultyError(checked.faults)
    if holding is not None and holding.name == checked.protocol.name and checked.protocol.version <= holding.version:
        raise CoordinationError(
            Sentence(
                fr=f"La version {checked.protocol.version} n'est pas plus haute que celle qui vaut"
                f" ({holding.version}) : le boîtier la refuserait.",
                en=f"Version {checked.protocol.version} is not higher than the one that holds ({holding.version}):"
                " the box would refuse it.",
            ),
            hint=Sentence(
                fr=f"Écrire version = {holding.version + 1} dans le texte avancé.",
                en=f"Write version = {holding.version + 1} in the advanced text.",
            ),
        )
    box = box_of(connection, draft.patient_row)
    body, _ = protocol_body(draft.text.encode(), name=draft.patient, packs=packs)
    after = SqlCommands(connection, nullcontext).last_version(box, (CommandKind.PROTOCOL.value, draft.patient, ""))
    try:
        command = make_command(CommandKind.PROTOCOL, body, box=box, subject=draft.patient, now=now, after=after)
        raw = encode(command)
    except CommandError as error:
        raise too_long() from error
    changed = connection.execute(
        "UPDATE protocol_draft SET state = ?, revision = revision + 1, by = ?, at = ?, box = ?, command = ?,"
        " command_id = ?, protocol_hash = ? WHERE id = ? AND revision = ? AND state = ?",
        (
            TO_SIGN,
            by.name,
            at,
            box,
            base64.b64encode(raw).decode(),
            command.id,
            body.protocol_hash,
            draft.id,
            revision,
            DRAFT,
        ),
    ).rowcount
    require_changed(connection, changed, draft)
    _enter(connection, Act.PROTOCOL_PROPOSED, draft, command.id, by=by, at=at)


def take_back(connection: Sql, draft: Draft, *, revision: int, by: Handler, at: int) -> None:
    """Make a proposed draft one that can be changed; its signatures are dropped.

    Raises:
        OutdatedError: it was changed since.
    """
    changed = connection.execute(
        "UPDATE protocol_draft SET state = ?, revision = revision + 1, by = ?, at = ?, box = '', command = '',"
        " command_id = '', protocol_hash = '' WHERE id = ? AND revision = ? AND state IN (?, ?)",
        (DRAFT, by.name, at, draft.id, revision, TO_SIGN, SIGNED),
    ).rowcount
    require_changed(connection, changed, draft)
    connection.execute("DELETE FROM protocol_signature WHERE draft_id = ?", (draft.id,))
    _enter(connection, Act.PROTOCOL_ABANDONED, draft, draft.command_id, by=by, at=at)


def abandon(connection: Sql, draft: Draft, *, revision: int, by: Handler, at: int) -> None:
    """Give a draft up; it is kept, and nobody can sign or send it any more.

    Raises:
        OutdatedError: it was changed since.
    """
    changed = connection.execute(
        "UPDATE protocol_draft SET state = ?, revision = revision + 1, by = ?, at = ?"
        " WHERE id = ? AND revision = ? AND state IN (?, ?, ?)",
        (ABANDONED, by.name, at, draft.id, revision, *OPEN),
    ).rowcount
    require_changed(connection, changed, draft)
    _enter(connection, Act.PROTOCOL_ABANDONED, draft, draft.command_id, by=by, at=at)


def box_of(connection: Sql, patient: int) -> str:
    """Return the box that transmits for a patient (by row).

    Raises:
        CoordinationError: there is none.
    """
    row = connection.execute(
        'SELECT box.name FROM box_assignment JOIN box ON box.id = box_id WHERE patient_id = ? AND "to" IS NULL'
        ' ORDER BY "from" DESC LIMIT 1',
        (patient,),
    ).fetchone()
    if row is None:
        raise CoordinationError(
            Sentence(fr="Aucun boîtier ne transmet pour ce patient.", en="No box transmits for this patient."),
            hint=Sentence(fr="Lui en attribuer un d'abord.", en="Assign one first."),
        )
    return str(row[0])


def require_changed(connection: Sql, changed: int, draft: Draft) -> None:
    """Refuse what came to nothing, naming who was first."""
    if changed:
        return
    row = connection.execute("SELECT by FROM protocol_draft WHERE id = ?", (draft.id,)).fetchone()
    who = "?" if row is None else row[0]
    raise OutdatedError(
        Sentence(
            fr=f"Ce projet vient d'être changé par {who}. Rien n'a été enregistré.",
            en=f"This draft was just changed by {who}. Nothing was saved.",
        ),
        hint=Sentence(fr="Relire, puis recommencer.", en="Read it again, then try again."),
    )


def too_long() -> CoordinationError:
    """Return what is said of a protocol that does not fit into an order."""
    return CoordinationError(
        Sentence(fr="Ce protocole est trop long pour un boîtier.", en="This protocol is too long for a box."),
        hint=Sentence(fr="Enlever des règles ou des textes.", en="Take out rules or texts."),
    )


def _enter(connection: Sql, act: Act, draft: Draft, reference: str, *, by: Handler, at: int) -> None:
    log = AuditLog(connection)
    log.begin(at=at)
    log.enter(act, at=at, by=by.name, reference=reference, detail={"patient": Erasable(value=draft.patient)})
