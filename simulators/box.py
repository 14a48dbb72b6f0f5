"""The box in the simulated world: the daemon as it is, on an accelerated clock, with virtual devices on its radio."""

from pathlib import Path

from agent import daemon
from agent.settings_file import read_settings
from devices.bleak_radio import BleakRadio
from simulators.adapter_control import SimulatedControl
from simulators.bumble_radio import open_host
from simulators.clock import AcceleratedClock
from simulators.processes import say

ADDRESS = "F0:F1:F2:F3:F4:F5"


async def run_box(config: Path, *, hci: str, bonds: Path, clock: AcceleratedClock) -> None:
    """Run the box until cancelled.

    Args:
        config: its settings file.
        hci: Bumble transport of its controller, such as "unix:/run/home.sock".
        bonds: file of its bonds, which real hardware keeps in BlueZ.
        clock: the world's clock.

    Raises:
        SettingsError, VaultError, StoreError, IdentityError: it cannot start.
        BleakError: nobody answers at `hci`.
    """
    settings = read_settings(config)
    async with open_host(hci, address=ADDRESS, keystore=bonds) as backends:
        radio = BleakRadio(client_backend=backends.client, scanner_backend=backends.scanner)
        control = SimulatedControl(backends)
        await daemon.run(settings, clock=clock, radio=radio, control=control, on_ready=lambda: say({"event": "ready"}))
