"""The orders that tell a patient's box to erase them: a nurse signs, then a physician or whoever runs the boxes.

- What the nurse signed waits beside the other orders (`to_sign`) until somebody of another function has read the same
  bytes and signs them too; then it is sent, in the transaction that says so.
- Only somebody whose follow-up has ended is erased at a box, or somebody who was erased at the team already: their
  pseudonym is then typed, and stands in the order until the box has answered (erased_patients).
- The box checks all of it by itself; what is checked here spares people a refusal days later.

Functions of one open transaction. Not here: keys and PINs (signing_keys), who may (the desk's access), and what the
team itself erases (patient_erasure).
"""

from contextlib import nullcontext
from dataclasses import replace

import msgspec

from alerting.alert import Sentence
from coordination import command_acts
from coordination.audit_log import AuditLog
from coordination.command_queue import UNANSWERED, CommandState, CommandView
from coordination.erased_patients import is_erased
from coordination.errors import CoordinationError
from coordination.requests import Request, Signed, add_signature, make_command, new_request
from coordination.sql import Sql
from coordination.sql_commands import SqlCommands
from exchange.command_bodies import EraseBody
from exchange.commands import LONGEST_MS, Command, CommandKind, SignedCommand, decode
from exchange.identity import SigningKey

LONGEST_NAME = 64
_KIND = CommandKind.ERASE


def order_of(connection: Sql, box: str, patient: str, *, now: int) -> CommandView | None:
    """Return the newest order to a box to erase a patient, None before there is one; `now` is ms UTC, real time."""
    views = SqlCommands(connection, nullcontext).views(box=box, kind=_KIND, subject=patient, limit=1)
    return next((as_now(view, now) for view in views), None)


def orders_to(connection: Sql, box: str, *, now: int, limit: int = 20) -> tuple[CommandView, ...]:
    """Return the newest orders to a box to erase somebody."""
    views = SqlCommands(connection, nullcontext).views(box=box, kind=_KIND, limit=limit)
    return tuple(as_now(view, now) for view in views)


def as_now(view: CommandView, now: int) -> CommandView:
    """Return an order that nobody signed a second time in time as expired: nothing else says so of it."""
    over = view.state is CommandState.TO_SIGN and view.expires_at <= now
    return replace(view, state=CommandState.EXPIRED) if over else view


def box_patients(connection: Sql, box: str) -> tuple[str, ...]:
    """Return the patients whose follow-up has ended and who had a box, by name."""
    rows = connection.execute(
        "SELECT DISTINCT pseudonym FROM box_assignment JOIN box ON box.id = box_id JOIN patient ON patient.id ="
        ' patient_id WHERE box.name = ? AND ended_at IS NOT NULL AND ("to" IS NULL OR "to" > "from")'
        " ORDER BY pseudonym",
        (box,),
    ).fetchall()
    return tuple(str(name) for (name,) in rows)


def sign_first(connection: Sql, *, box: str, patient: str, key: SigningKey, name: str, now: int) -> Command:
    """Make an order to erase a patient and sign it as a nurse: it waits for a second person.

    Args:
        connection: in an open transaction.
        box: which had them.
        patient: pseudonym.
        key: the nurse's, opened for this act.
        name: as the key calls them.
        now: ms UTC, real time.

    Raises:
        CoordinationError: they are followed, never had this box, or an order is on its way or was obeyed.
    """
    _require_over(connection, box, patient)
    before = order_of(connection, box, patient, now=now)
    if before is not None and before.state in (CommandState.TO_SIGN, CommandState.APPLIED, *UNANSWERED):
        raise _refused("Cet ordre est déjà signé, parti ou appliqué.", "This order is signed, sent or applied already.")
    commands = SqlCommands(connection, nullcontext)
    known = commands.last_version(box, (_KIND.value, patient, ""))
    command = make_command(_KIND, EraseBody(), box=box, subject=patient, now=now, after=known, lasts=LONGEST_MS[_KIND])
    request = add_signature(new_request(command), key, name)
    commands.hold(command, request.as_signed(), signed_by=(name,), now=now)
    _signed(connection, command, key, name, now=now)
    return command


def sign_second(connection: Sql, *, box: str, command: str, key: SigningKey, name: str, now: int) -> Command:
    """Sign an order that a nurse signed, as somebody of another function, and send it.

    Args:
        connection: in an open transaction.
        box: to which.
        command: the order that they read, by its id.
        key: theirs, opened for this act.
        name: as the key calls them.
        now: ms UTC, real time.

    Raises:
        CoordinationError: it does not wait for a signature, they signed it themselves, or the follow-up was resumed.
    """
    row = connection.execute(
        "SELECT content, signed_by FROM command JOIN box ON box.id = box_id WHERE command.id = ? AND box.name = ?"
        " AND kind = ? AND state = 'to_sign' AND expires_at > ?",
        (command, box, _KIND.value, now),
    ).fetchone()
    if row is None:
        raise _refused("Cet ordre n'attend pas de signature.", "This order waits for no signature.")
    request = _request(row[0], row[1])
    _require_over(connection, box, request.command.subject)
    if any(one.signature.key == key.id or one.name == name for one in request.signed):
        raise _refused("Deux personnes différentes doivent signer.", "Two different people must sign.")
    signed = add_signature(request, key, name)
    _signed(connection, signed.command, key, name, now=now)
    commands, names = SqlCommands(connection, nullcontext), [one.name for one in signed.signed]
    if not commands.release(signed.command, signed.as_signed(), signed_by=names, now=now, by=name):
        raise _refused("Cet ordre vient d'être signé.", "This order was just signed.")
    return signed.command


def _request(content: bytes, signed_by: str) -> Request:
    order = msgspec.msgpack.decode(content, type=SignedCommand)
    names = msgspec.json.decode(signed_by, type=list[str])
    signed = tuple(Signed(name=name, signature=one) for name, one in zip(names, order.signatures, strict=True))
    return Request(raw=order.command, command=decode(order.command), signed=signed)


def _signed(connection: Sql, command: Command, key: SigningKey, name: str, *, now: int) -> None:
    log = AuditLog(connection)
    log.begin(at=now)
    command_acts.signed(log, command, key.id, name, at=now)


def _require_over(connection: Sql, box: str, patient: str) -> None:
    # What is no pseudonym is asked of no database: PostgreSQL breaks on a NUL.
    known = patient.isprintable() and 1 <= len(patient) <= LONGEST_NAME
    if not (known and (patient in box_patients(connection, box) or is_erased(connection, patient))):
        raise _refused(
            f"Aucun patient de ce nom n'a eu {box}, ou son suivi n'est pas terminé.",
            f"No patient of this name had {box}, or their follow-up has not ended.",
        )


def _refused(fr: str, en: str) -> CoordinationError:
    return CoordinationError(Sentence(fr=fr, en=en), hint=Sentence(fr="Rien n'a été signé.", en="Nothing was signed."))
