"""Who else can say whether the system's clock is right, where the kernel may not be asked.

The hardened unit forbids adjtimex(2) even for reading (systemd's group @clock, left out by ProtectClock= and by
SystemCallFilter=). systemd-timesyncd leaves a mark; chrony and ntpd leave none that a stranger may read. All of them
discipline the kernel's clock, and systemd-timedated, which may ask it, says on D-Bus whether that is so now:
NTPSynchronized is true while the kernel's largest error is below 16 s (timedated.c, ntp_synced). All may read it.

It is started by the question and ends by itself; so it is asked at each look until the time is known, and seldom after.
"""

import time
from collections.abc import Callable

from agent.clock_trust import kernel_status
from devices.bluez_bus import system_bus
from devices.errors import RadioError

SELDOM_S = 600.0
"""Real seconds between two questions once the answer was yes."""
_NAME = "org.freedesktop.timedate1"
_PATH = "/org/freedesktop/timedate1"
_PROPERTIES = "org.freedesktop.DBus.Properties"


class TimeWitness:
    """Asks systemd-timedated where the kernel itself may not be asked."""

    def __init__(
        self, *, may_ask_kernel: Callable[[], bool] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`may_ask_kernel` says whether nobody else is needed; `now` is a monotonic clock, s."""
        self._may_ask_kernel = may_ask_kernel or (lambda: kernel_status() is not None)
        self._now = now
        self._sure_at: float | None = None

    async def vouches(self) -> bool | None:
        """Return whether the system's clock is right now, as far as is known; None: nobody there who can say."""
        if self._may_ask_kernel():
            return None
        now = self._now()
        if self._sure_at is not None and now - self._sure_at < SELDOM_S:
            # A leap since then is followed at the next question, not on an old answer.
            return False
        try:
            async with system_bus() as bus:
                (said,) = await bus.call(_PATH, _PROPERTIES, "Get", "ss", _NAME, "NTPSynchronized", destination=_NAME)
        except RadioError:
            return None
        self._sure_at = now if said is True else None
        return said is True
