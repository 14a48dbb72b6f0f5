"""The rules that the engine is measured with, and the traces: one glucose sensor, simulated, describing nobody.

Both protocols are files as a nurse has them, read by the engine's own reader. TWELVE asks for six columns of values
(level, rate, straight line, lowest of a day, exponential mean, sum of deviations), an absence and a composite. FOUR are
the rules that a table engine can say too: three levels and a rate, with persistence, hysteresis and silences.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerting.care_protocol import CareProtocol
from alerting.protocol_file import read_protocol
from benchmarks.population import START_MS, glucose

Words = NDArray[np.int64]

MINUTE = 60_000
YEAR_DAYS = 365
JITTER_MS = 2_000
"""A sensor is never on time to the millisecond; windows must not end at the same reading by chance."""

_HEAD = """
schema = 1
name = "measured"
version = 1
title = { fr = "Mesure", en = "Measured" }
[transmission]
not_transmitted_after = "6 h"
[quantities.glucose_interstitial]
cadence = "5 min"
gap = "45 min"
[sources]
none = "a benchmark, not a care protocol"
"""
_EACH = """
quantity = "glucose_interstitial"
priority = "low"
audience = "nurse"
title = { fr = "Mesure", en = "Measured" }
check = { fr = "rien", en = "nothing" }
sources = ["none"]
"""
_LEVELS = {
    "very_high": 'kind = "level"\nside = "at_least"\nthreshold = "250 mg/dL"\nend_threshold = "240 mg/dL"\n'
    'persist = "0 min"\nend_persist = "0 min"',
    "low": 'kind = "level"\nside = "at_most"\nthreshold = "70 mg/dL"\nend_threshold = "75 mg/dL"\n'
    'persist = "15 min"\nend_persist = "10 min"',
    "very_low": 'kind = "level"\nside = "at_most"\nthreshold = "54 mg/dL"\nend_threshold = "60 mg/dL"\n'
    'persist = "0 min"\nend_persist = "0 min"',
    "high": 'kind = "level"\nside = "at_least"\nthreshold = "180 mg/dL"\nend_threshold = "170 mg/dL"\n'
    'persist = "60 min"\nend_persist = "15 min"',
}
_TWELVE = _LEVELS | {
    "rising": 'kind = "rate"\ndirection = "rise"\nper_minute = "2 mg/dL"\nend_per_minute = "1.5 mg/dL"\n'
    'window = "15 min"',
    "falling": 'kind = "rate"\ndirection = "fall"\nper_minute = "2 mg/dL"\nend_per_minute = "1.5 mg/dL"\n'
    'window = "15 min"\npersist = "5 min"',
    "low_soon": 'kind = "forecast"\nmodel = "linear"\nside = "at_most"\nthreshold = "70 mg/dL"\n'
    'end_threshold = "80 mg/dL"\nhorizon = "20 min"\nwindow = "30 min"\nend_persist = "5 min"',
    "far_above_lowest": 'kind = "change"\ndirection = "rise"\ndelta = "200 mg/dL"\nend_delta = "150 mg/dL"\n'
    'window = "24 h"',
    "above_own_mean": 'kind = "baseline"\nstatistic = "ewma"\ndirection = "rise"\ndelta = "90 mg/dL"\n'
    'end_delta = "60 mg/dL"\nwindow = "3 days"\nmin_readings = 12',
    "long_above_own_mean": 'kind = "baseline"\nstatistic = "cusum"\ndirection = "rise"\ndelta = "900 mg/dL"\n'
    'end_delta = "300 mg/dL"\nwindow = "3 days"\nallowance = "25 mg/dL"\nmin_readings = 12',
    "absent": 'kind = "missing"\nexpected = "15 min"\ngrace = "15 min"',
    "high_and_rising": 'kind = "composite"\nof = ["high", "rising"]\nat_least = 2\nwindow = "5 min"',
}
_FOUR = {
    "very_high": _LEVELS["very_high"],
    "low": _LEVELS["low"].replace('end_persist = "10 min"', 'end_persist = "0 min"'),
    "high": _LEVELS["high"].replace('end_persist = "15 min"', 'end_persist = "0 min"'),
    "falling": 'kind = "rate"\ndirection = "fall"\nper_minute = "2 mg/dL"\nend_per_minute = "1.5 mg/dL"\n'
    'window = "15 min"',
}
FOUR_RULES = tuple(_FOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One sensor's readings: times in ms UTC, strictly increasing, and tenths of mg/dL."""

    times: Words
    counts: Words

    def __len__(self) -> int:
        return len(self.times)


def _protocol(rules: dict[str, str]) -> CareProtocol:
    body = "".join(f'\n[[rules]]\nid = "{name}"\n{text}\n{_EACH}' for name, text in rules.items())
    return read_protocol((_HEAD + body).encode(), name_hint="measured.toml")


def twelve() -> CareProtocol:
    """Return the protocol of twelve rules."""
    return _protocol(_TWELVE)


def four() -> CareProtocol:
    """Return the protocol of four rules, and the absence that every protocol must tell."""
    return _protocol(_FOUR | {"absent": 'kind = "missing"\nexpected = "30 days"\ngrace = "30 days"'})


def traces(patients: int, *, days: int = YEAR_DAYS, seed: int = 1) -> list[Trace]:
    """Return simulated sensors, one a patient; the same arguments give the same readings."""
    found = []
    for number in range(patients):
        random = np.random.default_rng((seed, number))
        times, values = glucose(days, random)
        times = times + START_MS + random.integers(-JITTER_MS, JITTER_MS, len(times))
        found.append(Trace(times=times, counts=(values * 10).astype(np.int64)))
    return found
