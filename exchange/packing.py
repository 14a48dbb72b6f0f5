"""What an envelope holds, before it is sealed and after it was opened: length (4, big-endian) | zlib | zeros.

Only what was verified and decrypted comes here to be unpacked; what it may unpack to is bounded all the same.
"""

import zlib
from collections.abc import Sequence

import msgspec

from exchange.errors import UNDECODABLE, EnvelopeError
from exchange.messages import MAX_RECORDS, Content, Record

MAX_CONTENT_BYTES = 1 << 20
"""What the content may unpack to."""


def pack(records: Sequence[Record]) -> bytes:
    """Return the records' length-prefixed compressed encoding, after reading it as the other end will.

    Raises:
        EnvelopeError: "oversize" or "content".
    """
    if len(records) > MAX_RECORDS:
        raise EnvelopeError("oversize", f"{len(records)} records are more than {MAX_RECORDS}")
    try:
        plain = msgspec.msgpack.encode(Content(records=tuple(records)))
    except (UnicodeEncodeError, OverflowError) as error:
        raise EnvelopeError("content", f"a record cannot be encoded: {error}") from error
    if len(plain) > MAX_CONTENT_BYTES:
        raise EnvelopeError("oversize", f"{len(records)} records are more than {MAX_CONTENT_BYTES} bytes")
    # msgspec checks bounds when it decodes only: a record that the inbox would refuse must not block the outbox.
    _decode(plain)
    compressed = zlib.compress(plain)
    return len(compressed).to_bytes(4, "big") + compressed


def unpack(packed: bytes, *, count: int) -> tuple[Record, ...]:
    """Return the `count` records that were packed.

    Raises:
        EnvelopeError: "content".
    """
    end = 4 + int.from_bytes(packed[:4], "big")
    if len(packed) < 4 or end > len(packed) or any(packed[end:]):
        raise EnvelopeError("content", "the padding is not what was sealed")
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(packed[4:end], MAX_CONTENT_BYTES + 1)
    except zlib.error as error:
        raise EnvelopeError("content", "not zlib") from error
    if len(plain) > MAX_CONTENT_BYTES:
        raise EnvelopeError("content", f"unpacks to more than {MAX_CONTENT_BYTES} bytes")
    if not inflate.eof or inflate.unused_data:
        raise EnvelopeError("content", "not one whole zlib stream")
    records = _decode(plain)
    if len(records) != count:
        raise EnvelopeError("content", f"{len(records)} records where {count} were announced")
    return records


def _decode(plain: bytes) -> tuple[Record, ...]:
    try:
        return msgspec.msgpack.decode(plain, type=Content).records
    except UNDECODABLE as error:
        raise EnvelopeError("content", str(error)) from error
