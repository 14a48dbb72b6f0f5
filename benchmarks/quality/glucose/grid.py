"""Episodes as the R package iglu finds them (`episode_calculation`), written again from its definition.

The readings are interpolated linearly on a grid of one cadence, aligned to midnight; where two readings lie more than
45 min apart nothing is interpolated, and the trace is split. An episode begins with the first of at least
ceil(15 min / cadence) consecutive points strictly beyond the threshold, and ends before the first of as many points
that are not. What a split cuts off ends with the last point before it.

It looks back: a point of the grid is known only once the reading after it is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.quality.glucose.traces import MINUTE, Trace

LASTING = 15 * MINUTE
BRIDGED = 45 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """An episode of one person, ms UTC: its first and its last point."""

    patient: str
    start: int
    end: int


def episodes(trace: Trace, *, threshold: float, low: bool) -> tuple[Span, ...]:
    """Return the episodes below (`low`) or above a threshold in mg/dL."""
    found: list[Span] = []
    for part in _parts(trace):
        for first, last in _runs([value < threshold if low else value > threshold for _, value in part], trace.cadence):
            found.append(Span(patient=trace.patient, start=part[first][0], end=part[last][0]))
    return tuple(found)


def _parts(trace: Trace) -> Iterator[list[tuple[int, float]]]:
    """Yield the grid points between two splits, with their values."""
    part: list[tuple[int, float]] = []
    for (time, value), (next_time, next_value) in pairwise(zip(trace.times, trace.values, strict=True)):
        points = range(-(-time // trace.cadence) * trace.cadence, next_time, trace.cadence)
        if next_time - time <= BRIDGED:
            slope = (next_value - value) / (next_time - time)
            part.extend((point, value + slope * (point - time)) for point in points)
            continue
        if points and points[0] == time:
            part.append((time, value))
        if len(points) > (1 if points and points[0] == time else 0):
            yield part
            part = []
    if trace.times[-1] % trace.cadence == 0:
        part.append((trace.times[-1], trace.values[-1]))
    yield part


def _runs(beyond: list[bool], cadence: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last index of each episode."""
    needed = -(-LASTING // cadence)
    standing: int | None = None
    run = 0
    for index, one in enumerate(beyond):
        run = run + 1 if index and one == beyond[index - 1] else 1
        if one and standing is None and run >= needed:
            standing = index - run + 1
        elif not one and standing is not None and run >= needed:
            yield standing, index - run
            standing = None
    if standing is not None:
        yield standing, len(beyond) - 1
