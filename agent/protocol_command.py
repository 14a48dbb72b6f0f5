"""The order to judge a patient by another care protocol: whether it may be applied, applying it, and what is kept.

It is looked at as `veilleur check` does, and besides: the text must be the one whose hash people signed, its numbers
within the limits of the pack that it adapts, its version must rise, and what it says at once to a patient or a carer
must reach somebody (DECISIONS 18). Whatever is refused leaves the protocol before as it was and is told to the team.

The database decides which protocol holds. A copy beside it, sealed to the box itself, is for the day when the database
must be given up: a new one must not begin with the protocol of the installation day.

Not here: who signed (exchange.commands), and what becomes of alerts (alerting.protocol_change).
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from agent.command_store import AppliedProtocol, Finished
from agent.commanded_judging import CommandedJudging
from agent.logs import EVENT
from agent.obeying import Done, Order, applied, refused
from agent.protocol_copies import ProtocolCopies
from alerting.alert import Audience, Sentence
from alerting.care_protocol import CareProtocol
from alerting.errors import Fault
from alerting.protocol_bounds import outside
from alerting.protocol_file import check_protocol
from alerting.protocol_limits import beyond
from devices.clock import Clock
from exchange.command_answers import MAX_SENTENCES
from exchange.command_bodies import ProtocolBody

logger = logging.getLogger(__name__)


class ProtocolCommand:
    """Obeys `protocol`."""

    def __init__(
        self,
        *,
        judging: CommandedJudging,
        copies: ProtocolCopies,
        clock: Clock,
        tells_now: Callable[[], bool],
    ) -> None:
        """`tells_now` says whether somebody reaches a patient or a carer at once."""
        self._judging = judging
        self._copies = copies
        self._clock = clock
        self._tells_now = tells_now

    async def __call__(self, order: Order) -> Done:
        """Apply the protocol, or say why not and have the team told."""
        done = await self._apply(order)
        patient = order.command.subject
        if self._judging.protocol_of(patient) is not None:
            await (self._judging.tell_taken(patient) if done.went_well else self._judging.tell_refused(patient))
        return done

    async def _apply(self, order: Order) -> Done:
        patient, body = order.command.subject, order.body
        before = self._judging.protocol_of(patient)
        if before is None or not isinstance(body, ProtocolBody):
            return refused("patient", NOT_HERE)
        checked = check_protocol(body.text.encode())
        if checked.protocol is None:
            return refused("protocol", *sentences(checked.faults))
        protocol = checked.protocol
        objection = next(self._objections(protocol, before, body), None)
        if objection is not None:
            return objection
        done = order.answered(applied(), protocol_hash=protocol.protocol_hash)
        kept = AppliedProtocol(
            patient=patient,
            text=body.text,
            protocol_hash=protocol.protocol_hash,
            version=order.command.version,
            command=order.command.id,
            by=tuple(one.name for one in order.by),
            at=self._clock.now_ms(),
        )
        if not await self._judging.change_protocol(patient, protocol, Finished(answer=done, protocol=kept)):
            return refused("fault", _CANNOT_JUDGE)
        await self._copies.write(kept)
        logger.info("a protocol that the team ordered is applied", extra={EVENT: "protocol_ordered"})
        return applied(kept=done)

    def _objections(self, protocol: CareProtocol, before: CareProtocol, body: ProtocolBody) -> Iterator[Done]:
        """Yield why a protocol may not be applied after `before`, the gravest first."""
        yield from objections(protocol, body)
        older = protocol.version < before.version
        other = protocol.version == before.version and protocol.protocol_hash != before.protocol_hash
        if protocol.name == before.name and (older or other):
            yield refused("protocol_version", _VERSION)
        if not self._tells_now() and any(rule.audience is Audience.PATIENT_NOW for rule in protocol.rules):
            yield refused("now", _NOBODY_TELLS)


def objections(protocol: CareProtocol, body: ProtocolBody) -> Iterator[Done]:
    """Yield why a box may judge by no such protocol, applied or as a shadow, the gravest first."""
    if protocol.protocol_hash != body.protocol_hash:
        yield refused("hash", _ANOTHER_HASH)
    if body.pack and (limits := tuple(_beyond_pack(protocol, body.pack))):
        yield refused("limits", *limits[:MAX_SENTENCES])
    if protocol.asked:
        yield refused("answers", _ONLY_THE_TEAM)


def _beyond_pack(protocol: CareProtocol, pack_text: str) -> Iterator[Sentence]:
    """Yield what a protocol does beyond the pack that it adapts."""
    checked = check_protocol(pack_text.encode())
    if checked.protocol is None:
        yield from sentences(checked.faults)
        return
    yield from (thing.message for thing in beyond(checked.protocol, protocol))
    yield from (message for _, message in outside(protocol))


def sentences(faults: Sequence[Fault]) -> Iterator[Sentence]:
    """Yield what is wrong with a protocol, as an answer says it."""
    for fault in faults[:MAX_SENTENCES]:
        where = " ".join(part for part in (fault.key, f"(l. {fault.line})" if fault.line else "") if part)
        yield Sentence(
            fr=f"{where} : {fault.message.fr}"[:1000] if where else fault.message.fr,
            en=f"{where}: {fault.message.en}"[:1000] if where else fault.message.en,
        )


NOT_HERE = Sentence(
    fr="Ce boîtier ne suit pas ce patient : vérifier le boîtier et le pseudonyme.",
    en="This box does not watch this patient: check the box and the pseudonym.",
)
_ANOTHER_HASH = Sentence(
    fr="Le texte reçu n'est pas celui dont l'empreinte a été signée, ou ce boîtier le lit autrement (version "
    "différente de Veilleur) : mettre le boîtier à jour, puis préparer et signer de nouveau.",
    en="The text received is not the one whose hash was signed, or this box reads it otherwise (another version of "
    "Veilleur): upgrade the box, then prepare and sign it again.",
)
_VERSION = Sentence(
    fr="Ce protocole porte un numéro de version qui n'est pas plus haut que celui déjà appliqué : augmenter version, "
    "même pour revenir à d'anciens seuils.",
    en="The version of this protocol is not higher than that of the one applied: count version up, also to go back to "
    "earlier thresholds.",
)
_NOBODY_TELLS = Sentence(
    fr="Ce protocole s'adresse tout de suite au patient ou à un aidant, et ce boîtier n'a personne pour les prévenir : "
    "dire qui dans ses réglages, section [now].",
    en="This protocol is meant for the patient or a carer at once, and this box has nobody who tells them: say who in "
    "its settings, section [now].",
)
_ONLY_THE_TEAM = Sentence(
    fr="Ce protocole juge des réponses à un questionnaire, que l'équipe seule reçoit : le choisir sur la "
    "page du patient.",
    en="This protocol judges answers to a questionnaire, which only the team receives: choose it on the patient's "
    "page.",
)
_CANNOT_JUDGE = Sentence(
    fr="Le boîtier n'a pas pu juger le passé avec ce protocole, le précédent continue : le signaler.",
    en="The box could not judge the past by this protocol, the one before goes on: report it.",
)
