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
BY_THEMSELVES = ("browser", "test_passkeys.py")
"""Of the desk's tests: a nurse's day and the path of a protocol are clicked through on either engine in `browser`."""
NO_ENGINE = () if "POSTGRESQL_ALL" in os.environ else ("test_access.py", "test_fhir_valid.py")
"""Left to `make postgresql`: who may open which address, and the shape of what FHIR says, ask little of an engine; the
rows behind each page and each resource are the other modules'."""
ALSO = (
    "test_alert_events",
    "test_attribution",
    "test_backup",
    "test_command_queue",
    "test_enrolments",
    "test_gaps",
    "test_handling",
    "test_of_boxes",
    "test_postgresql_months",
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
    tests = [str(here / f"{name}.py") for name in ALSO] + [str(here / "desk")]
    tests += [f"--ignore={here / 'desk' / name}" for name in (*BY_THEMSELVES, *NO_ENGINE)]
    with Postgres(tmp_path / "server", settings=UNSAFE) as server:
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
