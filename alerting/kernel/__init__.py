"""The compiled functions: rules over readings, on flat arrays of int64. Only this package knows Numba.

`alerting.layout` says where each number lies. Every function writes only the arrays that it is given; nothing here
knows a clock or a patient. Integers are exact; where a float is needed (forecasts, deviations) it is made with
+ - * / and the square root alone, in one order, so that every machine gives the same bits (never fastmath).
Run with NUMBA_DISABLE_JIT=1 the same source is plain Python.

- `arithmetic`: quotients, logarithm, exponential, normal distribution.
- `windows`, `memories`, `forecasts`, `scores`: features, a column of values for a block of readings.
- `features`: which function works out which.
- `machine`: hysteresis and persistence of one rule over such a column. `absences`: what passing time raises.
  `composites`: rules made of other rules.
- `judging`: the walk of readings through all of it.
"""

from alerting.kernel.judging import EXPORTS, advance, judge, next_deadline

__all__ = ["EXPORTS", "advance", "judge", "next_deadline"]
