"""What to ask a relay for, so that nothing is passed over, however much it has kept meanwhile.

A Nightscout-compatible endpoint is asked period by period, the oldest first, and page by page backwards within one.
xDrip+ gives its newest values only, at most 1000: more are asked for until they reach back far enough.

Sources: xDrip+'s `WebServiceSgv` (`count` up to 1000, `all_data` for values of an earlier sensor too); Nightscout's
`/api/v1/entries.json` (`find[date][$gte]`, `find[date][$lte]`, `count`; newest first).
"""

import ssl
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Final

from devices.relay_address import RelayAddress, RelayForm
from devices.relay_entries import RelayEntry, ascending, entries_of
from devices.relay_http import RelayRefusedError, fetch

_XDRIP_FEW: Final = 48
_XDRIP_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPatience:
    """How often and how far back a relay is asked, and what an answer may be at most. Seconds are real ones."""

    interval: float = 60.0
    """Pause between two questions to a relay that answers."""
    timeout: float = 20.0
    """One question and its answer."""
    first: float = 2.0
    """Bound of the pause after the first failure."""
    cap: float = 60.0
    """Largest bound of a pause after failures."""
    unreachable_after: float = 120.0
    """How long a relay may be silent before it is spoken of: telephones sleep."""
    look_back_every: float = 900.0
    """How often a relay is asked for the whole `look_back`."""
    facts_every: float = 600.0
    """How often it is said that a relay was heard, when nothing else is to be said."""
    overlap_ms: int = 30 * 60_000
    """How far before the newest reading each question begins."""
    look_back_ms: int = 24 * 3_600_000
    """How far before the newest reading what a telephone filled in is looked for."""
    first_look_ms: int = 24 * 3_600_000
    """How far back a relay is asked of which nothing is stored."""
    horizon_ms: int = 90 * 24 * 3_600_000
    """How far back a relay is asked at most."""
    period_ms: int = 12 * 3_600_000
    """What is asked for and persisted at a time."""
    page: int = 500
    """Entries asked for at once."""
    pages: int = 40
    """Pages of one period, at most."""
    most_bytes: int = 1_048_576
    """Largest answer."""
    most_entries: int = 2000
    """Most entries in one answer."""
    batch: int = 200
    """Largest number of readings persisted at once."""
    remembered: int = 8192
    """Record keys that are recognised when they come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What a relay has of some period.

    Attributes:
        entries: oldest first; some may have been seen before.
        gap: whether the relay does not reach back to the newest reading in the store.
    """

    entries: tuple[RelayEntry, ...]
    gap: bool = False


class RelayHistory:
    """Asks one relay."""

    def __init__(self, relay: RelayAddress, patience: RelayPatience, tls: ssl.SSLContext | None) -> None:
        self._relay = relay
        self._patience = patience
        self._tls = tls

    async def stretches(self, stored: int | None, now: int, *, look_back: bool) -> AsyncGenerator[Stretch]:
        """Yield what the relay has since the newest reading in the store, one stretch after the other in time.

        Args:
            stored: ms UTC of the newest reading in the store; None: there is none.
            now: ms UTC.
            look_back: whether to look for what was filled in before it, too.

        Raises:
            RelayUnreachableError: no answer, or a broken one.
            RelayRefusedError: not let in, or it does not answer what it is asked.
            RelayFormatError: the answer is no list of entries.
        """
        earlier = self._patience.look_back_ms if look_back else self._patience.overlap_ms
        begin = now - self._patience.first_look_ms if stored is None else min(stored, now) - earlier
        begin = max(begin, now - self._patience.horizon_ms)
        if self._relay.form is RelayForm.XDRIP:
            yield await self._newest(begin, stored)
            return
        for first, last in self._periods(begin, now):
            yield await self._period(first, last)

    async def _newest(self, begin: int, stored: int | None) -> Stretch:
        """Ask xDrip+ for its newest values, reaching back to `begin` if it has them."""
        entries: tuple[RelayEntry, ...] = ()
        full, oldest = False, None
        for count in (_XDRIP_FEW, _XDRIP_MOST):
            entries = await self._get([("count", str(count)), ("all_data", "Y")])
            oldest = _oldest(entries)
            full = len(entries) >= count
            if not full or oldest is None or oldest <= begin:
                break
        gap = full and stored is not None and oldest is not None and oldest > stored
        return Stretch(entries=tuple(ascending(entries)), gap=gap)

    def _periods(self, begin: int, now: int) -> Iterator[tuple[int, int | None]]:
        """Yield periods, ends included; the last has none, for entries of a clock that is ahead."""
        first = begin
        while first + self._patience.period_ms < now:
            yield first, first + self._patience.period_ms
            first += self._patience.period_ms
        yield first, None

    async def _period(self, first: int, last: int | None) -> Stretch:
        """Ask for one period, page by page backwards."""
        entries: list[RelayEntry] = []
        before = last
        for _ in range(self._patience.pages):
            query = [("count", str(self._patience.page)), ("find[date][$gte]", str(first))]
            if before is not None:
                query.append(("find[date][$lte]", str(before)))
            page = await self._get(query)
            self._check_within(page, first, before)
            entries += page
            oldest = _oldest(page)
            if len(page) < self._patience.page or oldest is None:
                return Stretch(entries=tuple(ascending(entries)))
            # Others of the oldest instant may be on the next page; a page full of one instant is left behind.
            before = oldest if oldest != before else oldest - 1
        raise RelayRefusedError("the relay has more values of one day than any sensor measures")

    @staticmethod
    def _check_within(page: tuple[RelayEntry, ...], first: int, last: int | None) -> None:
        for entry in page:
            if entry.at is not None and (entry.at < first or (last is not None and entry.at > last)):
                raise RelayRefusedError(
                    "the relay does not heed the period that it is asked for (find[date]): give its /sgv.json address"
                )

    async def _get(self, query: list[tuple[str, str]]) -> tuple[RelayEntry, ...]:
        body = await fetch(
            self._relay, query, within=self._patience.timeout, most=self._patience.most_bytes, tls=self._tls
        )
        return entries_of(body, most=self._patience.most_entries)


def _oldest(entries: tuple[RelayEntry, ...]) -> int | None:
    return min((entry.at for entry in entries if entry.at is not None), default=None)
