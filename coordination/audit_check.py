"""Whether the team's record of acts still is what was entered: every hash computed anew, every signed head held to it.

It begins where the record begins, or, where older acts were deleted for their age, at the checkpoint that was signed
for before they were. Nothing is written. docs/security/verify_audit.py is for whoever does not believe this program.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from coordination.audit_log import AuditLog
from coordination.sql import Sql
from exchange.audit_chain import TEAM_LOG, CheckpointRecord, Entry, Head, after, beginning, entry_bytes
from exchange.errors import UNDECODABLE


class Fault(StrEnum):
    """What is wrong at an entry."""

    UNREADABLE = "unreadable"
    """It is no entry in its one encoding, or not of the time and act that its row says."""
    MISSING = "missing"
    """One or more entries before it are not there."""
    CHANGED = "changed"
    """Its hash does not follow from what is before it."""
    SIGNED_OTHERWISE = "signed_otherwise"
    """A signed head says another hash for it, or the record ends before that head."""
    SIGNATURE = "signature"
    """The head was not signed by a key of the team."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found.

    Attributes:
        entries: how many were looked at, from `first` to `last`.
        first: number of the oldest, 0 without any.
        last: number of the newest.
        signed_until: number of the newest that a checkpoint covers, whose hash agrees; 0 for none.
        signatures: whether the keys that sign checkpoints were known, so that signatures were verified too.
        fault: what is wrong first, None when nothing is.
        at: number of the entry where it is.
    """

    entries: int
    first: int
    last: int
    signed_until: int
    signatures: bool
    fault: Fault | None = None
    at: int = 0


def check(connection: Sql, *, signers: Mapping[str, bytes] | None = None) -> Checked:
    """Return whether the record holds.

    Args:
        connection: of the team's database.
        signers: key id -> raw public key of those who may sign checkpoints; None: their signatures are not looked at.

    Raises:
        sqlite3.Error, psycopg.Error: it cannot be read.
    """
    log = AuditLog(connection)
    marks = log.checkpoints()
    begun = beginning(TEAM_LOG, log.chain() or "0" * 32)
    hashes = {mark.head.n: mark.head.hash for mark in marks}
    head, first, count = begun, 0, 0
    fault, at = _signatures(marks, begun, signers)
    rows = connection.execute("SELECT n, at, act, body, hash FROM audit ORDER BY n")
    for number, when, act, body, chained in rows:
        if not count:
            first = int(number)
            head = _anchor(begun, hashes, first)
        count += 1
        found = _wrong(head, number, when, act, body, chained, hashes)
        if isinstance(found, Fault):
            if fault is None or number < at:
                fault, at = found, number
            break
        head = found
    ends = max(hashes, default=0)
    if fault is None and ends > head.n:
        fault, at = Fault.SIGNED_OTHERWISE, ends
    agreed = max((number for number in hashes if number <= head.n), default=0)
    return Checked(
        entries=count,
        first=first,
        last=head.n if count else 0,
        signed_until=agreed,
        signatures=signers is not None,
        fault=fault,
        at=at,
    )


def _anchor(begun: Head, hashes: Mapping[int, str], first: int) -> Head:
    """Return what the oldest entry must follow: the beginning, or the checkpoint that stayed when others went."""
    known = hashes.get(first - 1)
    return begun if known is None else Head(log=begun.log, chain=begun.chain, n=first - 1, hash=known)


def _wrong(  # noqa: PLR0917 - a row, and what it must follow
    head: Head, number: int, when: int, act: str, body: str, chained: str, hashes: Mapping[int, str]
) -> Head | Fault:
    try:
        entry = msgspec.json.decode(body, type=Entry)
    except UNDECODABLE:
        return Fault.UNREADABLE
    if entry_bytes(entry) != body.encode() or (entry.n, entry.at, entry.act) != (number, when, act):
        return Fault.UNREADABLE
    if number != head.n + 1:
        return Fault.MISSING
    follows = after(head, entry)
    if follows.hash != chained:
        return Fault.CHANGED
    return Fault.SIGNED_OTHERWISE if hashes.get(number, chained) != chained else follows


def _signatures(
    marks: list[CheckpointRecord], begun: Head, signers: Mapping[str, bytes] | None
) -> tuple[Fault | None, int]:
    """Return the first checkpoint that no key of the team signed, or that is of another record."""
    for mark in marks:
        if (mark.head.log, mark.head.chain) != (begun.log, begun.chain):
            return Fault.SIGNATURE, mark.head.n
        if signers is not None:
            public = signers.get(mark.signer)
            if public is None or not mark.signed_by(public):
                return Fault.SIGNATURE, mark.head.n
    return None, 0
