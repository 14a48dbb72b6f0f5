"""Orders about alerts and about what the team's database lacks, obeyed.

Not here: protocols (protocol_command), devices (radio_orders), and the box's own keys.
"""

import json
from collections.abc import Awaitable, Callable, Sequence

from agent.command_store import Finished
from agent.commanded_judging import CommandedJudging, Disposed
from agent.errors import RequestError
from agent.obeying import Done, Order, applied, refused
from alerting.alert import Sentence
from exchange.command_bodies import DispositionBody, ResendBody
from exchange.messages import Range


class DispositionOrder:
    """Obeys `disposition`: what the team did with an alert stops what is told and escalated at home, nothing else."""

    def __init__(self, judging: CommandedJudging) -> None:
        self._judging = judging

    async def __call__(self, order: Order) -> Done:
        """Take it in; an alert that is not known any more needs nothing."""
        body, patient = order.body, order.command.subject
        if not isinstance(body, DispositionBody):
            return refused("malformed")
        protocol = self._judging.protocol_of(patient)
        if patient and protocol is None:
            return refused("patient", _NOT_HERE)
        answer = order.answered(applied(), protocol_hash="" if protocol is None else protocol.protocol_hash)
        match await self._judging.dispose(patient, body, Finished(answer=answer)):
            case Disposed.DONE:
                return applied(kept=answer)
            case Disposed.UNKNOWN:
                return refused("unknown_alert", _NO_ALERT)
            case Disposed.FAILED:
                return refused("fault")


class ResendOrder:
    """Obeys `resend`: what a restored database of the team lacks waits to be sent again, as far as it is kept."""

    def __init__(
        self,
        resend: Callable[[str, Sequence[Range], int], Awaitable[Sequence[Range]]],
        *,
        on_waiting: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            resend: is given epoch, ranges, and when the team asked (ms UTC, by its clock); returns what can no longer
                be given.
            on_waiting: called when something waits again.
        """
        self._resend = resend
        self._on_waiting = on_waiting

    async def __call__(self, order: Order) -> Done:
        """Let it wait again; the answer's result lists the ranges that are gone."""
        body = order.body
        if not isinstance(body, ResendBody):
            return refused("malformed")
        gone = await self._resend(body.epoch, body.ranges, order.command.issued_at)
        self._on_waiting()
        if not gone:
            return applied()
        # The first ones say enough: the whole answer is bounded.
        listed = json.dumps({"gone": [[part.first, part.last] for part in gone[:MOST_RANGES]]}).encode()
        return applied(_GONE, result=listed)


class OneCall:
    """Obeys a kind whose whole doing is one call of another part of the box; it refuses in that part's own words."""

    def __init__(self, work: Callable[[Order], Awaitable[object]]) -> None:
        """`work` may raise `RequestError`: it cannot be done, and nothing was changed."""
        self._work = work

    async def __call__(self, order: Order) -> Done:
        """Do it."""
        try:
            await self._work(order)
        except RequestError as error:
            return refused("cannot", error.why, error.hint)
        return applied()


MOST_RANGES = 400

_NOT_HERE = Sentence(
    fr="Ce boîtier ne suit pas ce patient : vérifier le boîtier et le pseudonyme.",
    en="This box does not watch this patient: check the box and the pseudonym.",
)
_NO_ALERT = Sentence(
    fr="Le boîtier ne connaît pas, ou plus, cette alerte : rien à arrêter.",
    en="The box does not know this alert, or no longer: there is nothing to stop.",
)
_GONE = Sentence(
    fr="Une partie de ce qui est demandé n'est plus sur le boîtier.",
    en="Part of what was asked for is no longer on the box.",
)
