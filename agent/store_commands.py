"""The store's calls about commands: what was accepted, what came of it, and the protocols that the team ordered.

Every call is one transaction of the store. What a call does is `command_store`'s.
"""

from agent import command_acts
from agent.command_store import AppliedProtocol, CommandBuffer, Finished, KnownCommand, Unfinished
from agent.database import immediate
from agent.store_transactions import StoreTransactions
from exchange.command_answers import AnswerState
from exchange.commands import Command, SignedCommand


class StoreCommands(StoreTransactions):
    """What is kept of commands."""

    _commands: CommandBuffer

    def known_command(self, command: str) -> KnownCommand | None:
        """Return what is kept of a command, see `CommandReader.known`."""
        return self._commands.known(command)

    def highest_version(self, series: tuple[str, str, str]) -> int:
        """Return the highest version accepted in a series, see `CommandReader.highest`."""
        return self._commands.highest(series)

    def accept_command(self, command: Command, signed: SignedCommand, *, now_ms: int) -> bool:
        """Keep a command that is about to be done, see `CommandBuffer.accept`."""
        with self._transaction(now_ms):
            new = self._commands.accept(command, signed, now_ms=now_ms)
            if new:
                command_acts.accepted(self.audit, command, signed, at=now_ms)
            return new

    def note_refused_command(self, command: Command, reason: str, *, now_ms: int) -> None:
        """Enter in the record of acts that a command was refused at the door."""
        with self._transaction(now_ms):
            command_acts.refused(self.audit, command, reason, at=now_ms)
            command_acts.protocol_refused(self.audit, command, reason, at=now_ms)

    def begin_command(self, command: str) -> int:
        """Count an attempt at a command, see `CommandBuffer.begin`."""
        with immediate(self._connection):
            return self._commands.begin(command)

    def finish_command(self, finished: Finished, *, now_ms: int) -> None:
        """Keep what a command came to, see `CommandBuffer.finish`."""
        with self._transaction(now_ms):
            self._commands.finish(finished)
            command_acts.finished(self.audit, finished, at=now_ms)
            if finished.answer.state is AnswerState.REFUSED:
                order = self._commands.command(finished.answer.command)
                command_acts.protocol_refused(self.audit, order, finished.answer.reason, at=now_ms)

    def unfinished_commands(self) -> list[Unfinished]:
        """Return the commands that came to no end."""
        return self._commands.unfinished()

    def ordered_protocol(self, patient: str) -> AppliedProtocol | None:
        """Return the protocol that the team ordered for a patient."""
        return self._commands.protocol(patient)

    def ordered_shadow(self, patient: str) -> AppliedProtocol | None:
        """Return the shadow that the team ordered for a patient, or ended, see `CommandReader.shadow`."""
        return self._commands.shadow(patient)

    def keep_ordered_protocol(self, protocol: AppliedProtocol, *, now_ms: int) -> None:
        """Take up an ordered protocol that this database does not know, see `CommandBuffer.keep_protocol`."""
        with self._transaction(now_ms):
            self._commands.keep_protocol(protocol)
