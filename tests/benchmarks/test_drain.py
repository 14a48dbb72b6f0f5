"""The account of the drain's figures, over a real broker and two real workers: all that waited is stored once."""

from pathlib import Path

import pytest

from benchmarks import drain

pytestmark = [pytest.mark.broker, pytest.mark.process]


@pytest.mark.parametrize(("few", "engine"), [(200, "sqlite"), (10, "sqlite"), (10, "postgresql")])
async def test_what_waited_is_drained_by_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, engine: str
) -> None:
    monkeypatch.setattr(drain, "FEW", few)  # one an envelope, and many
    line = await drain.drain(tmp_path, records=150, workers=2, engine=engine)
    assert (line["records"], line["workers"], line["refused_or_sent_again"]) == (150, 2, {})
