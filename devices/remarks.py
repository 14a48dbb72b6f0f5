"""What is noticed about a device during one connection: each thing is said once, then counted."""

from collections import Counter

from devices.source import DeviceEvent, DeviceEventKind


class Remarks:
    """Turns repeated facts into one event and, at the end, a count."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._said: Counter[tuple[DeviceEventKind, str]] = Counter()

    def note(self, kind: DeviceEventKind, detail: str, at: int) -> tuple[DeviceEvent, ...]:
        """Return the event that says this fact, or nothing when it was said before.

        Args:
            kind: what was noticed.
            detail: plain English clause without any measured value.
            at: ms UTC.
        """
        self._said[kind, detail] += 1
        if self._said[kind, detail] > 1:
            return ()
        return (DeviceEvent(kind=kind, device=self._device, at=at, detail=detail),)

    def counts(self, at: int) -> tuple[DeviceEvent, ...]:
        """Return one event for each fact that came again after it was said, with how often, and start afresh."""
        events = tuple(
            DeviceEvent(kind=kind, device=self._device, at=at, detail=f"{detail} ({times - 1} more)")
            for (kind, detail), times in self._said.items()
            if times > 1
        )
        self._said.clear()
        return events
