"""A radio that looks after its adapter (`devices.radio.Radio`): it counts failures and silence, and climbs the ladder.

Rules of this room:

- Steps are taken one at a time, while nobody uses the adapter: who scans is turned away for the while, who has a link
  is waited for, within bounds.
- After each step the adapter is listened to; between steps everybody uses it as ever, and whatever works ends the
  climb.
- What is said is said once: what was tried when nothing helped, and that it works again.
- Nothing raises out of a climb; each step has a hard bound.

Without `watch` running it passes everything on and counts, no more. Which step is due is decided in `recovery`.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TypeVar

from devices.clock import Clock
from devices.errors import DeviceError, RadioError
from devices.radio import Advertisement, Connection, Radio
from devices.recovery import AdapterControl, Cause, Ladder, LadderPatience, Step, Tried, in_words
from devices.source import DeviceEvent, DeviceEventKind
from devices.turnstile import TurnedAwayError, Turnstile

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class RecoveringRadio:
    """One adapter and what can be done about it."""

    def __init__(
        self,
        inner: Radio,
        control: AdapterControl,
        *,
        adapter: str,
        clock: Clock,
        on_event: Callable[[DeviceEvent], None],
        expects: Callable[[], bool] = lambda: False,
        patience: LadderPatience | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Take an adapter; to be called where an event loop runs.

        Args:
            inner: the adapter.
            control: what can be done about it.
            adapter: its name, such as "hci0", for events.
            clock: the box's time, for events; everything else is real time.
            on_event: is told that the adapter is dead or the service gone, and that either works again.
            expects: whether a device is there all the time that would be heard if anything was, such as a sensor on
                the skin; without one, silence says nothing.
            patience: durations and bounds.
            rng: where the jitter of the pauses comes from.
        """
        self._inner = inner
        self._control = control
        self._adapter = adapter
        self._clock = clock
        self._on_event = on_event
        self._expects = expects
        self._patience = patience or LadderPatience()
        self._ladder = Ladder(self._patience, self._now, rng)
        self._turnstile = Turnstile()
        self._changed = asyncio.Event()
        self._said: DeviceEventKind | None = None

    # As a radio

    async def find(self, address: str, *, within: float) -> Advertisement | None:
        """Return the device's next advertisement, or None when it was not heard within `within` real seconds.

        Raises:
            RadioError: the adapter failed, or is being looked after.
        """
        async with self._turnstile.scanning():
            with self._counting():
                found = await self._turnstile.unless_closing(self._inner.find(address, within=within))
        self._note(self._ladder.scanned if found is None else self._heard)
        return found

    @asynccontextmanager
    async def listen(self, address: str | None) -> AsyncIterator[AsyncIterator[Advertisement]]:
        """Hear a device's advertisements, or everybody's, while the context is open.

        Raises:
            RadioError: from the iterator: the adapter failed, or is being looked after.
        """
        async with self._turnstile.scanning(), self._opened(self._inner.listen(address)) as heard:
            yield _Heard(partial(self._next, heard))

    @asynccontextmanager
    async def connect(self, address: str, *, within: float) -> AsyncIterator[Connection]:
        """Open a link; a bonded device is encrypted before this returns.

        Raises:
            RadioError: the adapter failed, or the device did.
        """
        async with self._turnstile.linked(), self._opened(self._inner.connect(address, within=within)) as link:
            self._note(self._heard)
            yield _Link(link, partial(self._note, self._heard))

    @asynccontextmanager
    async def _opened(self, context: AbstractAsyncContextManager[_T]) -> AsyncIterator[_T]:
        """Open what the adapter gives, counting its failure to."""
        async with AsyncExitStack() as stack:
            with self._counting():
                opened = await stack.enter_async_context(context)
            yield opened

    async def _next(self, heard: AsyncIterator[Advertisement]) -> Advertisement:
        async def hear() -> Advertisement:
            return await anext(heard)

        with self._counting():
            advertisement = await self._turnstile.unless_closing(hear())
        self._note(self._heard)
        return advertisement

    # Looking after the adapter

    async def watch(self) -> None:
        """Wait for trouble and do something about it, until cancelled."""
        while True:
            await self._trouble()
            await self._climb()

    async def _trouble(self) -> None:
        """Wait until a step is due; listen around when nothing was heard for too long."""
        pause = 0.0
        while self._ladder.cause is None:
            silence = self._ladder.silence_in(self._now)
            if silence > 0.0 or pause > 0.0:
                await self._changed_within(max(silence, pause))
                pause = 0.0
            elif self._expects():
                await self._listen_around()
                # A failure that is not yet a trouble: it is not to be met with another at once.
                pause = self._patience.between
            else:
                self._note(partial(self._ladder.silent, self._now, expected=False))

    async def _climb(self) -> None:
        """Take step after step until one cures, or all were taken and a long pause is over."""
        while self._ladder.cause is not None:
            step = self._ladder.next(await self._possible())
            if step is None:
                self._give_up()
                await self._cured(within=self._ladder.rest())
                continue
            if await self._take(step):
                await self._cured(within=self._patience.between)

    async def _possible(self) -> tuple[Step, ...]:
        """Return what can be done here: scanning anew always can."""
        with suppress(DeviceError, TimeoutError):
            async with asyncio.timeout(self._patience.step):
                return (Step.RESCAN, *await self._control.steps())
        return (Step.RESCAN,)

    async def _take(self, step: Step) -> bool:
        """Take a step while nobody uses the adapter, and listen whether it helped; return whether it could be taken."""
        within, cuts_links = self._patience.links, step is not Step.RESCAN
        async with self._turnstile.closed(within=within, wait_for_links=cuts_links):
            refusal = await self._refusal(step) if cuts_links else None
            _log.info("adapter %s: %s", self._adapter, Tried(step=step, refusal=refusal))
            self._ladder.took(step, refusal)
            if refusal is None:
                await asyncio.sleep(self._patience.settle if cuts_links else 0.0)
                await self._listen_around()
        return refusal is None

    async def _refusal(self, step: Step) -> str | None:
        """Take a step that needs means; return why it could not be taken, None when it was."""
        try:
            async with asyncio.timeout(self._patience.step):
                await self._control.take(step)
        except TimeoutError:
            return f"no end within {self._patience.step:g} s"
        except DeviceError as error:
            return str(error)
        return None

    async def _listen_around(self) -> None:
        """Listen for anybody at all, and note what came of it."""
        try:
            with self._counting():
                async with asyncio.timeout(self._patience.proof), self._inner.listen(None) as heard:
                    await anext(heard)
        except TimeoutError:
            self._note(partial(self._ladder.silent, self._now, expected=self._expects()))
        except RadioError as error:
            _log.debug("adapter %s: %s", self._adapter, error)
        else:
            self._note(self._heard)

    async def _cured(self, *, within: float) -> None:
        """Wait until the trouble is over, at most so long in seconds."""
        until = self._now + within
        while self._ladder.cause is not None and self._now < until:
            await self._changed_within(until - self._now)

    async def _changed_within(self, seconds: float) -> None:
        """Wait until something about the trouble changes, at most so long."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    # What is noted, and said

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _heard(self) -> bool:
        return self._ladder.heard(self._now)

    def _note(self, what: Callable[[], bool]) -> None:
        """Note what the adapter did; say so when that ends a trouble about which something was done."""
        before, tried = self._ladder.cause, in_words(self._ladder.tried)
        if what():
            self._tell(DeviceEventKind.ADAPTER_RECOVERED, f"after {tried}" if tried else "")
        if self._ladder.cause is not before:
            self._changed.set()

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Count what fails that is the adapter's or the service's own failure, not a device's."""
        try:
            yield
        except TurnedAwayError:
            raise
        except RadioError as error:
            if error.device is None or error.service_gone:
                before = self._ladder.cause
                self._ladder.failed(self._now, gone=error.service_gone)
                if self._ladder.cause is not before:
                    self._changed.set()
            raise

    def _give_up(self) -> None:
        """Say what was tried, once until it works again or another thing is wrong."""
        kind = DeviceEventKind.BLUETOOTH_GONE if self._ladder.cause is Cause.GONE else DeviceEventKind.ADAPTER_DEAD
        if kind is not self._said and self._ladder.worth_telling(self._now):
            self._tell(kind, in_words(self._ladder.tried))

    def _tell(self, kind: DeviceEventKind, detail: str) -> None:
        self._said = None if kind is DeviceEventKind.ADAPTER_RECOVERED else kind
        self._on_event(DeviceEvent(kind=kind, device=self._adapter, at=self._clock.now_ms(), detail=detail))


