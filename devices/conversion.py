"""From a device's number to a Reading: the rules that every driver shares.

- A special value is never a number: NaN, NRes and reserved are INVALID with count 0; an infinity is OVERFLOW or
  UNDERFLOW, judged at the quantity's plausible limit.
- A number that a living person cannot have is INVALID and IMPLAUSIBLE; its count is kept as converted.
- Of several doubts about one value the gravest is its validity.
"""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

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
    gravest = max(validity, _validity_of(said), key=_GRAVITY.index)
    if Validity.OVERFLOW in (gravest, _validity_of(said)):
        count = limits.high
    elif Validity.UNDERFLOW in (gravest, _validity_of(said)):
        count = limits.low
    elif said is None or isinstance(said, Special):
        count = 0
    else:
        count = to_counts(quantity, said, unit)
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
            value=None if said is None or isinstance(said, Special) else f"{said:f}",
            unit=unit,
            frame=origin.frame,
            device_time=origin.moment.claimed,
            user=origin.user,
            site=origin.site,
        ),
    )


def _validity_of(said: MedFloat | None) -> Validity:
    if isinstance(said, Decimal):
        return Validity.VALID
    return Validity.INVALID if said is None else _OF_SPECIAL[said]
