"""Which sequence numbers of one epoch are there: disjoint ranges that never touch, both ends included.

Pure: the caller finds the ranges in its database and writes back what changed.
"""

from collections.abc import Iterable, Sequence

from exchange.messages import Range


def add(touching: Sequence[Range], added: Range) -> tuple[Range, tuple[Range, ...]]:
    """Add a range to those that it overlaps or is adjacent to.

    Args:
        touching: what is there already and ends at or after `added.first - 1` and begins at or before
            `added.last + 1`, in ascending order.
        added: what comes.

    Returns:
        The one range that replaces `touching`, and the parts of `added` that were not there, in ascending order.
    """
    missing: list[Range] = []
    next_seq = added.first
    for known in touching:
        if known.first > next_seq:
            missing.append(Range(first=next_seq, last=min(known.first - 1, added.last)))
        next_seq = known.last + 1
    if next_seq <= added.last:
        missing.append(Range(first=next_seq, last=added.last))
    first = min(added.first, touching[0].first) if touching else added.first
    last = max(added.last, touching[-1].last) if touching else added.last
    return Range(first=first, last=last), tuple(missing)


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the same sequence numbers as disjoint ranges that never touch, in ascending order."""
    merged: list[Range] = []
    for part in sorted(ranges, key=lambda item: (item.first, item.last)):
        if merged and part.first <= merged[-1].last + 1:
            merged[-1] = Range(first=merged[-1].first, last=max(merged[-1].last, part.last))
        else:
            merged.append(part)
    return tuple(merged)


def without(whole: Range, taken: Iterable[Range]) -> tuple[Range, ...]:
    """Return the parts of a range that none of `taken` covers, in ascending order."""
    left: list[Range] = []
    next_seq = whole.first
    for part in merge(taken):
        if part.first > next_seq:
            left.append(Range(first=next_seq, last=min(part.first - 1, whole.last)))
        next_seq = max(next_seq, part.last + 1)
        if next_seq > whole.last:
            return tuple(left)
    return (*left, Range(first=next_seq, last=whole.last))
