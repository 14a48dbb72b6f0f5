"""Kept: what an alert shows of a reading, and what a stream keeps of it."""

from msgspec import Struct

from devices.reading import Quantity


class Kept(Struct, array_like=True, frozen=True, gc=False):
    """What an alert shows of a reading; times in ms UTC, value in quanta, `quality` as bits."""

    measured_at: int
    count: int
    received_at: int
    device: str
    key: str
    quantity: Quantity
    quality: int
