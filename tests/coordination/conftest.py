"""Fixtures of the tests of the team's side."""

from pathlib import Path

import pytest

from tests.coordination.kit import ManualClock, Team


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
