"""How a box under the shipped unit learns whether the time is right: a real systemd, and its real filter."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.agent.box_kit import ROOT
from tests.agent.test_time_witness import timedated
from tests.bluez.kit import private_bus
from tests.deploy.service_manager import adapted, service_manager

PROBE = """
import asyncio
from agent.clock_trust import kernel_status
from agent.time_witness import TimeWitness
print(kernel_status(), asyncio.run(TimeWitness().vouches()))
"""
_OF_A_SERVICE = ("Restart", "WatchdogS", "NotifyAccess=", "TimeoutStart")


def once(unit: str) -> str:
    """The shipped unit for a program that runs once."""
    lines = [line for line in unit.splitlines() if not line.startswith(_OF_A_SERVICE)]
    return "\n".join(lines).replace("Type=notify", "Type=oneshot") + "\n"


@pytest.mark.process
async def test_the_hardened_unit_may_not_ask_the_kernel_and_asks_timedated() -> None:
    unit = once((ROOT / "deploy" / "veilleur.service").read_text(encoding="utf-8"))
    with service_manager() as manager:
        probe = manager.folder / "probe.py"
        probe.write_text(PROBE, encoding="utf-8")
        async with private_bus(manager.folder) as machine:
            address = machine.environment["DBUS_SYSTEM_BUS_ADDRESS"]
            more = f"Environment=PYTHONPATH={ROOT} DBUS_SYSTEM_BUS_ADDRESS={address}"
            start = f"{sys.executable} {probe}"
            (manager.units / "veilleur.service").write_text(adapted(unit, manager.folder, start=start, more=more))
            await asyncio.to_thread(manager.ctl, "daemon-reload")
            async with timedated(address) as service:
                service.synchronised = True
                await asyncio.to_thread(manager.ctl, "start", "veilleur.service")
                assert said(manager.folder) == ["None True"]
            await asyncio.to_thread(manager.ctl, "start", "veilleur.service")
            assert said(manager.folder) == ["None True", "None None"], "where nobody answers, the mark has to do"


def said(folder: Path) -> list[str]:
    return (folder / "box.log").read_text(encoding="utf-8").splitlines()
