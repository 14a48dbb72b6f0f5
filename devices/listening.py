"""Who listens at the adapter, and whether a passive scan can serve them all.

An active scan asks every device that it hears for more; a passive one only listens, which costs devices nothing and
leaves the air to others. It is chosen only where nothing can be missed by it:

- everybody who listens seeks a device that needs no asking: one that broadcasts, or one that is bonded already;
- a device is sought passively only after an active scan heard it, and first on trial: one that a passive scan does
  not hear in time is sought actively, for good when it was never heard passively;
- a system that cannot scan passively (BlueZ needs its AdvertisementMonitor for it) is not asked again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal

from devices.drivers import DRIVERS
from devices.errors import RadioError
from devices.radio import Advertisement

_log = logging.getLogger(__name__)

_KEPT: Final = 64
"""Advertisements that wait for one listener."""

TRIAL_S: Final = 30.0
"""Real seconds for which a device is sought passively that was never heard so."""

_FLAGS, _SOME_SERVICES, _ALL_SERVICES, _SERVICE_DATA = 0x01, 0x02, 0x03, 0x16

PATTERNS: Final = (
    *((0, _FLAGS, bytes([flags])) for flags in (0x02, 0x04, 0x05, 0x06, 0x1A)),
    *(
        (0, kind, driver.service.to_bytes(2, "little"))
        for kind in (_SOME_SERVICES, _ALL_SERVICES, _SERVICE_DATA)
        for driver in DRIVERS
    ),
)
"""What a passive scan lets through: (position, advertising data type, content). BlueZ wants to be told something;
these are the flags of low-energy devices, and our services for those that send no flags (Assigned Numbers 2.3)."""

Mode = Literal["active", "passive"]


class Ear(AsyncIterator[Advertisement]):
    """Somebody who listens: keeps the newest few advertisements that were not taken yet.

    Attributes:
        address: whom they listen to; None: everybody.
        broadcast: whether they want what the device broadcasts, and connect to nothing.
    """

    def __init__(self, address: str | None, *, broadcast: bool = False) -> None:
        self.address = address
        self.broadcast = broadcast
        self._heard: deque[Advertisement] = deque(maxlen=_KEPT)
        self._error: RadioError | None = None
        self._changed = asyncio.Event()

    def put(self, advertisement: Advertisement) -> None:
        """Keep an advertisement."""
        self._heard.append(advertisement)
        self._changed.set()

    def fail(self, error: RadioError) -> None:
        """Raise an error once all that was kept is taken."""
        self._error = error
        self._changed.set()

    async def __anext__(self) -> Advertisement:
        """Return the next advertisement.

        Raises:
            RadioError: the adapter failed.
        """
        while not self._heard:
            if self._error is not None:
                raise RadioError(str(self._error), service_gone=self._error.service_gone)
            self._changed.clear()
            await self._changed.wait()
        return self._heard.popleft()


class ScanMode:
    """Decides how to scan, from what was heard how.

    Attributes:
        running: how the scan that runs now listens; None: none runs.
    """

    def __init__(self, *, allowed: bool) -> None:
        """Begin actively; `allowed`: whether passive scans are tried at all."""
        self.running: Mode | None = None
        self._allowed = allowed
        self._bonded: set[str] = set()
        self._heard: set[str] = set()
        self._heard_passively: set[str] = set()
        self._needs_asking: set[str] = set()

    def wanted(self, ears: Sequence[Ear]) -> Mode:
        """Return how to scan for these."""
        return "passive" if self._allowed and ears and all(self._is_served(ear) for ear in ears) else "active"

    def _is_served(self, ear: Ear) -> bool:
        address = ear.address
        if address is None or address not in self._heard or address in self._needs_asking:
            return False
        return ear.broadcast or address in self._bonded

    def heard(self, address: str, *, bonded: bool) -> None:
        """Take note of a device that was heard."""
        self._heard.add(address)
        if bonded:
            self._bonded.add(address)
        if self.running == "passive":
            self._heard_passively.add(address)
        elif address in self._heard_passively:
            self._needs_asking.discard(address)

    def missed(self, ear: Ear) -> None:
        """Take note that a device was not heard for as long as it was sought."""
        if self.running == "passive" and ear.address is not None:
            self._needs_asking.add(ear.address)

    def trial(self, ears: Sequence[Ear]) -> float | None:
        """Return the real seconds after which a scan that runs is looked at again; None: never."""
        return TRIAL_S if self.running == "passive" and self._on_trial(ears) else None

    def end_trial(self, ears: Sequence[Ear]) -> None:
        """Seek those actively that passive scans never heard."""
        self._needs_asking.update(self._on_trial(ears))

    def _on_trial(self, ears: Sequence[Ear]) -> set[str]:
        return {ear.address for ear in ears if ear.address is not None} - self._heard_passively

    def forbid(self, why: str) -> None:
        """Scan passively no more."""
        self._allowed = False
        _log.info("passive scanning does not work here, so devices are asked actively: %s", why)
