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
        slows_at_ms: ms UTC shown from which on it runs at `then`; None: never. Not before `start_ms`.
        then: likewise a speed.
    """

    start_ms: int
    origin_ns: int
    speed: float
    slows_at_ms: int | None = None
    then: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a clock that would stand still or run backwards.

        Raises:
            ClockError: a speed is not a finite number above 0, or it slows before it starts.
        """
        for speed in (self.speed, self.then):
            if not (math.isfinite(speed) and speed > 0):
                raise ClockError(f"a clock cannot run at speed {speed}: give a number above 0")
        if self.slows_at_ms is not None and self.slows_at_ms < self.start_ms:
            raise ClockError("a clock cannot slow before it starts")

    @classmethod
    def starting_now(cls, *, start_ms: int, speed: float) -> "AcceleratedClock":
        """Return a clock that shows `start_ms` at this moment."""
        return cls(start_ms=start_ms, origin_ns=time.monotonic_ns(), speed=speed)

    @classmethod
    def from_argument(cls, text: str) -> "AcceleratedClock":
        """Return the clock that `as_argument` wrote, for a process of the same machine.

        Raises:
            ClockError: the text is not "start_ms:origin_ns:speed", with ":slows_at_ms:then" or without.
        """
        try:
            start_ms, origin_ns, speed, *rest = text.split(":")
            if not rest:
                return cls(start_ms=int(start_ms), origin_ns=int(origin_ns), speed=float(speed))
            slows_at_ms, then = rest
            return cls(int(start_ms), int(origin_ns), float(speed), slows_at_ms=int(slows_at_ms), then=float(then))
        except ValueError as error:
            raise ClockError(f"a clock is written start_ms:origin_ns:speed, not {text!r}") from error

    def as_argument(self) -> str:
        """Return the clock as one word for a command line: "start_ms:origin_ns:speed", and how it slows if it does."""
        slows = "" if self.slows_at_ms is None else f":{self.slows_at_ms}:{self.then!r}"
        return f"{self.start_ms}:{self.origin_ns}:{self.speed!r}{slows}"

    def now_ms(self) -> int:
        """Return milliseconds since 1970-01-01T00:00:00Z."""
        elapsed_ns = max(0, time.monotonic_ns() - self.origin_ns)
        fast_ns = self._fast_ns()
        if fast_ns is None or elapsed_ns < fast_ns:
            return self.start_ms + int(elapsed_ns * self.speed) // 1_000_000
        return int(self.slows_at_ms or 0) + int((elapsed_ns - fast_ns) * self.then) // 1_000_000

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds to wait until this clock shows `at_ms`; 0.0 when it already has."""
        wait_ns = self._due_ns(at_ms) - time.monotonic_ns()
        if self.now_ms() >= at_ms:
            return 0.0
        # A wait that rounding made empty would turn a waiting loop into a busy one.
        return max(wait_ns, 1_000.0) / 1e9

    def _fast_ns(self) -> float | None:
        """Return for how many real nanoseconds it runs at its first speed, None for ever."""
        return None if self.slows_at_ms is None else (self.slows_at_ms - self.start_ms) * 1_000_000 / self.speed

    def _due_ns(self, at_ms: int) -> float:
        """Return when, by this machine's clock, it shows `at_ms`."""
        if self.slows_at_ms is None or at_ms <= self.slows_at_ms:
            return self.origin_ns + (at_ms - self.start_ms) * 1_000_000 / self.speed
        slow_ns = (at_ms - self.slows_at_ms) * 1_000_000 / self.then
        return self.origin_ns + (self._fast_ns() or 0.0) + slow_ns


async def reach(clock: Clock, at_ms: int) -> None:
    """Return once `clock` shows `at_ms` or later."""
    # A timer may end a hair early, so the clock itself has the last word.
    while (wait := clock.seconds_until(at_ms)) > 0:  # noqa: ASYNC110 - time is not an event somebody sets
        await asyncio.sleep(wait)
