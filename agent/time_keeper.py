"""Keeps the box's time: looks whether somebody vouches for it, and puts right what was wrong.

- A correction is kept, with what tells the team of it and what it changes for judging, in one transaction; then
  judging takes up again by the right time.
- Where nothing on the machine vouches for the time and the link stands, the team is asked: a canary is sent, and its
  receipt says when it was signed (`receipt_time`).
- `clock_unknown` is told when not knowing has begun to matter: the link is refused on a certificate's dates, or it
  stands for hours and still nobody has said what time it is.
- The time is then asked for again, by the command that the settings name, if any: the box may not set a clock itself.

Durations here are real seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from agent.box_clock import BoxClock, Found
from agent.clock_store import Place
from agent.forwarder import Heard
from agent.logs import EVENT, REASON
from agent.receipt_time import Question, earliest, told
from agent.settings import ClockSettings, Settings
from agent.store import Store
from agent.store_thread import StoreThread
from agent.time_witness import TimeWitness
from devices.clock import Clock, SystemClock
from devices.source import DeviceEvent, DeviceEventKind
from exchange.link import Link
from exchange.receipts import Receipt
from exchange.sealing import Sealer

logger = logging.getLogger(__name__)

LOOK_S = 15.0
KEEP_S = 3600.0
"""The time is kept this often where nothing else is: a commit costs the card some 5 KB."""
TELL_S = 300.0
"""What lasts is noticed this often, and the time asked for again."""
STANDS_S = 6 * 3600.0
"""The link has stood for so long, and nobody has said what time it is."""
QUESTION_S = 60.0
LONGEST_QUESTION_S = 900.0
"""The team is asked again so long after, twice as long at each attempt: each costs a commit and an envelope."""
ASK_S = 60.0
"""How long the command may take."""


class TimeKeeper:
    """Keeps a `BoxClock` and its store together."""

    def __init__(
        self,
        *,
        clock: BoxClock,
        store: StoreThread,
        sealer: Sealer,
        link: Link,
        box: str,
        settings: ClockSettings,
        list_issued_at: Callable[[], int] = lambda: 0,
        witness: Callable[[], Awaitable[bool | None]] | None = None,
    ) -> None:
        """Take what it needs.

        Args:
            clock: the box's time.
            store: where it is kept.
            sealer: seals what tells the team of a correction.
            link: says whether it is refused on dates.
            box: its id.
            settings: how the time is asked for.
            list_issued_at: when (ms UTC) the root signed the team list; 0: no root is pinned.
            witness: says whether the system's clock is right where the machine itself cannot, see `time_witness`.
        """
        self._clock = clock
        self._store = store
        self._sealer = sealer
        self._link = link
        self._box = box
        self._settings = settings
        self._witness = witness
        self._before: Callable[[], Awaitable[None]] | None = None
        self._on_right: Callable[[], None] | None = None
        self._notice: Callable[[DeviceEvent], None] | None = None
        self._good: Place | None = None
        self._list_issued_at = list_issued_at
        self._question: Question | None = None
        self._ask_team: Callable[[], Awaitable[object]] | None = None
        self._following = asyncio.Lock()

    async def begin(self) -> None:
        """Take up the time that was kept; before anything else is."""
        kept, last_ms = await self._store.call(Store.clock_state)
        self._clock.take_up(kept, last_ms=last_ms)
        await self._store.call(Store.begin_stretch, self._clock.stretch, now_ms=self._clock.now_ms())
        await self.look()

    async def run(
        self,
        *,
        right: Callable[[], None],
        notice: Callable[[DeviceEvent], None],
        before: Callable[[], Awaitable[None]] | None = None,
        ask_team: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Look for ever.

        Args:
            right: called when the time was put right, and what was kept with it.
            notice: takes what happens to the box as a whole.
            before: awaited before the time is put right: what was received by the wrong one is kept then.
            ask_team: sends a canary; its receipt is handed to `heard`.
        """
        self._on_right, self._notice, self._before, self._ask_team = right, notice, before, ask_team
        loop = asyncio.get_running_loop()
        keep_at, tell_at, stood_since = loop.time() + KEEP_S, loop.time(), loop.time()
        question_at, pause = loop.time(), QUESTION_S
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()
            now = loop.time()
            if now >= keep_at:
                keep_at = now + KEEP_S
                await self._store.persist(Store.keep_time, now_ms=self._clock.now_ms())
            if self._clock.trusted or not self._link.connected:
                stood_since = now
            elif now >= question_at:
                question_at, pause = now + pause, min(2 * pause, LONGEST_QUESTION_S)
                await self.question()
            if now >= tell_at and (self._link.refused_on_dates or now - stood_since >= STANDS_S):
                tell_at = now + TELL_S
                await self.tell()

    async def look(self) -> None:
        """Follow the time that is vouched for, and put right what was wrong until now."""
        async with self._following:
            found = self._clock.look(None if self._witness is None else await self._witness())
            if found is not None:
                await self._put_right(found, by="the machine")
        if self._clock.trusted:
            self._good = await self._store.call(Store.place)

    async def question(self) -> None:
        """Ask the team for the time: from here on, the receipt of anything new says it."""
        mono = self._clock.monotonic_ms()
        place = await self._store.call(Store.place)
        self._question = Question(epoch=place.epoch, seq=place.seq, mono=mono)
        if self._ask_team is not None:
            await self._ask_team()

    async def heard(self, receipt: Receipt) -> None:
        """Follow the time of a receipt whose signature was verified, when it answers what was asked."""
        if self._question is None or self._clock.trusted:
            return
        async with self._following:
            mono = self._clock.monotonic_ms()
            not_before = earliest(build_ms=self._clock.build_ms, list_issued_at=self._list_issued_at())
            said = told(self._question, receipt, mono=mono, not_before=not_before)
            found = None if said is None else self._clock.told(said.at, within=said.within)
            if found is not None:
                await self._put_right(found, by="a receipt")

    async def _put_right(self, found: Found, *, by: str) -> None:
        if self._before is not None:
            await self._before()
        since = self._good if found.before.trusted else None
        now = self._clock.now_ms()
        await self._store.persist(Store.keep_correction, found, self._sealer, since=since, now_ms=now)
        logger.info("the time is known", extra={EVENT: "clock_right", REASON: by})
        if self._on_right is not None:
            self._on_right()

    async def tell(self) -> None:
        """Say that the time is not known, and ask for it again."""
        if self._notice is not None:
            kind = DeviceEventKind.CLOCK_UNKNOWN
            self._notice(DeviceEvent(kind=kind, device=self._box, at=self._clock.now_ms()))
        if self._settings.ask:
            await self._ask(self._settings.ask)

    async def _ask(self, command: Sequence[str]) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            logger.warning("the time cannot be asked for", extra={EVENT: "clock_ask", REASON: str(error)})
            return
        try:
            async with asyncio.timeout(ASK_S):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = await process.wait()
        if code:
            reason = f"exit code {code}"
            logger.warning("the time was asked for in vain", extra={EVENT: "clock_ask", REASON: reason})


