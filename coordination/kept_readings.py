"""Rows of `observation` as the readings that boxes judge by."""

from collections.abc import Sequence
from typing import Any

from devices.reading import ClockTrust, Provenance, Quality, Quantity, Reading, Unit, Validity

COLUMNS = (
    "quantity, count, validity, t, clock, received_at, device.name, key, quality, source,"
    " device_value, device_unit, frame"
)
"""What `reading_of` reads, of `observation JOIN device`."""


def reading_of(row: Sequence[Any]) -> Reading:
    """Return the reading of a row of `COLUMNS`."""
    quantity, count, validity, at, clock, came, device, key, quality, source, value, unit, frame = row
    return Reading(
        quantity=Quantity(quantity),
        count=count,
        validity=Validity(validity),
        measured_at=at,
        clock=ClockTrust(clock),
        received_at=came,
        device=device,
        key=key,
        quality=Quality(quality),
        provenance=Provenance(source=source, value=value, unit=Unit(unit), frame=frame),
    )
