"""An engine as bytes, and back.

The bytes are complete and depend only on what was judged, told and done about it: a mark, a checksum, then
MessagePack. They are portable between machines; they are not between versions of the engine, whose caller then replays
the kept readings.
"""

import hashlib

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from alerting.acts import Acts, Disposed, Escalated, Seen, Shelf
from alerting.errors import SnapshotError
from alerting.kept import Kept
from alerting.told import Told

_MARK = b"veilleur engine 2\n"
_CHECKSUM = 16


class Snapshot(Struct, array_like=True, forbid_unknown_fields=True):
    """What an engine is made of.

    Attributes:
        engine_version: of the engine that wrote it.
        patient: pseudonym.
        protocol_hash: of the protocol that it judges by.
        state: the stream's state.
        tails: see `Stream`.
        ledgers: see `Stream`; fingerprint and time in turn.
        told: alerts that stand, that late readings may still change, or that count for others.
        shelves: see `Acts`, as the following.
        seen: in order.
        disposed: in order.
        escalated: in order.
    """

    engine_version: str
    patient: str
    protocol_hash: str
    state: list[int]
    tails: list[list[Kept]]
    ledgers: list[list[int]]
    told: list[Told]
    shelves: list[Shelf]
    seen: list[Seen]
    disposed: list[Disposed]
    escalated: list[Escalated]

    def acts(self, done_by: int | None = None) -> Acts:
        """Return what was done; escalating no later than `done_by` (ms UTC), if that is given."""
        acts = Acts(self.shelves, self.seen, self.disposed, self.escalated)
        if done_by is not None:
            acts.escalated_by(done_by)
        return acts

    def words(self) -> NDArray[np.int64]:
        """Return the state as the kernel wants it."""
        return np.array(self.state, np.int64)

    def books(self) -> list[dict[int, int]]:
        """Return the ledgers as the stream wants them."""
        return [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in self.ledgers]


def write(snapshot: Snapshot) -> bytes:
    """Return a snapshot as bytes."""
    body = msgspec.msgpack.encode(snapshot)
    return _MARK + hashlib.sha256(body).digest()[:_CHECKSUM] + body


def read(data: bytes) -> Snapshot:
    """Return the snapshot that `write` wrote.

    Raises:
        SnapshotError: the bytes are something else, or damaged.
    """
    start = len(_MARK) + _CHECKSUM
    body = data[start:]
    if not data.startswith(_MARK):
        raise SnapshotError("these bytes are not an engine's snapshot")
    if hashlib.sha256(body).digest()[:_CHECKSUM] != data[len(_MARK) : start]:
        raise SnapshotError("the snapshot is damaged")
    try:
        return msgspec.msgpack.decode(body, type=Snapshot)
    except msgspec.DecodeError as error:
        raise SnapshotError("the snapshot is of another version") from error
