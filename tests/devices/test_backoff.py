"""Pauses after failures."""

import random

from devices.backoff import Backoff


def bounds(backoff: Backoff, failures: int, draws: int = 200) -> list[float]:
    """The largest of many pauses after each number of failures, in whole tenths of a second."""
    largest = [0.0] * failures
    for _ in range(draws):
        backoff.reset()
        for index in range(failures):
            largest[index] = max(largest[index], backoff.next())
    return largest


def test_pauses_double_up_to_the_cap_and_use_the_whole_range() -> None:
    largest = bounds(Backoff(first=1.0, cap=10.0, rng=random.Random(7)), 6)
    for found, bound in zip(largest, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0], strict=True):
        assert bound * 0.9 < found <= bound


def test_a_thousand_failures_do_not_exceed_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=5.0)
    assert all(0.0 <= backoff.next() <= 5.0 for _ in range(1200))


def test_two_boxes_do_not_come_back_in_step() -> None:
    one, other = (Backoff(first=1.0, cap=60.0) for _ in range(2))
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]
