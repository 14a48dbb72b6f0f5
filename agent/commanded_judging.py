"""What the team orders of judging, done by the one task that owns the engines.

- A protocol takes effect in one transaction with the alerts, the engine and the answer that follow from it. Until that
  commit the one before is what judges, and after a fault it goes on.
- A shadow begins or ends once its order is kept; nothing that is told depends on it.
- A disposition stops what is told and escalated on the box, never what is judged.

Not here: whether an order may be obeyed (commands), and whether a protocol may be applied (protocol_command) or tried
(shadow_order).
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum, auto

from agent.asked import Asked
from agent.command_store import Finished
from agent.judging import Judging
from agent.settings import Patient, Watched
from agent.store import Store
from alerting.care_protocol import CareProtocol
from alerting.engine import Engine
from alerting.errors import UnknownAlertError
from exchange.command_bodies import DispositionBody, DispositionState

PROTOCOL_REFUSED = "protocol_refused"


class Disposed(Enum):
    """What became of a disposition."""

    DONE = auto()
    UNKNOWN = auto()
    """No alert of that id is known here, or not any more: there is nothing left to stop."""
    FAILED = auto()


class CommandedJudging(Judging):
    """Judging that the team can order."""

    def protocol_of(self, patient: str) -> CareProtocol | None:
        """Return what a patient is judged by now, None when the box does not know the patient."""
        known = self._patients.get(patient)
        return None if known is None else known.protocol

    def patient_of(self, patient: str) -> Patient | None:
        """Return a patient with the protocols that hold now, None when the box does not know them."""
        return self._patients.get(patient)

    def attended(self, patient: str, alert_id: str) -> bool:
        """Return whether somebody has attended to an alert of a patient: it is told here no more."""
        engine = self._engines.get(patient)
        return engine is not None and engine.attended(alert_id)

    async def change_protocol(self, patient: str, protocol: CareProtocol, finished: Finished) -> bool:
        """Judge a patient by another protocol from now on, and keep it with `finished`; False when that failed.

        What is kept of the past is judged again silently; `alerting.protocol_change` says what is told of it.
        """

        async def change() -> None:
            before, known = self._patients, self._patients[patient]
            changed = replace(known, protocol=protocol)
            self._patients = {**before, patient: changed}
            try:
                await self._apply(changed, self._engines[patient].snapshot(), finished)
            except BaseException:
                self._patients = before
                raise
            if self._shadows is not None:
                self._shadows.stands_beside(changed)
                self._followed(patient)

        return await self._ask(change)

    async def change_shadow(self, patient: str, shadow: CareProtocol | None, finished: Finished) -> bool:
        """Judge a patient beside by a shadow from now on, None: by none, and keep `finished`; False: that failed."""

        async def change() -> None:
            await self._store.persist(Store.finish_command, finished, now_ms=self._clock.now_ms())
            changed = replace(self._patients[patient], shadow=shadow)
            self._patients = {**self._patients, patient: changed}
            if self._shadows is not None:
                self._shadows.change(changed)
                self._followed(patient)

        return await self._ask(change)

    async def take_up(self, device: Watched) -> bool:
        """Know a device that is read from now on; False when that failed, and the next start will."""
        return await self._ask(lambda: self._meet(device))

    async def dispose(self, patient: str, body: DispositionBody, finished: Finished) -> Disposed:
        """Take in what the team did with an alert, and keep it with `finished`."""
        became = Disposed.FAILED

        async def take_in() -> None:
            nonlocal became
            engine = self._engines.get(patient)
            if engine is None or not await self._take_in(patient, engine, body, finished):
                # One of the box's own is not escalated: that the team knows of it changes nothing here.
                standing = await self._store.call(Store.standing_alerts)
                own = any(change.alert_id == body.alert for change in standing)
                became = Disposed.DONE if own else Disposed.UNKNOWN
                if own:
                    await self._store.persist(Store.finish_command, finished, now_ms=self._clock.now_ms())
                return
            became = Disposed.DONE

        return became if await self._ask(take_in) else Disposed.FAILED

    async def _take_in(self, patient: str, engine: Engine, body: DispositionBody, finished: Finished) -> bool:
        """Return whether the engine knows the alert, after having kept what it says of it."""
        # An alert whose onset moved since goes on under another id.
        moved = (change.alert_id for change in engine.open_alerts if change.supersedes == body.alert)
        alert = next(moved, body.alert)
        self._unkept.add(patient)
        try:
            # One handed back was seen all the same: from there on the team looks after it.
            changes = engine.acknowledge(alert, body.by, body.at)
            if body.state is DispositionState.CLOSED and body.outcome is not None:
                engine.dispose(alert, body.outcome, body.by, body.at)
        except UnknownAlertError:
            self._unkept.discard(patient)
            return False
        await self._keep_judgement(patient, engine, changes, finished=finished)
        self._unkept.discard(patient)
        return True

    async def tell_refused(self, patient: str) -> None:
        """Raise the technical alert that a protocol was refused and the one before goes on."""
        await self._ask(
            lambda: self._keep_technical(
                self._technical.noticed(patient, PROTOCOL_REFUSED, self._box, self._clock.now_ms())
            )
        )

    async def tell_taken(self, patient: str) -> None:
        """End that alert: a protocol was applied."""
        await self._ask(
            lambda: self._keep_technical(
                self._technical.over(patient, PROTOCOL_REFUSED, self._box, self._clock.now_ms())
            )
        )

    async def _ask(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Have work done in its turn, after everything handed over before; return whether it went well."""
        asked = Asked(work)
        await self._queue.put(asked)
        return await asked.done()
