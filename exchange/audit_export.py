"""A record of acts as a file for an auditor: JSON lines, as docs/security/audit-format.md describes them.

A file holds one log whole, as far as it is kept, what its owner signed for, and what each side signed for having seen
of the other. Values that may have to be erased stand in it as tags; with `names` it also says what they stand for,
each with the key that proves it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exchange.audit_chain import VERSION, CheckpointRecord, Entry, entry_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What goes into a file.

    Attributes:
        log: whose log it is.
        chain: id of its chain.
        at: ms UTC of the export.
        program: version of the software.
        entries: with their hashes, oldest first.
        checkpoints: of this log and, at the team, of the boxes' logs.
        receipts: signed receipts that say how far the team had seen.
        names: tag -> (value, key).
    """

    log: str
    chain: str
    at: int
    program: str
    entries: Iterable[tuple[Entry, str]]
    checkpoints: Iterable[CheckpointRecord] = ()
    receipts: Iterable[bytes] = ()
    names: Mapping[str, tuple[str, bytes]]


def lines(exported: Exported) -> Iterator[str]:
    """Return the file, line by line."""
    head = {
        "kind": "log",
        "v": VERSION,
        "log": exported.log,
        "chain": exported.chain,
        "exported_at": exported.at,
        "program": exported.program,
    }
    yield _line(head)
    for entry, chained in exported.entries:
        yield _line({"kind": "entry", **json.loads(entry_bytes(entry)), "hash": chained})
    for record in exported.checkpoints:
        yield _line(
            {
                "kind": "checkpoint",
                "log": record.head.log,
                "chain": record.head.chain,
                "n": record.head.n,
                "hash": record.head.hash,
                "since": record.since,
                "since_hash": record.since_hash,
                "at": record.at,
                "signer": record.signer,
                "signature": record.signature.hex(),
            }
        )
    for receipt in exported.receipts:
        yield _line({"kind": "receipt", "data": receipt.hex()})
    for tag, (value, key) in sorted(exported.names.items()):
        yield _line({"kind": "name", "tag": tag, "value": value, "key": key.hex()})


def _line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
