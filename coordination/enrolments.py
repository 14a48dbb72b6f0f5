"""The life of an enrolment code in the team's database: open, claimed, confirmed, done; or refused, or void.

    open --a machine shows its keys--> claimed --the nurse says yes--> confirmed --the box has it all--> done
                                          |-- the nurse says no --> refused
    any --too many tries, or a newer code for the box--> void

Rules of this room:

- A code holds for 24 hours and for one machine: the first that shows keys with it. That machine may come again with
  the same keys, after a power cut say, and gets new digits; any other is refused.
- Tries are counted here, not in memory, so that starting the office again forgives nothing: 5 wrong secrets or 5
  nonces void the code, and 10 failures in ten minutes shut an address out.
- A decision is about the digits that were compared. Another conversation has other digits, and none of the decision.
- A certificate is issued once for one machine and code; asked again, the same one is given.

Each method is one transaction; times are ms UTC of the real clock. Not here: the conversation (`office`).
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from coordination.audit_log import TEAM
from coordination.authority import Issued, tls_key_of
from coordination.box_identity import (
    Listed,
    Revoked,
    earlier_keys,
    is_revoked,
    keep_certificate,
    keep_keys,
    owner,
    replace_machine,
    standing_keys,
)
from coordination.enrolment_acts import EnrolmentActs
from coordination.enrolment_wishes import NO_WISH, Wish, fulfil, keep_wish, void_codes
from coordination.place import Place
from coordination.team_database import ERRORS, as_error, connect, transaction
from exchange.enrolment import EnrolmentError, Machine, Reason
from exchange.enrolment_code import EnrolmentCode, hashed

MOST_WRONG = 5
MOST_OFFERS = 5
"""Nonces that the team gives for one code: a man in the middle guesses the digits as often, at one in a million."""
FAILURES = 10
FAILURES_MS = 600_000
RENEWALS = 5
DAY_MS = 86_400_000


class Known(StrEnum):
    """What the team knows of a machine that claims a box's name."""

    NEW = "new"
    SAME = "same"
    """It has the signing key of before."""
    OTHER = "other"
    """Another machine has the box's keys until now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A machine that waits for the nurse.

    Attributes:
        place: of its code.
        box: what it would be.
        digits: of its conversation.
        known: whether it is the machine of before.
    """

    place: str
    box: str
    digits: str
    known: Known


