"""The unit on the box: what systemd thinks of it, and that the box runs, or says why not, under what it forbids."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.write_execute import is_denied
from alerting import compiled
from simulators.processes import command
from tests.agent.box_kit import ROOT, running, write_settings
from tests.deploy.systemd_tools import find_analyze

UNIT = ROOT / "deploy" / "veilleur.service"
DENYING = (sys.executable, str(Path(__file__).with_name("denying.py")))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    if subprocess.run([*DENYING, shutil.which("true") or "/bin/true"], check=False).returncode != 0:
        pytest.skip("needs Linux 6.3 or later: prctl(PR_SET_MDWE)")
    return write_settings(tmp_path)


def exposure(unit: Path) -> float:
    told = find_analyze().run("security", "--offline=true", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told.stdout)
    assert found, told.stdout + told.stderr
    return float(found[1])


def test_systemd_finds_the_unit_exposed_to_little() -> None:
    assert exposure(UNIT) <= 1.5


def test_with_the_loudspeaker_it_is_exposed_to_little_more(tmp_path: Path) -> None:
    both = tmp_path / "veilleur.service"
    parts = (UNIT, UNIT.with_name("veilleur-notifier.conf"))
    both.write_text("\n".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")
    assert exposure(UNIT) < exposure(both) <= 1.5


def test_a_line_of_hardening_that_goes_missing_is_seen(tmp_path: Path) -> None:
    weaker = tmp_path / "veilleur.service"
    text = UNIT.read_text(encoding="utf-8")
    weaker.write_text(text.replace("MemoryDenyWriteExecute=yes\n", "").replace("NoNewPrivileges=yes\n", ""))
    assert exposure(weaker) > exposure(UNIT)


def test_systemd_understands_every_line_of_the_units() -> None:
    for unit in sorted((ROOT / "deploy").glob("*.service")):
        told = find_analyze().run("verify", "--man=no", str(unit))
        faults = [line for line in told.stderr.splitlines() if unit.name in line and "is not executable" not in line]
        assert faults == []


def test_the_unit_restarts_for_ever_and_waits_less_than_45_s_for_a_box_that_hangs() -> None:
    lines = dict(line.split("=", 1) for line in UNIT.read_text(encoding="utf-8").splitlines() if "=" in line[1:])
    assert lines["Type"] == "notify"
    assert lines["Restart"] == "always"
    assert lines["StartLimitIntervalSec"] == "0"
    assert lines["WatchdogSignal"] == "SIGKILL"
    assert int(lines["WatchdogSec"]) + int(lines["RestartSec"]) < 45


@pytest.mark.process
@pytest.mark.skipif(compiled.kind is not compiled.Kind.AHEAD_OF_TIME, reason="needs 'make kernel'")
def test_the_box_runs_where_nothing_written_may_be_executed(config: Path) -> None:
    with running(config, prefix=DENYING) as (box, ears):
        assert ears.recv(64) == b"WATCHDOG=1"
        assert box.poll() is None


@pytest.mark.process
@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("fr", ["ne peut pas être compilé au démarrage", "MemoryDenyWriteExecute", "Installer le wheel"]),
        ("en", ["cannot be compiled at start", "MemoryDenyWriteExecute", "Install the wheel"]),
    ],
)
def test_without_a_kernel_compiled_ahead_of_time_it_refuses_in_a_sentence(
    config: Path, lang: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VEILLEUR_KERNEL", "source")
    done = subprocess.run(
        [*DENYING, command("veilleur"), "--lang", lang, "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_process_that_may_do_all_is_not_taken_for_a_hardened_one() -> None:
    assert not is_denied()
