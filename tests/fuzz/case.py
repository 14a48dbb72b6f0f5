"""What is tried on one codec."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Mutants = Callable[[random.Random, Sequence[bytes], int], bytes]
"""(dice, seeds, longest) -> one spoilt frame."""


@dataclass(frozen=True, slots=True)
class Case:
    """One codec: `run` returns whether it refused the bytes, and raises when something is wrong with it.

    `repair` makes a spoilt frame's size, checksum or signature right again, so that what lies behind them is tried too:
    in half of the frames, or in all of them. `mutants` makes two thirds of the frames where it is given. `longest` is
    in bytes. The tests try `short` frames, `make fuzz` no more than `most`.
    """

    seeds: Sequence[bytes]
    run: Callable[[bytes], bool]
    repair: Callable[[bytes], bytes] = bytes
    longest: int = 160
    repair_always: bool = False
    mutants: Mutants | None = None
    short: int = 1000
    most: int = 1_000_000
