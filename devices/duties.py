"""What a visit does besides taking readings, whenever the device has nothing to send.

Consents of users, the clock, the battery, the maker and the model. None of it may cost a reading: a link that is gone
meanwhile says nothing about the device.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from devices.about import LOW_BATTERY
from devices.backoff import Patience
from devices.charge import Charge
from devices.clock import Clock, may_set_others
from devices.consent import Consent, ConsentPoint
from devices.device_clock import ClockOutcome, set_clock
from devices.errors import RadioError
from devices.gatt import USER_CONTROL_POINT
from devices.quirks import Quirk
from devices.radio import Connection
from devices.remarks import Remarks
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts

Duty = Callable[[], Awaitable[None]]


class Duties:
    """What is to be done on one open link."""

    def __init__(
        self,
        *,
        link: Connection,
        charge: Charge,
        quirk: Quirk | None,
        clock: Clock,
        patience: Patience,
        remarks: Remarks,
        emit: Callable[[Batch], Awaitable[None]],
    ) -> None:
        """Take an open link."""
        self._link = link
        self._charge = charge
        self._quirk = quirk
        self._clock = clock
        self._patience = patience
        self._remarks = remarks
        self._emit = emit

    async def before_listening(self) -> Batch:
        """Do what cannot wait, because many devices hang up right after their last reading; return what was learnt.

        Raises:
            RadioError: the link failed.
        """
        battery = await self._charge.about.battery(self._link)
        now = self._clock.now_ms()
        events: tuple[DeviceEvent, ...] = ()
        if battery is not None and battery <= LOW_BATTERY:
            events = self._remarks.note(DeviceEventKind.BATTERY_LOW, "its battery level is low", now)
        if self._clock_first:
            await self._set_clock()
        return Batch(events=events, facts=DeviceFacts(seen_at=now, bonded_at=now, battery=battery))

    async def first_consent(self) -> list[Duty]:
        """Give the consent of the user who has waited longest, and return what gives the others'.

        Raises:
            RadioError: the link failed.
        """
        consents = self._charge.consents.in_turn()
        if not consents or not self._link.has(USER_CONTROL_POINT):
            return []
        point = ConsentPoint(self._link, within=self._patience.consent)
        await point.open()
        first, *others = consents
        await self._consent(point, first)
        return [partial(self._consent, point, consent) for consent in others]

    def when_quiet(self) -> list[Duty]:
        """Return what is done once everything is safe and nothing more comes."""
        return [self._be_introduced] if self._clock_first else [self._set_clock, self._be_introduced]

    @property
    def _clock_first(self) -> bool:
        return self._quirk is not None and self._quirk.clock_first

    async def _consent(self, point: ConsentPoint, consent: Consent) -> None:
        self._charge.consents.give(consent)
        refusal = await point.give(consent)
        if refusal is not None:
            now = self._clock.now_ms()
            await self._emit(Batch(events=self._remarks.note(DeviceEventKind.CONSENT_REFUSED, refusal, now)))

    async def _set_clock(self) -> None:
        if not may_set_others(self._clock):
            # A device that is right must not be set wrong; it is set at a later visit.
            return
        setting = self._charge.driver.clock_setting
        if self._quirk is not None and self._quirk.clock is not None:
            setting = self._quirk.clock
        try:
            outcome = await set_clock(self._link, setting, self._clock, self._charge.zone)
        except RadioError as error:
            if await self._hung_up():
                return
            detail = f"the clock could not be set ({error})"
            outcome = ClockOutcome(kind=DeviceEventKind.CLOCK_WRONG, detail=detail)
        if outcome is not None:
            events = self._remarks.note(outcome.kind, outcome.detail, self._clock.now_ms())
            await self._emit(Batch(events=events, facts=DeviceFacts(clock_error_s=outcome.error_s)))

    async def _hung_up(self) -> bool:
        """Return whether the link ends: what fails for it fails a moment before its end is told."""
        try:
            async with asyncio.timeout(self._patience.quiet):
                await self._link.wait_closed()
        except TimeoutError:
            return False
        return True

    async def _be_introduced(self) -> None:
        facts = await self._charge.about.introduction(self._link)
        if facts is not None:
            await self._emit(Batch(facts=facts))
