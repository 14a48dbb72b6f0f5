"""The order to judge a patient by a shadow beside the protocol that is applied, or no more.

A shadow is looked at like a protocol that is to be applied: what could never be applied is not worth trying. What is
asked only of an applied one is not asked here: that its version rises, and that somebody reaches the patient at once.
A refusal changes nothing and raises no alert: nobody is judged otherwise than they are.

The answer to an end says what the shadow came to; what is kept of it is then erased.

Not here: who signed (exchange.commands), judging (shadow), and what is told meanwhile (shadow_reports).
"""

import logging

from agent.command_store import AppliedProtocol, Finished
from agent.commanded_judging import CommandedJudging
from agent.logs import EVENT
from agent.obeying import Done, Order, applied, refused
from agent.protocol_command import NOT_HERE, objections, sentences
from agent.shadow import Attempt
from agent.shadow_reports import reported_by
from agent.store_thread import StoreThread
from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import check_protocol
from devices.clock import Clock
from exchange.command_bodies import ProtocolBody, ShadowBody

logger = logging.getLogger(__name__)


class ShadowOrder:
    """Obeys `shadow`."""

    def __init__(self, *, judging: CommandedJudging, store: StoreThread, clock: Clock, attempt: Attempt) -> None:
        """`attempt` runs the counting: a shadow can be ended also when that fails."""
        self._attempt = attempt
        self._judging = judging
        self._store = store
        self._clock = clock

    async def __call__(self, order: Order) -> Done:
        """Begin or end it, or say why not."""
        patient, body = self._judging.patient_of(order.command.subject), order.body
        if patient is None or not isinstance(body, ShadowBody):
            return refused("patient", NOT_HERE)
        if body.protocol is None:
            report = await reported_by(self._store, patient, self._attempt)
            return await self._change(order, None, applied(result=report))
        checked = check_protocol(body.protocol.text.encode())
        if checked.protocol is None:
            return refused("protocol", *sentences(checked.faults))
        objection = next(objections(checked.protocol, body.protocol), None)
        if objection is not None:
            return objection
        if checked.protocol.protocol_hash == patient.protocol.protocol_hash:
            return refused("same", _SAME)
        return await self._change(order, (checked.protocol, body.protocol), applied())

    async def _change(self, order: Order, wanted: tuple[CareProtocol, ProtocolBody] | None, done: Done) -> Done:
        patient = order.command.subject
        applied_now = self._judging.protocol_of(patient)
        answer = order.answered(done, protocol_hash="" if applied_now is None else applied_now.protocol_hash)
        kept = AppliedProtocol(
            patient=patient,
            text="" if wanted is None else wanted[1].text,
            protocol_hash="" if wanted is None else wanted[1].protocol_hash,
            version=order.command.version,
            command=order.command.id,
            by=tuple(one.name for one in order.by),
            at=self._clock.now_ms(),
        )
        shadow = None if wanted is None else wanted[0]
        if not await self._judging.change_shadow(patient, shadow, Finished(answer=answer, shadow=kept)):
            return refused("fault")
        logger.info("the team ordered a shadow, or its end", extra={EVENT: "shadow_ordered"})
        return applied(kept=answer)


_SAME = Sentence(
    fr="Ce protocole est celui que le boîtier applique déjà : il n'y a rien à comparer.",
    en="This protocol is the one that the box applies already: there is nothing to compare.",
)
