"""A patient's readings out of the database, by quantity, as columns that charts and tables are made of."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coordination.desk.models import Observation, Patient
from devices.reading import Quantity, Validity, facts

_SHOWN = (Validity.VALID.value, Validity.QUESTIONABLE.value)
"""What a line may go through; a sensor that calibrates or is beyond its range has measured nothing."""
MOST = 200_000
"""Readings of one quantity on one page; 90 days of a glucose sensor are 26 000."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """The readings of one quantity, by time.

    Attributes:
        times: shape (n,): ms UTC, increasing, when measured.
        values: shape (n,): in the canonical unit.
        counts: shape (n,): in quanta.
    """

    quantity: Quantity
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, quantity: Quantity, rows: list[tuple[int, int]]) -> Self:
        """Return the series of (time, count), each once."""
        table = np.array(sorted(set(rows)), np.int64).reshape(-1, 2)
        return cls(
            quantity=quantity,
            times=table[:, 0],
            counts=table[:, 1],
            values=np.asarray(table[:, 1] * float(facts(quantity).quantum), np.float64),
        )

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times)

    def since(self, begin: int) -> "Series":
        """Return those from `begin` on (ms UTC, included)."""
        first = int(np.searchsorted(self.times, begin))
        return Series(
            quantity=self.quantity,
            times=self.times[first:],
            values=self.values[first:],
            counts=self.counts[first:],
        )

    @property
    def cadence(self) -> float:
        """The usual time between two, ms; 0 with fewer than two."""
        return float(np.median(np.diff(self.times))) if len(self) > 1 else 0.0

    def points(self) -> list[tuple[float, float]]:
        """Return (time, value)."""
        return list(zip(self.times.tolist(), self.values.tolist(), strict=True))


def readings_of(patient: Patient, *, begin: int, end: int) -> dict[Quantity, Series]:
    """Return the readings measured from `begin` to `end` (ms UTC, both included), for each quantity that has any."""
    rows = (
        Observation.objects.filter(patient=patient, t__gte=begin, t__lte=end, validity__in=_SHOWN)
        .order_by("-t")
        .values_list("quantity", "t", "count")[:MOST]
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for quantity, at, count in rows:
        found.setdefault(quantity, []).append((at, count))
    return {Quantity(name): Series.of(Quantity(name), pairs) for name, pairs in found.items()}
