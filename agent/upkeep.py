"""What the box does about its own database besides: notices what became of it, tells it, and clears what has served.

- A database that was set back goes on under a new lineage at once; what a start found is told from the notes it left.
- Rows that were altered are counted, and told as one alert of the box.
- What no rule can reach any more leaves the judging window bit by bit; data keys that protect nothing are destroyed.
- Nothing here is in anybody's way: each step is one short call to the store, and a disk that refuses is tried again.

Durations are real seconds. Not here: what is damaged and set aside (quarantine), and which readings matter (reach).
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from agent.counts import Counts
from agent.logs import COUNT, EVENT, REASON
from agent.reach import memory, needed_from
from agent.sealed_tables import SEALED
from agent.settings import Patient
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

ROUND_S = 60.0
SELDOM = 60
"""Rounds between two looks at what has served."""
PART = 500
"""Readings that leave the judging window in one transaction."""

ALTERED = "rows_altered"


class Upkeep:
    """Looks after the open database of the box."""

    def __init__(
        self,
        *,
        store: StoreThread,
        sealer: Sealer,
        clock: Clock,
        counts: Counts,
        notice: Callable[[str], None],
        on_epoch: Callable[[str], Awaitable[None]],
        patients: Sequence[Patient],
        round_s: float = ROUND_S,
    ) -> None:
        """Begin.

        Args:
            store: the open database.
            sealer: seals what is said again.
            clock: dates what is kept.
            counts: of what was noticed.
            notice: tells one rule of `technical_rules.RULES` about the box.
            on_epoch: called with the epoch that began.
            patients: with the protocols that judge.
            round_s: between two rounds.
        """
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._counts = counts
        self._notice = notice
        self._on_epoch = on_epoch
        self._patients = patients
        self._round_s = round_s
        self._wake = asyncio.Event()
        self._set_back = False
        self._told: tuple[str, ...] = ()

    def was_set_back(self) -> None:
        """Say that a receipt showed records which this database does not know."""
        self._set_back = True
        self._wake.set()

    async def run(self) -> None:
        """Look after it for ever."""
        rounds = 0
        while True:
            try:
                await self._look(seldom=rounds % SELDOM == 1)
            except sqlite3.Error as error:
                logger.warning("the disk refuses, upkeep waits", extra={EVENT: "disk", REASON: str(error)})
            rounds += 1
            try:
                async with asyncio.timeout(self._round_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _look(self, *, seldom: bool) -> None:
        if self._set_back:
            epoch = await self._store.call(Store.begin_anew, self._sealer, now_ms=self._clock.now_ms())
            self._set_back = False
            logger.error("the database was set back; a new lineage begins", extra={EVENT: "set_back"})
            await self._on_epoch(epoch)
        await self._tell_notes()
        if seldom:
            await self._clear()
        altered = await self._store.call(Store.take_altered)
        for table, number in altered.items():
            logger.error("altered rows are left out", extra={EVENT: ALTERED, REASON: table, COUNT: number})
            for _ in range(number):
                self._counts.add(f"altered.{table}")
        if altered:
            self._notice(ALTERED)

    async def _tell_notes(self) -> None:
        """Tell what was noted; what was told a round ago has become an alert meanwhile, and is forgotten here."""
        if self._told:
            await self._store.call(Store.forget_notes, self._told)
        self._told = await self._store.call(Store.notes)
        for rule in self._told:
            self._notice(rule)

    async def _clear(self) -> None:
        now = self._clock.now_ms()
        for patient in self._patients:
            onsets = await self._store.call(Store.onsets, patient.pseudonym, since=now - memory(patient))
            since = needed_from(patient, onsets, now)
            gone, part = 0, PART
            while part == PART:
                part = await self._store.call(
                    Store.forget_readings, patient.pseudonym, before_ms=since, now_ms=now, limit=PART
                )
                gone += part
            if gone:
                logger.info("readings beyond every window forgotten", extra={EVENT: "forgotten", COUNT: gone})
        await self._store.call(lambda store: store.keys.destroy_unused())
        for table in SEALED:
            after: object = None
            while (after := await self._store.call(Store.sweep, table, after)) is not None:
                # Others have their turn with the store in between.
                continue
