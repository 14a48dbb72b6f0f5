"""The hardened box may switch its own Bluetooth adapter off and on at its port, and nothing else of /sys."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.box_kit import ROOT
from tests.deploy.service_manager import adapted, service_manager
from tests.deploy.test_time_under_systemd import once, said
from tests.devices.test_sysfs_adapter import usb

RULES = ROOT / "deploy" / "70-veilleur-adapter.rules"
NOBODY, GROUP = 65_534, 64_999
PLACES = ("/sys/devices/virtual/net/lo/ifalias", "/sys/module/kernel/parameters/panic")
"""One of a device and one of the kernel; opened to write, and nothing written."""
PROBE = f"""
import os
for path in {PLACES!r}:
    try:
        os.close(os.open(path, os.O_WRONLY))
        print("open")
    except OSError as error:
        print(error.strerror)
"""
RESET = """
import asyncio, sys
from pathlib import Path
from devices.recovery import Step, StepError
from devices.sysfs_adapter import SysfsAdapter
async def reset():
    adapter = SysfsAdapter(sysfs=Path(sys.argv[1]), off=0.0)
    assert await adapter.steps() == (Step.USB_RESET,)
    try:
        await adapter.take(Step.USB_RESET)
        print("done")
    except StepError as error:
        print(error)
asyncio.run(reset())
"""


def as_a_plain_user(*line: str) -> list[str]:
    """Run it as a user of no rights whose group the rule gives the port to; skips where that cannot be done."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("needs root and setpriv")
    who = (f"--reuid={NOBODY}", f"--regid={GROUP}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
    done = subprocess.run([setpriv, *who, *line], capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.splitlines()


@pytest.mark.process
def test_the_hardened_unit_leaves_devices_to_their_own_permissions_and_the_kernel_closed() -> None:
    if not os.access("/sys", os.W_OK) or not all(Path(place).exists() for place in PLACES):
        pytest.skip("needs a /sys that root may write")
    unit = once((ROOT / "deploy" / "veilleur.service").read_text(encoding="utf-8"))
    with service_manager() as manager:
        probe = manager.folder / "probe.py"
        probe.write_text(PROBE, encoding="utf-8")
        (manager.units / "veilleur.service").write_text(
            adapted(unit, manager.folder, start=f"{sys.executable} {probe}")
        )
        manager.ctl("daemon-reload")
        manager.ctl("start", "veilleur.service")
        # It is root that asks here, under the unit's namespace: the box itself is a plain user there.
        assert said(manager.folder) == ["open", "Read-only file system"]


def test_a_plain_user_may_write_nothing_of_a_device_by_itself() -> None:
    assert as_a_plain_user("find", "/sys/devices", "-type", "f", "-writable") == []


@pytest.mark.process
def test_the_rule_gives_the_port_of_the_adapter_and_no_other_file(tmp_path: Path) -> None:
    device = usb(tmp_path)
    for path in [tmp_path, *tmp_path.parents][:4]:
        path.chmod(0o755)
    before = {path: path.stat().st_mode for path in tmp_path.rglob("*") if not path.is_symlink()}
    program = (sys.executable, "-c", RESET, str(tmp_path))
    assert as_a_plain_user(*program) == ["not permitted to this program"]
    apply_rule(next(device.glob("*:*")), tmp_path)
    given = [path for path, mode in before.items() if path.stat().st_mode != mode]
    assert given == [device / "authorized"]
    assert as_a_plain_user(*program) == ["done"]
    assert (device / "authorized").read_text() == "1"


def apply_rule(interface: Path, sysfs: Path) -> None:
    """Do what the rule has udev do for an interface, on a tree that is no real one."""
    told = re.search(r"RUN\+=\"/bin/sh -c '(.*)'\"", RULES.read_text(encoding="utf-8"))
    assert told
    line = told[1].replace("/sys%p", str(interface)).replace("chgrp veilleur", f"chgrp {GROUP}")
    assert str(sysfs) in line
    subprocess.run(["/bin/sh", "-c", line], check=True)


def test_the_rule_is_for_bluetooth_alone() -> None:
    (rule,) = [line for line in RULES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    matches = dict(re.findall(r'([A-Z]+(?:\{\w+\})?)=="([^"]*)"', rule))
    # Assigned by the Bluetooth SIG: wireless controller, RF controller, Bluetooth programming interface.
    assert (
        matches["ENV{DEVTYPE}"],
        matches["ATTR{bInterfaceClass}"],
        matches["ATTR{bInterfaceSubClass}"],
        matches["ATTR{bInterfaceProtocol}"],
    ) == ("usb_interface", "e0", "01", "01")
