"""Orders to a box from the desk: queued in one transaction with who asked, and signed by them where the box wants that.

What harms nothing (a canary reading, what the team lacks) the team's programs sign as it leaves; the record says who
asked. What touches devices or keys is signed by a person, whose key opens for that act only (`signing_keys`); the box
looks in its own signed list whether they may.

Functions of one open transaction. Not here: which orders there are (exchange.commands), and who sees a button for them
(the desk's access).
"""

from contextlib import nullcontext

from alerting.alert import Sentence
from coordination.errors import CoordinationError
from coordination.requests import add_signature, make_command, new_request
from coordination.resending import ask, lacking
from coordination.sql import Sql
from coordination.sql_commands import SqlCommands
from exchange.command_bodies import Body, NoBody
from exchange.commands import AUTOMATION, LONGEST_MS, Command, CommandKind, SignedCommand, encode, is_allowed
from exchange.identity import SigningKey


def order(
    connection: Sql,
    kind: CommandKind,
    body: Body,
    *,
    box: str,
    by: str,
    now: int,
    subject: str = "",
    about: str = "",
    key: SigningKey | None = None,
) -> Command:
    """Queue an order, signed by a person when `key` is theirs, and return it.

    Args:
        connection: in an open transaction.
        kind: what to do.
        body: of that kind.
        box: who.
        by: whose name stands for it.
        now: ms UTC, real time.
        subject: about whom, a pseudonym; "" when it is about the box.
        about: of what (a device), "" for the box's only one of that kind.
        key: of who signs; None: the team's programs do, where they may.

    Raises:
        CoordinationError: nobody who may signs it, or the box is not known.
    """
    if key is None and not is_allowed(kind, [AUTOMATION]):
        raise CoordinationError(
            Sentence(fr="Cette demande doit être signée par une personne.", en="A person must sign this order."),
            hint=Sentence(fr="Taper votre code de signature.", en="Type your signing PIN."),
        )
    commands = SqlCommands(connection, nullcontext)
    known = commands.last_version(box, (kind.value, subject, about))
    command = make_command(kind, body, box=box, subject=subject, now=now, after=known, lasts=LONGEST_MS[kind])
    if key is None:
        signed = SignedCommand(command=encode(command))
        commands.add(command, signed, signed_by=(), now=now, by=by)
    else:
        request = add_signature(new_request(command), key, by)
        commands.add(command, request.as_signed(), signed_by=(by,), now=now, by=by)
    return command


def sing(connection: Sql, box: str, *, by: str, now: int) -> Command:
    """Ask a box for a canary reading: that what it keeps arrives is then seen."""
    return order(connection, CommandKind.CANARY, NoBody(), box=box, by=by, now=now)


def renew(connection: Sql, box: str, *, by: str, now: int) -> Command:
    """Ask a box to fetch its next certificate now, which it would do by itself in time."""
    return order(connection, CommandKind.RENEW, NoBody(), box=box, by=by, now=now)


def ask_for_missing(connection: Sql, box: str, *, by: str, now: int) -> int:
    """Ask a box once more for what it numbered and the team lacks; return how many records that are.

    Raises:
        CoordinationError: it was never heard, or nothing is missing.
    """
    found = lacking(connection, box)
    if found is None or not found.ranges:
        raise CoordinationError(
            Sentence(fr=f"{box} : il ne manque rien.", en=f"{box}: nothing is missing."),
            hint=Sentence(
                fr="Ce qui a été déclaré perdu ne peut pas revenir.", en="What was declared lost cannot come back."
            ),
        )
    ask(connection, found, now=now, by=by)
    return found.records
