"""Staleness: from when on an alert rests on readings that were received in time to act on.

Readings may come hours after they were measured. An alert that they raise is true of then; it is true of now once a
reading that came in good time shows it still standing, and was not itself long past when the alert became known.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from alerting.care_protocol import CareProtocol
from alerting.life import RAISED_BY_TIME
from alerting.life_rules import fresh_for
from alerting.scheduled_rules import MissingRule
from alerting.told import Told
from devices.reading import Quantity, Reading


class Freshness:
    """Finds from when on alerts are fresh, under one protocol."""

    def __init__(self, protocol: CareProtocol) -> None:
        self.inputs = [rule.inputs for rule in protocol.rules]
        """The quantities of each rule."""
        self._of_time = [isinstance(rule, MissingRule) for rule in protocol.rules]
        self._within = {quantity: fresh_for(protocol, quantity) for quantity in Quantity}

    def find(self, alerts: Iterable[Told], readings: Sequence[Reading]) -> list[int]:
        """Set `fresh_at` of alerts from readings that were just judged; return the times (ms UTC) it moved from or to.

        Args:
            alerts: any; what rests on no reading, or tells of an absence, is fresh from when it was raised.
            readings: in canonical order, each judged once.
        """
        moved: list[int] = []
        times = [reading.measured_at for reading in readings]
        for told in alerts:
            if told.fresh_at == told.raised_at or told.settled is not None:
                continue
            found = self._fresh_at(told, readings, times)
            if found is not None and (told.fresh_at is None or found < told.fresh_at):
                moved += [found] if told.fresh_at is None else [found, told.fresh_at]
                told.fresh_at = found
        return moved

    def _fresh_at(self, told: Told, readings: Sequence[Reading], times: Sequence[int]) -> int | None:
        # Passing time is always of now: an absence, or what an absence completes.
        if told.place[1] == RAISED_BY_TIME or self._of_time[told.rule]:
            return told.raised_at
        known_at = max(kept.received_at for kept in told.evidence)
        if known_at <= told.raised_at + self._within[told.evidence[-1].quantity]:
            return told.raised_at
        for index in range(bisect_left(times, told.raised_at), len(readings)):
            reading = readings[index]
            if told.resolved_at is not None and reading.measured_at >= told.resolved_at:
                break
            within = reading.measured_at + self._within[reading.quantity]
            if reading.quantity in self.inputs[told.rule] and max(known_at, reading.received_at) <= within:
                return reading.measured_at
        return None
