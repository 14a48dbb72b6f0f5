"""Judging by the right time what a wrong one had dated.

When the box's time is put right, what it received before moves with it (`clock_store`), and its engines are begun anew
over what is kept: an engine that had been told of next year would hold every reading of today for a late one. What it
had set aside for that is judged in its place, as far as the lateness bounds allow by the right time. The same is done
for an engine that finds itself ahead of the box's time for whatever reason. What is dated after a time that is known
to be right is kept and sent, and judged no more: nobody can say when it was.

Not here: what is then told of alerts (after_the_fact).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from agent.box_clock import BoxClock
from agent.clock_store import first_row
from agent.store import Store
from agent.store_reader import Kept
from agent.store_thread import StoreThread
from alerting.alert import AlertChange, ChangeKind, Sentence
from alerting.engine import Engine
from alerting.protocol_change import NO_LONGER_TRUE
from alerting.stream import lateness_bound
from devices.clock import Clock, may_set_others
from devices.reading import Quantity
from devices.wall_clock import FUTURE_TOLERANCE_MS

ENGINE_AHEAD_MS = 3_900_000
"""How far an engine may be ahead of the box's time: what passes between two times that are kept, and five minutes.

Nothing is lost by it, since what is late by so little is judged all the same.
"""
RIGHT_NOW = Sentence(
    fr="Cette alerte ne vaut plus depuis que l'heure du boîtier est connue.",
    en="This alert no longer holds now that the time of the box is known.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Righting:
    """What judging anew must know of the wrong time.

    Attributes:
        from_row: the first row that was received in it; None: only what had come too late by it is known.
        engine: as it had judged by it; None when its snapshot cannot be read.
    """

    from_row: int | None
    engine: Engine | None

    @classmethod
    def of(cls, right: bytes | None, engine: Engine | None) -> Self:
        """Return what is known when `right` names the right time (`Store.must_retime`), None where no time was."""
        return cls(from_row=None if right is None else first_row(right), engine=engine)


async def taken_back(store: StoreThread, patient: str, *, until_row: int, now: int) -> list[Kept]:
    """Return the readings that came too late by the wrong time, and are not by the right one.

    Args:
        store: of the box.
        patient: pseudonym.
        until_row: the row that judging has come to.
        now: ms UTC, by the right time.
    """
    oldest = now - max(lateness_bound(quantity) for quantity in Quantity)
    found = await store.call(Store.too_late, patient, since=oldest, until_row=until_row)
    return [
        item
        for item in found
        if now - lateness_bound(item.reading.quantity) <= item.reading.measured_at <= now + FUTURE_TOLERANCE_MS
    ]


def concerned_since(history: Iterable[Kept], back: Iterable[Kept], from_row: int | None) -> int | None:
    """Return when (ms UTC) the oldest reading was measured that a wrong time concerned; None when none did.

    Args:
        history: what was judged all along.
        back: what had come too late by it.
        from_row: see `Righting`.
    """
    received = (item for item in history if from_row is not None and item.row >= from_row)
    return min((item.reading.measured_at for item in (*back, *received)), default=None)


def is_ahead(engine: Engine, now: int) -> bool:
    """Return whether an engine is so far ahead of the box's time that what comes now would be too late for it."""
    return engine.event_time > now + ENGINE_AHEAD_MS


def righted(clock: Clock) -> int:
    """Return how often the box's time was put right since it runs; until judging has followed, no time passes for it.

    What the leap skipped is no time in which a device was silent, or a patient gave no reading.
    """
    return clock.righted if isinstance(clock, BoxClock) else 0


async def set_right(store: StoreThread, patient: str, clock: Clock) -> int:
    """Let nothing that is dated after the box's time be judged, if that is known; return from when on is watched."""
    now = clock.now_ms()
    if not may_set_others(clock):
        return (await store.call(Store.stream, patient)).since
    await store.persist(Store.set_aside_after, patient, now + FUTURE_TOLERANCE_MS)
    since = (await store.call(Store.stream, patient)).since
    if since > now:
        await store.persist(Store.begin_watching, patient, since=now)
    return min(since, now)


def in_words(changes: Sequence[AlertChange]) -> list[AlertChange]:
    """Return the changes of judging anew, with why an alert ended that no longer holds."""
    return [
        replace(change, why=RIGHT_NOW)
        if change.kind is ChangeKind.RESOLVED and change.why == NO_LONGER_TRUE
        else change
        for change in changes
    ]
