"""A protocol that is ordered while the power goes: the old one whole, or the new one; and in the end the new one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alerting.protocol_file import read_protocol
from tests.agent.command_kit import SMALL, protocol_text

pytestmark = pytest.mark.process

EVERY = 6
"""Every step is cut by 'python -m tests.agent.power_cuts FOLDER'; here one in six, for the time it takes."""


def test_a_power_cut_at_any_step_leaves_the_old_protocol_or_the_new_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.agent.power_cuts", str(tmp_path), str(EVERY)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lives = [json.loads(line) for line in done.stdout.splitlines()]
    old = read_protocol(SMALL.read_bytes(), name_hint="old").protocol_hash
    new = read_protocol(protocol_text(2, ("70 mg/dL", "60 mg/dL")).encode(), name_hint="new").protocol_hash
    before = {"ordered": None, "engine": old, "standing": ["hypo_level_1"]}
    after = {"ordered": new, "engine": new, "standing": []}
    assert [life["cut"] for life in lives] == [*[True] * (len(lives) - 1), False]
    found = [life["disk"] for life in lives]
    turn = found.index(after)
    # Once it is the new one it stays so, and both were met on the way.
    assert 0 < turn < len(found) - 1
    assert found == [*[before] * turn, *[after] * (len(found) - turn)]
    for life in lives:
        assert life["after"] == {
            "answer": "applied",
            "told_hash": new,
            "judged_by": new,
            "ordered": new,
            "standing": [],
            "alerts": [["raised", "hypo_level_1"], ["resolved", "hypo_level_1"]],
            "contiguous": True,
            "copies": 1,
        }, life["step"]
