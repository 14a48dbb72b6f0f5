"""How a quantity stands on a chart: in the unit of the patient's protocol, as the alerts' sentences write it.

Pure; what is drawn with it is the charts'.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerting.care_protocol import CareProtocol
from alerting.wording import Scale, about, amount, scale_of
from coordination.desk.pages import said
from devices.reading import Quantity, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """One quantity in the reader's unit: counts become places on an axis, and words."""

    scale: Scale

    @classmethod
    def of(cls, quantity: Quantity, protocol: CareProtocol | None) -> "Ruler":
        """Return how a protocol shows a quantity; in its canonical unit without one."""
        units: Mapping[Quantity, Unit] = {} if protocol is None else protocol.units
        return cls(scale=scale_of(quantity, units))

    @property
    def unit(self) -> str:
        """The unit alone."""
        return said(self.scale.many).strip()

    @property
    def step(self) -> float:
        """What one count is on the axis."""
        return float(self.scale.step)

    def place(self, count: float) -> float:
        """Return where a count stands on the axis."""
        return count * float(self.scale.step) + float(self.scale.zero)

    def places(self, counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where many counts stand, of the same shape."""
        return np.asarray(counts * float(self.scale.step) + float(self.scale.zero), np.float64)

    def words(self, count: int) -> str:
        """Return a measured count with its unit, as it is."""
        return said(amount(self.scale, count))

    def about(self, count: float) -> str:
        """Return a count that was worked out of others, rounded, with its unit."""
        return said(about(self.scale, round(count)))

    def bare(self, count: int) -> str:
        """Return a measured count without its unit."""
        return self.words(count).removesuffix(said(self.scale.many)).removesuffix(said(self.scale.one))

    def gain(self, count: int) -> str:
        """Return a difference with its sign and unit."""
        return said(amount(self.scale.differences, count, plus=True))
