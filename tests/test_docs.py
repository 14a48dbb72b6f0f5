"""What the documents promise is there, and the commands in them run."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from simulators.processes import command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
}


def test_every_hazard_names_a_test_that_exists() -> None:
    rows = [row for row in (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8").splitlines() if row[:2] == "| "]
    for row in rows[1:]:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= TESTS, set(named) - TESTS


@pytest.mark.parametrize("line", re.findall(r"^    \.venv/bin/(veilleur\S* .+)$", README, re.MULTILINE))
def test_the_commands_in_the_readme_run(line: str) -> None:
    name, *arguments = shlex.split(line)
    done = subprocess.run([command(name), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_the_commands_that_are_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert set(re.findall(r"`(veilleur[\w-]*) ", README)) == set(scripts)


@pytest.mark.parametrize(
    "path", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")], ids=str
)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target
