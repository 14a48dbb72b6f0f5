"""A fleet that lost the same broker: nobody hurries, nobody waits for ever, and they do not come back in step."""

import random
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from exchange.connection import LinkSettings
from exchange.link import LEAST_SHARE, pause

BOXES = 5000
OUTAGE_S = 600


def settings(first: float = 2.0, cap: float = 60.0) -> LinkSettings:
    nothing = Path("-")
    return LinkSettings(
        host="-",
        port=1,
        client_id="-",
        ca=nothing,
        certificate=nothing,
        key=nothing,
        session_expiry_s=0,
        clean_start=True,
        retry_first_s=first,
        retry_cap_s=cap,
    )


@given(st.floats(0.01, 60), st.floats(0.01, 600), st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_bounded_at_both_ends(first: float, cap: float, failures: int, drawn: float) -> None:
    chosen = pause(settings(first, max(first, cap)), failures, drawn)
    assert LEAST_SHARE * first <= chosen <= max(first, cap)


def test_every_pause_up_to_the_bound_is_as_likely_as_any_other() -> None:
    drawn = [pause(settings(), 10, share / 1000) for share in range(1000)]
    quarters = Counter(min(3, int(4 * chosen / 60)) for chosen in drawn)
    assert set(quarters.values()) == {250}


def _attempts(dice: random.Random) -> list[float]:
    """When one box tries to connect, in seconds after all lost the broker at once; each try fails at once."""
    at, failures, tried = pause(settings(), 0, dice.random()), 0, []
    while at < OUTAGE_S + 120:
        tried.append(at)
        failures += 1
        at += pause(settings(), failures, dice.random())
    return tried


def test_boxes_that_lost_the_same_broker_do_not_come_back_in_step() -> None:
    dice = random.Random(1)
    fleet = [_attempts(dice) for _ in range(BOXES)]
    tries = Counter(int(at) for tried in fleet for at in tried)
    away = [tries[second] for second in range(120, OUTAGE_S)]
    # With a cap of 60 s and pauses of 30 s on average, 167 of 5 000 boxes try in a second.
    assert max(away) < 1.5 * sum(away) / len(away)
    back = Counter(int(next(at for at in tried if at >= OUTAGE_S)) for tried in fleet)
    assert max(back.values()) < 0.05 * BOXES, "a broker that is back meets no more than a twentieth in a second"
    assert max(back) < OUTAGE_S + 60
