"""An installer practises pairing without a device."""

import subprocess

import pytest

from simulators.processes import command

pytestmark = [pytest.mark.process, pytest.mark.radio]


def practise(*options: str) -> subprocess.CompletedProcess[str]:
    line = [command("veilleur-sim"), "pair", "--settle", "0.2", "--lang", "en", *options]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def test_a_simulated_cuff_is_paired_and_proved() -> None:
    done = practise("--address", "C4:B0:00:02:00:02")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "C4:B0:00:02:00:02: proved" in done.stdout
    assert 'driver = "blood_pressure"' in done.stdout


def test_everything_in_the_air_is_shown() -> None:
    done = practise("--seconds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "glucose_meter" in done.stdout


def test_a_home_that_is_none_is_told_in_one_sentence() -> None:
    done = practise("--home", "nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere" in done.stderr
