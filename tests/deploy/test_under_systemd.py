"""The shipped unit under a real systemd: it hardens the box, sees that it hangs, and starts it again."""

import os
from pathlib import Path

import pytest

from simulators.processes import command
from tests.agent.box_kit import ROOT, write_settings
from tests.deploy.service_manager import adapted, service_manager
from tests.deploy.test_hang import held


@pytest.mark.process
def test_systemd_runs_the_hardened_unit_and_restarts_a_box_that_hangs(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "veilleur.service").read_text(encoding="utf-8")
    with service_manager() as manager:
        config = write_settings(manager.folder)
        text = config.read_text().replace('state = "state"', f'state = "{manager.state}"')
        config.write_text(text.replace('key_file = "state/kek"', f'key_file = "{manager.state}/kek"'))
        more = f"Environment=PYTHONPATH={ROOT}" if "PYTHONPATH" in os.environ else ""
        start = f"{command('veilleur')} run --config {config}"
        shorter = adapted(unit, manager.folder, start=start, more=more).replace("WatchdogSec=40", "WatchdogSec=4")
        (manager.units / "veilleur.service").write_text(shorter)
        manager.ctl("daemon-reload")
        manager.ctl("start", "veilleur.service")
        first = manager.shown("veilleur.service", "MainPID")
        assert manager.shown("veilleur.service", "ActiveState") == "active"
        assert sandboxed(int(first))
        with held(manager.state / "veilleur.db"):
            # Each look is a process of its own, which takes its time.
            while manager.shown("veilleur.service", "Result") != "watchdog":
                pass
        # It comes back by itself once it can keep readings again.
        while manager.shown("veilleur.service", "SubState") != "running":
            pass
        assert int(manager.shown("veilleur.service", "NRestarts")) >= 1
        again = manager.shown("veilleur.service", "MainPID")
        assert again != first
        assert sandboxed(int(again))


def sandboxed(pid: int) -> bool:
    """Whether the process has a filter for system calls, no capability, and may not gain any."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return (told["Seccomp"], told["NoNewPrivs"], int(told["CapEff"], 16), int(told["CapBnd"], 16)) == ("2", "1", 0, 0)
