"""Fixtures of the tests of the team's side."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coordination.kit import ManualClock, Team, drop_used, used


@pytest.fixture(autouse=True)
def no_databases_left() -> Iterator[None]:
    """Whatever a test makes on a database server is dropped behind it; what several share was there before."""
    before = len(used)
    yield
    drop_used(before)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
