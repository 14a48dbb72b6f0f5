"""How long to wait for a device, and before trying it again: real seconds, never the injected clock.

A pause after a failure is drawn at random between nothing and a bound that doubles and is capped ("full jitter"):
thirty boxes that lost the same power do not come back in step, and a device that is simply away costs little.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Every duration of a session, in real seconds, and its other bounds."""

    find: float = 60.0
    """How long one look for a device lasts; a scale is there for a few seconds only, so the next follows at once."""
    connect: float = 30.0
    """Opening a link."""
    begin: float = 5.0
    """How long a device may take until it begins to send what it holds; then its clock may be set."""
    quiet: float = 0.5
    """Nothing more came for so long: what the device had to send is sent, and its clock may be set."""
    record: float = 20.0
    """Longest silence of a device that is sending its stored records, before the procedure is aborted."""
    abort: float = 5.0
    """How long the answer to an abort is waited for."""
    join: float = 1.0
    """How long the other half of a record is waited for."""
    consent: float = 5.0
    """How long the answer to a user's consent is waited for; some devices never answer."""
    about: float = 3.0
    """How long a device may take to say something about itself that no reading depends on, such as its battery."""
    history_attempts: int = 3
    """How often stored records are asked for again before going on without those that fail."""
    history_retry: float = 600.0
    """Pause before stored records are asked for again while live values come."""
    unheard: float = 0.2
    """Pause between two looks for a device."""
    after_visit: float = 1.0
    """Pause after a link that ended as it should."""
    first: float = 1.0
    """Bound of the pause after the first failure."""
    cap: float = 120.0
    """Largest bound for a device that is always there, such as a sensor on the skin."""
    cap_brief: float = 10.0
    """Largest bound for a device that is there only for a moment, such as a scale."""
    refused: float = 600.0
    """Pause after a device that its driver cannot read."""
    queue: int = 4096
    """Frames that may wait for the box; beyond, the link is closed rather than a frame dropped."""
    batch: int = 200
    """Largest number of readings persisted at once."""


class Backoff:
    """Pauses after failures in a row."""

    def __init__(self, *, first: float, cap: float, rng: random.Random | None = None) -> None:
        """Start without failures.

        Args:
            first: seconds, bound of the first pause.
            cap: seconds, largest bound.
            rng: where the jitter comes from.
        """
        self._first = first
        self._cap = cap
        self._rng = rng or random.Random()  # noqa: S311 jitter keeps no secret
        self._failures = 0

    def next(self) -> float:
        """Count a failure and return the pause in seconds: 0 <= pause <= bound."""
        # Beyond 2^32 the bound is the cap anyway, and the power would overflow a float.
        bound = min(self._cap, self._first * 2 ** min(self._failures, 32))
        self._failures += 1
        return self._rng.uniform(0.0, bound)

    def reset(self) -> None:
        """Forget the failures."""
        self._failures = 0
