"""History: one patient's readings as columns of integers, for what looks at many of them at once.

Rules of this room:

- Rows are in canonical order, each once, as `alerting.reading_order` has it.
- What a recording holds comes from the device "file"; a reading's key is its time and value.

What is not here: where a history comes from (recordings), and judging (backtest).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.reading import (
    JUDGED,
    ClockTrust,
    Provenance,
    Quality,
    Quantity,
    Reading,
    Unit,
    Validity,
    facts,
    plausible,
    to_value,
)

DEVICE = "file"
QUANTITIES = tuple(sorted(Quantity, key=lambda quantity: quantity.value))
"""A quantity's place here is its code; codes are in canonical order."""
CODES = {quantity: code for code, quantity in enumerate(QUANTITIES)}

_LOW = np.array([facts(quantity).low for quantity in QUANTITIES], np.int64)
_HIGH = np.array([facts(quantity).high for quantity in QUANTITIES], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """The readings of one patient; the four columns have one length.

    Attributes:
        patient: pseudonym.
        times: int64, ms UTC.
        quantities: int8, places in `QUANTITIES`.
        counts: int64, in quanta.
        judged: bool, whether a threshold may judge it.
    """

    patient: str
    times: NDArray[np.int64]
    quantities: NDArray[np.int8]
    counts: NDArray[np.int64]
    judged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def recorded(
        cls, patient: str, times: NDArray[np.int64], quantities: NDArray[np.int8], counts: NDArray[np.int64]
    ) -> "History":
        """Return the history of rows in any order and with repeats; what no living patient has is not judged."""
        if not (times[1:] > times[:-1]).all():
            times, quantities, counts = _canonical(times, quantities, counts)
        judged = (counts >= _LOW[quantities]) & (counts <= _HIGH[quantities])
        return cls(patient=patient, times=times, quantities=quantities, counts=counts, judged=judged)

    @classmethod
    def of(cls, patient: str, readings: Sequence[Reading]) -> "History":
        """Return the history of readings in canonical order, each once."""
        total = len(readings)
        return cls(
            patient=patient,
            times=np.fromiter((one.measured_at for one in readings), np.int64, total),
            quantities=np.fromiter((CODES[one.quantity] for one in readings), np.int8, total),
            counts=np.fromiter((one.count for one in readings), np.int64, total),
            judged=np.fromiter((one.validity in JUDGED for one in readings), np.bool_, total),
        )

    def until(self, last: int | None) -> "History":
        """Return what was measured up to `last` (ms UTC, inclusive); all of it when that is None."""
        if last is None:
            return self
        end = int(np.searchsorted(self.times, last, side="right"))
        return History(
            patient=self.patient,
            times=self.times[:end],
            quantities=self.quantities[:end],
            counts=self.counts[:end],
            judged=self.judged[:end],
        )

    def readings(self) -> list[Reading]:
        """Return the rows as readings of a file, in canonical order."""
        rows = zip(self.times.tolist(), self.quantities.tolist(), self.counts.tolist(), strict=True)
        return [
            file_reading(QUANTITIES[code], count, at, said=str(to_value(QUANTITIES[code], count)))
            for at, code, count in rows
        ]


def file_reading(quantity: Quantity, count: int, at: int, *, said: str, unit: Unit | None = None) -> Reading:
    """Return a reading as a recording has it: kept as INVALID when no living patient has such a value.

    Args:
        quantity: what was measured.
        count: quanta.
        at: ms UTC.
        said: the value as the file says it.
        unit: the file's unit; the canonical one when left out.
    """
    possible = plausible(quantity, count)
    return Reading(
        quantity=quantity,
        count=count,
        validity=Validity.VALID if possible else Validity.INVALID,
        measured_at=at,
        clock=ClockTrust.TRUSTED,
        received_at=at,
        device=DEVICE,
        key=f"{at}:{count}",
        quality=Quality.NONE if possible else Quality.IMPLAUSIBLE,
        provenance=Provenance(source="file", value=said, unit=unit or facts(quantity).unit),
    )


def _canonical(
    times: NDArray[np.int64], quantities: NDArray[np.int8], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int64]]:
    order = np.lexsort((counts, quantities, times))
    times, quantities, counts = times[order], quantities[order], counts[order]
    together = (times[1:] == times[:-1]) & (quantities[1:] == quantities[:-1])
    fresh = np.concatenate(([True], ~(together & (counts[1:] == counts[:-1]))))
    times, quantities, counts = times[fresh], quantities[fresh], counts[fresh]
    if (fresh[1:] & together).any():
        # Keys, which then decide, are compared as text.
        order = np.lexsort((np.array([str(count) for count in counts.tolist()]), quantities, times))
        times, quantities, counts = times[order], quantities[order], counts[order]
    return times, quantities, counts
