"""Outbox to broker to receipt: the only retry loop for sending.

- An entry is freed on a receipt that the team signed, never on a PUBACK: a PUBACK means that the broker has it.
- What may be on its way is bounded, and the team says how much of it (`on_the_way`); alerts go first, then the newest
  readings.
- What has no receipt in time is sent again, later each time, with jitter. Sending twice is harmless.
- A forged or foreign receipt frees nothing, nor does one from before the team lost what it had; it is counted.

Durations here are real seconds, whatever clock the readings are judged by.
"""

import asyncio
import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from agent.counts import Counts
from agent.logs import COUNT, EVENT, REASON
from agent.on_the_way import OnTheWay
from agent.outbox import Entry
from agent.presence import Presence
from agent.settings import ForwarderSettings
from agent.store import Store
from agent.store_thread import StoreThread
from devices.clock import Clock
from exchange.connection import NO_MATCHING_SUBSCRIBERS, Message
from exchange.errors import LinkError, ReceiptError
from exchange.link import Link
from exchange.receipts import Receipt, Received
from exchange.sealing import LANE_ALERTS, LANE_DENSE, verify_receipt
from exchange.topics import ALERTS, COMMANDS, OBSERVATIONS, RECEIPTS, topic

logger = logging.getLogger(__name__)

NO_SUBSCRIBER_PAUSE_S = 0.2
BROKEN_PAUSE_S = 0.1
DISK_PAUSE_S = 2.0
DAY_MS = 86_400_000
Heard = Callable[[Receipt, bytes], Awaitable[object]]
"""Is told a receipt whose signature was verified, and its bytes."""


async def _unheard(receipt: Receipt, proof: bytes) -> None:
    """Do nothing about it."""


async def _as_it_is(entry: Entry) -> Entry | None:
    return entry


