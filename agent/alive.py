"""The proof that the box does its work, and the only place that tells systemd so (`WATCHDOG=1`).

A process that runs is not yet a box that keeps readings. So each sign of life rests on this:

- the store's own thread has just taken the right to write: it does not hang, and nobody else holds the database;
- a small commit went through it to the disk, synchronous, as a reading's would: not longer ago than `COMMIT_S`, and
  just now where the disk is nearly full or only read, or refused anything since;
- judging is at rest, or finished the piece of work that it had in hand.

Where one hangs or fails no sign is given, and systemd ends the box and starts it again (deploy/veilleur.service:
WatchdogSec). A fault in judging that is told and tried again is no hang: keeping and sending must go on.

Not here: what may be done about a disk that refuses (store), and the time that readings are judged by (watch).
"""

import asyncio
import logging
import os
import sqlite3
import sys
import time
from pathlib import Path

from agent import systemd
from agent.fleet import write_whole
from agent.logs import EVENT, REASON
from agent.store import Store
from agent.store_thread import StoreThread
from agent.turns import Turns

logger = logging.getLogger(__name__)

LONGEST_PAUSE_S = 20.0
"""Between two proofs."""
COMMIT_S = 300.0
"""Between two commits that prove it, as often as a glucose sensor measures: one in each proof would wear the card out
more than all readings of a sensor do (docs/adr/0032)."""


def pause_s() -> float:
    """Return the seconds between two proofs: half of what systemd waits for, and never more than 20."""
    told = os.environ.get("WATCHDOG_USEC", "")
    return min(LONGEST_PAUSE_S, int(told) / 2_000_000) if told.isdecimal() and int(told) > 0 else LONGEST_PAUSE_S


class Alive:
    """Gives signs of life as long as the box can prove that it works.

    Attributes:
        proven_at: by the machine's monotonic clock (s), when it was last proven; None before the first time.
    """

    def __init__(self, *, store: StoreThread, turns: Turns, proven: Path | None = None) -> None:
        """`proven` is where the running version leaves its name at the first sign of life (deploy/trial.sh)."""
        self._proven = proven
        self._store = store
        self._turns = turns
        self._told = ""
        self._committed_at: float | None = None
        self.proven_at: float | None = None

    async def run(self) -> None:
        """Prove it for ever. The pause begins when a proof is over, so that a slow disk is not asked twice at once."""
        pause = pause_s()
        while True:
            if await self._proves(within=pause):
                if self.proven_at is None:
                    self._leave_name()
                self.proven_at = time.monotonic()
                systemd.notify("WATCHDOG=1")
            await asyncio.sleep(pause)

    async def _proves(self, *, within: float) -> bool:
        try:
            await self._writes()
            async with asyncio.timeout(within):
                await self._turns.moves()
        except sqlite3.Error as error:
            self._say(f"the disk takes no commit: {error}")
            return False
        except TimeoutError:
            self._say("judging does not move")
            return False
        self._told = ""
        return True

    async def _writes(self) -> None:
        """Return when the store can write: it just committed, or did not long ago and nothing speaks against it."""
        now = time.monotonic()
        may_write = await self._store.call(Store.may_write)
        recent = self._committed_at is not None and now - self._committed_at < COMMIT_S
        if recent and may_write and not self._store.refused:
            return
        self._committed_at, self._store.refused = None, False
        await self._store.call(Store.prove)
        self._committed_at = now

    def _leave_name(self) -> None:
        if self._proven is None:
            return
        try:
            write_whole(self._proven, f"{Path(sys.prefix).resolve().name}\n")
        except OSError as error:
            self._say(f"the version's name cannot be left: {error.strerror}")

    def _say(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            logger.error("no sign of life is given", extra={EVENT: "not_alive", REASON: reason})
