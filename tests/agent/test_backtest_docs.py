"""The commands in docs/backtest.md do what it says."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.population import write_population
from tests.agent.backtest_kit import ROOT, veilleur

COMMANDS = re.findall(
    r"^    veilleur (backtest .+)$", (ROOT / "docs" / "backtest.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "simulators").symlink_to(ROOT / "simulators")
    list(write_population(tmp_path / "population", patients=2, days=1, per_file=1, seed=2))
    monkeypatch.chdir(tmp_path)
    result = veilleur(*shlex.split(line.replace("--jobs 2", "--jobs 1")))
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) > 2
    assert ("--plot" in line) == (tmp_path / "trial.svg").exists()
    assert ("--population" in line) == (tmp_path / "population-backtest").exists()
