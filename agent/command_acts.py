"""What the team orders, as acts in the box's record: entered in the transaction that keeps the order or its end.

Who signed stands by the ids of their keys, which the team list gives a name and a role; an order that only the team's
programs sign is the team's.
"""

from agent.audit_log import AuditLog
from agent.command_store import Finished
from exchange.audit_chain import Act, Detail, Erasable
from exchange.command_answers import AnswerState
from exchange.commands import Command, CommandKind, SignedCommand

TEAM = "team"


def accepted(log: AuditLog, command: Command, signed: SignedCommand, *, at: int) -> None:
    """Enter that an order is authentic and will be done."""
    by = ", ".join(signature.key for signature in signed.signatures) or TEAM
    log.enter(Act.COMMAND_ACCEPTED, at=at, by=by, reference=command.id, detail=_about(command))


def refused(log: AuditLog, command: Command, reason: str, *, at: int) -> None:
    """Enter that an order came that will not be done; `reason` is one fixed word."""
    detail = {**_about(command), "reason": reason}
    log.enter(Act.COMMAND_REFUSED, at=at, by=TEAM, reference=command.id, detail=detail)


def protocol_refused(log: AuditLog, command: Command | None, reason: str, *, at: int) -> None:
    """Enter that a patient goes on under the protocol of before, where an order that was refused is about that."""
    if command is not None and command.kind is CommandKind.PROTOCOL:
        detail: Detail = {"command": command.id, "reason": reason}
        log.enter(Act.PROTOCOL_REFUSED, at=at, by="box", reference=Erasable(value=command.subject), detail=detail)


def finished(log: AuditLog, end: Finished, *, at: int) -> None:
    """Enter what an order came to, and the protocol that it changed."""
    answer, protocol = end.answer, end.protocol
    done = answer.state is AnswerState.APPLIED
    detail: Detail = {} if done else {"reason": answer.reason}
    act = Act.COMMAND_DONE if done else Act.COMMAND_REFUSED
    log.enter(act, at=at, by="box", reference=answer.command, detail=detail)
    if protocol is not None:
        log.changed(protocol.patient, protocol.protocol_hash)
        log.enter(
            Act.PROTOCOL_APPLIED,
            at=at,
            by=", ".join(protocol.by),
            reference=Erasable(value=protocol.patient),
            detail={"hash": protocol.protocol_hash, "version": protocol.version, "command": protocol.command},
        )


def _about(command: Command) -> dict[str, str | int | Erasable]:
    about: dict[str, str | int | Erasable] = {"kind": command.kind.value, "version": command.version}
    if command.subject:
        about["patient"] = Erasable(value=command.subject)
    if command.about:
        # An alert, an epoch, or a device's address: erased with its patient, or by itself.
        about["about"] = Erasable(value=command.about, of=command.subject)
    return about
