"""Relay (`devices.source.Source`): a sensor that no gateway can honestly read, read where its app passes it on.

xDrip+ and Nightscout-compatible endpoints on the home network, or over TLS anywhere, are asked again and again.

Rules of this room:

- What came is persisted, oldest first, before more is asked for: the newest reading in the store is always where to
  go on from, however long the box or the relay was away.
- A telephone fills gaps in after the fact: each question looks back a little, and now and then a whole day.
- Nothing is handed on twice; whoever starts anew hands a day on again, under the same record keys.
- A relay that does not answer is asked again, ever more rarely up to a bound, and spoken of once until it answers.

Not here: what an entry means (`relay_entries`), how it is asked for (`relay_history`, `relay_http`), and what is said
of it to people.
"""

import asyncio
import logging
import random
import ssl
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from zoneinfo import ZoneInfo

from devices.backoff import Backoff
from devices.clock import Clock
from devices.reading import Quality, Reading
from devices.relay_address import RelayAddress, RelayForm
from devices.relay_entries import RelayEntry, RelayFormatError, reading_of_entry
from devices.relay_history import RelayHistory, RelayPatience, Stretch
from devices.relay_http import RelayRefusedError, RelayUnreachableError
from devices.remarks import Remarks
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts

_log = logging.getLogger(__name__)


