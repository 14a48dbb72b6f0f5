"""Whose reading it is: decided for all readings of one record together, and never guessed.

- A record is somebody's only when the device was theirs at the time it was measured.
- Where a device tells its users apart, its index decides, and nothing else does.
- Where it does not, one person's weight range must hold the weight; a record of body fat follows the weight of its
  moment.
- A record without a time may have lain in the device's memory since anybody. It counts only some minutes after the
  box first met the device in its present hands, when what was stored has come; then it is of its arrival.
- What cannot be decided is nobody's: kept, sent, never judged, and told; a weight outside all ranges in words of its
  own, for it may be the very change that somebody is watched for.

Not here: keeping and sending (pipeline), and whether the assignments make sense (assignments).
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from agent.settings import Assignment, Patient, Watched
from devices.reading import ClockTrust, Quantity, Reading, Validity

LIVE_MS: Final = 600_000
"""What a device had stored comes within this time of meeting it; an undated record that comes later is new."""
_MOMENTS: Final = 256
"""Moments of one device whose weight is remembered, for a record of body fat that comes after it."""

_Moment = tuple[int, str, int | None]


def attribute(
    device: Watched, readings: Sequence[Reading], *, met_before: bool, weights: frozenset[int] = frozenset()
) -> Patient | None:
    """Return whose the readings of one record are, None when nobody can say.

    Args:
        device: what gave them, and the people it was given to.
        readings: all readings of one record; at least one.
        met_before: whether the device was met before, so that an undated record is of now.
        weights: counts of the valid weights of the same moment, for a record that has none of its own.
    """
    first = readings[0]
    if first.clock is ClockTrust.UNKNOWN and not met_before:
        return None
    candidates = device.assigned(moment_ms(first))
    if any(person.user is not None for person in candidates):
        matching = [person for person in candidates if person.user is not None and person.user == user_of(readings)]
    elif len(candidates) == 1 and candidates[0].weight is None:
        matching = list(candidates)
    else:
        matching = _by_weight(candidates, weights_of(readings) or weights)
    return matching[0].patient if len(matching) == 1 else None


def moment_ms(reading: Reading) -> int:
    """Return the time (ms UTC) by which a reading is somebody's: measured, or of its arrival when it has none."""
    return reading.received_at if reading.clock is ClockTrust.UNKNOWN else reading.measured_at


def user_of(readings: Sequence[Reading]) -> int | None:
    """Return the one user whom the device named for a record; None when it named nobody, or several."""
    users = {reading.provenance.user for reading in readings}
    return users.pop() if len(users) == 1 else None


def weights_of(readings: Sequence[Reading]) -> frozenset[int]:
    """Return the counts of the weights that may be relied on among the readings."""
    return frozenset(
        reading.count
        for reading in readings
        if reading.quantity is Quantity.BODY_WEIGHT and reading.validity is Validity.VALID
    )


def out_of_range(device: Watched, reading: Reading) -> bool:
    """Return whether a reading is a weight outside everybody's range: a guest's, or just the change to be seen."""
    weight = weights_of([reading])
    candidates = device.assigned(moment_ms(reading))
    by_weight = any(person.weight is not None and person.user is None for person in candidates)
    return bool(weight) and by_weight and not _by_weight(candidates, weight)


def _by_weight(candidates: Sequence[Assignment], weights: frozenset[int]) -> list[Assignment]:
    """Return those whose range holds every one of the weights; nobody when there is no weight."""
    if not weights:
        return []
    return [
        person
        for person in candidates
        if person.weight is not None and all(person.weight[0] <= weight <= person.weight[1] for weight in weights)
    ]


class Attribution:
    """Whose the records of one device are, as they come; remembers when it was met, and the weights of its moments."""

    def __init__(self, device: Watched, *, met_at: int | None) -> None:
        """Begin.

        Args:
            device: what gives the records.
            met_at: ms UTC at which its newest kept reading was received; None: none is kept.
        """
        self._device = device
        self._met_at = met_at
        # A device that was known when the box started has given what it stored.
        self._new_from = met_at
        self._weights: OrderedDict[_Moment, frozenset[int]] = OrderedDict()

    def owners(self, readings: Sequence[Reading]) -> list[Patient | None]:
        """Return whose each of the next readings is, in their order; those of one record stand together."""
        records = [list(group) for _, group in groupby(readings, key=lambda reading: reading.key)]
        for record in records:
            self._remember_weights(record)
        owners: list[Patient | None] = []
        for record in records:
            owner = attribute(
                self._device,
                record,
                met_before=self._met_before(record[0].received_at),
                weights=self._weights.get(_moment(record), frozenset()),
            )
            owners += [owner] * len(record)
        return owners

    def _remember_weights(self, record: Sequence[Reading]) -> None:
        if weights := weights_of(record):
            moment = _moment(record)
            self._weights[moment] = self._weights.get(moment, frozenset()) | weights
            self._weights.move_to_end(moment)
            if len(self._weights) > _MOMENTS:
                self._weights.popitem(last=False)

    def _met_before(self, at: int) -> bool:
        """Return whether a record that arrives at `at` (ms UTC) is too late to have been stored; note its arrival."""
        handed_on_at = max((person.given_on for person in self._device.people if person.given_on <= at), default=at)
        if self._met_at is None or self._new_from is None or self._met_at < handed_on_at:
            self._met_at, self._new_from = at, at + LIVE_MS
        return at >= self._new_from


def _moment(record: Sequence[Reading]) -> _Moment:
    # Undated records are of one moment only when they are one record.
    key = record[0].key if record[0].clock is ClockTrust.UNKNOWN else ""
    return moment_ms(record[0]), key, user_of(record)
