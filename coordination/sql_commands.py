"""The command, command_ack and care_protocol tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from alerting.alert import Sentence
from coordination import command_acts
from coordination.audit_log import TEAM
from coordination.command_queue import UNANSWERED, CommandState, CommandView, Due
from coordination.erased_patients import UNNAMED, unname_orders, without_words
from coordination.errors import CoordinationError
from coordination.sql import Sql
from coordination.team_origin import is_origin
from exchange.command_answers import Answer, AnswerState
from exchange.command_bodies import ProtocolBody, decode_body
from exchange.commands import Command, CommandKind, SignedCommand

FIRST_PAUSE_MS: Final = 60_000
LONGEST_PAUSE_MS: Final = 6 * 3_600_000
"""How long an answer is waited for before a command is sent again: twice as long each time, up to this."""
MOST_AT_ONCE = 50

LAST_ANSWER: Final = (
    "(SELECT content FROM command_ack WHERE command_id = command.id"
    " ORDER BY state = 'applied' DESC, state = 'refused' DESC, received_at DESC, id DESC LIMIT 1)"
)
"""What a box said last of a row of `command`: done is done, whatever came after."""
_WAITING = "state IN ('queued', 'sent', 'accepted')"
_FINAL: Final = {AnswerState.APPLIED: CommandState.APPLIED, AnswerState.REFUSED: CommandState.REFUSED}


class SqlCommands:
    """The queue in one open database."""

    def __init__(self, connection: Sql, transaction: Callable[[], AbstractContextManager[None]]) -> None:
        """`transaction` runs a block as one write transaction of this connection."""
        self._connection = connection
        self._transaction = transaction

    # --- what is sent -------------------------------------------------------------------------------------

    def queue(
        self, command: Command, signed: SignedCommand, *, signed_by: Sequence[str], now: int, by: str = TEAM
    ) -> None:
        """See `CommandQueue.queue`.

        Raises:
            CoordinationError: the box is not known here, or the command is queued already.
        """
        with self._transaction():
            self.add(command, signed, signed_by=signed_by, now=now, by=by)

    def add(
        self, command: Command, signed: SignedCommand, *, signed_by: Sequence[str], now: int, by: str = TEAM
    ) -> None:
        """Do the same inside a transaction of the caller's."""
        self._keep(command, signed, signed_by=signed_by, state=CommandState.QUEUED, now=now)
        command_acts.sent(self._connection, command, signed, signed_by=signed_by, by=by, at=now)

    def hold(self, command: Command, signed: SignedCommand, *, signed_by: Sequence[str], now: int) -> None:
        """Keep a command that a second person must sign before it is sent, inside a transaction of the caller's.

        Raises:
            CoordinationError: as `queue` does.
        """
        self._keep(command, signed, signed_by=signed_by, state=CommandState.TO_SIGN, now=now)

    def release(
        self, command: Command, signed: SignedCommand, *, signed_by: Sequence[str], now: int, by: str = TEAM
    ) -> bool:
        """Let a command be sent that was held, inside a transaction of the caller's; return False when it is not."""
        changed = self._connection.execute(
            "UPDATE command SET state = 'queued', content = ?, signed_by = ?, changed_at = ?, next_at = ?"
            " WHERE id = ? AND state = 'to_sign'",
            (msgspec.msgpack.encode(signed), msgspec.json.encode(list(signed_by)).decode(), now, now, command.id),
        ).rowcount
        if changed:
            command_acts.sent(self._connection, command, signed, signed_by=signed_by, by=by, at=now)
        return bool(changed)

    def _keep(
        self, command: Command, signed: SignedCommand, *, signed_by: Sequence[str], state: CommandState, now: int
    ) -> None:
        execute = self._connection.execute
        box = execute("SELECT id FROM box WHERE name = ?", (command.box,)).fetchone()
        if box is None:
            raise CoordinationError(
                Sentence(fr=f"Aucun boîtier '{command.box}' ici.", en=f"There is no box '{command.box}' here."),
                hint=Sentence(
                    fr="Le déclarer ([[boxes]] ou enrôlement) et lancer 'veilleur-desk inbox' une fois.",
                    en="Declare it ([[boxes]] or enrolment) and run 'veilleur-desk inbox' once.",
                ),
            )
        if execute("SELECT 1 FROM command WHERE id = ?", (command.id,)).fetchone():
            raise CoordinationError(
                Sentence(fr="Cette demande est déjà partie.", en="This request was sent already."),
                hint=Sentence(
                    fr="'veilleur-desk commands' montre où elle en est.",
                    en="'veilleur-desk commands' shows how far it came.",
                ),
            )
        # A box refuses what is older than what it has: only the newest of a series is worth sending.
        execute(
            f"UPDATE command SET state = 'overtaken', changed_at = ? WHERE box_id = ? AND kind = ? AND subject = ?"  # noqa: S608
            f" AND about = ? AND version < ? AND {_WAITING}",
            (now, box[0], command.kind.value, command.subject, command.about, command.version),
        )
        body = decode_body(command.kind, command.body)
        protocol_hash = body.protocol_hash if isinstance(body, ProtocolBody) else ""
        execute(
            "INSERT INTO command (id, box_id, kind, subject, about, version, issued_at, expires_at, content, signed_by,"
            " protocol_hash, state, changed_at, attempts, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            (
                command.id,
                box[0],
                command.kind.value,
                command.subject,
                command.about,
                command.version,
                command.issued_at,
                command.expires_at,
                msgspec.msgpack.encode(signed),
                msgspec.json.encode(list(signed_by)).decode(),
                protocol_hash,
                state.value,
                now,
                now,
            ),
        )
        if isinstance(body, ProtocolBody):
            self.keep_protocol(body.protocol_hash, body.text, at=now)

    def keep_protocols(self, texts: Mapping[str, str], *, at: int) -> None:
        """See `CommandQueue.keep_protocols`."""
        with self._transaction():
            for protocol_hash, text in texts.items():
                self.keep_protocol(protocol_hash, text, at=at)

    def keep_protocol(self, protocol_hash: str, text: str, *, at: int) -> None:
        """Keep a resolved protocol for good, by its hash: alerts name it for years."""
        self._connection.execute(
            "INSERT INTO care_protocol (hash, text, first_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (protocol_hash, text, at),
        )

    def last_version(self, box: str, series: tuple[str, str, str]) -> int:
        """See `CommandQueue.last_version`."""
        row = self._connection.execute(
            "SELECT max(greatest(version, coalesce(highest, 0))) FROM command JOIN box ON box.id = box_id"
            " LEFT JOIN command_ack ON command_ack.command_id = command.id"
            " WHERE box.name = ? AND kind = ? AND subject = ? AND about = ?",
            (box, *series),
        ).fetchone()
        return 0 if row[0] is None else int(row[0])

    def claim(self, *, now: int) -> tuple[Due, ...]:
        """See `CommandQueue.claim`."""
        # Looked at before anything is locked: mostly there is nothing.
        waits = f"SELECT 1 FROM command WHERE {_WAITING} AND (next_at <= ? OR expires_at <= ?)"  # noqa: S608
        if not self._connection.execute(waits, (now, now)).fetchone():
            return ()
        with self._transaction():
            return tuple(self._claimed(now))

    def _claimed(self, now: int) -> Iterator[Due]:
        execute = self._connection.execute
        if execute(
            f"UPDATE command SET state = 'expired', changed_at = ? WHERE {_WAITING} AND expires_at <= ?",  # noqa: S608
            (now, now),
        ).rowcount:
            unname_orders(self._connection, now=now)
        rows = execute(
            f"SELECT command.id, box.name, kind, content, attempts FROM command JOIN box ON box.id = box_id"  # noqa: S608
            f" WHERE {_WAITING} AND next_at <= ?"
            " ORDER BY kind <> 'team_list', version LIMIT ?",
            (now, MOST_AT_ONCE),
        ).fetchall()
        for command, box, kind, content, attempts in rows:
            pause = min(FIRST_PAUSE_MS * 2 ** min(attempts, 16), LONGEST_PAUSE_MS)
            execute("UPDATE command SET attempts = attempts + 1, next_at = ? WHERE id = ?", (now + pause, command))
            yield Due(
                box=box,
                id=command,
                kind=CommandKind(kind),
                signed=msgspec.msgpack.decode(content, type=SignedCommand),
                attempts=attempts + 1,
            )

    def sent(self, command: str, *, now: int) -> None:
        """See `CommandQueue.sent`."""
        with self._transaction():
            self._connection.execute(
                "UPDATE command SET state = 'sent', changed_at = ? WHERE id = ? AND state = 'queued'", (now, command)
            )

    def hurry(self, box: str, *, now: int) -> None:
        """See `CommandQueue.hurry`."""
        with self._transaction():
            self._connection.execute(
                f"UPDATE command SET next_at = ?, attempts = 0 WHERE {_WAITING}"  # noqa: S608
                " AND box_id = (SELECT id FROM box WHERE name = ?)",
                (now, box),
            )

    # --- what is answered ---------------------------------------------------------------------------------

    def keep_answer(self, answer: Answer, *, now: int) -> None:
        """Keep what a box said, inside a transaction of the caller's; what it says of no command of its is left out."""
        execute = self._connection.execute
        row = execute(
            "SELECT state, kind, subject FROM command JOIN box ON box.id = box_id"
            " WHERE command.id = ? AND box.name = ?",
            (answer.command, answer.box),
        ).fetchone()
        if row is None:
            return
        if row[2] == UNNAMED:
            answer = without_words(answer)
        execute(
            "INSERT INTO command_ack (command_id, state, reason, at, received_at, protocol_hash, highest,"
            " content) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                answer.command,
                answer.state.value,
                answer.reason,
                answer.at,
                now,
                answer.protocol_hash,
                answer.highest,
                msgspec.msgpack.encode(answer),
            ),
        )
        before = CommandState(row[0])
        after = _FINAL.get(answer.state)
        if after is None and before in UNANSWERED and answer.state is AnswerState.ACCEPTED:
            after = CommandState.ACCEPTED
        # Done is done, whatever arrives after: a copy of it may have been refused as a repeat.
        if after is not None and before not in (after, CommandState.APPLIED):
            execute("UPDATE command SET state = ?, changed_at = ? WHERE id = ?", (after.value, now, answer.command))
            command_acts.answered(self._connection, answer, after, at=now)
            # A new list of people may be what the other commands waited for.
            execute(
                f"UPDATE command SET next_at = ? WHERE {_WAITING} AND box_id ="  # noqa: S608
                " (SELECT box_id FROM command WHERE id = ? AND kind = 'team_list' AND state = 'applied')",
                (now, answer.command),
            )
            if row[1] == CommandKind.ERASE.value:
                unname_orders(self._connection, now=now)

    # --- what people see ----------------------------------------------------------------------------------

    def views(
        self,
        *,
        box: str | None = None,
        kind: CommandKind | None = None,
        subject: str | None = None,
        unanswered: bool = False,
        limit: int = 50,
    ) -> Iterator[CommandView]:
        """Yield the newest commands first, as people see them: of one box, kind or patient where these are given."""
        chosen = f"AND {_WAITING}" if unanswered else ""
        rows = self._connection.execute(
            "SELECT command.id, box.name, kind, subject, about, signed_by, protocol_hash, issued_at, expires_at, state,"  # noqa: S608
            f" changed_at, {LAST_ANSWER}"
            f" FROM command JOIN box ON box.id = box_id WHERE (? IS NULL OR box.name = ?) AND (? IS NULL OR kind = ?)"
            f" AND (? IS NULL OR subject = ?) {chosen} ORDER BY issued_at DESC, command.id LIMIT ?",
            (box, box, kind, kind, subject, subject, limit),
        )
        for row in rows:
            yield CommandView(
                id=row[0],
                box=row[1],
                kind=CommandKind(row[2]),
                subject=row[3],
                about=row[4],
                signed_by=tuple(msgspec.json.decode(row[5], type=list[str])),
                protocol_hash=row[6],
                issued_at=row[7],
                expires_at=row[8],
                state=CommandState(row[9]),
                changed_at=row[10],
                answer=None if row[11] is None else msgspec.msgpack.decode(row[11], type=Answer),
            )

    def boxes(self) -> tuple[str, ...]:
        """Return every box that is known here, by name."""
        return tuple(
            name for (name,) in self._connection.execute("SELECT name FROM box ORDER BY name") if not is_origin(name)
        )

    def protocol_text(self, protocol_hash: str) -> str | None:
        """Return the resolved protocol with that hash, None when the team never had it."""
        row = self._connection.execute("SELECT text FROM care_protocol WHERE hash = ?", (protocol_hash,)).fetchone()
        return None if row is None else str(row[0])
