"""The same tests, on PostgreSQL: what the inbox stores, says, watches and enters, and the desk's pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.postgres import Postgres
from tests.coordination.engines import UNSAFE
from tests.coordination.kit import POSTGRESQL

LEFT_OPEN = ("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning")
BESIDE = ("-n", "2", "--dist", "loadfile")
ALSO = (
    "test_alert_events",
    "test_attribution",
    "test_backup",
    "test_box_keys",
    "test_command_queue",
    "test_enrolments",
    "test_gaps",
    "test_handling",
    "test_of_boxes",
    "test_postgresql_months",
    "test_received_ranges",
    "test_refused_and_statuses",
    "test_self_report_judging",
    "test_silence",
    "test_store_once",
)
"""Modules whose every test runs on either engine."""


@pytest.mark.timeout(900)
@pytest.mark.process
def test_the_same_tests_pass_on_postgresql(tmp_path: Path) -> None:
    here = Path(__file__).parent
    # What is clicked through in a browser runs on either engine by itself (desk/browser/test_nurse_path.py and
    # test_path_of_a_protocol.py).
    tests = [str(here / f"{name}.py") for name in ALSO] + [str(here / "desk"), f"--ignore={here / 'desk' / 'browser'}"]
    with Postgres(tmp_path / "server", settings=UNSAFE, in_memory=True) as server:
        done = subprocess.run(
            # Tests leave it to the end of their process to close what they looked into.
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *BESIDE, *LEFT_OPEN, *tests],
            env={**os.environ, POSTGRESQL: server.url("postgres")},
            cwd=here.parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
