"""A relay to try a box's settings with."""

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from simulators.processes import command

pytestmark = pytest.mark.process


def telephone(*options: str) -> subprocess.Popen[str]:
    line = [command("veilleur-sim"), "relay", "--port", "0", *options]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("form", ["xdrip", "nightscout"])
def test_a_telephone_relays_values_until_it_is_told_to_stop(form: str) -> None:
    with telephone("--form", form) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[0]
            with urllib.request.urlopen(f"{url}?count=5", timeout=20) as answer:
                entries = json.load(answer)
            assert len(entries) == 5
            assert all(30 < entry["sgv"] < 400 for entry in entries)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_secret_that_cannot_be_read_is_told_in_one_sentence(tmp_path: Path) -> None:
    with telephone("--secret-file", str(tmp_path / "none")) as process:
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said.count("\n")) == (2, 1)