class Enrolments:
    """The enrolments of a database; for one thread, and closed after use."""

    def __init__(self, path: Place, listed: Listed) -> None:
        """Open the database; `listed` are the boxes of desk.toml.

        Raises:
            DatabaseUnusableError, DatabaseBusyError: see `team_database.connect`.
        """
        self._connection = connect(path)
        self._listed = listed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    # --- the team -----------------------------------------------------------------------------------------

    def open(self, code: EnrolmentCode, *, box: str, at: int, by: str = TEAM, wish: Wish = NO_WISH) -> int:
        """Let a code that `by` asked for hold for a box from now on, and no older one; return until when.

        Raises:
            CoordinationError: what is wished cannot be (`keep_wish`); nothing was changed.
        """
        until = at + wish.lasts
        with transaction(self._connection):
            self._connection.execute("INSERT INTO box (name) VALUES (?) ON CONFLICT DO NOTHING", (box,))
            void_codes(self._connection, box)
            self._connection.execute(
                "INSERT INTO enrolment (place, box_id, secret, state, created_at, expires_at)"
                " SELECT ?, id, ?, 'open', ?, ? FROM box WHERE name = ?",
                (code.place, hashed(code.place, code.secret), at, until, box),
            )
            keep_wish(self._connection, code.place, box, wish)
            EnrolmentActs(self._connection, at=at).opened(box, place=code.place, until=until, by=by)
        return until

    def void(self, box: str) -> None:
        """Let no code of a box hold any longer."""
        with transaction(self._connection):
            void_codes(self._connection, box)

    def waiting(self, place: str | None = None) -> tuple[Claim, ...]:
        """Return the machines that wait for somebody to compare the digits; `place`: of that code only."""
        rows = self._rows(
            "SELECT place, box.name, digits, signing FROM enrolment JOIN box ON box.id = box_id"
            " WHERE state = 'claimed' AND digits IS NOT NULL AND (? IS NULL OR place = ?) ORDER BY created_at",
            place,
            place,
        )
        return tuple(Claim(place=row[0], box=row[1], digits=row[2], known=self._known(row[1], row[3])) for row in rows)

    def decide(self, claim: Claim, *, yes: bool, by: str, at: int) -> bool:
        """Keep what somebody decided about a claim; return False when it is no longer the one that waits."""
        with transaction(self._connection):
            changed = self._connection.execute(
                "UPDATE enrolment SET state = ?, decided_at = ?, decided_by = ?"
                " WHERE place = ? AND state = 'claimed' AND digits = ?",
                ("confirmed" if yes else "refused", at, by, claim.place, claim.digits),
            ).rowcount
            if changed and not yes:
                EnrolmentActs(self._connection, at=at).refused(claim.box, "nurse", by=by)
        return changed == 1

    def state(self, place: str) -> str:
        """Return where a code is in its life; "void" for one that never was."""
        row = next(iter(self._rows("SELECT state FROM enrolment WHERE place = ?", place)), None)
        return "void" if row is None else str(row[0])

    # --- the office ---------------------------------------------------------------------------------------

    def offer(self, place: str, secret: str, *, source: str, at: int) -> str:
        """Check a code, count the try, and return for which box it is.

        Raises:
            EnrolmentError: with its reason: "too_many", "code", "used", "expired" or "refused".
        """
        with transaction(self._connection):
            reason, box = self._check(place, secret, source, at)
            if reason is not None:
                self._failed(source, at)
                EnrolmentActs(self._connection, at=at).refused(box, reason)
        # Raised after the commit: a try that is not counted would be a try for nothing.
        if reason is not None:
            raise EnrolmentError(reason, f"code {place}")
        return box

    def claim(self, place: str, machine: Machine, *, digits: str, source: str, at: int) -> None:
        """Let a code be this machine's, and show its digits to the team.

        Raises:
            EnrolmentError: "used", "revoked", "other_box", or as in `offer`.
        """
        with transaction(self._connection):
            reason = self._claim(place, machine, digits, at)
            if reason is not None:
                self._failed(source, at)
                EnrolmentActs(self._connection, at=at).refused(self._box_of(place), reason)
        if reason is not None:
            raise EnrolmentError(reason, f"code {place}")

    def decision(self, place: str, digits: str) -> bool | None:
        """Return what was decided about a conversation, None while nobody has.

        Raises:
            EnrolmentError: "refused", or "used" when another conversation took its place.
        """
        row = next(iter(self._rows("SELECT state, digits FROM enrolment WHERE place = ?", place)), None)
        if row is None or row[0] == "void" or row[1] != digits:
            raise EnrolmentError(Reason.USED, f"code {place}")
        if row[0] == "refused":
            raise EnrolmentError(Reason.REFUSED, f"code {place}")
        return True if row[0] == "confirmed" else None

    def withdraw(self, place: str, digits: str) -> None:
        """Show the digits of a conversation that has ended to nobody any more; the code stays its machine's."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE enrolment SET digits = NULL WHERE place = ? AND state = 'claimed' AND digits = ?",
                (place, digits),
            )

    def grant(self, place: str, issue: Callable[[bytes, str], Issued], *, at: int) -> tuple[bytes, Revoked | None]:
        """Make a confirmed machine the box, and return its certificate (PEM).

        Args:
            place: of its code.
            issue: (CSR, box) -> certificate.
            at: ms UTC.

        Returns:
            The certificate, and what was taken from the machine that it replaces, if it replaces one.

        Raises:
            EnrolmentError: "used": it is not confirmed.
            AuthorityError: from `issue`; nothing was changed.
        """
        with transaction(self._connection):
            row = self._connection.execute(
                "SELECT box.name, csr, signing, opening, created_at, decided_by FROM enrolment"
                " JOIN box ON box.id = box_id WHERE place = ? AND state = 'confirmed'",
                (place,),
            ).fetchone()
            if row is None:
                raise EnrolmentError(Reason.USED, f"code {place}")
            box, csr, signing, opening, created, by = row
            acts = EnrolmentActs(self._connection, at=at)
            tls_key = tls_key_of(csr)
            replaced = None
            if self._known(box, signing) is Known.OTHER:
                replaced = replace_machine(
                    self._connection,
                    box,
                    listed=self._listed,
                    at=at,
                    signing=signing,
                    opening=opening,
                    tls_key=tls_key,
                )
                acts.revoked(box, replaced, reason="replaced", by=by)
            keep_keys(self._connection, box, signing=signing, opening=opening, at=at)
            fulfil(self._connection, place, box, by=by, at=at)
            pem, issued = self._certificate(box, csr, tls_key, since=created, issue=issue, at=at)
            if issued is not None:
                acts.enrolled(box, place=place, signing=signing, issued=issued, by=by, replaced=replaced is not None)
            return pem, replaced

    def earlier(self, box: str, *, at: int) -> tuple[str, ...]:
        """Return the public signing keys (hexadecimal) whose envelopes a box may still hand over, the newest first."""
        try:
            return tuple(public.hex() for public in earlier_keys(self._connection, box, at=at).values())
        except ERRORS as error:
            raise as_error(error) from error

    def done(self, place: str) -> None:
        """Keep that the box has it all."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE enrolment SET state = 'done' WHERE place = ? AND state = 'confirmed'", (place,)
            )

    def renew(
        self, serial: str, csr: bytes, *, signer: str, issue: Callable[[bytes, str], Issued], source: str, at: int
    ) -> bytes:
        """Return the certificate (PEM) that follows `serial`; asked twice for one key, the same one.

        Args:
            serial: of the certificate that the box showed, hexadecimal.
            csr: PEM.
            signer: public signing key (hexadecimal) that signed the request.
            issue: (CSR, box) -> certificate.
            source: network address.
            at: ms UTC.

        Raises:
            EnrolmentError: "certificate" when either is not, or no longer, the box's own; "too_many".
            AuthorityError: from `issue`; nothing was changed.
        """
        pem = b""
        with transaction(self._connection):
            reason, box = self._may_renew(serial, signer, source, at)
            acts = EnrolmentActs(self._connection, at=at)
            if reason is not None:
                self._failed(source, at)
                acts.refused(box, reason, about="renewal")
            else:
                begun = self._connection.execute(
                    "SELECT issued_at FROM box_certificate WHERE serial = ?", (serial,)
                ).fetchone()[0]
                pem, issued = self._certificate(box, csr, tls_key_of(csr), since=begun + 1, issue=issue, at=at)
                if issued is not None:
                    acts.renewed(box, issued)
        if reason is not None:
            raise EnrolmentError(reason, f"certificate {serial[:8]}")
        return pem

    # --- inside a transaction -----------------------------------------------------------------------------

    def _check(  # noqa: PLR0911 - one for each reason
        self, place: str, secret: str, source: str, at: int
    ) -> tuple[Reason | None, str]:
        if self._shut_out(source, at):
            return Reason.TOO_MANY, ""
        row = self._connection.execute(
            "SELECT box.name, secret, state, expires_at, wrong, offers FROM enrolment JOIN box ON box.id = box_id"
            " WHERE place = ?",
            (place,),
        ).fetchone()
        if row is None:
            return Reason.CODE, ""
        box, kept, state, expires_at, wrong, offers = row
        if not hmac.compare_digest(kept, hashed(place, secret)):
            self._connection.execute(
                "UPDATE enrolment SET wrong = wrong + 1,"
                " state = CASE WHEN wrong + 1 >= ? AND state IN ('open', 'claimed') THEN 'void' ELSE state END"
                " WHERE place = ?",
                (MOST_WRONG, place),
            )
            return Reason.CODE, box
        if state in {"void", "done", "refused"}:
            tried = wrong >= MOST_WRONG or offers >= MOST_OFFERS
            words = {"void": Reason.TOO_MANY if tried else Reason.USED, "refused": Reason.REFUSED}
            return words.get(state, Reason.USED), box
        if at >= expires_at:
            return Reason.EXPIRED, box
        if offers >= MOST_OFFERS:
            self._connection.execute("UPDATE enrolment SET state = 'void' WHERE place = ?", (place,))
            return Reason.TOO_MANY, box
        self._connection.execute("UPDATE enrolment SET offers = offers + 1 WHERE place = ?", (place,))
        return None, box

    def _claim(self, place: str, machine: Machine, digits: str, at: int) -> Reason | None:
        row = self._connection.execute(
            "SELECT box.name, state, expires_at, signing, opening, csr FROM enrolment JOIN box ON box.id = box_id"
            " WHERE place = ?",
            (place,),
        ).fetchone()
        if row is None or row[1] not in {"open", "claimed", "confirmed"}:
            return Reason.USED
        box, state, expires_at, *claimed, csr = row
        if at >= expires_at:
            return Reason.EXPIRED
        publics = [machine.signing, machine.opening]
        if state != "open" and [*claimed, tls_key_of(csr)] != [*publics, tls_key_of(machine.csr)]:
            return Reason.USED
        if any(is_revoked(self._connection, public) for public in publics):
            return Reason.REVOKED
        if any(owner(self._connection, public, listed=self._listed) not in {None, box} for public in publics):
            return Reason.OTHER_BOX
        self._connection.execute(
            "UPDATE enrolment SET state = 'claimed', csr = ?, signing = ?, opening = ?, digits = ? WHERE place = ?",
            (machine.csr, machine.signing, machine.opening, digits, place),
        )
        return None

    def _certificate(
        self, box: str, csr: bytes, tls_key: str, *, since: int, issue: Callable[[bytes, str], Issued], at: int
    ) -> tuple[bytes, Issued | None]:
        """Return the certificate (PEM) issued for that key since then, or a new one; and what was issued just now."""
        row = self._connection.execute(
            "SELECT pem FROM box_certificate JOIN box ON box.id = box_id"
            " WHERE box.name = ? AND tls_key = ? AND issued_at >= ? AND revoked_at IS NULL ORDER BY issued_at DESC",
            (box, tls_key, since),
        ).fetchone()
        if row is not None:
            return bytes(row[0]), None
        issued = issue(csr, box)
        keep_certificate(self._connection, issued, at=at)
        return issued.pem, issued

    def _may_renew(self, serial: str, signer: str, source: str, at: int) -> tuple[Reason | None, str]:
        if self._shut_out(source, at):
            return Reason.TOO_MANY, ""
        row = self._connection.execute(
            "SELECT box.name, revoked_at, (SELECT count(*) FROM box_certificate AS other"
            " WHERE other.box_id = box.id AND other.issued_at > ?)"
            " FROM box_certificate JOIN box ON box.id = box_id WHERE serial = ?",
            (at - DAY_MS, serial),
        ).fetchone()
        if row is None or row[1] is not None:
            return Reason.CERTIFICATE, ""
        if signer not in standing_keys(self._connection, row[0], listed=self._listed):
            return Reason.CERTIFICATE, row[0]
        return (Reason.TOO_MANY if row[2] >= RENEWALS else None), row[0]

    def _box_of(self, place: str) -> str:
        rows = self._rows("SELECT box.name FROM enrolment JOIN box ON box.id = box_id WHERE place = ?", place)
        return rows[0][0] if rows else ""

    def _known(self, box: str, signing: str) -> Known:
        keys = standing_keys(self._connection, box, listed=self._listed)
        if not keys:
            return Known.NEW
        return Known.SAME if signing in keys else Known.OTHER

    def _shut_out(self, source: str, at: int) -> bool:
        count = self._connection.execute(
            "SELECT count(*) FROM enrolment_failure WHERE source = ? AND at > ?", (source, at - FAILURES_MS)
        ).fetchone()[0]
        return int(count) >= FAILURES

    def _failed(self, source: str, at: int) -> None:
        # Who is shut out already is not counted on, or an address could never come back.
        if not self._shut_out(source, at):
            self._connection.execute("INSERT INTO enrolment_failure (at, source) VALUES (?, ?)", (at, source))
        self._connection.execute("DELETE FROM enrolment_failure WHERE at <= ?", (at - DAY_MS,))

    def _rows(self, query: str, *values: object) -> list[tuple[str, str, str, str]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except ERRORS as error:
            raise as_error(error) from error
