"""The page of the packaged protocols lists each of them, with as many rules as it has."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main

ROOT = Path(__file__).parents[1]
FILES = {path.stem: path for path in (ROOT / "configs" / "protocols").glob("*.toml")}
ROWS = {
    name: (int(rules), inherited)
    for name, rules, inherited in re.findall(
        r"^\| `(\w+)` \| [^|]* \| [^|]* \| (\d+)(?:,[^`|]*`(\w+)`)? \|$",
        (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8").split("\n## ", maxsplit=1)[0],
        re.MULTILINE,
    )
}


def test_every_packaged_protocol_has_its_row_and_no_other() -> None:
    assert set(ROWS) == set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_row_says_how_many_rules_there_are_and_what_they_are_inherited_from(name: str) -> None:
    done = CliRunner().invoke(main, ["check", str(FILES[name]), "--resolved"])
    assert done.exit_code == 0, done.output
    rules = tomllib.loads(done.stdout)["rules"]
    pack = tomllib.loads(FILES[name].read_text(encoding="utf-8")).get("pack", "")
    assert ROWS[name] == (len(rules), pack)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_packaged_protocol_has_no_fault_and_no_remark(name: str) -> None:
    done = CliRunner().invoke(main, ["check", name, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["faults"], found["remarks"]) == ([], [])
