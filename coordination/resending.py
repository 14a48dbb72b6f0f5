"""What a box has sent, was receipted for, and is not here: a team database that was lost, or put back, asks again.

A box frees a record when a receipt says that the team has it, and says in each status how many numbers it gave and
how many of them still wait. When fewer came here than it has freed, this database is not the one that signed those
receipts: it was begun anew, or a copy of before was put back. A box keeps what was receipted for 14 days (a setting of
its own), so the inbox asks at once, by a command that the team's programs sign.

- What was asked for once is not asked for again by itself: a box that no longer has it says so in its answer, and what
  stays missing is shown as such (`veilleur-desk gaps`). People may ask again (`veilleur-desk resend`).
- Asking for more than is missing is harmless: what comes twice is stored once.

Functions of one open database. Not here: sending the command (command_sender), and what the box makes of it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import msgspec

from coordination.audit_log import TEAM
from coordination.bulk_rows import among, parts
from coordination.ranges import merge, without
from coordination.requests import make_command
from coordination.sql import Sql
from coordination.sql_commands import SqlCommands
from exchange.command_bodies import ResendBody, decode_body
from exchange.commands import LONGEST_MS, Command, CommandKind, SignedCommand, decode, encode
from exchange.messages import Range, lineage

MOST_RANGES: Final = 400
"""In one command, which has to fit an envelope; of more holes the smallest distances between them are asked for too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """What a box gave and this database lacks.

    Attributes:
        box: its id.
        epoch: that it numbers under now.
        ranges: disjoint, in order; some of it may only be on its way.
        waiting: how many records the box said still wait for a receipt.
    """

    box: str
    epoch: str
    ranges: tuple[Range, ...]
    waiting: int

    @property
    def records(self) -> int:
        """How many numbers are lacking."""
        return count(self.ranges)

    @property
    def was_here(self) -> bool:
        """Whether some of it was receipted: more is lacking than waits at the box."""
        return self.records > self.waiting


def count(ranges: tuple[Range, ...]) -> int:
    """Return how many numbers disjoint ranges hold."""
    return sum(part.last - part.first + 1 for part in ranges)


