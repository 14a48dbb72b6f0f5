"""Whole numbers and fractions: cut, rounded, and the middle of several."""

import math
from collections.abc import Iterable
from fractions import Fraction

HALF = Fraction(1, 2)


def cut(numerator: int, denominator: int) -> int:
    """Return a quotient cut towards zero."""
    return math.trunc(Fraction(numerator, denominator))


def nearest(value: Fraction | float) -> int:
    """Return the nearest whole number, the upper one of two that are equally near."""
    return math.floor(value + HALF)


def middle(values: Iterable[int | Fraction]) -> Fraction:
    """Return the median, the mean of the two middle ones of an even number."""
    ordered = sorted(Fraction(value) for value in values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
