"""The inbox: MQTT -> verify and open -> one transaction -> acknowledge -> signed receipt.

Rules of this room:

- A receipt is signed inside the transaction that stores what it covers, and leaves only after the commit. A box
  frees nothing on less, so whatever fails before that point is sent again.
- What came before is receipted again and not stored: the earlier receipt may have been lost.
- What was drained while the last batch was written is the next batch: nobody waits for a batch to fill.
- A message that is forged, foreign or malformed is recorded, counted and acknowledged; it stops nobody else.
- Several workers may run beside each other on one database: they share observations and alerts (`topics.shared`), so
  that each message reaches one of them, and every one hears every status, since a broker does not hand on to a
  shared subscription what it has retained, and an absence must not be told because another heard the box.
- Alerts have a connection of their own and go before readings, of which thousands may be waiting (`pacing`).
- When the database takes nothing, nothing is acknowledged, and the inbox leaves the broker, so that boxes are told
  at once that nobody is there, and keep what they have.

- Boxes and patients that the settings name anew are taken up while it runs (`settings_news`).

Times of readings and deadlines come from the injected clock; backoff and receipts use real time. What is not here:
whose a record is (attribution), what silence means (silence), and SQL.
"""

import asyncio
import hashlib
import logging
import random
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from coordination import receipts_out
from coordination.backlog_opener import BacklogOpener
from coordination.box_identity import BoxKeys
from coordination.command_sender import CommandSender
from coordination.database import Answered, Arrival, Database, Moment, Presence, Refused, SignedReceipt
from coordination.database_thread import DatabaseThread
from coordination.errors import DatabaseBusyError, DatabaseUnusableError
from coordination.followed import texts_of
from coordination.inbox_acts import InboxActs
from coordination.keys import TeamPrivateKeys, load_keys
from coordination.pacing import Pacing
from coordination.place import Place
from coordination.settings import Settings
from coordination.settings_news import LOOK_S, SettingsNews
from coordination.silence import LOOKS, Listening, Watch
from coordination.sql_database import SqlDatabase
from devices.clock import Clock, SystemClock
from exchange.command_answers import open_answer
from exchange.connection import LinkSettings, Message
from exchange.errors import EnvelopeError
from exchange.identity import key_id
from exchange.link import Link
from exchange.sealed_notes import Reader
from exchange.sealing import LANE_ALERTS, Opened, sign_receipt, verify_status
from exchange.topics import (
    ALERTS,
    COMMAND_ACKS,
    OBSERVATIONS,
    STATUS,
    box_of,
    every_box,
    shared,
    topic,
)

logger = logging.getLogger(__name__)

