"""The team's receipts: what it has of a box's records, and how much the box may have on its way.

Signed by the team, in clear; signing and verifying are `sealing`.
"""

from typing import Annotated

from msgspec import Meta, Struct

from exchange.audit_chain import Head
from exchange.messages import Milliseconds, Name, Range

MAX_EPOCHS = 16
"""Epochs in one receipt."""
MAX_RANGES = 1000
"""Ranges of one epoch in one receipt."""


class Received(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the team has of one epoch of a box.

    Attributes:
        epoch: 32 hexadecimal digits.
        ranges: what this receipt covers.
        high: the highest sequence number ever stored for this epoch.
        others: the highest one up to `high` that is stored for another epoch of the same `lineage`, -1 without any.
            Epochs of one database follow each other: one that this epoch gave too shows that it was set back.
    """

    epoch: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    ranges: Annotated[tuple[Range, ...], Meta(min_length=1, max_length=MAX_RANGES)]
    high: Annotated[int, Meta(ge=0, le=2**53)]
    others: Annotated[int, Meta(ge=-1, le=2**53)] = -1


class Credit(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much a box may have on its way to the team at once, alerts left out: they never wait for it.

    Attributes:
        envelopes: 1 or more, so that nobody is ever shut out.
        size: bytes of them, at least one whole envelope.
    """

    envelopes: Annotated[int, Meta(ge=1, le=1000)]
    size: Annotated[int, Meta(ge=1 << 16, le=1 << 30)]


class Receipt(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The team's proof of storage: these records of this box are in its database.

    Several workers receive from one box, each a part: a receipt is a list of ranges, never "all up to here".

    Attributes:
        box: the box's id.
        epochs: what it covers, by epoch, each epoch once.
        at: ms UTC by the team's clock.
        credit: how much may be on its way from now on; None: as the box likes.
        heads: how far the team has seen the box's record of acts, and how far its own has come.
    """

    box: Name
    epochs: Annotated[tuple[Received, ...], Meta(min_length=1, max_length=MAX_EPOCHS)]
    at: Milliseconds
    credit: Credit | None = None
    heads: Annotated[tuple[Head, ...], Meta(max_length=2)] = ()
