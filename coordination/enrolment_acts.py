"""How boxes join, go on and leave, as acts in the team's record: entered in the transaction that makes it so.

- Who is the nurse who compared the digits, the person at the keyboard, or the box itself.
- A try that is refused is entered without the network address that it came from, which the office's own log keeps for
  as long as the machine keeps such logs: this record is kept for longer, and cannot forget.

Not here: what is decided (enrolments, box_identity).
"""

from coordination.audit_log import AuditLog
from coordination.authority import Issued
from coordination.box_identity import Revoked
from coordination.sql import Sql
from exchange.audit_chain import Act, Detail
from exchange.enrolment import Reason
from exchange.identity import key_id

OUTSIDE = "?"
"""Stands for somebody who has shown nothing that says who they are."""


class EnrolmentActs:
    """The acts of one open transaction, at one time (ms UTC)."""

    def __init__(self, connection: Sql, *, at: int) -> None:
        self._log = AuditLog(connection)
        self._at = at

    def opened(self, box: str, *, place: str, until: int, by: str) -> None:
        """Enter that a code was issued; `place` is what finds it, no secret."""
        self._enter(Act.ENROLMENT_OPENED, box, by, {"code": place, "until": until})

    def enrolled(self, box: str, *, place: str, signing: str, issued: Issued, by: str, replaced: bool) -> None:
        """Enter that a machine is that box from now on; `signing` is its public key, hexadecimal."""
        detail: Detail = {
            "code": place,
            "key": key_id(bytes.fromhex(signing)),
            "certificate": issued.serial,
            "replaces": replaced,
        }
        self._enter(Act.ENROLLED, box, by, detail)

    def refused(self, box: str, reason: Reason | str, *, by: str = OUTSIDE, about: str = "enrolment") -> None:
        """Enter that an enrolment, or a renewal (`about`), was refused; `box` is "" where it is not known."""
        if by != OUTSIDE or self._log.has_room_for(Act.ENROLMENT_REFUSED, at=self._at):
            self._enter(Act.ENROLMENT_REFUSED, box, by, {"reason": str(reason), "about": about})

    def renewed(self, box: str, issued: Issued) -> None:
        """Enter that a box was given its next certificate."""
        self._enter(Act.CERTIFICATE_RENEWED, box, box, {"certificate": issued.serial, "until": issued.not_after})

    def revoked(self, box: str, taken: Revoked, *, reason: str, by: str) -> None:
        """Enter that nothing counts any more that a box, or the machine that it was, signs."""
        detail: Detail = {"reason": reason, "keys": taken.keys, "certificates": len(taken.serials)}
        self._enter(Act.REVOKED, box, by, detail)

    def _enter(self, act: Act, box: str, by: str, detail: Detail) -> None:
        self._log.begin(at=self._at)
        self._log.enter(act, at=self._at, by=by, reference=box, detail=detail)
