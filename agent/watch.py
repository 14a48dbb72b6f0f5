"""Passing time: overdue readings come due, quiet technical alerts end. Whether the box is alive is `alive`."""

import asyncio

from agent.judging import Judging
from devices.clock import Clock

LONGEST_NAP_S = 10.0
SHORTEST_NAP_S = 0.02


async def watch(judging: Judging, clock: Clock, *, settle: float) -> None:
    """Let time pass, for ever.

    Args:
        judging: whose engines and technical alerts the time is for.
        clock: tells the time that deadlines are judged by.
        settle: real seconds after start before the first tick, so that devices can first deliver what they
            kept while the box was off: an overdue reading that is about to arrive is an alert too many.
    """
    await asyncio.sleep(settle)
    while True:
        judging.tick(clock.now_ms())
        deadline = judging.next_deadline()
        wait = LONGEST_NAP_S if deadline is None else clock.seconds_until(deadline)
        await asyncio.sleep(min(max(wait, SHORTEST_NAP_S), LONGEST_NAP_S))
