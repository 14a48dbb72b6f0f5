"""What gives the box its readings, made from the settings.

A session for each device that is read over a link, an ear for each that says everything in its advertisements, and
somebody who asks each relay.

Not here: what happens to what they give (pipeline), and running them (daemon).
"""

from collections.abc import Callable, Sequence

from agent.secret_file import read_secret
from agent.settings import Device, RadioSettings, Relay
from devices.backoff import Patience
from devices.broadcast import BroadcastSource
from devices.clock import Clock
from devices.driver import BroadcastDriver, Driver, Resume
from devices.drivers import BROADCASTS, DRIVERS
from devices.radio import Radio
from devices.reading import Reading
from devices.relay import RelaySource
from devices.relay_address import RelayAddress
from devices.session import Session
from devices.source import Source

_DRIVERS = {driver.name: driver for driver in DRIVERS}
_BROADCASTS = {driver.name: driver for driver in BROADCASTS}

LONGEST_BRIEF_PAUSE_S = 10.0
"""A scale is there for seconds: it is not paused for longer, whatever the settings."""


def always_there(devices: Sequence[Device]) -> list[str]:
    """Return the addresses of the devices that are there all the time, as a sensor on the skin is."""
    return [device.address for device in devices if device.kind in _DRIVERS and _DRIVERS[device.kind].always_on]


class Sources:
    """Makes the sources of a box."""

    def __init__(
        self,
        *,
        radio: Radio,
        settings: RadioSettings,
        clock: Clock,
        last_reading: Callable[[str], Reading | None],
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

    def of_device(self, device: Device) -> Source:
        """Return the source of a device."""
        if device.kind in _BROADCASTS:
            return self._ear(device, _BROADCASTS[device.kind])
        return self._session(device, _DRIVERS[device.kind])

    def _session(self, device: Device, driver: Driver) -> Session:
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
            by_user=any(person.user is not None for person in device.people),
            patience=self._patience,
        )

    def _ear(self, device: Device, driver: BroadcastDriver) -> BroadcastSource:
        return BroadcastSource(
            radio=self._radio,
            driver=driver,
            device=device.address,
            zone=device.zone,
            clock=self._clock,
            patience=self._patience,
        )

    def of_relay(self, relay: Relay) -> Source:
        """Return the source of a relay.

        Raises:
            SecretError: its secret is not there, or others can read it.
            RelayAddressError: it cannot be asked there.
        """

        def resume() -> int | None:
            newest = self._last_reading(relay.address)
            return None if newest is None else newest.measured_at

        return RelaySource(
            RelayAddress(
                relay.url,
                token=None if relay.token_file is None else read_secret(relay.token_file),
                secret=None if relay.secret_file is None else read_secret(relay.secret_file),
            ),
            device=relay.address,
            zone=relay.zone,
            clock=self._clock,
            resume=resume,
        )
