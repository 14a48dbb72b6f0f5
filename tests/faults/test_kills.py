"""Twenty kills over box, broker and two inbox workers, over a network that loses and repeats: the account balances.

`make chaos` does two hundred.
"""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.kill_loop import VICTIMS, Chaos, kill_loop
from simulators.account import Account, TakenReading

KILLS = 20

pytestmark = pytest.mark.long


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


SENSOR, SCALE = "C4:B0:00:00:00:01", "C4:B0:00:00:00:03"


def chaos_without(*missing: TakenReading, linked: dict[str, int]) -> Chaos:
    account = Account(
        taken=9,
        stored=9 - len(missing),
        lost=len(missing),
        strange=0,
        duplicated=0,
        gaps=0,
        alerts=0,
        untold=(),
        unfounded=(),
        missing=missing,
    )
    return Chaos(account=account, killed={}, befell={}, linked=Counter(linked))


def test_only_what_a_device_forgets_and_only_once_a_kill_is_no_loss_of_the_box() -> None:
    weighing, another = (SCALE, "body_weight", 1, 80_000), (SCALE, "body_weight", 2, 80_100)
    assert chaos_without(linked={}).balanced
    assert chaos_without(weighing, linked={SCALE: 1}).balanced
    assert not chaos_without(weighing, linked={}).balanced
    assert not chaos_without(weighing, another, linked={SCALE: 1}).balanced
    assert chaos_without(weighing, another, linked={SCALE: 2}).balanced
    assert not chaos_without((SENSOR, "glucose_interstitial", 1, 1000), linked={SENSOR: 9}).balanced
