"""What the box does by itself outside its database, as acts in its record: a certificate, a list, a version taken up.

- What holds is a file. What was last entered of it is remembered, so that a change is entered once, by whoever comes
  first: the part that made it, or the next start, where a power cut came between.
- Whoever notes an act does not wait for the disk: notes are entered one after the other, within moments.

Not here: what changes the database enters its act in the same transaction (store); people's commands (audit_beside).
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from agent.audit_log import AuditLog
from agent.counts import Counts
from agent.settings import Settings
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from exchange.audit_chain import Act, Detail
from exchange.certificates import Certificate
from exchange.errors import IdentityError
from exchange.identity import SigningKey, key_id
from exchange.team_list import SignedTeamList

BOX = "box"
TEAM = "team"
MOST_NOTES = 256
"""Notes that may wait for a disk that refuses; one more is counted (`audit.not_entered`)."""

Work = Callable[[AuditLog, int], object]
"""Enters an act; is given the record, in a transaction, and the time (ms UTC)."""


# --- what holds, entered when it is not what it was -----------------------------------------------------------


def program_held(log: AuditLog, at: int) -> None:
    """Enter that another version of the program runs than before."""
    before, now = log.said("program"), version("veilleur")
    if log.changed("program", now) and before:
        log.enter(Act.UPGRADED, at=at, by=BOX, reference=now, detail={"before": before})


def identity_held(log: AuditLog, settings: Settings, at: int, *, by: str = BOX, enrolled: bool = False) -> None:
    """Enter that the box was enrolled with the key that it has, or that another certificate of it came to hold.

    A box that was never started had no record when somebody enrolled it: then it enters that itself. One that was given
    its keys without an office was enrolled nowhere.

    Args:
        log: in a transaction.
        settings: name the files.
        at: ms UTC.
        by: who did it.
        enrolled: whether it is known to have been enrolled just now, perhaps with the key of before.

    Raises:
        IdentityError: a file cannot be read.
    """
    key = SigningKey.load(settings.identity.signing_key).id
    certificate, before = Certificate.load(settings.broker.certificate), log.said("certificate")
    other = log.changed("certificate", certificate.serial)
    detail: Detail = {"certificate": certificate.serial, "until": certificate.not_after}
    born = log.changed("signing_key", key) and settings.enrolment is not None
    if enrolled or born:
        log.enter(Act.ENROLLED, at=at, by=by, reference=settings.box, detail={**detail, "key": key})
    elif other and before:
        log.enter(Act.CERTIFICATE_RENEWED, at=at, by=by, reference=certificate.serial, detail=detail)


def list_held(log: AuditLog, signed: SignedTeamList, at: int) -> None:
    """Enter that a team list came to hold."""
    team, root = signed.team, key_id(signed.root)
    if log.changed("team_list", f"{root}:{team.version}"):
        detail: Detail = {"root": root, "until": team.expires_at, "people": len(team.people)}
        log.enter(Act.TEAM_LIST_ACCEPTED, at=at, by=TEAM, reference=str(team.version), detail=detail)


class OwnActs:
    """Enters what the parts of the box note, in their order."""

    def __init__(self, *, store: StoreThread, clock: Clock, counts: Counts) -> None:
        self._store = store
        self._clock = clock
        self._counts = counts
        self._notes: deque[tuple[Work, int]] = deque()
        self._came = asyncio.Event()

    def note(self, work: Work) -> None:
        """Let an act be entered in its turn, with the time of now."""
        if len(self._notes) >= MOST_NOTES:
            self._counts.add("audit.not_entered")
            return
        self._notes.append((work, self._clock.now_ms()))
        self._came.set()

    def took_list(self, signed: SignedTeamList) -> None:
        """Note that a team list came to hold."""
        self.note(lambda log, at: list_held(log, signed, at))

    def refused_list(self, reason: str, *, by: str) -> None:
        """Note that a team list was refused that somebody offered: `by` an order of the team, or a file."""
        self.note(lambda log, at: log.enter(Act.TEAM_LIST_REFUSED, at=at, by=by, detail={"reason": reason}))

    def took_certificate(self, settings: Settings) -> None:
        """Note that another certificate may have come to hold."""

        def look(log: AuditLog, at: int) -> None:
            with contextlib.suppress(IdentityError):
                identity_held(log, settings, at)

        self.note(look)

    def renewing(self, settings: Settings, then: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return what is to be done once a new certificate lies in its place: note it, and `then`."""

        async def renewed() -> None:
            self.took_certificate(settings)
            await then()

        return renewed

    async def run(self, settings: Settings, signed: SignedTeamList | None) -> None:
        """Enter what is not as it was at the last start; then whatever is noted, until cancelled."""
        self.note(program_held)
        self.took_certificate(settings)
        if signed is not None:
            self.took_list(signed)
        while True:
            await self._came.wait()
            self._came.clear()
            while self._notes:
                work, at = self._notes[0]
                await self._store.persist(Store.audited, _entering(work, at), now_ms=at)
                self._notes.popleft()

    async def stop(self) -> None:
        """Enter what still waits; a disk that refuses now is not waited for."""
        with contextlib.suppress(sqlite3.Error):
            while self._notes:
                work, at = self._notes[0]
                await self._store.call(Store.audited, _entering(work, at), now_ms=at)
                self._notes.popleft()


def _entering(work: Work, at: int) -> Callable[[AuditLog], object]:
    return lambda log: work(log, at)
