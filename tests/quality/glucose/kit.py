"""Made-up traces for the tests of how alerts are scored."""

import math

from benchmarks.quality.glucose.traces import MINUTE, Trace

BEGUN = 1_700_000_100_000


def wave(patient: str = "made-1", readings: int = 120, step: int = 5) -> Trace:
    """Glucose that swings from about 200 to about 50 mg/dL in four hours, made here."""
    counts = tuple(
        round(1250 + 760 * math.cos(index * step / 240 * math.tau) + 37 * math.sin(7.3 * index))
        for index in range(readings)
    )
    return trace(counts, patient=patient, step=step)


def trace(counts: tuple[int, ...], patient: str = "made-1", step: int = 5) -> Trace:
    """A reading every `step` minutes, in quanta."""
    times = tuple(BEGUN + index * step * MINUTE for index in range(len(counts)))
    return Trace(patient=patient, times=times, counts=counts, cadence=step * MINUTE)
