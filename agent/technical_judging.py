"""What devices and the box itself do, told as technical alerts, by the one task that judges.

Mixed into `Judging`, which owns the task. Of what happened while judging lagged behind the last of each kind is told.

Not here: which rules there are (technical_rules) and when they are told (technical, silence).
"""

from collections.abc import Callable, Mapping, Sequence

from agent.handed import Handed
from agent.settings import Patient, Watched
from agent.silence import Silence
from agent.store import Store
from agent.store_thread import StoreThread
from agent.technical import TechnicalAlerts, is_usable
from alerting.alert import AlertChange
from devices.clock import Clock
from devices.source import Batch, DeviceEvent, DeviceEventKind, DeviceFacts
from exchange.sealing import Sealer


class TechnicalJudging:
    """Mixed into `Judging`."""

    _box: str
    _store: StoreThread
    _sealer: Sealer
    _clock: Clock
    _devices: Sequence[Watched]
    _patients: Mapping[str, Patient]
    _technical: TechnicalAlerts
    _silence: Silence
    _missed: dict[tuple[str, DeviceEventKind], tuple[Watched | None, DeviceEvent]]
    _on_kept: Callable[[], None]

    def _remember_events(self, handed: Handed) -> None:
        """Remember what happened last of each kind, in the order of it: nothing else will tell it again."""
        of_devices = ((device, event) for device, batch in handed.batches for event in batch.events)
        for device, event in (*((None, event) for event in handed.of_box), *of_devices):
            self._missed.pop((event.device, event.kind), None)
            self._missed[event.device, event.kind] = device, event

    async def _tell_missed(self) -> None:
        for key, (device, event) in list(self._missed.items()):
            if device is None:
                await self._keep_technical(self._technical.event(event.device, event))
            else:
                await self._tell(device, Batch(events=(event,)))
            if self._missed[key][1] is event:
                del self._missed[key]

    async def _tell(self, device: Watched, batch: Batch) -> None:
        address, now = device.address, self._clock.now_ms()
        keeper = device.keeper(now).pseudonym
        changes: list[AlertChange] = []
        if batch.facts is not None:
            self._silence.heard(address, batch.facts)
            if batch.facts.seen_at is not None:
                changes += self._technical.answered(address, batch.facts.seen_at)
        for event in batch.events:
            self._silence.event(address, event)
            concerned = device.weighed(now) if event.kind is DeviceEventKind.WEIGHT_OUT_OF_RANGE else ()
            for patient in concerned or (keeper,):
                changes += self._technical.event(patient, event)
        if batch.readings:
            self._silence.heard(address, DeviceFacts(seen_at=max(reading.received_at for reading in batch.readings)))
            changes += self._technical.read(address, batch.readings, now)
            if any(is_usable(reading) for reading in batch.readings):
                changes += self._silence.read(address, now)
        await self._keep_technical(changes)

    async def _keep_technical(self, changes: Sequence[AlertChange]) -> None:
        now = self._clock.now_ms()
        for patient in dict.fromkeys(change.patient for change in changes):
            theirs = [change for change in changes if change.patient == patient]
            await self._store.persist(Store.keep_technical, patient, theirs, self._sealer, now_ms=now)
        if changes:
            self._on_kept()

    async def _remember(self) -> None:
        now = self._clock.now_ms()
        standing = await self._store.call(Store.standing_alerts)
        concerned = {
            (device.address, patient.pseudonym)
            for device in self._devices
            for patient in (device.keeper(now), *(person.patient for person in device.assigned(now)))
        }
        concerned |= {(self._box, patient) for patient in self._patients}
        await self._keep_technical(self._technical.restore(standing, concerned, now))
        for device in self._devices:
            await self._recall(device)

    async def _meet(self, device: Watched) -> None:
        """Know a device that was taken up, in place of the one before with its address."""
        self._devices = (*(one for one in self._devices if one.address != device.address), device)
        self._technical.meet(device.address, device.kind)
        self._silence.meet(device)
        await self._recall(device)

    async def _recall(self, device: Watched) -> None:
        newest = await self._store.call(Store.last_reading, device.address)
        facts = await self._store.call(Store.device_facts, device.address)
        self._silence.remember(device.address, facts, read_at=None if newest is None else newest.received_at)