WINDOW = 200
"""Messages that may be on their way over one connection without being acknowledged, the most that are opened ahead of
each, and the most that a transaction stores."""
MOST_RECORDS = 6000
"""Records after which a transaction takes no further message: other workers wait for their turn meanwhile."""
LONGEST_LOOK_S = 60.0
"""Real seconds after which the inbox looks at the time even if nothing arrives."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


_Error = TypeVar("_Error", bound=Exception)


@dataclass(frozen=True, slots=True)
class _Delivery:
    message: Message
    arrival: Arrival


def serve(settings: Settings, clock: Clock) -> None:
    """Run the inbox until SIGTERM or SIGINT; SIGHUP has the settings read again.

    Raises:
        SettingsError: a key cannot be used.
        DatabaseUnusableError: the database needs a person.
    """

    async def until_told() -> None:
        news = SettingsNews(settings)
        work = asyncio.ensure_future(run(settings, clock, news=news))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, news.ask)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        await asyncio.wait([work])
        if not work.cancelled():
            work.result()

    asyncio.run(until_told())


async def run(
    settings: Settings,
    clock: Clock,
    *,
    link: Callable[[LinkSettings], Link] = Link,
    database: Callable[[Place], Database] = SqlDatabase,
    news: SettingsNews | None = None,
) -> None:
    """Receive for ever; a broker that is away and a disk that is full are waited out.

    Args:
        settings: what `read_settings` returned.
        clock: readings, deadlines and silences are dated by it.
        link: makes the link to the broker.
        database: opens the database.
        news: says when the settings changed; None: made here.

    Raises:
        SettingsError: a key cannot be used.
        DatabaseUnusableError: the database needs a person.
    """
    keys, news = load_keys(settings), news or SettingsNews(settings)
    acts = InboxActs(settings, keys, clock)
    pause = FIRST_PAUSE_S
    enrolled = False
    while True:
        inbox = _Inbox(news.settings, keys, clock, enrolled=enrolled, acts=acts, news=news)
        busy: DatabaseBusyError | None = None
        unusable: DatabaseUnusableError | None = None
        try:
            async with (
                DatabaseThread(partial(database, settings.database)) as store,
                inbox.boxes,
                link(_link(settings)) as line,
                link(_link(settings, of_readings=True)) as readings,
            ):
                await acts.begin(store)
                try:
                    await inbox.receive(store, line, readings)
                except asyncio.CancelledError:
                    await acts.end(store)
                    raise
        except* DatabaseBusyError as group:
            busy = _first(group)
        except* DatabaseUnusableError as group:
            unusable = _first(group)
        if unusable is not None:
            raise unusable
        if busy is not None:
            logger.error("nothing stored, boxes keep what they have: %s", busy.why.en)
        enrolled = inbox.enrolled
        if inbox.stored_anything:
            pause = FIRST_PAUSE_S
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(2 * pause, LONGEST_PAUSE_S)


class _Inbox:
    """One stretch of receiving: one open database, two links, until the database fails."""

    def __init__(
        self,
        settings: Settings,
        keys: TeamPrivateKeys,
        clock: Clock,
        *,
        enrolled: bool = False,
        acts: InboxActs | None = None,
        news: SettingsNews | None = None,
    ) -> None:
        self._settings = settings
        self._news = news or SettingsNews(settings)
        self._keys = keys
        self._clock = clock
        self._acts = acts or InboxActs(settings, keys, clock)
        self.boxes = BoxKeys(settings.database, settings.signers)
        self._opener = BacklogOpener(keys=keys.opening, boxes=self.boxes, now_ms=SystemClock().now_ms)
        self._watch = Watch(settings.protocols)
        # In this order: what comes over the one link goes before what comes over the other.
        self._arrived: tuple[deque[_Delivery], deque[_Delivery]] = (deque(), deque())
        self._something = asyncio.Event()
        self._taken = asyncio.Event()
        self._pacing = Pacing()
        self._told: set[str] = set()
        self._sender: CommandSender | None = None
        self._lapses_at: int | None = None
        self._looked_at = time.monotonic()
        self.enrolled = enrolled
        self.stored_anything = False

    async def receive(self, store: DatabaseThread, line: Link, readings: Link) -> None:
        """Receive until cancelled.

        Args:
            store: the database.
            line: brings statuses and alerts, and takes receipts away.
            readings: brings the rest.

        Raises:
            DatabaseBusyError: what arrived last is neither stored nor acknowledged; in an ExceptionGroup.
            DatabaseUnusableError: likewise.
        """
        await self._enrol(store)
        listening = Listening(self._clock, shortest=self._watch.shortest)
        await line.subscribe([every_box(STATUS), shared(ALERTS), shared(COMMAND_ACKS)])
        await readings.subscribe([shared(OBSERVATIONS)])
        logger.info("ready: %d boxes may write", len(self._settings.signers))
        self._sender = CommandSender(
            store=store, line=line, signer=lambda: self._keys.receipt, reader_of=self._reader_of
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sender.run(), name="commands")
            for link, queue in zip((line, readings), self._arrived, strict=True):
                group.create_task(self._open(link, queue), name="open")
            group.create_task(self._look_at_settings(), name="settings")
            await self._look(store, listening.look(None), listening)
            while True:
                deliveries = await self._next()
                changed = await self._take_up(store, listening)
                moment = listening.look(line.generation if line.connected else None)
                for receipt in await self._store(store, deliveries, moment):
                    group.create_task(receipts_out.send(line, receipt), name="receipt")
                # What has arrived meanwhile comes first: nobody is silent whose message waits here.
                if changed or (not any(self._arrived) and self._must_look(deliveries, moment)):
                    await self._look(store, moment, listening)

    # --- who is known -------------------------------------------------------------------------------------

    async def _enrol(self, store: DatabaseThread) -> None:
        assignments, now = self._settings.assignments, self._clock.now_ms()
        boxes = tuple({*self._settings.signers, *(one.box for one in assignments)})
        if not self.enrolled:
            # Once for each change: by now another worker may have been started with newer settings.
            await store.call(lambda database: database.enrol(boxes, assignments, at=now))
            self.enrolled = True
        texts = texts_of(self._settings.protocols.values())
        await store.call(lambda database: database.commands.keep_protocols(texts, at=now))

    async def _look_at_settings(self) -> None:
        self._news.wake = self._something.set
        while True:
            if self._news.waiting:
                self._something.set()
            await asyncio.sleep(LOOK_S)

    async def _take_up(self, store: DatabaseThread, listening: Listening) -> bool:
        """Take up settings that changed, before what was drained is stored: it may be of whom they name."""
        settings = self._news.take_up()
        if settings is None:
            return False
        self._settings, self.enrolled = settings, False
        self.boxes.use(settings.signers)
        # In this order: what fails half-way is caught up with when the inbox begins again.
        await self._acts.take_up(store, settings)
        await self._enrol(store)
        self._watch = Watch(settings.protocols)
        listening.use(self._watch.shortest)
        logger.info("other settings taken up: %d boxes, %d patients", len(settings.signers), len(settings.protocols))
        return True

    def _reader_of(self, box: str) -> Reader | None:
        listed = self._settings.reader_of(box)
        public = self.boxes.opening_key(box, listed=None if listed is None else listed.public)
        return None if public is None else Reader(id=key_id(public), public=public)

    # --- what arrives -------------------------------------------------------------------------------------

    async def _open(self, link: Link, queue: deque[_Delivery]) -> None:
        async for message in link.messages():
            if not message.payload and message.topic.endswith(f"/{OBSERVATIONS}"):
                # Nothing in it: an installer's `veilleur doctor` asks the broker whether a box may write there.
                message.acknowledge()
                continue
            while len(queue) >= WINDOW:
                # Opened, a message takes many times its size: the others wait as they came.
                self._taken.clear()
                await self._taken.wait()
            arrival = self._arrival(message)
            queue.append(_Delivery(message, arrival))
            self._something.set()
            if isinstance(arrival, Opened) and arrival.header.lane != LANE_ALERTS:
                self._pacing.heard(arrival.header.box, time.monotonic())

    def _arrival(self, message: Message) -> Arrival:
        if self._keys.renewed():
            self._opener.use(self._keys.opening)
        box = box_of(message.topic)
        if box is None:
            return self._refused(message, None, "box")
        try:
            if message.topic == topic(box, STATUS):
                status = verify_status(message.payload, box=box, signer_of=self.boxes.signer_of)
                if self._sender is not None and not message.retained:
                    self._sender.heard(status)
                return Presence(status=status, retained=message.retained)
            if message.topic == topic(box, COMMAND_ACKS):
                signer_of = self.boxes.signer_of
                answer = open_answer(message.payload, box=box, keys=self._keys.opening, signer_of=signer_of)
                return Answered(answer=answer, at=SystemClock().now_ms())
            return self._opener.open(message.payload, box=box)
        except EnvelopeError as error:
            return self._refused(message, box, error.reason)

    def _refused(self, message: Message, box: str | None, reason: str) -> Refused:
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("a message was refused, others like it are counted only: %s", reason)
        digest = hashlib.sha256(message.payload).hexdigest()
        return Refused(box=box, reason=reason, size=len(message.payload), sha256=digest)

    async def _next(self) -> tuple[_Delivery, ...]:
        """Return what has arrived, as soon as anything has; nothing when it is time to look."""
        if not any(self._arrived):
            self._something.clear()
            try:
                async with asyncio.timeout(self._longest_wait()):
                    await self._something.wait()
            except TimeoutError:
                return ()
        deliveries: list[_Delivery] = []
        records = 0
        while any(self._arrived) and len(deliveries) < WINDOW and records < MOST_RECORDS:
            deliveries.append(next(queue for queue in self._arrived if queue).popleft())
            arrival = deliveries[-1].arrival
            records += len(arrival.records) if isinstance(arrival, Opened) else 0
        self._taken.set()
        return tuple(deliveries)

    async def _store(
        self, store: DatabaseThread, deliveries: tuple[_Delivery, ...], moment: Moment
    ) -> tuple[SignedReceipt, ...]:
        if not deliveries:
            return ()
        arrivals = tuple(delivery.arrival for delivery in deliveries)
        sign = partial(sign_receipt, key=self._keys.receipt)
        real, credit = SystemClock().now_ms(), self._pacing.credit(time.monotonic())
        receipts = await store.call(
            lambda database: database.store(arrivals, moment=moment, receipt_at=real, sign=sign, credit=credit)
        )
        self.stored_anything = True
        for delivery in deliveries:
            delivery.message.acknowledge()
        return receipts

    # --- who is silent ------------------------------------------------------------------------------------

    def _longest_wait(self) -> float:
        waits = [LONGEST_LOOK_S]
        now = self._clock.now_ms()
        if self._watch.shortest is not None:
            waits.append(self._clock.seconds_until(now + self._watch.shortest // LOOKS))
        if self._watch.next_at is not None:
            waits.append(self._clock.seconds_until(self._watch.next_at))
        if self._lapses_at is not None:
            waits.append(self._clock.seconds_until(self._lapses_at))
        return min(waits)

    def _must_look(self, deliveries: tuple[_Delivery, ...], moment: Moment) -> bool:
        if not deliveries or (self._watch.next_at is not None and self._watch.next_at <= moment.at):
            return True
        # Boxes that speak without a pause keep nobody's deadline from passing.
        lapsed = self._lapses_at is not None and self._lapses_at <= moment.at
        if lapsed or time.monotonic() - self._looked_at >= LONGEST_LOOK_S:
            return True
        return any(_sender(delivery.arrival) in self._watch.silent_boxes for delivery in deliveries)

    async def _look(self, store: DatabaseThread, moment: Moment, listening: Listening) -> None:
        self._looked_at = time.monotonic()
        self._watch.use({**await store.call(lambda database: database.protocols_at_desk()), **self._settings.protocols})
        listening.use(self._watch.shortest)
        self._lapses_at = await store.call(lambda database: database.watch(self._watch.judge, moment=moment))
        await self._acts.settle(store)


def _sender(arrival: Arrival) -> str | None:
    match arrival:
        case Opened():
            return arrival.header.box
        case Presence():
            return arrival.status.box
        case Answered():
            return arrival.answer.box
        case Refused():
            return None


def _link(settings: Settings, *, of_readings: bool = False) -> LinkSettings:
    broker = settings.broker
    return LinkSettings(
        host=broker.host,
        port=broker.port,
        client_id=f"{broker.client_id}-obs" if of_readings else broker.client_id,
        ca=Path(broker.ca),
        certificate=Path(broker.certificate),
        key=Path(broker.key),
        # Nothing is left with the broker while the inbox is away: boxes hear that nobody is there, and keep it. What
        # an offline member of a shared subscription had been given would stay with it (mosquitto #1747).
        session_expiry_s=0,
        clean_start=True,
        receive_maximum=WINDOW,
    )


def _first(group: BaseExceptionGroup[_Error]) -> _Error:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
