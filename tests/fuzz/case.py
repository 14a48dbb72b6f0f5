"""What is tried on one codec."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One codec: `run` returns whether it refused the bytes, and raises when something is wrong with it.

    `repair` makes a spoilt frame's size, checksum or signature right again, so that what lies behind them is tried too:
    in half of the frames, or in all of them. `longest` is in bytes. The tests try `short` frames, `make fuzz` no more
    than `most`.
    """

    seeds: Sequence[bytes]
    run: Callable[[bytes], bool]
    repair: Callable[[bytes], bytes] = bytes
    longest: int = 160
    repair_always: bool = False
    short: int = 1000
    most: int = 1_000_000
