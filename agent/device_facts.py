"""What devices say about themselves, gathered as it comes and kept now and then.

- What a device does not say again stays as it was said last; a time never goes back.
- Keeping it waits for no reading and no reading waits for it: one task writes what changed, for all devices at once,
  never more than once in `PAUSE_S`. A device that is only seen again costs at most one write a minute.
- A power cut loses at most what was learnt in the last moments, and the device says it again.

Not here: what the facts mean (silence).
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from devices.source import DeviceFacts

PAUSE_S = 1.0
"""Real seconds between two writes."""
SEEN_MS = 60_000
"""A device seen again so much later is worth writing down."""

_TIMES = ("seen_at", "bonded_at")
_SAID = ("battery", "clock_error_s", "manufacturer", "model", "firmware", "key_kept")


def merged(known: DeviceFacts, news: DeviceFacts) -> DeviceFacts:
    """Return what is known once `news` came: None says nothing new, and a time never goes back."""
    said = {name: value for name in _SAID if (value := getattr(news, name)) is not None}
    times = {
        name: max(value, getattr(known, name) or value) for name in _TIMES if (value := getattr(news, name)) is not None
    }
    return replace(known, **said, **times)


def is_news(kept: DeviceFacts, known: DeviceFacts) -> bool:
    """Return whether `known` is worth writing over `kept`: anything but a time that hardly moved."""
    if any(getattr(kept, name) != getattr(known, name) for name in _SAID):
        return True
    moved = ((getattr(kept, name), getattr(known, name)) for name in _TIMES)
    return any(now is not None and (before is None or now - before >= SEEN_MS) for before, now in moved)


class FactKeeper:
    """What is known of each device, and the task that keeps it."""

    def __init__(self, store: StoreThread, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, DeviceFacts] = {}
        self._kept: dict[str, DeviceFacts] = {}
        self._news = asyncio.Event()

    async def start(self, devices: Iterable[str]) -> None:
        """Take up what was kept of these devices."""
        for device in devices:
            self._known[device] = self._kept[device] = await self._store.call(Store.device_facts, device)

    def learn(self, device: str, news: DeviceFacts) -> None:
        """Take up what a device said; it is kept soon."""
        known = self._known[device] = merged(self._known.get(device, DeviceFacts()), news)
        if is_news(self._kept.get(device, DeviceFacts()), known):
            self._news.set()

    def known(self, device: str) -> DeviceFacts:
        """Return what is known of a device."""
        return self._known.get(device, DeviceFacts())

    async def run(self) -> None:
        """Keep what is learnt, until cancelled; then once more, unless the disk refuses."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                fresh = self._fresh()
                await self._store.persist(Store.keep_device_facts, fresh, now_ms=self._clock.now_ms())
                self._kept.update(fresh)
                await asyncio.sleep(PAUSE_S)
        finally:
            # Times that hardly moved are worth it now: nobody will learn them again.
            with contextlib.suppress(sqlite3.Error):
                await self._store.call(Store.keep_device_facts, self._changed(), now_ms=self._clock.now_ms())

    def _fresh(self) -> dict[str, DeviceFacts]:
        empty = DeviceFacts()
        return {device: known for device, known in self._known.items() if is_news(self._kept.get(device, empty), known)}

    def _changed(self) -> dict[str, DeviceFacts]:
        return {device: known for device, known in self._known.items() if known != self._kept.get(device)}
