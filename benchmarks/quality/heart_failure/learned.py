"""The two detectors that scikit-learn fits: what a plain and a rich model make of the same readings.

Boosting is a bound, not a proposal: it is fitted to thousands of people of the very kind that it is scored on, which no
patient's box will ever have, and nobody could tell a nurse why it alerts.

scikit-learn comes with the extra `peers` and is imported here only, when a model is fitted.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.heart_failure.cohort import Cohort
from benchmarks.quality.heart_failure.detectors import Detector, Signals
from benchmarks.quality.heart_failure.outcomes import SEEN, before_events
from benchmarks.quality.heart_failure.windows import Days, exponential

_BEGINS = 20
"""Day from which on a patient's own past tells something."""
_QUIET_DAYS_KEPT = 0.25
_FORGET_DISCHARGE = 30.0

Design = NDArray[np.float32]
"""(days of patients, features)."""


class _Model(Protocol):
    """What both models answer with: the log-odds of an admission within a fortnight."""

    def decision_function(self, design: Design) -> NDArray[np.float64]: ...


def logistic(people: Cohort, seen: Signals, *, seed: int) -> Detector:
    """Return a logistic regression on about 20 features, fitted to these people."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - an extra that only this row needs
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=300))
    model.fit(*_examples(people, _plain(seen), seed))
    return lambda other: _decide(model, _plain(other))


def boosting(people: Cohort, seen: Signals, *, seed: int) -> Detector:
    """Return gradient-boosted trees on the same features, their past and their averages, fitted to these people."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - an extra that only this row needs

    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=300,
        l2_regularization=20,
        early_stopping=False,
        random_state=seed,
    )
    model.fit(*_examples(people, _rich(seen), seed))
    return lambda other: _decide(model, _rich(other))


def without_discharge(seen: Signals) -> Signals:
    """Return the same signals of people of whom no discharge is known."""
    return replace(seen, since_discharge=np.full_like(seen.since_discharge, 999.0))


def _examples(people: Cohort, design: Design, seed: int) -> tuple[Design, NDArray[np.bool_]]:
    """Return the days at home, all of a fortnight before an admission and some of the others, with which they are."""
    before = before_events(people, SEEN)
    kept = people.at_home & (before | (np.random.default_rng(seed).random(before.shape) < _QUIET_DAYS_KEPT))
    kept[:, :_BEGINS] = False
    return design[kept], before[kept]


def _decide(model: _Model, design: Design) -> Days:
    patients, days, features = design.shape
    return model.decision_function(design.reshape(-1, features)).reshape(patients, days)


def _plain(seen: Signals) -> Design:
    macd, weight, fast, pale = (
        _within(one) for one in (seen.macd_z, seen.weight_z3, seen.heart_rate_z3, -seen.spo2_z3)
    )
    features = [
        macd,
        np.maximum(macd, 0),
        np.maximum(_within(seen.macd_z, 9) - 2, 0),
        np.maximum(_within(seen.macd_z, 9) - 3.5, 0),
        weight,
        np.maximum(weight, 0),
        fast,
        np.maximum(fast, 0),
        pale,
        np.maximum(pale, 0),
        _within(seen.systolic_z3),
        np.abs(_within(seen.systolic_z3)),
        _within(seen.weight_z7),
        _within(seen.heart_rate_z7),
        _within(-seen.spo2_z7),
        np.abs(_within(seen.systolic_z7)),
        np.maximum(weight, 0) * np.maximum(fast, 0),
        np.maximum(fast, 0) * np.maximum(pale, 0),
        seen.absent,
        np.exp(-seen.since_discharge / _FORGET_DISCHARGE),
    ]
    return np.stack(features, axis=-1).astype(np.float32)


def _rich(seen: Signals) -> Design:
    daily = (seen.weight_z, seen.heart_rate_z, seen.systolic_z, seen.spo2_z, seen.macd_z)
    weekly = (seen.weight_z3, seen.heart_rate_z3, seen.systolic_z3, seen.spo2_z3, seen.macd_z)
    features = [*daily, *weekly[:4], seen.weight_z7, seen.heart_rate_z7, seen.systolic_z7, seen.spo2_z7]
    features += [_earlier(one, days) for one in weekly for days in (3, 7, 14)]
    features += [exponential(_within(one), 12) for one in daily]
    features += [_earlier(seen.absent, 4)]
    return np.concatenate([_plain(seen), np.stack(features, axis=-1).astype(np.float32)], axis=-1)


def _within(values: Days, high: float = 5.0) -> Days:
    return np.clip(np.nan_to_num(values), -4, high)


def _earlier(values: Days, days: int) -> Days:
    earlier = np.full(values.shape, np.nan)
    earlier[:, days:] = values[:, :-days]
    return earlier
