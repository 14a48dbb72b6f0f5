"""How much each box may have on its way, so that many who return at once do not drown the team.

After a week's outage thousands of boxes have a week's records to send. Whatever a broker cannot hand on it holds, and
beyond its bound drops: boxes would send again and again what had been lost on the way. So each receipt says how much
its box may have on its way from then on (its *credit*): what the worker can hold, shared out among the boxes that
are sending. A box alone gets all of it. Alerts are left out of it on both sides: they come over a connection of their
own, and never wait for a credit.

Nobody is refused or dropped for having sent more: its messages wait their turn at the broker, and its next receipt
says again how much is right. A credit is never nothing, so that a box which was told little still gets its next
receipt. Workers know nothing of each other: each shares out its own room among the boxes it hears, and a shared
subscription lets it hear them all.

Times are seconds of a monotonic clock, which is an argument.
"""

from collections import OrderedDict

from exchange.receipts import Credit

ROOM = 400
"""Envelopes that may be on their way to one worker: those it has in hand, and as many that wait behind them."""
ROOM_BYTES = 1 << 24
LEAST_BYTES = 1 << 16
"""One envelope of the largest size, whatever else."""
SENDING_S = 10.0
"""A box that sent nothing for so long has nothing to send any more."""
MOST_BOXES = 100_000
"""Boxes that are counted at most; a bound for what this remembers, far beyond what one worker can serve."""


class Pacing:
    """Who is sending, and what each may have on its way."""

    def __init__(self) -> None:
        self._heard: OrderedDict[str, float] = OrderedDict()

    def heard(self, box: str, now: float) -> None:
        """Take note that a box sent readings at `now`."""
        self._heard[box] = now
        self._heard.move_to_end(box)
        while len(self._heard) > MOST_BOXES:
            self._heard.popitem(last=False)

    def credit(self, now: float) -> Credit:
        """Return what any one of the boxes may have on its way."""
        while self._heard:
            oldest = next(iter(self._heard))
            if now - self._heard[oldest] < SENDING_S:
                break
            del self._heard[oldest]
        boxes = max(1, len(self._heard))
        return Credit(envelopes=max(1, ROOM // boxes), size=max(LEAST_BYTES, ROOM_BYTES // boxes))
