"""What leaves of an entry of the outbox; what never can is given up, and declared as a gap that travels.

Not here: which envelopes those are (`own_envelopes`), and sending (`forwarder`).
"""

from dataclasses import replace

from agent.outbox import Entry
from agent.own_envelopes import OwnEnvelopes
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from exchange.gaps import GapReason
from exchange.sealing import Sealer


class Leaving:
    """Prepares the entries of one box."""

    def __init__(self, *, own: OwnEnvelopes, store: StoreThread, sealer: Sealer, clock: Clock) -> None:
        """Take what it needs: `sealer` and `clock` are for the gap."""
        self._own = own
        self._store = store
        self._sealer = sealer
        self._clock = clock

    async def __call__(self, entry: Entry) -> Entry | None:
        """Return an entry as it leaves; None of one that never will, whose gap is kept then.

        Raises:
            sqlite3.Error: it cannot be kept for now; the entry is still there.
        """
        left = self._own.leaving(entry.body)
        if isinstance(left, GapReason):
            await self._store.call(Store.give_up, entry, left, self._sealer, now_ms=self._clock.now_ms())
            return None
        return replace(entry, body=left)
