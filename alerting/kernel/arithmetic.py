"""Arithmetic that gives the same bits on every machine: + - * / and the square root only, in one order.

Checked against mpmath by the tests: the logarithm and the exponential to a few units in the last place, the normal
distribution to 1e-7.
"""

import numpy as np

from alerting.kernel.compiling import compiled

_LN_2 = 0.6931471805599453
_LN_2_HIGH = 0.6931471803691238
_LN_2_LOW = 1.9082149292705877e-10
"""Their sum is ln 2; the first has few enough digits that a whole multiple of it is exact."""
_ROOT_2 = 1.4142135623730951


@compiled("int64(int64, int64)")
def quotient(dividend: int, divisor: int) -> int:
    """Return the quotient cut towards zero; the divisor is positive."""
    # Without a branch, as whether a glucose rises or falls cannot be guessed: what is below zero is moved so that
    # rounding down cuts it, and folded over by its sign's bits, which makes it the whole number below its size.
    moved = dividend + ((dividend >> 63) & (divisor - 1))
    sign = moved >> 63
    return int(np.int64(np.uint64(moved ^ sign) // np.uint64(divisor)) ^ sign)


@compiled("float64(float64)")
def logarithm(x: float) -> float:
    """Return the natural logarithm of a positive number between 1e-300 and 1e300."""
    halvings = 0.0
    while x > _ROOT_2:
        x *= 0.5
        halvings += 1.0
    while x < _ROOT_2 * 0.5:
        x *= 2.0
        halvings -= 1.0
    z = (x - 1.0) / (x + 1.0)
    square = z * z
    # ln x = 2 (z + z^3/3 + z^5/5 + ...), |z| < 0.172: the term in z^21 is under 1e-17.
    series = 0.0
    for odd in range(21, 0, -2):
        series = series * square + 1.0 / odd
    return halvings * _LN_2 + 2.0 * z * series


@compiled("float64(float64)")
def exponential(x: float) -> float:
    """Return e to the power x, for x between -700 and 700."""
    doublings = int(x / _LN_2 + (0.5 if x >= 0.0 else -0.5))
    x = x - doublings * _LN_2_HIGH - doublings * _LN_2_LOW
    # |x| < 0.347: the term in x^15 is under 1e-19.
    series = 1.0
    for step in range(15, 0, -1):
        series = 1.0 + series * x / step
    for _ in range(doublings):
        series *= 2.0
    for _ in range(-doublings):
        series *= 0.5
    return series


@compiled("float64(float64)")
def normal(z: float) -> float:
    """Return the probability that a standard normal variable is below z (Abramowitz & Stegun 26.2.17)."""
    x = -z if z < 0.0 else z
    if x > 8.0:
        return 0.0 if z < 0.0 else 1.0
    t = 1.0 / (1.0 + 0.2316419 * x)
    tail = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail *= 0.3989422804014327 * exponential(-0.5 * x * x)
    return tail if z < 0.0 else 1.0 - tail
