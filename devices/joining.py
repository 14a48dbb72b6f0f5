"""Two frames that are one record: the first is held back until the second has come.

Bytes in two characteristics, or in two packets of one, may be one measurement: a meter's value and its circumstances,
a scale's long result. Which frame awaits another is the driver's to say. A frame whose other half does not come in
time is handed on alone: half a record is better than none.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from devices.driver import Driver
from devices.frame_queue import Arrival


class Joiner:
    """Hands on whole records, in the order in which they began."""

    def __init__(self, driver: Driver, hand_on: Callable[[Arrival], None], *, within: float) -> None:
        """Begin without anything held back.

        Args:
            driver: says which frame awaits another.
            hand_on: takes each record.
            within: real seconds for which a frame is held back.
        """
        self._driver = driver
        self._hand_on = hand_on
        self._within = within
        self._held: Arrival | None = None
        self._awaited = 0
        self._deadline: asyncio.TimerHandle | None = None

    def put(self, arrival: Arrival) -> None:
        """Take a frame as it comes."""
        held = self._take_held()
        awaited = self._driver.awaits(arrival.characteristic, arrival.frame)
        # A frame that begins a record, such as the same one again, is no other's second half.
        if held is not None and awaited is None and arrival.characteristic == self._awaited:
            self._hand_on(replace(held, rest=arrival.frame))
            return
        if held is not None:
            self._hand_on(held)
        if awaited is None:
            self._hand_on(arrival)
        else:
            self._held, self._awaited = arrival, awaited
            self._deadline = asyncio.get_running_loop().call_later(self._within, self.flush)

    def flush(self) -> None:
        """Hand on what is held back: nothing more will come to complete it."""
        held = self._take_held()
        if held is not None:
            self._hand_on(held)

    def _take_held(self) -> Arrival | None:
        held, self._held = self._held, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return held
