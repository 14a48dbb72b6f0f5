"""What can be done about a simulated adapter (`devices.recovery.AdapterControl`): switch it off and on, open it anew.

The second stands for a restart of the Bluetooth service. A virtual adapter has no USB port and no driver.
"""

from collections.abc import Awaitable, Callable

from bumble.core import BaseBumbleError

from devices.recovery import Step, StepError
from simulators.bumble_radio import Backends


class SimulatedControl:
    """The switches of one adapter."""

    def __init__(self, host: Backends, *, reopen: Callable[[], Awaitable[None]] | None = None) -> None:
        """Take an adapter.

        Args:
            host: what uses it.
            reopen: opens it anew; None: nobody can.
        """
        self._host = host
        self._reopen = reopen

    async def steps(self) -> tuple[Step, ...]:
        """Return what is possible here."""
        return (Step.POWER_CYCLE,) if self._reopen is None else (Step.POWER_CYCLE, Step.RESTART_BLUETOOTHD)

    async def take(self, step: Step) -> None:
        """Take one of the possible steps.

        Raises:
            StepError: it could not be taken.
        """
        try:
            if step is Step.POWER_CYCLE:
                await self._host.adapter.power_cycle()
            elif step is Step.RESTART_BLUETOOTHD and self._reopen is not None:
                await self._reopen()
            else:
                raise StepError("not possible here")
        except BaseBumbleError as error:
            raise StepError(str(error)) from error
