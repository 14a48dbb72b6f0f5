"""The page of the forty requirements: all forty, each with tests that exist, or with what is still missing."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "security" / "requirements.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
}
STATES = ("proven", "partly", "open", "hardware")


def test_all_forty_are_there_each_once_and_in_order() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 41))


def test_every_test_that_is_named_exists() -> None:
    for number, _, _, proof, _ in ROWS:
        named = set(re.findall(r"`(test_\w+)`", proof))
        assert named <= TESTS, (number, named - TESTS)


def test_whatever_is_said_to_be_proven_has_a_proof_and_whatever_is_not_says_what_is_missing() -> None:
    for number, requirement, control, proof, state in ROWS:
        assert requirement, number
        assert control, number
        word = re.match(r"\w+", state)
        assert word is not None, number
        assert word[0] in STATES, (number, state)
        if word[0] in {"proven", "partly"}:
            assert "`test_" in proof, number
        if word[0] in {"partly", "open"}:
            assert len(state) > len(word[0]) + 2, f"{number}: what is missing, and who does it?"


def test_a_longer_run_that_is_named_is_a_target_of_make() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for number, _, _, proof, _ in ROWS:
        assert set(re.findall(r"`make (\w+)", proof)) <= targets, number
