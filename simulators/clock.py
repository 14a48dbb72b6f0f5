"""The clock of the simulated world: starts where it is told and runs faster than life.

`AcceleratedClock` counts CLOCK_MONOTONIC from an origin, so that every process of one machine that was given the
same three numbers shows the same time. It drives what `devices.clock.Clock` drives, and nothing else.
"""

import asyncio
import math
import time
from dataclasses import dataclass

from devices.clock import Clock
from simulators.errors import ClockError


@dataclass(frozen=True, slots=True)
class AcceleratedClock:
    """A `devices.clock.Clock` that shows `start_ms` until its origin, and from then on runs at `speed`.

    Attributes:
        start_ms: ms UTC shown at the origin.
        origin_ns: CLOCK_MONOTONIC of this machine, in nanoseconds, at which the clock starts to run.
        speed: simulated seconds in one real second, finite and above 0.
    """

    start_ms: int
    origin_ns: int
    speed: float

    def __post_init__(self) -> None:
        """Refuse a clock that would stand still or run backwards.

        Raises:
            ClockError: `speed` is not a finite number above 0.
        """
        if not (math.isfinite(self.speed) and self.speed > 0):
            raise ClockError(f"a clock cannot run at speed {self.speed}: give a number above 0")

    @classmethod
    def starting_now(cls, *, start_ms: int, speed: float) -> "AcceleratedClock":
        """Return a clock that shows `start_ms` at this moment."""
        return cls(start_ms=start_ms, origin_ns=time.monotonic_ns(), speed=speed)

    @classmethod
    def from_argument(cls, text: str) -> "AcceleratedClock":
        """Return the clock that `as_argument` wrote, for a process of the same machine.

        Raises:
            ClockError: the text is not "start_ms:origin_ns:speed".
        """
        try:
            start_ms, origin_ns, speed = text.split(":")
            return cls(start_ms=int(start_ms), origin_ns=int(origin_ns), speed=float(speed))
        except ValueError as error:
            raise ClockError(f"a clock is written start_ms:origin_ns:speed, not {text!r}") from error

    def as_argument(self) -> str:
        """Return the clock as one word for a command line: "start_ms:origin_ns:speed"."""
        return f"{self.start_ms}:{self.origin_ns}:{self.speed!r}"

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01T00:00:00Z."""
        elapsed_ns = max(0, time.monotonic_ns() - self.origin_ns)
        return self.start_ms + int(elapsed_ns * self.speed) // 1_000_000

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds to wait until this clock shows `at_ms`; 0.0 when it already has."""
        due_ns = self.origin_ns + (at_ms - self.start_ms) * 1_000_000 / self.speed
        wait_ns = due_ns - time.monotonic_ns()
        if self.now_ms() >= at_ms:
            return 0.0
        # A wait that rounding made empty would turn a waiting loop into a busy one.
        return max(wait_ns, 1_000.0) / 1e9


async def reach(clock: Clock, at_ms: int) -> None:
    """Return once `clock` shows `at_ms` or later."""
    # A timer may end a hair early, so the clock itself has the last word.
    while (wait := clock.seconds_until(at_ms)) > 0:  # noqa: ASYNC110 - time is not an event somebody sets
        await asyncio.sleep(wait)
