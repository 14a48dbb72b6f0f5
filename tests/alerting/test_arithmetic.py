"""The kernel's own arithmetic against mpmath, and the local days of the kernel against those of Python."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerting.kernel import arithmetic, local_days
from alerting.local_time import local_minutes, offsets, utc_ms
from tests.alerting.worlds import PARIS

MANY = settings(max_examples=300, deadline=None)
ZONE = offsets(PARIS).copy()


@MANY
@given(st.integers(-(2**62), 2**62), st.integers(1, 2**61))
def test_a_quotient_is_cut_towards_zero(dividend: int, divisor: int) -> None:
    cut = abs(dividend) // divisor
    assert arithmetic.quotient(dividend, divisor) == (cut if dividend >= 0 else -cut)


@MANY
@given(st.floats(1e-6, 1e6))
@example(1.0)
@example(math.sqrt(2))
@example(math.sqrt(0.5))
def test_the_logarithm_is_that_of_mpmath(x: float) -> None:
    assert arithmetic.logarithm(x) == pytest.approx(float(mpmath.log(x)), rel=4e-16, abs=4e-16)


@MANY
@given(st.floats(-40, 40))
@example(0.0)
@example(-7.0)
@example(7.0)
def test_the_exponential_is_that_of_mpmath(x: float) -> None:
    assert arithmetic.exponential(x) == pytest.approx(float(mpmath.exp(x)), rel=5e-16)


@MANY
@given(st.floats(-12, 12))
@example(0.0)
def test_the_normal_distribution_is_that_of_mpmath(z: float) -> None:
    assert arithmetic.normal(z) == pytest.approx(float(mpmath.ncdf(z)), abs=1e-7)


@MANY
@given(st.integers(-(10**11), 5 * 10**12))
def test_the_kernel_knows_the_same_local_days(at: int) -> None:
    minutes = local_minutes(ZONE, at)
    assert local_days.local_minutes(ZONE, at) == minutes
    assert local_days.utc_ms(ZONE, minutes) == utc_ms(ZONE, minutes)


@pytest.mark.parametrize(
    ("begin", "end", "hour", "within"),
    [(22, 7, 22, True), (22, 7, 21, False), (22, 7, 6, True), (22, 7, 7, False), (8, 10, 8, True), (8, 10, 10, False)],
)
def test_hours_may_pass_midnight(begin: int, end: int, hour: int, *, within: bool) -> None:
    zone = np.array([[0, 0]], np.int64)
    assert local_days.within_hours(zone, hour * 3_600_000, begin * 60, end * 60) is within
