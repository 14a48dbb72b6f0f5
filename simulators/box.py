"""The box in the simulated world: the daemon as it is, on an accelerated clock, with virtual devices on its radio.

A box may also keep its own time there, on a machine whose clock somebody has made to run faster, and to be wrong.
"""

from pathlib import Path

from agent import daemon
from agent.box_clock import BoxClock
from agent.clock_trust import LinuxTime
from agent.settings_file import read_settings
from devices.bleak_radio import BleakRadio
from devices.clock import Clock
from simulators.adapter_control import SimulatedControl
from simulators.bumble_radio import open_host
from simulators.processes import say

ADDRESS = "F0:F1:F2:F3:F4:F5"


class OwnTime(BoxClock):
    """The clock of a box that keeps its own time, as `veilleur run` has it, on a machine whose time runs faster."""

    def __init__(self, speed: float) -> None:
        """`speed`: of the machine's clock, in seconds it shows in one real second."""
        super().__init__(LinuxTime())
        self._speed = speed

    def seconds_until(self, at_ms: int) -> float:
        """Return how many real seconds to wait until this clock shows `at_ms`; 0.0 when it already has."""
        return super().seconds_until(at_ms) / self._speed


async def run_box(config: Path, *, hci: str, bonds: Path, clock: Clock) -> None:
    """Run the box until cancelled.

    Args:
        config: its settings file.
        hci: Bumble transport of its controller, such as "unix:/run/home.sock".
        bonds: file of its bonds, which real hardware keeps in BlueZ.
        clock: the world's clock, or one of the box's own.

    Raises:
        SettingsError, VaultError, StoreError, IdentityError: it cannot start.
        BleakError: nobody answers at `hci`.
    """
    settings = read_settings(config)
    async with open_host(hci, address=ADDRESS, keystore=bonds) as backends:
        radio = BleakRadio(client_backend=backends.client, scanner_backend=backends.scanner)
        control = SimulatedControl(backends)
        await daemon.run(settings, clock=clock, radio=radio, control=control, on_ready=lambda: say({"event": "ready"}))