def lacking(connection: Sql, box: str, *, everything: bool = False) -> Lacking | None:
    """Return what of a box's numbers is neither here nor declared missing; None before its first status.

    Args:
        connection: the team's database.
        box: its id.
        everything: all that it ever gave, here or not: for a box whose own database was set back as well.
    """
    rows = _statuses(connection, [box])
    return next(_lacking(connection, rows, everything=everything), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a box said of its numbers; `row` is its own."""

    row: int
    box: str
    epoch: str
    next_seq: int
    backlog: int


def _statuses(connection: Sql, boxes: Sequence[str]) -> list[_Said]:
    found = connection.execute(
        "SELECT box.id, name, epoch, next_seq, backlog FROM box_status JOIN box ON box.id = box_id"  # noqa: S608
        f" WHERE name IN {among(boxes)} ORDER BY name",
        boxes,
    )
    return [_Said(row=row, box=box, epoch=epoch, next_seq=seq, backlog=log) for row, box, epoch, seq, log in found]


def _lacking(connection: Sql, said: Sequence[_Said], *, everything: bool = False) -> Iterator[Lacking]:
    received = _received(connection, [] if everything else [one.row for one in said])
    for one in said:
        database, here = lineage(one.epoch), received.get(one.row, [])
        own = [part for epoch, part in here if lineage(epoch) == database]
        others = [part for epoch, part in here if lineage(epoch) != database]
        # Numbers go on from a database of the box to the one that took over from it.
        begins = min((part.first for part in own), default=one.next_seq)
        own += [Range(part.first, min(part.last, begins - 1)) for part in others if part.first < begins]
        ranges = without(Range(0, one.next_seq - 1), own) if one.next_seq else ()
        yield Lacking(box=one.box, epoch=one.epoch, ranges=ranges, waiting=one.backlog)


def _received(connection: Sql, boxes: Sequence[int]) -> Mapping[int, list[tuple[str, Range]]]:
    """Return what was received or declared of these boxes (their rows), each range with its epoch."""
    found: defaultdict[int, list[tuple[str, Range]]] = defaultdict(list)
    if boxes:
        for box, epoch, first, last in connection.execute(
            f"SELECT box_id, epoch, first, last FROM received_range WHERE box_id IN {among(boxes)}"  # noqa: S608
            " UNION ALL SELECT box_id, epoch, first, last FROM declared_gap"
            f" WHERE box_id IN {among(boxes)} AND first IS NOT NULL",
            (*boxes, *boxes),
        ):
            found[box].append((epoch, Range(first, last)))
    return found


def ask_by_itself(connection: Sql, boxes: Collection[str], *, now: int) -> list[Command]:
    """Queue commands for what was receipted and is not here, unless it was asked for; inside a transaction.

    Args:
        connection: the team's database.
        boxes: whose status has just come.
        now: ms UTC, real time.
    """
    asked: list[Command] = []
    for some in parts(sorted(boxes)):
        # A box that never freed a number has been told of none.
        freed = [said for said in _statuses(connection, some) if said.next_seq > said.backlog]
        for found in [found for found in _lacking(connection, freed) if found.was_here]:
            before = _asked(connection, found.box, lineage(found.epoch))
            new = tuple(part for one in found.ranges for part in without(one, before))
            # What waits at the box comes anyway: it may be all that is new since it was asked.
            if count(new) > found.waiting:
                asked.append(ask(connection, found, now=now))
    return asked


def ask(connection: Sql, found: Lacking, *, now: int, by: str = TEAM) -> Command:
    """Queue the command that asks a box for what is lacking, of which there must be some; inside a transaction.

    Args:
        connection: the team's database.
        found: what is lacking.
        now: ms UTC, real time.
        by: who asks.
    """
    commands = SqlCommands(connection, _already_in_one)
    command = make_command(
        CommandKind.RESEND,
        ResendBody(epoch=found.epoch, ranges=bounded(found.ranges)),
        box=found.box,
        subject="",
        now=now,
        after=commands.last_version(found.box, (CommandKind.RESEND.value, "", found.epoch)),
        lasts=LONGEST_MS[CommandKind.RESEND],
    )
    commands.add(command, SignedCommand(command=encode(command)), signed_by=(), now=now, by=by)
    return command


def bounded(ranges: tuple[Range, ...], most: int = MOST_RANGES) -> tuple[Range, ...]:
    """Return at most so many ranges, disjoint and in order, that cover all of `ranges`; the smallest holes too."""
    if len(ranges) <= most:
        return ranges
    holes = sorted(range(1, len(ranges)), key=lambda at: ranges[at].first - ranges[at - 1].last)
    kept = {0, *holes[len(ranges) - most :]}
    joined: list[Range] = []
    for at, part in enumerate(ranges):
        if at in kept:
            joined.append(part)
        else:
            joined[-1] = Range(joined[-1].first, part.last)
    return tuple(joined)


def _asked(connection: Sql, box: str, database: str) -> tuple[Range, ...]:
    """Return what was ever asked for of one database of a box."""
    rows = connection.execute(
        "SELECT content FROM command JOIN box ON box.id = box_id WHERE box.name = ? AND kind = ? AND subject = ''"
        " AND substr(about, 1, 16) = ?",
        (box, CommandKind.RESEND.value, database),
    ).fetchall()
    found: list[Range] = []
    for (content,) in rows:
        command = decode(msgspec.msgpack.decode(content, type=SignedCommand).command)
        body = decode_body(command.kind, command.body)
        if isinstance(body, ResendBody):
            found += body.ranges
    return merge(found)


def _already_in_one() -> AbstractContextManager[None]:
    return nullcontext()
