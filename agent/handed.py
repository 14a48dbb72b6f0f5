"""What is handed over to be judged, once it is safe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.settings import Watched
from agent.store_reader import Kept
from devices.source import Batch, DeviceEvent


@dataclass(frozen=True, slots=True)
class Handed:
    """Batches that are safe, the new readings among them by patient, and what happened to the box as a whole."""

    batches: tuple[tuple[Watched, Batch], ...]
    kept: Mapping[str, Sequence[Kept]]
    of_box: tuple[DeviceEvent, ...] = ()
