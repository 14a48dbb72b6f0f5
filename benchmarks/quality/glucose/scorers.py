"""Reference forecasts of a low: one reading in, one risk out, in plain floats.

A scorer is a plain reading of its definition, slow and independent of the box's engine, which must agree with it. The
risk grows as a low comes nearer: minus the forecast in mg/dL, or a probability. A scorer knows the readings that it was
handed and nothing else; after a silence (`gap`) it starts afresh.
"""

import hashlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

HORIZON = 20.0
"""Minutes ahead."""
FEWEST = 3
"""Readings on a line."""


class Scorer(Protocol):
    """Streaming forecast of one patient."""

    def risk(self, minutes: float, value: float) -> float:
        """Take a reading (minutes since any fixed time, mg/dL) and return the risk."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a scorer is told beforehand: level in mg/dL, cadence and gap in minutes, and a seed."""

    level: float
    cadence: float
    gap: float
    seed: int = 0


class Always:
    """Alarms whenever it may."""

    def __init__(self, setting: Setting) -> None:
        del setting

    def risk(self, minutes: float, value: float) -> float:
        del minutes, value
        return 1.0


class Chance:
    """A number in [0, 1) drawn from the seed and the count of readings: knows nothing of glucose."""

    def __init__(self, setting: Setting) -> None:
        self._seed = setting.seed
        self._readings = 0

    def risk(self, minutes: float, value: float) -> float:
        del minutes, value
        self._readings += 1
        digest = hashlib.sha256(f"{self._seed}:{self._readings}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48


class Value:
    """The value itself: what a threshold above the level makes of it."""

    def __init__(self, setting: Setting) -> None:
        del setting

    def risk(self, minutes: float, value: float) -> float:
        del minutes
        return -value


class Linear:
    """A least-squares line through the last 15 min, read off 20 min ahead.

    None (minus infinity) with fewer than three readings, or when they span less than half of the window.
    """

    WINDOW = 15.0
    JITTER = 0.75

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._kept: deque[tuple[float, float]] = deque()

    def risk(self, minutes: float, value: float) -> float:
        if self._kept and minutes - self._kept[-1][0] > self._setting.gap:
            self._kept.clear()
        self._kept.append((minutes, value))
        window = self.WINDOW + self.JITTER
        while minutes - self._kept[0][0] > window:
            self._kept.popleft()
        if len(self._kept) < FEWEST or minutes - self._kept[0][0] < window / 2:
            return -math.inf
        lags = [time - minutes for time, _ in self._kept]
        middle, mean = math.fsum(lags) / len(lags), math.fsum(one for _, one in self._kept) / len(lags)
        spread = math.fsum((lag - middle) ** 2 for lag in lags)
        slope = (
            math.fsum((lag - middle) * (one - mean) for lag, (_, one) in zip(lags, self._kept, strict=True)) / spread
        )
        return -(mean + slope * (HORIZON - middle))


class Autoregressive:
    """Nightscout's AR2 on the logarithm, six 5-minute steps, the lowest of them (`lib/plugins/ar2.js`)."""

    STEPS = 6
    LAG = 5.0
    CENTRE = 140.0

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._kept: deque[tuple[float, float]] = deque()

    def risk(self, minutes: float, value: float) -> float:
        return -self.forecast(minutes, value)

    def forecast(self, minutes: float, value: float) -> float:
        """Take a reading and return the lowest value (mg/dL) of the next half hour."""
        if self._kept and minutes - self._kept[-1][0] > self._setting.gap:
            self._kept.clear()
        self._kept.append((minutes, value))
        current = math.log(value / self.CENTRE)
        before = math.log(self._lagged(minutes - self.LAG) / self.CENTRE)
        lowest = math.inf
        for _ in range(self.STEPS):
            current, before = 1.716 * current - 0.723 * before, current
            lowest = min(lowest, current)
        return self.CENTRE * math.exp(lowest)

    def _lagged(self, minutes: float) -> float:
        """Return the value at a past time, between the two readings around it, or the oldest kept after a start."""
        while len(self._kept) > 2 and self._kept[1][0] <= minutes:
            self._kept.popleft()
        (time, value), (next_time, next_value) = self._kept[0], self._kept[min(1, len(self._kept) - 1)]
        if minutes <= time:
            return value
        return value + (next_value - value) * (minutes - time) / (next_time - time)


class HoltWithAutoregressive:
    """The mean of AR2 and of a damped Holt forecast whose level is the reading itself."""

    DAMPING = 15.0
    KEPT = 0.8
    """Share of the trend that five minutes leave."""

    def __init__(self, setting: Setting) -> None:
        self._gap = setting.gap
        self._other = Autoregressive(setting)
        self._last: tuple[float, float] | None = None
        self._trend = 0.0

    def risk(self, minutes: float, value: float) -> float:
        if self._last is None or minutes - self._last[0] > self._gap:
            self._trend = 0.0
        else:
            step = minutes - self._last[0]
            gain = 1 - self.KEPT ** (step / 5)
            damped = math.exp(-step / self.DAMPING) * self._trend
            self._trend = (1 - gain) * damped + gain * (value - self._last[1]) / step
        self._last = (minutes, value)
        holt = value + self.DAMPING * (1 - math.exp(-HORIZON / self.DAMPING)) * self._trend
        return -(holt + self._other.forecast(minutes, value)) / 2


class Kalman:
    """Probability of being below the level within 20 min, by a filter of glucose and its decaying velocity."""

    DECAY = 20.0
    NOISE = 0.06

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._last: float | None = None
        self._x = self._v = 0.0
        self._p00 = self._p01 = self._p11 = self._r = 0.0

    def risk(self, minutes: float, value: float) -> float:
        if self._last is None or minutes - self._last > self._setting.gap:
            self._x, self._v = value, 0.0
            self._p00, self._p01, self._p11, self._r = 4.0, 0.0, 1.0, 4.0
        else:
            self._update(minutes - self._last, value)
        self._last = minutes
        return max(self._probability(HORIZON * part / 4) for part in range(1, 5))

    def _update(self, step: float, value: float) -> None:
        kept = math.exp(-step / self.DECAY)
        reach = self.DECAY * (1 - kept)
        self._x += reach * self._v
        self._v *= kept
        p00 = self._p00 + 2 * reach * self._p01 + reach**2 * self._p11 + self.NOISE * step**3 / 3
        p01 = kept * (self._p01 + reach * self._p11) + self.NOISE * step**2 / 2
        p11 = kept**2 * self._p11 + self.NOISE * step
        surprise = value - self._x
        seen = min(max(surprise**2 - p00, 0.0), 100.0)
        self._r = min(max(0.95 * self._r + 0.05 * seen, 1.0), 60.0)
        total = p00 + self._r
        self._x += p00 / total * surprise
        self._v += p01 / total * surprise
        self._p00 = (1 - p00 / total) * p00
        self._p01 = (1 - p00 / total) * p01
        self._p11 = p11 - p01 / total * p01

    def _probability(self, ahead: float) -> float:
        reach = self.DECAY * (1 - math.exp(-ahead / self.DECAY))
        spread = self._p00 + 2 * reach * self._p01 + reach**2 * self._p11 + self.NOISE * ahead**3 / 3 + self._r
        z = (self._setting.level - self._x - reach * self._v) / math.sqrt(spread)
        return 0.5 * math.erfc(-z / math.sqrt(2))


SCORERS: dict[str, Callable[[Setting], Scorer]] = {
    "always": Always,
    "random": Chance,
    "threshold": Value,
    "linear": Linear,
    "ar2": Autoregressive,
    "holt_ar2": HoltWithAutoregressive,
    "kalman": Kalman,
}


class Alarm:
    """When a risk alarms: at or over its threshold, never while low, and 30 min after the last one at the earliest.

    Low is below the level, or confirmed low (15 min) and not yet back for 15 min.
    """

    REFRACTORY = 30.0
    JITTER = 0.5

    def __init__(self, setting: Setting, thresholds: list[float]) -> None:
        self._setting = setting
        self._thresholds = thresholds
        self._last = [-math.inf] * len(thresholds)
        self._needed = math.ceil(15 / setting.cadence)
        self._seen = -math.inf
        self._below = self._back = 0
        self._confirmed = False

    def raised(self, minutes: float, value: float, risk: float) -> list[bool]:
        """Take a reading with its risk and return, for each threshold, whether it alarms now."""
        low = self._low(minutes, value)
        answers = []
        for place, threshold in enumerate(self._thresholds):
            due = minutes - self._last[place] >= self.REFRACTORY - self.JITTER
            answers.append(not low and due and risk >= threshold)
            if answers[-1]:
                self._last[place] = minutes
        return answers

    def _low(self, minutes: float, value: float) -> bool:
        if minutes - self._seen > self._setting.gap:
            self._below, self._back, self._confirmed = 0, 0, False
        self._seen = minutes
        if value < self._setting.level:
            self._below, self._back = self._below + 1, 0
            self._confirmed = self._confirmed or self._below >= self._needed
            return True
        self._below, self._back = 0, self._back + 1
        self._confirmed = self._confirmed and self._back < self._needed
        return self._confirmed
