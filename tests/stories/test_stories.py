"""What patients live through, as data: each story runs through the real box, and its database says what came of it."""

from collections import Counter
from pathlib import Path

import pytest

from devices.reading import ClockTrust
from tests.stories.kit import Player, Team, be_impatient, known, ledger, read_story, stories

pytestmark = pytest.mark.radio


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team.make(tmp_path_factory.mktemp("team"))


@pytest.mark.parametrize("path", list(stories()), ids=lambda path: path.stem)
async def test_story(path: Path, tmp_path: Path, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch)
    story = read_story(path)
    player = Player(story, tmp_path, team)
    await player.play()

    kept, expected = player.account.readings, story.expected
    names = [(reading.device, reading.key, reading.quantity) for reading in kept]
    assert len(set(names)) == len(names), "something is kept twice"
    assert Counter(reading.patient for reading in kept) == expected.readings
    assert sum(reading.clock is ClockTrust.UNKNOWN for reading in kept) == expected.undated
    undated = {(r.device, r.quantity, r.count) for r in kept if r.clock is ClockTrust.UNKNOWN}
    taken = Counter(
        ledger(player.house.ledger.taken_so_far, lambda item: (item.device, item.quantity, item.count) in undated)
    )
    assert not Counter(known(kept)) - taken, "something is kept that no device took"
    assert (taken - Counter(known(kept))).total() == player.lost
    assert player.account.told(technical=True) == expected.technical
    assert player.account.told(technical=False) == expected.clinical
    assert player.account.retracted() == expected.retracted
