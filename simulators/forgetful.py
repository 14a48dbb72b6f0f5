"""What devices forget when the box is killed: no loss of the box, and to be told from one.

A Bluetooth stack confirms an indication before the box has kept it, and a scale or cuff forgets what was confirmed
(docs/hazards.md): one measurement at most for each time that the box was killed with it linked. A device that keeps its
records until it is asked to delete them loses none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from simulators.account import TakenReading
from simulators.household import read_household
from simulators.processes import Event
from simulators.world import HOUSEHOLD

KEEPS = {device.address for device in read_household(HOUSEHOLD).devices if device.kind in {"cgm", "glucose_meter"}}
"""Devices that keep their records, and so can be asked again."""


class Links:
    """Which devices have their link to the box, as the home says."""

    def __init__(self) -> None:
        self.cut: Counter[str] = Counter()
        """How often the box was killed while a device had its link, by device."""
        self._now: set[str] = set()

    def hear(self, origin: str, event: Event) -> None:
        """Take up what a process says."""
        match origin, event:
            case "home", {"event": "connected", "device": str(device)}:
                self._now.add(device)
            case "home", {"event": "disconnected", "device": str(device)}:
                self._now.discard(device)

    def box_is_killed(self) -> None:
        """Count the links that a kill cuts, right before it."""
        self.cut.update(self._now)


def forgotten(missing: Iterable[TakenReading], cut: Mapping[str, int]) -> set[tuple[str, int]]:
    """Return the lost measurements, (device, ms UTC), that their own device may have forgotten.

    Args:
        missing: what was taken and is not there.
        cut: how often the box was killed while a device had its link, by device.
    """
    lost = {(device, at) for device, _, at, _ in missing}
    of = Counter(device for device, _ in lost)
    return {(device, at) for device, at in lost if device not in KEEPS and of[device] <= cut.get(device, 0)}
