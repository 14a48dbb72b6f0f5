"""What people and programs order, and what boxes made of it, as acts in the team's record.

Each is entered in the transaction that keeps the order or its answer. A person signs where their key is, which need not
be where the database is: a signature that was not entered as it was made is entered as the order is sent, so that none
takes effect without.

Not here: what a box enters of the same order in its own record (agent/command_acts).
"""

from collections.abc import Sequence

import msgspec

from coordination.audit_log import AuditLog
from coordination.command_queue import CommandState
from coordination.sql import Sql
from exchange.audit_chain import Act, Detail, Entry, Erasable
from exchange.command_answers import Answer
from exchange.commands import Command, SignedCommand
from exchange.identity import KeyId

_ANSWERED = {
    CommandState.ACCEPTED: Act.COMMAND_RECEIVED,
    CommandState.APPLIED: Act.COMMAND_DONE,
    CommandState.REFUSED: Act.COMMAND_REFUSED,
}


def signed(log: AuditLog, command: Command, key: KeyId, name: str, *, at: int) -> None:
    """Enter that somebody signed an order, by the name on their key; the box checks whose key it is."""
    log.enter(Act.COMMAND_SIGNED, at=at, by=name, reference=command.id, detail={**_about(command), "key": key})


def sent(
    connection: Sql,
    command: Command,
    order: SignedCommand,
    *,
    signed_by: Sequence[str],
    by: str,
    at: int,
) -> None:
    """Enter that an order is sent, and the signatures that were not entered as they were made.

    Args:
        connection: in an open transaction.
        command: what is ordered.
        order: the same, with its signatures.
        signed_by: their names, in the same order.
        by: who sends it, an account or "team".
        at: ms UTC.
    """
    log = AuditLog(connection)
    log.begin(at=at)
    for number, signature in enumerate(order.signatures):
        if not _is_entered(connection, command, signature.key):
            name = signed_by[number] if number < len(signed_by) else signature.key
            signed(log, command, signature.key, name, at=at)
    detail: Detail = {**_about(command), "box": command.box, "signatures": len(order.signatures)}
    log.enter(Act.COMMAND_SENT, at=at, by=by, reference=command.id, detail=detail)


def answered(connection: Sql, answer: Answer, state: CommandState, *, at: int) -> None:
    """Enter what a box says came of an order, inside a transaction, once for each state that it brings."""
    act = _ANSWERED.get(state)
    if act is not None:
        log = AuditLog(connection)
        log.begin(at=at)
        detail: Detail = {"reason": answer.reason} if answer.reason else {}
        log.enter(act, at=at, by=answer.box, reference=answer.command, detail=detail)


def _is_entered(connection: Sql, command: Command, key: KeyId) -> bool:
    # By their time, which has an index: an order is signed after it was made.
    acts = connection.execute(
        "SELECT body FROM audit WHERE at >= ? AND act = ?", (command.issued_at, Act.COMMAND_SIGNED.value)
    )
    entries = (msgspec.json.decode(body, type=Entry) for (body,) in acts.fetchall())
    return any(entry.ref == command.id and entry.detail.get("key") == key for entry in entries)


def _about(command: Command) -> dict[str, str | int | Erasable]:
    about: dict[str, str | int | Erasable] = {"kind": command.kind.value, "version": command.version}
    if command.subject:
        about["patient"] = Erasable(value=command.subject)
    if command.about:
        # An alert, an epoch, or a device's address: erased with its patient, or by itself.
        about["about"] = Erasable(value=command.about, of=command.subject)
    return about
