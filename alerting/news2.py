"""NEWS2's chart (Royal College of Physicians, 2017) as it is read to a nurse: which input gives which points.

What is not here: judging a score, which the kernel does from the same chart. A sentence names points only where they
add up to what was judged.
"""

from bisect import bisect_right

from devices.reading import Quantity

OXYGEN_POINTS = 2
"""For a patient who breathes supplemental oxygen."""

_QUANTA_A_STEP = 10
"""The chart counts whole %, mmHg and beats, and tenths of a degree."""

_Bands = tuple[tuple[int, ...], tuple[int, ...]]
"""From which step of the chart on the next points hold, and the points."""

_CHART: dict[Quantity, _Bands] = {
    Quantity.BLOOD_PRESSURE_SYSTOLIC: ((91, 101, 111, 220), (3, 2, 1, 0, 3)),
    Quantity.PULSE_RATE: ((41, 51, 91, 111, 131), (3, 1, 0, 1, 2, 3)),
    Quantity.HEART_RATE: ((41, 51, 91, 111, 131), (3, 1, 0, 1, 2, 3)),
    Quantity.BODY_TEMPERATURE: ((351, 361, 381, 391), (3, 1, 0, 1, 2)),
    Quantity.RESPIRATORY_RATE: ((9, 12, 21, 25), (3, 1, 0, 2, 3)),
}
_SATURATION: _Bands = ((92, 94, 96), (3, 2, 1, 0))
_SATURATION_2_AIR: _Bands = ((84, 86, 88), (3, 2, 1, 0))
_SATURATION_2_OXYGEN: _Bands = ((84, 86, 88, 93, 95, 97), (3, 2, 1, 0, 1, 2, 3))


def points(quantity: Quantity, count: int, *, scale: int, oxygen: bool) -> int:
    """Return the points of one input.

    Args:
        quantity: one of `alerting.scheduled_rules.NEWS2_QUANTITIES`.
        count: in quanta, rounded to the chart's step, halves upwards.
        scale: 1 or 2, of saturation.
        oxygen: whether the patient breathes supplemental oxygen.
    """
    if quantity is Quantity.SPO2:
        on_two = _SATURATION_2_OXYGEN if oxygen else _SATURATION_2_AIR
        edges, given = _SATURATION if scale == 1 else on_two
    else:
        edges, given = _CHART[quantity]
    return given[bisect_right(edges, (count + _QUANTA_A_STEP // 2) // _QUANTA_A_STEP)]