def real_time(clock: Clock) -> Clock:
    """Return the clock that people's dates are judged by, whatever clock readings are in a demonstration."""
    return clock if isinstance(clock, BoxClock) else SystemClock()


async def begin_time(
    clock: Clock,
    *,
    store: StoreThread,
    sealer: Sealer,
    link: Link,
    settings: Settings,
    list_issued_at: Callable[[], int] = lambda: 0,
) -> TimeKeeper | None:
    """Take up the time that was kept, before anything else is; None for a clock that needs no keeping."""
    if not isinstance(clock, BoxClock):
        return None
    keeper = TimeKeeper(
        clock=clock,
        store=store,
        sealer=sealer,
        link=link,
        box=settings.box,
        settings=settings.clock,
        list_issued_at=list_issued_at,
        witness=TimeWitness().vouches,
    )
    await keeper.begin()
    return keeper


async def keep_time(
    keeper: TimeKeeper | None,
    *,
    right: Callable[[], None],
    notice: Callable[[DeviceEvent], None],
    before: Callable[[], Awaitable[None]] | None = None,
    ask_team: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Keep the time for ever, where it needs keeping; see `TimeKeeper.run`."""
    if keeper is not None:
        await keeper.run(right=right, notice=notice, before=before, ask_team=ask_team)


def hearing(keeper: TimeKeeper | None, heard: Heard) -> Heard:
    """Return what hands each receipt to `heard`, and before that to whoever keeps the time."""
    if keeper is None:
        return heard

    async def both(receipt: Receipt, proof: bytes) -> object:
        await keeper.heard(receipt)
        return await heard(receipt, proof)

    return both
