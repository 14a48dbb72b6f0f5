"""From a device's number to a Reading: the rules that every driver shares.

- A special value is never a number: NaN, NRes and reserved are INVALID with count 0; an infinity is OVERFLOW or
  UNDERFLOW, judged at the quantity's plausible limit.
- A device that says "lower than I can measure" in its status, and no number, is heard: UNDERFLOW, and OVERFLOW alike.
- A number that a living person cannot have is INVALID and IMPLAUSIBLE; its count is kept as converted, as far as
  counts reach.
- Of several doubts about one value the gravest is its validity.
- What a device says is kept no longer than a message can carry it: one absurd frame must not hold up all after it.
"""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Final

from devices.driver import FrameContext
from devices.medfloat import MedFloat, Special
from devices.reading import Provenance, Quality, Quantity, Reading, Unit, Validity, facts, plausible, to_counts
from devices.wall_clock import Moment

_GRAVITY = (
    Validity.VALID,
    Validity.UNDERFLOW,
    Validity.OVERFLOW,
    Validity.QUESTIONABLE,
    Validity.CALIBRATING,
    Validity.INVALID,
)
"""From the least to the gravest."""

_OF_SPECIAL = {
    Special.NAN: Validity.INVALID,
    Special.NRES: Validity.INVALID,
    Special.RESERVED: Validity.INVALID,
    Special.POSITIVE_INFINITY: Validity.OVERFLOW,
    Special.NEGATIVE_INFINITY: Validity.UNDERFLOW,
}

_OUT_OF_RANGE: Final = frozenset({Validity.UNDERFLOW, Validity.OVERFLOW})

_LARGEST_COUNT: Final = 2**53
"""In either direction, inclusive: what every reader of a message can hold."""

_LONGEST_VALUE: Final = 64
"""Characters of a number written out; a longer one is written with its exponent."""

_LONGEST_FRAME: Final = 512
"""Bytes of a record that are kept: as many as one value of a characteristic can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all readings of one record share.

    Attributes:
        context: device, arrival, zone.
        moment: when it was measured.
        key: record key.
        frame: the raw bytes of the record.
        user: which of its users the device thinks this was; None when it does not say or does not know.
        site: where on the body it was measured; None when unsaid.
    """

    context: FrameContext
    moment: Moment
    key: str
    frame: bytes
    user: int | None = None
    site: str | None = None


def dated_key(frame: bytes, at_ms: int) -> str:
    """Return the key of a record that is known by its time (ms UTC) and its bytes only."""
    return f"{at_ms}:{sha256(frame).hexdigest()[:16]}"


def reading_of(
    quantity: Quantity,
    said: MedFloat | None,
    unit: Unit,
    origin: Origin,
    *,
    validity: Validity = Validity.VALID,
    quality: Quality = Quality.NONE,
) -> Reading:
    """Return the Reading of one value that a device said.

    Args:
        quantity: what was measured.
        said: the device's number or special value; None when it says that it could not measure.
        unit: the device's unit.
        origin: the record that it comes from.
        validity: what the device's status says about it.
        quality: facts about how it was measured.
    """
    limits = facts(quantity)
    of_number = _validity_of(said)
    if of_number is Validity.INVALID and validity in _OUT_OF_RANGE:
        of_number = validity
    gravest = max(validity, of_number, key=_GRAVITY.index)
    if Validity.OVERFLOW in (gravest, of_number):
        count = limits.high
    elif Validity.UNDERFLOW in (gravest, of_number):
        count = limits.low
    elif said is None or isinstance(said, Special):
        count = 0
    else:
        count = max(-_LARGEST_COUNT, min(to_counts(quantity, said, unit), _LARGEST_COUNT))
        if not plausible(quantity, count):
            gravest, quality = Validity.INVALID, quality | Quality.IMPLAUSIBLE
    return Reading(
        quantity=quantity,
        count=count,
        validity=gravest,
        measured_at=origin.moment.measured_at,
        clock=origin.moment.clock,
        received_at=origin.context.received_at,
        device=origin.context.device,
        key=origin.key,
        quality=quality | origin.moment.quality,
        provenance=Provenance(
            source="device",
            value=None if said is None or isinstance(said, Special) else _written(said),
            unit=unit,
            frame=origin.frame[:_LONGEST_FRAME],
            device_time=origin.moment.claimed,
            user=origin.user,
            site=origin.site,
        ),
    )


def _written(number: Decimal) -> str:
    plain = f"{number:f}"
    return plain if len(plain) <= _LONGEST_VALUE else str(number)


def _validity_of(said: MedFloat | None) -> Validity:
    if isinstance(said, Decimal):
        return Validity.VALID
    return Validity.INVALID if said is None else _OF_SPECIAL[said]