class Forwarder:
    """Sends what waits, and frees what the team has."""

    def __init__(
        self,
        *,
        store: StoreThread,
        link: Link,
        box: str,
        signers: Mapping[str, bytes],
        settings: ForwarderSettings,
        presence: Presence,
        clock: Clock,
        counts: Counts,
        on_set_back: Callable[[], None] = lambda: None,
        leaving: Callable[[Entry], Awaitable[Entry | None]] | None = None,
        heard: Heard | None = None,
    ) -> None:
        """Begin with nothing under way.

        Args:
            store: holds the outbox.
            link: to the broker.
            box: its id.
            signers: id of each key that may sign receipts -> its public key.
            settings: window and pauses.
            presence: what the box says about itself.
            clock: dates what is kept.
            counts: of what was refused.
            on_set_back: called when a receipt shows that the database was set back.
            heard: is told each receipt.
            leaving: returns an entry as it leaves, None of one that never will; None: each leaves as it is.
        """
        self._store = store
        self._link = link
        self._box = box
        self._signers = signers
        self._settings = settings
        self._presence = presence
        self._clock = clock
        self._counts = counts
        self._heard = heard or _unheard
        self._on_set_back = on_set_back
        self._leaving_as = leaving or _as_it_is
        self._wake = asyncio.Event()
        self._on_the_way = OnTheWay(settings)
        self._on_command: Callable[[bytes], None] | None = None

    def kick(self) -> None:
        """Say that something new waits."""
        self._wake.set()

    def hear_commands(self, take: Callable[[bytes], None]) -> None:
        """Hand what the team orders to `take`; to be called before `run`."""
        self._on_command = take

    async def run(self) -> None:
        """Forward for ever; a broken link is waited out."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._despite_disk(self._greet), name="birth")
            group.create_task(self._despite_disk(partial(self._send, group)), name="send")
            group.create_task(self._despite_disk(self._receive), name="receipts")
            group.create_task(self._despite_disk(self._heartbeat), name="heartbeat")

    async def _despite_disk(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Run one of the loops for ever: a disk that fails must not stop what can still be sent."""
        told = ""
        while True:
            try:
                await loop()
            except sqlite3.Error as error:
                if str(error) != told:
                    told = str(error)
                    logger.error("the disk refuses, forwarding goes on", extra={EVENT: "disk", REASON: told})  # noqa: TRY400
                await asyncio.sleep(DISK_PAUSE_S)

    # --- sending ------------------------------------------------------------------------------------------

    async def _greet(self) -> None:
        """At each connection: hear receipts, say what the box is, and send again what was under way before."""
        generation = 0
        while True:
            await self._hear_receipts()
            generation = await self._link.wait_generation_after(generation)
            self._on_the_way.begin()
            self._wake.set()
            await self.say_online()

    async def _hear_receipts(self) -> None:
        try:
            # Without effect once it stands: the link subscribes again by itself.
            heard = [RECEIPTS] if self._on_command is None else [RECEIPTS, COMMANDS]
            await self._link.subscribe([topic(self._box, channel) for channel in heard])
        except LinkError as error:
            logger.warning("receipts not subscribed yet", extra={EVENT: "not_subscribed", REASON: str(error)})

    async def _send(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._link.wait_connected()
            self._wake.clear()
            now = time.monotonic()
            waiting = await self._leaving(now)
            entries = [left for entry in waiting if (left := await self._leaving_as(entry)) is not None]
            if len(entries) < len(waiting):
                # In place of what never leaves, a gap waits to be told.
                self._wake.set()
            self._on_the_way.leave(entries, now)
            for entry in entries:
                group.create_task(self._publish(entry), name=f"publish {entry.first}")
            await self._nap()

    async def _leaving(self, now: float) -> list[Entry]:
        """Return what may leave now: alerts first, and readings whatever alerts are waiting for their receipts."""
        room, still = self._on_the_way.room(now), self._on_the_way.still(now)
        entries: list[Entry] = []
        if room.alerts:
            alerts = (LANE_ALERTS, LANE_ALERTS)
            entries += await self._store.call(Store.waiting, limit=room.alerts, sent=still, lanes=alerts)
        if room.readings:
            lanes = (LANE_ALERTS + 1, LANE_DENSE)
            entries += await self._store.call(
                Store.waiting, limit=room.readings, sent=still, lanes=lanes, size=room.size
            )
        return entries

    async def _nap(self) -> None:
        now = time.monotonic()
        next_due = self._on_the_way.next_due()
        try:
            async with asyncio.timeout(self._settings.heartbeat if next_due is None else max(0.01, next_due - now)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _publish(self, entry: Entry) -> None:
        channel = ALERTS if entry.lane == LANE_ALERTS else OBSERVATIONS
        try:
            code = await self._link.publish(topic(self._box, channel), entry.body)
        except LinkError as error:
            if error.reason_code is None:
                self._counts.add("publish.broken")
                self._again_within(entry, BROKEN_PAUSE_S)
            else:
                # A broker that refuses goes on refusing: the entry waits its full turn, and the counter shows it.
                self._counts.add("publish.refused")
            return
        if code == NO_MATCHING_SUBSCRIBERS:
            # The broker dropped it, so no receipt can come: the inbox is expected back before long.
            self._counts.add("publish.no_subscriber")
            self._again_within(entry, NO_SUBSCRIBER_PAUSE_S)

    def _again_within(self, entry: Entry, seconds: float) -> None:
        """Send an entry again sooner than for want of a receipt, later at each attempt."""
        if self._on_the_way.again_within(entry.first, seconds, time.monotonic()):
            self._wake.set()

    # --- receipts -----------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        async for message in self._link.messages():
            if self._on_command is not None and message.topic == topic(self._box, COMMANDS):
                self._on_command(message.payload)
            else:
                await self._receipt(message)
            message.acknowledge()

    async def _receipt(self, message: Message) -> None:
        try:
            receipt = verify_receipt(message.payload, box=self._box, signers=self._signers)
        except ReceiptError as error:
            logger.warning("a receipt was refused", extra={EVENT: "receipt_refused", REASON: error.reason})
            self._counts.add(f"receipt.{error.reason}")
            return
        if receipt.at < await self._store.call(Store.receipts_from):
            # Somebody sends again what the team said before it lost its memory.
            self._counts.add("receipt.outdated")
            return
        await self._heard(receipt, message.payload)
        freed: list[int] = []
        for part in receipt.epochs:
            freed += await self._free(part)
        self._on_the_way.receipted(freed, receipt.credit)
        self._wake.set()

    async def _free(self, part: Received) -> tuple[int, ...]:
        outcome = await self._store.call(Store.receipted, part, now_ms=self._clock.now_ms())
        if not outcome.known:
            self._counts.add("receipt.other_epoch")
        if outcome.ahead:
            self._counts.add("receipt.ahead")
            self._on_set_back()
        return outcome.freed

    # --- what the box says about itself -------------------------------------------------------------------

    async def _heartbeat(self) -> None:
        while True:
            # Boxes that came back together must not say together, for ever after, that they are there.
            await asyncio.sleep(self._settings.heartbeat * random.uniform(0.75, 1.0))  # noqa: S311
            if self._link.connected:
                await self.say_online()
            await self.keep_counts()
            before = self._clock.now_ms() - self._settings.keep_receipted_days * DAY_MS
            forgotten = await self._store.call(Store.forget_receipted, before_ms=before)
            if forgotten:
                logger.info("receipted entries forgotten", extra={EVENT: "outbox_forgotten", COUNT: forgotten})

    async def stop(self) -> None:
        """Keep what was counted; a disk that refuses now is not waited for."""
        with contextlib.suppress(sqlite3.Error):
            await self.keep_counts()

    async def keep_counts(self) -> None:
        """Keep what was counted since the last time."""
        taken = self._counts.take()
        try:
            await self._store.call(Store.keep_counts, taken)
        except sqlite3.Error:
            self._counts.put_back(taken)
            raise

    async def announce(self, epoch: str) -> None:
        """Say that numbers are given under another epoch from now on."""
        self._presence.epoch = epoch
        self._wake.set()
        await self.say_online()

    async def say_online(self) -> None:
        """Say what the box is; retained by the broker."""
        next_seq, backlog = await self._store.call(Store.backlog)
        status = self._presence.online(next_seq=next_seq, backlog=backlog)
        try:
            await self._link.publish(self._presence.topic, status, retain=True)
        except LinkError as error:
            logger.info("status not sent", extra={EVENT: "status_not_sent", REASON: str(error)})
