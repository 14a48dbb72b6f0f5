"""Entering acts in the box's record of acts, and having the team witness it.

- `enter` returns once the act is on the disk. Whoever changes something in a transaction of the store enters the act
  in the same one, through `store.audit` (`AuditLog.enter`).
- Within a minute of an act its head is signed for, and the checkpoint travels to the team like a reading; receipts
  bring back the head that the team has seen, and the team's own, which is kept: neither side can cut its log
  afterwards without the other's contradicting it.
- The log is bounded in days and in entries.

Not here: what an act means, and showing the log (audit_command).
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from importlib.metadata import version
from types import MappingProxyType

from agent.audit_log import AuditLog, Witnessed
from agent.counts import Counts
from agent.logs import COUNT, EVENT
from agent.settings import Settings
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from exchange.audit_chain import Act, Detail, Erasable, Head
from exchange.identity import SigningKey
from exchange.receipts import Receipt
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

BOX = "box"
"""Stands for the box itself where an act has no person."""
SIGN_AFTER_S = 60.0
"""Real seconds that acts are gathered for before they are signed for together."""
SIGNINGS = 360
"""Times that is looked for something to sign before what is too old is looked for again."""
MOST_ENTRIES = 200_000
"""About 100 MB; a box enters some tens of acts a day."""
DAY_MS = 86_400_000
NOTHING: Detail = MappingProxyType({})


class Audit:
    """The box's record of acts, for everybody who does something."""

    def __init__(
        self,
        *,
        store: StoreThread,
        sealer: Sealer,
        key: SigningKey,
        clock: Clock,
        counts: Counts,
        keep_days: int,
        on_kept: Callable[[], None],
    ) -> None:
        """`key` signs checkpoints; `on_kept` is called when one waits in the outbox."""
        self._store = store
        self._sealer = sealer
        self._key = key
        self._clock = clock
        self._counts = counts
        self._keep_days = keep_days
        self._on_kept = on_kept
        self._begun = False

    # --- what others call ---------------------------------------------------------------------------------

    async def enter(
        self, act: Act, *, by: str = BOX, reference: str | Erasable = "", detail: Detail = NOTHING
    ) -> int | None:
        """Enter an act; return the number of its entry once it is on the disk, a full disk being waited out.

        Args:
            act: what was done.
            by: who did it: a person's name or key id, an account of this machine, "box", "team".
            reference: what it was done to: an id of a command, an alert, a device. Never a pseudonym, an address or a
                value in clear: those are `Erasable`.
            detail: what more there is to say, likewise.

        Returns:
            None when it was one refusal too many of this day, and only counted.
        """
        now = self._clock.now_ms()

        def work(log: AuditLog) -> int | None:
            return log.enter(act, at=now, by=by, reference=reference, detail=detail)

        return await self._store.persist(Store.audited, work, now_ms=now)

    async def begin(self, settings: Settings) -> None:
        """Enter that the box started, after what, and what is not as it was when it last did."""
        now, facts = self._clock.now_ms(), _facts(settings)

        def work(log: AuditLog) -> None:
            clean = log.last_act() in {Act.STOPPED, Act.LOG_BEGUN}
            log.enter(Act.STARTED, at=now, by=BOX, detail={"version": version("veilleur"), "stopped_in_order": clean})
            for subject, said, act, reference, more in facts:
                if log.changed(subject, said):
                    log.enter(act, at=now, by=BOX, reference=reference, detail=more)

        await self._store.persist(Store.audited, work, now_ms=now)
        self._begun = True

    async def heard(self, receipt: Receipt, proof: bytes) -> tuple[Head, ...]:
        """Keep the heads in a receipt whose signature was verified; return those that contradict what is kept here."""
        if not receipt.heads:
            return ()
        now = self._clock.now_ms()

        def work(log: AuditLog) -> tuple[Head, ...]:
            wrong = tuple(
                head for head in receipt.heads if not log.witness(Witnessed(head=head, at=receipt.at, proof=proof))
            )
            for head in wrong:
                detail = {"log": head.log, "chain": head.chain, "hash": head.hash}
                log.enter(Act.LOG_CUT, at=now, by="team", reference=str(head.n), detail=detail)
            return wrong

        wrong = await self._store.persist(Store.audited, work, now_ms=now)
        for head in wrong:
            logger.error("the record of acts is not what the team has seen of it", extra={EVENT: "audit_cut"})
            self._counts.add("audit.cut" if head.log == receipt.box else "audit.team_cut")
        return wrong

    # --- its own life -------------------------------------------------------------------------------------

    async def run(self, settings: Settings) -> None:
        """Enter that the box started; then sign for what is entered, and delete what is too old, until cancelled."""
        await self.begin(settings)
        while True:
            await self._shorten()
            for _ in range(SIGNINGS):
                await asyncio.sleep(SIGN_AFTER_S)
                await self._sign()

    async def stop(self) -> None:
        """Enter that the box stops in order, and sign for it; a disk that refuses now is not waited for."""
        if not self._begun:
            return
        now = self._clock.now_ms()
        with contextlib.suppress(sqlite3.Error):
            await self._store.call(Store.audited, lambda log: log.enter(Act.STOPPED, at=now, by=BOX), now_ms=now)
            await self._store.call(Store.checkpoint_audit, self._key, self._sealer, now_ms=now)

    async def _sign(self) -> None:
        now = self._clock.now_ms()
        if await self._store.persist(Store.checkpoint_audit, self._key, self._sealer, now_ms=now):
            self._on_kept()

    async def _shorten(self) -> None:
        now = self._clock.now_ms()
        before = now - self._keep_days * DAY_MS

        def shorten(log: AuditLog) -> int:
            return log.shorten(before=before, most=MOST_ENTRIES, at=now)

        gone = await self._store.persist(Store.audited, shorten, now_ms=now)
        if gone:
            logger.info("old acts deleted from the record", extra={EVENT: "audit_shortened", COUNT: gone})


_Fact = tuple[str, str, Act, str | Erasable, Detail]


def _facts(settings: Settings) -> Sequence[_Fact]:
    """Return what is entered at a start when it is not as it was: the settings, and each patient's protocol."""
    file = Erasable(value=settings.fingerprint, of="settings")
    facts: list[_Fact] = [("settings", settings.fingerprint, Act.SETTINGS_CHANGED, "agent.toml", {"fingerprint": file})]
    for patient in settings.patients:
        protocol = patient.protocol
        detail: Detail = {"protocol": protocol.name, "version": protocol.version, "hash": protocol.protocol_hash}
        facts.append(
            (
                patient.pseudonym,
                protocol.protocol_hash,
                Act.PROTOCOL_APPLIED,
                Erasable(value=patient.pseudonym),
                detail,
            )
        )
    return facts