class _Heard(AsyncIterator[Advertisement]):
    """Advertisements as they are heard."""

    def __init__(self, hear: Callable[[], Awaitable[Advertisement]]) -> None:
        self._hear = hear

    async def __anext__(self) -> Advertisement:
        return await self._hear()


class _Link:
    """An open link, which shows that the adapter works whenever something comes over it."""

    def __init__(self, link: Connection, alive: Callable[[], None]) -> None:
        self._link = link
        self._alive = alive

    def has(self, characteristic: int) -> bool:
        """Return whether the device offers the characteristic."""
        return self._link.has(characteristic)

    def properties(self, characteristic: int) -> frozenset[str]:
        """Return such as {"read", "notify", "indicate", "write"}; empty when absent."""
        return self._link.properties(characteristic)

    async def read(self, characteristic: int) -> bytes:
        """Read a value."""
        value = await self._link.read(characteristic)
        self._alive()
        return value

    async def write(self, characteristic: int, value: bytes) -> None:
        """Write with response."""
        await self._link.write(characteristic, value)
        self._alive()

    async def subscribe(self, characteristic: int, on_value: Callable[[bytes], None]) -> None:
        """Enable notifications or indications, whichever the characteristic has."""

        def alive(value: bytes) -> None:
            self._alive()
            on_value(value)

        await self._link.subscribe(characteristic, alive)

    async def pair(self) -> None:
        """Bond (Just Works); at once when already bonded."""
        await self._link.pair()

    async def wait_closed(self) -> None:
        """Return when the link is gone, whoever closed it."""
        await self._link.wait_closed()
