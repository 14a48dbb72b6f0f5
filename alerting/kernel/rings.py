"""Where readings lie in the rings of a state, by ordinal."""

from alerting.kernel.compiling import Words, compiled
from alerting.layout import RING_ENTRY

_LARGEST = 0x7FFF_FFFF
"""No state has so many words. Said to the compiler, it need not ask whether an index counts from the end."""


@compiled("int64(int64, int64, int64)")
def place(ring: int, mask: int, ordinal: int) -> int:
    """Return where the (time, value) of a reading lies in a state."""
    return (ring + (ordinal & mask) * RING_ENTRY) & _LARGEST


@compiled("int64(int64, int64, int64)")
def queued(queue: int, mask: int, ordinal: int) -> int:
    """Return where an entry of one word lies in a state."""
    return (queue + (ordinal & mask)) & _LARGEST


@compiled("int64(int64[::1], int64, int64, int64, int64, int64)")
def slid(state: Words, ring: int, mask: int, head: int, oldest: int, lowest: int) -> int:
    """Return the ordinal of a window's oldest reading: not before `oldest` (ms UTC), not under the ordinal `lowest`."""
    head = max(head, lowest)
    while state[place(ring, mask, head)] < oldest:
        head += 1
    return head
