"""What the team did with an alert, told to the box that raised it: as a command that the team's programs sign.

It is queued in the very transaction that keeps the act, so that an act that was kept is told, and one that was not is
not. What the inbox raised by itself is told to no box: no box knows it.

What is not here: sending (command_sender), and what the box makes of it.
"""

from contextlib import AbstractContextManager, nullcontext

from coordination.requests import make_command
from coordination.sql import Sql
from coordination.sql_commands import SqlCommands
from exchange.command_bodies import DispositionBody
from exchange.commands import LONGEST_MS, CommandKind, SignedCommand, encode


def tell_box(connection: Sql, disposition: DispositionBody, *, now: int) -> bool:
    """Queue a disposition inside a transaction of the caller's; False when no box raised the alert.

    Args:
        connection: of the team's database.
        disposition: what was done.
        now: ms UTC, real time.
    """
    row = connection.execute(
        "SELECT box.name, pseudonym FROM alert JOIN box ON box.id = box_id"
        " LEFT JOIN patient ON patient.id = patient_id WHERE alert.id = ? AND origin = 'box'",
        (disposition.alert,),
    ).fetchone()
    if row is None:
        return False
    box, patient = row
    commands = SqlCommands(connection, _already_in_one)
    subject = patient or ""
    command = make_command(
        CommandKind.DISPOSITION,
        disposition,
        box=box,
        subject=subject,
        now=now,
        after=commands.last_version(box, (CommandKind.DISPOSITION.value, subject, disposition.alert)),
        lasts=LONGEST_MS[CommandKind.DISPOSITION],
    )
    commands.add(command, SignedCommand(command=encode(command)), signed_by=(), now=now)
    return True


def is_a_boxs(connection: Sql, alert: str) -> bool:
    """Return whether a box raised an alert, and so is told what the team does with it."""
    return connection.execute("SELECT 1 FROM alert WHERE id = ? AND origin = 'box'", (alert,)).fetchone() is not None


def _already_in_one() -> AbstractContextManager[None]:
    return nullcontext()
