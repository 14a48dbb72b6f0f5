"""Signing a proposed draft, and sending it to its box.

- A nurse signs first, a physician second: two people with two keys. The box checks all of it again by itself, against
  the list that the root signed; what is checked here spares people a refusal days later.
- What is signed is the order's canonical bytes as they were proposed, and nothing else.
- Sending queues the order in the very transaction that says so.

Each act runs inside a transaction of the caller's, with its entry in the record of acts. Not here: keys and PINs
(signing_keys), drafts before they are proposed (drafts), and what the box answers (deliveries).
"""

from contextlib import nullcontext

from alerting.alert import Sentence
from coordination import command_acts
from coordination.audit_log import AuditLog
from coordination.drafts import SENT, SIGNED, TO_SIGN, Draft, box_of, require_changed
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.requests import add_signature
from coordination.sql import Sql
from coordination.sql_commands import SqlCommands
from exchange.command_bodies import ProtocolBody, decode_body
from exchange.commands import decode
from exchange.identity import SigningKey
from exchange.team_list import Role


def may_sign(draft: Draft, role: Role, user: int) -> Sentence | None:
    """Return why an account may not sign a draft as `role` now, None when it may."""
    if draft.state != TO_SIGN:
        return Sentence(fr="Ce projet n'attend pas de signature.", en="This draft waits for no signature.")
    nurse = next((one for one in draft.signatures if one.role == Role.NURSE.value), None)
    if role is Role.NURSE:
        already = Sentence(fr="Une infirmière l'a déjà signé.", en="A nurse has signed it already.")
        return None if nurse is None else already
    if nurse is None:
        return Sentence(
            fr="Une infirmière signe d'abord, le médecin ensuite.", en="A nurse signs first, the physician second."
        )
    if nurse.user == user:
        return Sentence(fr="Deux personnes différentes doivent signer.", en="Two different people must sign.")
    return None


def sign(
    connection: Sql,
    draft: Draft,
    key: SigningKey,
    *,
    name: str,
    role: Role,
    revision: int,
    by: Handler,
    at: int,
    now: int,
) -> None:
    """Add a person's signature; after the physician's the draft is signed.

    Args:
        connection: in a transaction.
        draft: as they read it.
        key: theirs, opened for this.
        name: as the key calls them.
        role: as what they sign.
        revision: which one they read.
        by: their account.
        at: ms UTC by the desk's clock.
        now: ms UTC, real time: orders know no other, and the record of acts pairs a signature with its order by it.

    Raises:
        OutdatedError: it was changed, taken back or given up since.
        CoordinationError: they may not, or it can be obeyed no more.
    """
    user = by.row or 0
    refusal = may_sign(draft, role, user)
    if refusal is None and any(one.key == key.id or one.name == name for one in draft.signatures):
        refusal = Sentence(fr="Deux personnes différentes doivent signer.", en="Two different people must sign.")
    if refusal is not None:
        raise CoordinationError(refusal, hint=Sentence(fr="Rien n'a été signé.", en="Nothing was signed."))
    signed = add_signature(draft.request, key, name)
    state = SIGNED if role is Role.PHYSICIAN else TO_SIGN
    changed = connection.execute(
        "UPDATE protocol_draft SET state = ?, revision = revision + 1, by = ?, at = ?"
        " WHERE id = ? AND revision = ? AND state = ? AND command_id = ?",
        (state, by.name, at, draft.id, revision, TO_SIGN, draft.command_id),
    ).rowcount
    require_changed(connection, changed, draft)
    connection.execute(
        'INSERT INTO protocol_signature (draft_id, patient_id, role, key, name, signature, "user", at)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (draft.id, draft.patient_row, role.value, key.id, name, signed.signed[-1].signature.signature.hex(), user, at),
    )
    log = AuditLog(connection)
    log.begin(at=now)
    command_acts.signed(log, signed.command, key.id, name, at=now)


def send(connection: Sql, draft: Draft, *, revision: int, by: Handler, at: int, now: int) -> None:
    """Queue a signed draft for its box, in this very transaction; `now` is ms UTC, real time.

    Raises:
        OutdatedError: it was changed since.
        CoordinationError: the patient has another box by now, another protocol went first, or it is too old.
    """
    request, commands = draft.request, SqlCommands(connection, nullcontext)
    command = request.command
    if box_of(connection, draft.patient_row) != draft.box:
        raise _again("Le boîtier du patient a changé depuis.", "The patient's box has changed since.")
    if commands.last_version(draft.box, command.series) >= command.version:
        raise _again("Un autre protocole est parti pour ce patient depuis.", "Another protocol was sent since.")
    if now >= command.expires_at:
        raise _again(
            "Ce projet a été proposé il y a plus de 30 jours : le boîtier ne l'appliquerait plus.",
            "This draft was proposed more than 30 days ago: the box would not apply it any more.",
        )
    changed = connection.execute(
        "UPDATE protocol_draft SET state = ?, revision = revision + 1, by = ?, at = ?"
        " WHERE id = ? AND revision = ? AND state = ?",
        (SENT, by.name, at, draft.id, revision, SIGNED),
    ).rowcount
    require_changed(connection, changed, draft)
    commands.add(command, request.as_signed(), signed_by=[one.name for one in request.signed], now=now, by=by.name)


def proposed_body(draft: Draft) -> ProtocolBody | None:
    """Return what a proposed draft orders, read from the very bytes that are signed; None before."""
    if not draft.raw:
        return None
    command = decode(draft.raw)
    body = decode_body(command.kind, command.body)
    return body if isinstance(body, ProtocolBody) else None


def _again(fr: str, en: str) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=fr, en=en),
        hint=Sentence(
            fr="Le reprendre (« Modifier »), le proposer et le signer de nouveau.",
            en="Take it back ('Change'), propose and sign it again.",
        ),
    )
