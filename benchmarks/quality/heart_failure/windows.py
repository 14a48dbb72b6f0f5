"""Causal windows over (patients, days): day t sees lags `first` to `last`, t - last to t - first, and nothing later."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Days = NDArray[np.float64]
"""(patients, days), NaN where there is nothing."""
Windows = NDArray[np.float64]
"""(patients, days, lags), oldest first."""


def trailing(values: Days, first: int, last: int) -> Windows:
    """Return each day's values at lags `first` to `last`, both inclusive; NaN before day 0."""
    patients, days = values.shape
    padded = np.concatenate([np.full((patients, last), np.nan), values], axis=1)
    return sliding_window_view(padded, last - first + 1, axis=1)[:, :days]


def count(windows: Windows) -> NDArray[np.int64]:
    """Return how many readings each window has."""
    return np.asarray(np.count_nonzero(np.isfinite(windows), axis=-1))


def mean(windows: Windows, at_least: int) -> Days:
    """Return the mean of each window's readings, NaN with fewer than `at_least`."""
    have = count(windows)
    return np.where(have >= at_least, np.nansum(windows, axis=-1) / np.maximum(have, 1), np.nan)


def median(windows: Windows, at_least: int) -> Days:
    """Return the median of each window's readings, NaN with fewer than `at_least`."""
    have = count(windows)
    ordered = np.sort(windows, axis=-1)  # NaN goes last
    upper = np.maximum(have // 2, 0)
    lower = np.maximum((have - 1) // 2, 0)
    middle = (_pick(ordered, lower) + _pick(ordered, np.minimum(upper, ordered.shape[-1] - 1))) / 2
    return np.where(have >= at_least, middle, np.nan)


def lowest(windows: Windows) -> Days:
    """Return the lowest reading of each window, NaN in an empty one."""
    low = np.min(np.where(np.isfinite(windows), windows, np.inf), axis=-1)
    return np.where(np.isfinite(low), low, np.nan)


def sum_of_squares(windows: Windows) -> Days:
    """Return the sum of squared distances from each window's mean, 0 in an empty one."""
    centre = mean(windows, 1)
    return np.asarray(np.nansum((windows - centre[..., None]) ** 2, axis=-1))


def exponential(values: Days, span: float) -> Days:
    """Return the average over readings with weight 2 / (span + 1) for the newest; a day without one keeps it."""
    weight = 2 / (span + 1)
    average = np.full(values.shape, np.nan)
    now = np.full(len(values), np.nan)
    for day in range(values.shape[1]):
        value = values[:, day]
        begun = np.where(np.isnan(now), value, now + weight * (value - now))
        now = np.where(np.isnan(value), now, begun)
        average[:, day] = now
    return average


def _pick(ordered: Windows, place: NDArray[np.int64]) -> Days:
    return np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0]