class RelaySource:
    """Yields what a relay has to say, until cancelled."""

    def __init__(
        self,
        relay: RelayAddress,
        *,
        device: str,
        zone: ZoneInfo,
        clock: Clock,
        resume: Callable[[], int | None],
        patience: RelayPatience | None = None,
        tls: ssl.SSLContext | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Take charge of a relay.

        Args:
            relay: where it answers.
            device: identity of what is read there, such as `RelayAddress.identity`; at most 128 characters.
            zone: the patient's time zone.
            clock: the box's time; pauses and timeouts are real time.
            resume: answers when the newest reading in the store was measured, ms UTC; None: there is none.
            patience: durations and bounds.
            tls: whom to trust over https; None: whom the system trusts.
            rng: where the jitter of the pauses comes from.
        """
        self._form = relay.form or RelayForm.NIGHTSCOUT
        self._device = device
        self._zone = zone
        self._clock = clock
        self._resume = resume
        self._patience = patience or RelayPatience()
        self._history = RelayHistory(relay, self._patience, tls)
        self._backoff = Backoff(first=self._patience.first, cap=self._patience.cap, rng=rng)
        self._handed_on: OrderedDict[str, None] = OrderedDict()
        self._model: str | None = None
        self._answered_before = False
        self._said: set[DeviceEventKind] = set()
        self._failing_since: float | None = None
        self._look_back_due = 0.0
        self._facts_due = 0.0

    @property
    def device(self) -> str:
        """Stable identity of the relay, as in `Reading.device`."""
        return self._device

    async def batches(self) -> AsyncGenerator[Batch]:
        """Yield batches for ever; asking for the next one says that the last one is persisted."""
        while True:
            pause = self._patience.interval
            try:
                async with aclosing(self._ask()) as answers:
                    async for batch in answers:
                        yield batch
            except (RelayUnreachableError, RelayRefusedError, RelayFormatError) as error:
                if events := self._failed(error):
                    yield Batch(events=events)
                pause = self._backoff.next()
            await asyncio.sleep(pause)

    async def _ask(self) -> AsyncGenerator[Batch]:
        """Ask for what came since the newest reading in the store, and yield it oldest first.

        Raises:
            RelayUnreachableError: the relay does not answer.
            RelayRefusedError: it lets nobody in, or does not speak its format.
            RelayFormatError: what it answers is not what its format says.
        """
        real = asyncio.get_running_loop().time()
        look_back = real >= self._look_back_due
        stored, now = self._resume(), self._clock.now_ms()
        async with aclosing(self._history.stretches(stored, now, look_back=look_back)) as stretches:
            async for stretch in stretches:
                for batch in self._batches(stretch):
                    yield batch
                    self._mark(batch)
        if look_back:
            self._look_back_due = real + self._patience.look_back_every

    def _batches(self, stretch: Stretch) -> list[Batch]:
        """Return what is new in a stretch, with what is noticed; one batch at least when the relay had been silent."""
        now = self._clock.now_ms()
        events = self._answered(now)
        if stretch.gap:
            detail = "the relay keeps too few values: some were not passed on before it dropped them"
            events.append(self._event(DeviceEventKind.HISTORY_FAILED, detail, now))
        readings, wrong = self._new(stretch.entries, now)
        events += wrong
        facts = self._facts(stretch.entries, now, due=bool(readings or events))
        size = self._patience.batch
        pieces = [tuple(readings[start : start + size]) for start in range(0, len(readings), size)]
        if not pieces and facts is None:
            return []
        # What is to be told goes first: a gap is not noticed again once the readings after it are stored.
        first, *others = pieces or [()]
        return [Batch(readings=first, events=tuple(events), facts=facts), *(Batch(readings=piece) for piece in others)]

    def _new(self, entries: Sequence[RelayEntry], now: int) -> tuple[list[Reading], tuple[DeviceEvent, ...]]:
        """Return the readings that were not handed on yet, and what is wrong with any: each thing once."""
        readings: dict[str, Reading] = {}
        remarks = Remarks(self._device)
        events: tuple[DeviceEvent, ...] = ()
        for entry in entries:
            key = entry.key
            if key in readings or key in self._handed_on:
                continue
            try:
                reading = reading_of_entry(
                    entry, form=self._form, device=self._device, received_at=now, zone=self._zone
                )
            except RelayFormatError as error:
                self._remember(key)
                events += remarks.note(DeviceEventKind.FRAME_REJECTED, str(error), now)
                continue
            if reading is not None:
                readings[key] = reading
                if Quality.IMPLAUSIBLE in reading.quality:
                    detail = f"{reading.quantity} outside what a living person can have"
                    events += remarks.note(DeviceEventKind.VALUE_IMPLAUSIBLE, detail, now)
        return list(readings.values()), events

    def _mark(self, batch: Batch) -> None:
        """Remember what is persisted."""
        for reading in batch.readings:
            self._remember(reading.key)

    def _remember(self, key: str) -> None:
        self._handed_on[key] = None
        while len(self._handed_on) > self._patience.remembered:
            self._handed_on.popitem(last=False)

    def _facts(self, entries: Sequence[RelayEntry], now: int, *, due: bool) -> DeviceFacts | None:
        """Return when the relay was heard, with anything else that comes of it, else now and then."""
        real = asyncio.get_running_loop().time()
        models = [entry.model for entry in entries if entry.model is not None]
        changed = models[-1] if models and models[-1] != self._model else None
        if not due and changed is None and real < self._facts_due:
            return None
        self._facts_due = real + self._patience.facts_every
        self._model = changed or self._model
        return DeviceFacts(seen_at=now, model=changed)

    # What is said of the relay itself

    def _answered(self, now: int) -> list[DeviceEvent]:
        """Return what is to be told of a relay that answers: nothing when it did before."""
        news = bool(self._said) or not self._answered_before
        self._said.clear()
        self._answered_before = True
        self._failing_since = None
        self._backoff.reset()
        return [self._event(DeviceEventKind.CONNECTED, "", now)] if news else []

    def _failed(self, error: Exception) -> tuple[DeviceEvent, ...]:
        """Return what is to be told of a relay that fails: once until it answers."""
        real = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = real
        # What a telephone missed meanwhile comes late: look back as soon as it answers.
        self._look_back_due = 0.0
        kind = DeviceEventKind.RELAY_REFUSED
        if isinstance(error, RelayUnreachableError):
            kind = DeviceEventKind.RELAY_UNREACHABLE
            if real - self._failing_since < self._patience.unreachable_after:
                return ()
        if kind in self._said:
            return ()
        self._said.add(kind)
        _log.info("relay: %s", error)
        return (self._event(kind, str(error), self._clock.now_ms()),)

    def _event(self, kind: DeviceEventKind, detail: str, at: int) -> DeviceEvent:
        return DeviceEvent(kind=kind, device=self._device, at=at, detail=detail)
