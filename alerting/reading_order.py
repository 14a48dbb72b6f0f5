"""The canonical order of readings."""

from collections.abc import Iterable

from devices.reading import Quantity, Reading


def canonical(readings: Iterable[Reading]) -> list[Reading]:
    """Return readings in canonical order, each once."""
    seen: set[tuple[Quantity, str, str]] = set()
    ordered: list[Reading] = []
    for reading in sorted(readings, key=lambda one: one.order):
        identity = (reading.quantity, reading.device, reading.key)
        if identity not in seen:
            seen.add(identity)
            ordered.append(reading)
    return ordered
