"""The machine, as `veilleur doctor` looks at it: kernel, clock, service, Bluetooth, bonds."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agent.clock_trust import LinuxTime
from agent.doctor_finding import Finding
from agent.settings import Settings
from alerting import compiled
from alerting.alert import Sentence
from devices.bluez_bus import BluezBus, BluezCallError, system_bus
from devices.drivers import DRIVERS
from devices.errors import RadioError

UNIT: Final = "veilleur.service"
_ASKED: Final = ("LoadState", "ActiveState", "SubState", "WatchdogUSec")
_ADAPTER: Final = "org.bluez.Adapter1"
_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"
_LINKED: Final = frozenset(driver.name for driver in DRIVERS)
_BOOTED: Final = Path("/run/systemd/system")
"""There where systemd is what runs the machine (sd_booted(3))."""


async def machine_findings(settings: Settings) -> list[Finding]:
    """Return what is wrong with the machine."""
    found: list[Finding] = []
    if compiled.why is not None:
        # A sentence in one language within one in another would help nobody: each gets its own.
        fr, en = Finding.of("kernel_slow", said=compiled.why.fr), Finding.of("kernel_slow", said=compiled.why.en)
        found.append(Finding(code=fr.code, why=Sentence(fr=fr.why.fr, en=en.why.en), step=fr.step))
    if not LinuxTime().synchronised():
        found.append(Finding.of("clock_wrong"))
    found += [Finding.of("notifier_program", program=name) for name in _programs(settings) if not shutil.which(name)]
    shown = await asyncio.to_thread(_service)
    if shown is not None:
        found += service_findings(shown)
    return [*found, *await _bluetooth(settings)]


def _programs(settings: Settings) -> list[str]:
    """Return the programs that the local notifier needs."""
    notifier = settings.notifier
    lines = (notifier.command, notifier.light_on, notifier.light_off)
    named = [*(line[0] for line in lines if line), *(["aplay"] if notifier.sound else [])]
    return list(dict.fromkeys([*named, *(["espeak-ng"] if notifier.speak else [])]))


def _service() -> Mapping[str, str] | None:
    """Ask systemd about the service; None where there is no systemd to ask."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not _BOOTED.is_dir():
        return None
    command = [systemctl, "show", UNIT, f"--property={','.join(_ASKED)}"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - a fixed command
    return dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)


def service_findings(shown: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with the service, as `systemctl show` tells it."""
    state = shown.get("ActiveState", "")
    if shown.get("LoadState") != "loaded" or state != "active":
        why = shown.get("LoadState", "?") if shown.get("LoadState") != "loaded" else state
        yield Finding.of("service_down", said=f"{why}, {shown.get('SubState', '?')}")
    if shown.get("LoadState") == "loaded" and shown.get("WatchdogUSec", "0") in {"0", "infinity"}:
        yield Finding.of("service_not_watched")


async def _bluetooth(settings: Settings) -> list[Finding]:
    try:
        async with system_bus() as bus:
            return [*await _adapter(bus, settings), *await _bonds(bus, settings)]
    except BluezCallError as error:
        return [Finding.of("bluetooth_denied" if error.name == _DENIED else "bluetooth_away")]
    except RadioError:
        return [Finding.of("bluetooth_away")]


async def _adapter(bus: BluezBus, settings: Settings) -> list[Finding]:
    name = settings.radio.adapter_name
    (objects,) = await bus.call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    properties: Mapping[str, Any] | None = objects.get(f"/org/bluez/{name}", {}).get(_ADAPTER)
    if properties is None:
        return [Finding.of("adapter_missing", adapter=name)]
    return [] if properties.get("Powered", False) else [Finding.of("adapter_off", adapter=name)]


async def _bonds(bus: BluezBus, settings: Settings) -> list[Finding]:
    """Return the devices that have to be bonded and are not; what is read from advertisements alone needs no bond."""
    known = await bus.devices()
    bonded = {
        str(properties.get("Address", "")).upper()
        for properties in known.values()
        if properties.get("Bonded", properties.get("Paired", False))
    }
    return [
        Finding.of("bond_missing", driver=device.kind, device=device.address[-5:])
        for device in settings.devices
        if device.kind in _LINKED and device.address.upper() not in bonded
    ]
