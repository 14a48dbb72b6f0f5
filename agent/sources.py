"""What gives the box its readings, made from the settings: a session for each device.

Not here: what happens to what they give (pipeline), and running them (daemon).
"""

from collections.abc import Callable

from agent.settings import Device, RadioSettings
from devices.backoff import Patience
from devices.clock import Clock
from devices.driver import Resume
from devices.drivers import driver_named
from devices.radio import Radio
from devices.reading import Reading
from devices.session import Session
from devices.source import Source

LONGEST_BRIEF_PAUSE_S = 10.0
"""A scale is there for seconds: it is not paused for longer, whatever the settings."""


class Sources:
    """Makes the source of a device."""

    def __init__(
        self, *, radio: Radio, settings: RadioSettings, clock: Clock, last_reading: Callable[[str], Reading | None]
    ) -> None:
        """Take what sources need.

        Args:
            radio: the adapter.
            settings: how patient the box is with devices.
            clock: the box's time.
            last_reading: answers which reading of a device is the newest in the store.
        """
        self._radio = radio
        self._clock = clock
        self._last_reading = last_reading
        self._patience = Patience(
            find=settings.find,
            connect=settings.connect,
            quiet=settings.quiet,
            first=settings.pause,
            cap=settings.longest_pause,
            cap_brief=min(settings.longest_pause, LONGEST_BRIEF_PAUSE_S),
        )

    def of(self, device: Device) -> Source:
        """Return the source of a device."""
        driver = driver_named(device.kind)

        def resume() -> Resume:
            newest = self._last_reading(device.address)
            return Resume() if newest is None else driver.resume_after(newest.key)

        return Session(
            radio=self._radio,
            driver=driver,
            device=device.address,
            zone=device.zone,
            clock=self._clock,
            resume=resume,
            consents=device.consents(self._clock.now_ms()),
            patience=self._patience,
        )
