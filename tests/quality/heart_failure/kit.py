"""Small cohorts: simulated ones, and one written by hand."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from benchmarks.quality.heart_failure.cohort import Cohort, pooled, simulate
from benchmarks.quality.heart_failure.parameters import SHIPPED, Parameters

NOBODY = float("nan")


@cache
def people(parameters: Parameters = SHIPPED) -> Cohort:
    """600 people of four seeds."""
    return pooled((701, 702, 703, 704), patients=150, parameters=parameters)


@cache
def few(seed: int = 1) -> Cohort:
    return simulate(patients=40, seed=seed)


def written(
    *,
    weight: Sequence[Sequence[float]] | None = None,
    patients: int = 1,
    days: int = 100,
    events: Sequence[tuple[int, int]] = (),
    stay: int = 5,
) -> Cohort:
    """A cohort made here: `weight` in kg or nobody weighed, events as (patient, day), in hospital from then on."""
    kilograms = np.full((patients, days), NOBODY) if weight is None else np.array(weight, dtype=float)
    in_hospital = np.zeros(kilograms.shape, dtype=bool)
    for patient, day in events:
        in_hospital[patient, day : day + stay] = True
    nothing = np.full(kilograms.shape, NOBODY)
    return Cohort(
        weight=kilograms,
        heart_rate=nothing,
        systolic=nothing,
        spo2=nothing,
        in_hospital=in_hospital,
        in_the_evening=np.zeros(kilograms.shape, dtype=bool),
        event_patient=np.array([patient for patient, _ in events], dtype=np.int64),
        event_day=np.array([day for _, day in events], dtype=np.int64),
        event_course=np.zeros(len(events), dtype=np.int64),
        parameters=SHIPPED,
        seeds=(0,),
    )
