"""The nurses' guide says what the desk says, and shows pictures that exist."""

import re
from pathlib import Path

from tests.coordination.desk.browser.pictures import PICTURES

ROOT = Path(__file__).parents[4]
GUIDE = ROOT / "docs" / "desk.md"
MOST_BYTES = 120_000


def test_every_picture_is_shown_and_every_one_shown_is_there_and_small() -> None:
    shown = set()
    for page in (GUIDE, ROOT / "README.md", ROOT / "docs" / "operate.md"):
        shown |= set(re.findall(r"pictures/([\w-]+)\.png", page.read_text(encoding="utf-8")))
    there = {path.stem: path.stat().st_size for path in (ROOT / "docs" / "pictures").glob("*.png")}
    assert shown == set(there) == {one.name for one in PICTURES}
    assert {name: size for name, size in there.items() if size > MOST_BYTES} == {}


def test_the_words_that_the_guide_explains_are_those_of_the_desk() -> None:
    said = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("templates", "views", "static")
        for path in (ROOT / "coordination" / "desk" / folder).rglob("*.*")
        if path.suffix in {".html", ".py", ".js"}
    ) + (ROOT / "coordination" / "desk" / "errors.py").read_text(encoding="utf-8")
    table = GUIDE.read_text(encoding="utf-8").partition("## Quand quelque chose ne va pas")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 5
    assert [row for row in rows if row.rstrip("….") not in said] == []
