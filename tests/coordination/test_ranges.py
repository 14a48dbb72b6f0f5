from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.ranges import add, merge
from exchange.messages import Range


def _parts() -> st.SearchStrategy[list[Range]]:
    part = st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: Range(first=pair[0], last=sum(pair)))
    return st.lists(part, max_size=30)


def _numbers(ranges: tuple[Range, ...] | list[Range]) -> set[int]:
    return {number for part in ranges for number in range(part.first, part.last + 1)}


def _is_tidy(ranges: tuple[Range, ...]) -> bool:
    return all(one.last + 1 < other.first for one, other in pairwise(ranges))


@settings(max_examples=200, deadline=None)
@given(_parts())
def test_merged_ranges_hold_the_same_numbers_and_never_touch(parts: list[Range]) -> None:
    merged = merge(parts)
    assert _numbers(merged) == _numbers(parts)
    assert _is_tidy(merged)


@settings(max_examples=200, deadline=None)
@given(_parts())
def test_adding_finds_exactly_what_was_missing_and_equals_a_naive_set(parts: list[Range]) -> None:
    naive: set[int] = set()
    held: tuple[Range, ...] = ()
    for part in parts:
        touching = [known for known in held if known.first <= part.last + 1 and known.last >= part.first - 1]
        whole, missing = add(touching, part)
        assert _numbers(missing) == _numbers([part]) - naive
        held = tuple(sorted([*(known for known in held if known not in touching), whole], key=lambda item: item.first))
        naive |= _numbers([part])
        assert _numbers(held) == naive
        assert _is_tidy(held)
