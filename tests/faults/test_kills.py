"""Twenty kills over box, broker and two inbox workers, over a network that loses and repeats: the account balances.

`make chaos` does two hundred.
"""

from pathlib import Path

import pytest

from benchmarks.kill_loop import VICTIMS, kill_loop

KILLS = 20


@pytest.mark.broker
@pytest.mark.process
@pytest.mark.radio
@pytest.mark.timeout(900)
async def test_whoever_is_killed_whenever_all_that_was_taken_arrives_once_and_what_should_be_told_is(
    tmp_path: Path,
) -> None:
    chaos = await kill_loop(tmp_path, kills=KILLS, seed=7)
    assert sum(chaos.killed.values()) == KILLS
    assert all(chaos.killed[victim] for victim in VICTIMS)
    assert chaos.account.taken > KILLS
    assert chaos.balanced, chaos
