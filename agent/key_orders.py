"""The team's orders about what the box keeps, obeyed: send again, change the key, erase a patient.

Not here: who may order them (exchange.commands), and doing it (store_outbox, key_rotation).
"""

from collections.abc import Callable, Mapping, Sequence

from agent.errors import RequestError
from agent.key_rotation import erase_patient, rotate
from agent.obeying import Handler, Order
from agent.protocol_copies import ProtocolCopies
from agent.settings import Settings
from agent.store import Store
from agent.store_thread import StoreThread
from agent.team_orders import OneCall, ResendOrder
from alerting.alert import Sentence
from devices.clock import Clock
from exchange.command_bodies import EraseBody
from exchange.commands import CommandKind
from exchange.messages import Range

_ONLY_AT_THE_BOX = RequestError(
    Sentence(
        fr="Tout effacer ne se fait qu'au boîtier, arrêté.",
        en="Everything is erased only at the box itself, once it is stopped.",
    ),
    Sentence(
        fr="L'y faire par l'installateur (veilleur erase --everything), ou effacer un patient.",
        en="Have the installer do it there (veilleur erase --everything), or erase one patient.",
    ),
)


def key_orders(
    store: StoreThread,
    settings: Settings,
    copies: ProtocolCopies | None,
    *,
    clock: Clock,
    on_waiting: Callable[[], None],
) -> Mapping[CommandKind, Handler]:
    """Return who obeys these kinds.

    Args:
        store: what is to be changed.
        settings: of the box as it runs.
        copies: of the protocols that the team ordered; None where it can order none.
        clock: dates what is kept.
        on_waiting: called when something waits again.
    """

    async def resend(epoch: str, ranges: Sequence[Range], asked_at: int) -> Sequence[Range]:
        # First, or a receipt of before, sent once more, would free what is to be sent again.
        await store.persist(Store.distrust_receipts_before, asked_at)
        return await store.persist(Store.resend, epoch, ranges, now_ms=clock.now_ms())

    async def change_key(order: Order) -> None:
        by = ", ".join(one.name for one in order.by) or "team"
        await store.call(rotate, settings.vault, by=by, now_ms=clock.now_ms())

    async def erase(order: Order) -> None:
        if not isinstance(order.body, EraseBody) or order.body.everything:
            raise _ONLY_AT_THE_BOX
        patient = order.command.subject
        await store.call(erase_patient, settings, patient, now_ms=clock.now_ms())
        if copies is not None:
            copies.forget(patient)

    return {
        CommandKind.RESEND: ResendOrder(resend, on_waiting=on_waiting),
        CommandKind.ROTATE: OneCall(change_key),
        CommandKind.ERASE: OneCall(erase),
    }
