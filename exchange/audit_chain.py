"""The record of acts as bytes: what an entry is, how entries are chained, and how a head is signed and witnessed.

- Each entry's hash covers the hash before it, so that no entry can be changed, taken out, put in or moved without
  changing every hash after it. The first hash covers whose log it is and the chain's own random id.
- A *checkpoint* is a head signed by whose log it is (a box's signing key, the team's receipt key). It names the
  checkpoint before it, so that checkpoints are a chain of their own; it outlives the entries that it covers.
- A *head* is told to the other side, who keeps it: whoever cuts their log afterwards is contradicted by it.
- What may have to be erased (a pseudonym, an address of a device, a value) enters an entry only as a keyed hash
  (`tag`), under a random key that erasure destroys: what is left says nothing and cannot be guessed.

docs/security/audit-format.md describes the same for whoever writes a verifier; docs/security/verify_audit.py is one
that shares no code with this. Not here: where entries are kept (agent/audit_log.py, coordination/audit_log.py).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from exchange.identity import KeyId, SigningKey, verify

VERSION = 1
HASH_BYTES = 32
TAG_BYTES = 16
KEY_BYTES = 32
MOST_DETAILS = 16
LONGEST_TEXT = 200
"""Characters of `by`, of a reference and of each detail; what is longer is cut, an act is never left out for it."""

_BEGIN_LABEL = b"veilleur/v1/audit/begin\x00"
_ENTRY_LABEL = b"veilleur/v1/audit/entry\x00"
_CHECKPOINT_LABEL = b"veilleur/v1/audit/checkpoint\x00"
_TAG_LABEL = b"veilleur/v1/audit/tag\x00"
_DETAIL_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
ChainId = Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
LogName = Annotated[str, Meta(min_length=1, max_length=64)]
Number = Annotated[int, Meta(ge=0, le=2**53)]
Milliseconds = Annotated[int, Meta(ge=-(2**53), le=2**53)]

TEAM_LOG = "@team"
"""Names the team's own log; no box can be called so."""


class Act(StrEnum):
    """What was done. The name stands in the log for good: never change one, add another."""

    LOG_BEGUN = "log_begun"
    LOG_CUT = "log_cut"
    LOG_CUT_EXPLAINED = "log_cut_explained"
    LOG_SHORTENED = "log_shortened"
    LOG_EXPORTED = "log_exported"
    STARTED = "started"
    STOPPED = "stopped"
    SETTINGS_CHANGED = "settings_changed"
    PROTOCOL_APPLIED = "protocol_applied"
    PROTOCOL_REFUSED = "protocol_refused"
    COMMAND_SIGNED = "command_signed"
    COMMAND_SENT = "command_sent"
    COMMAND_RECEIVED = "command_received"
    COMMAND_ACCEPTED = "command_accepted"
    COMMAND_REFUSED = "command_refused"
    COMMAND_DONE = "command_done"
    DEVICE_PAIRED = "device_paired"
    DEVICE_FORGOTTEN = "device_forgotten"
    ENROLMENT_OPENED = "enrolment_opened"
    ENROLLED = "enrolled"
    ENROLMENT_REFUSED = "enrolment_refused"
    CERTIFICATE_RENEWED = "certificate_renewed"
    REVOKED = "revoked"
    KEYS_ROTATED = "keys_rotated"
    TEAM_LIST_SIGNED = "team_list_signed"
    TEAM_LIST_ACCEPTED = "team_list_accepted"
    TEAM_LIST_REFUSED = "team_list_refused"
    ERASED = "erased"
    READING_QUARANTINED = "reading_quarantined"
    DATABASE_QUARANTINED = "database_quarantined"
    DATABASE_SET_BACK = "database_set_back"
    READINGS_EVICTED = "readings_evicted"
    RECORDS_RESENT = "records_resent"
    CLOCK_CORRECTED = "clock_corrected"
    TOLD_LOCALLY = "told_locally"
    UPGRADED = "upgraded"
    ALERT_ACKNOWLEDGED = "alert_acknowledged"
    ALERT_DISPOSED = "alert_disposed"
    BOX_ASSIGNED = "box_assigned"
    BOX_TAKEN_BACK = "box_taken_back"
    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    IDENTITY_SHOWN = "identity_shown"
    IDENTITY_CHANGED = "identity_changed"
    CONSENT_RECORDED = "consent_recorded"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    PATIENT_TAKEN_ON = "patient_taken_on"
    PATIENT_EXPORTED = "patient_exported"
    FOLLOW_UP_ENDED = "follow_up_ended"
    RETENTION_SET = "retention_set"
    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_CHANGED = "account_changed"
    ACCOUNT_CLOSED = "account_closed"
    ROLE_CHANGED = "role_changed"
    TEAM_MADE = "team_made"
    SELF_REPORT_PROPOSED = "self_report_proposed"
    SELF_REPORT_BEGUN = "self_report_begun"
    SELF_REPORT_ADAPTED = "self_report_adapted"
    SELF_REPORT_WITHDRAWN = "self_report_withdrawn"
    SELF_REPORT_ENDED = "self_report_ended"
    QUESTIONNAIRE_SENT = "questionnaire_sent"
    QUESTIONNAIRE_ANSWERED = "questionnaire_answered"
    PROTOCOL_PROPOSED = "protocol_proposed"
    PROTOCOL_ABANDONED = "protocol_abandoned"
    PACK_CHANGED = "pack_changed"
    SIGNING_KEY_MADE = "signing_key_made"
    SIGNING_REFUSED = "signing_refused"
    FHIR_READ = "fhir_read"
    FHIR_EXPORTED = "fhir_exported"
    FHIR_CLIENT_CHANGED = "fhir_client_changed"
    EVALUATION_EXPORTED = "evaluation_exported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasable:
    """A value that may have to be erased: it enters the log as a keyed hash only.

    Attributes:
        value: a pseudonym, the address of a device, what was measured.
        of: whose key it is hashed under, and with whom it is erased; the value itself when left out.
    """

    value: str
    of: str = ""

    @property
    def subject(self) -> str:
        """Whose key it is hashed under."""
        return self.of or self.value


Detail = Mapping[str, str | int | Erasable]
"""What more there is to say of an act: names of a-z, 0-9 and _, at most 16."""


class Entry(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One act.

    Attributes:
        n: counts from 1 in its chain, without a hole.
        at: ms UTC, by the clock of whose log it is.
        act: an `Act`; kept as text, so that the log of a newer version is read by an older one.
        by: who did it: a person's name or key, an account of the machine, "box", "team".
        ref: what it was done to: an id of a command, an alert, a box, or a tag.
        detail: what more there is to say.
    """

    n: Annotated[int, Meta(ge=1, le=2**53)]
    at: Milliseconds
    act: Annotated[str, Meta(min_length=1, max_length=64)]
    by: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    ref: Annotated[str, Meta(max_length=LONGEST_TEXT)]
    detail: Annotated[dict[str, str | int], Meta(max_length=MOST_DETAILS)]


class Head(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """How far somebody's log has come: the hash of entry `n` of a chain, 0 and the chain's first hash before any."""

    log: LogName
    chain: ChainId
    n: Number
    hash: Hash


class CheckpointRecord(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag="audit_checkpoint"
):
    """A head signed by whose log it is; it travels to the team like a reading.

    Attributes:
        head: what is signed for.
        since: entry of the checkpoint before, 0 for the first.
        since_hash: hash at `since`.
        at: ms UTC.
        signer: id of the key.
        signature: Ed25519, 64 bytes.
    """

    head: Head
    since: Number
    since_hash: Hash
    at: Milliseconds
    signer: KeyId
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]

    def signed(self) -> bytes:
        """Return the bytes that the signature is of."""
        head = self.head
        return _CHECKPOINT_LABEL + canonical(
            {
                "v": VERSION,
                "log": head.log,
                "chain": head.chain,
                "n": head.n,
                "hash": head.hash,
                "since": self.since,
                "since_hash": self.since_hash,
                "at": self.at,
                "signer": self.signer,
            }
        )

    def signed_by(self, public: bytes) -> bool:
        """Return whether the key with these 32 raw bytes signed it."""
        return verify(public, self.signed(), self.signature)


def canonical(value: Mapping[str, object]) -> bytes:
    """Return the one encoding that hashes and signatures are of: JSON, names sorted, no space, UTF-8 unescaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def beginning(log: str, chain: str) -> Head:
    """Return the head of a chain before its first entry."""
    first = hashlib.sha256(_BEGIN_LABEL + canonical({"v": VERSION, "log": log, "chain": chain})).hexdigest()
    return Head(log=log, chain=chain, n=0, hash=first)


def entry_of(  # noqa: D417 - the rest is as in Entry
    head: Head,
    act: Act,
    *,
    at: int,
    by: str,
    reference: str | Erasable,
    detail: Detail,
    tagged: Callable[[Erasable], str],
) -> Entry:
    """Return the entry that follows `head`.

    Args:
        tagged: gives the tag that stands for an erasable value, under the key of its subject.

    Raises:
        ValueError: more than 16 details, or a name that is none: a programmer's error, which no input can cause.
    """
    wrong = [name for name in detail if not is_detail_name(name)]
    if wrong or len(detail) > MOST_DETAILS:
        raise ValueError(f"details of an act: {', '.join(wrong) or len(detail)}")

    def said(value: str | int | Erasable) -> str | int:
        if isinstance(value, Erasable):
            return tagged(value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return value if isinstance(value, int) and abs(value) <= 2**53 else text(str(value))

    return Entry(
        n=head.n + 1,
        at=at,
        act=act.value,
        by=text(by),
        ref=tagged(reference) if isinstance(reference, Erasable) else text(reference),
        detail={name: said(value) for name, value in detail.items()},
    )


def entry_bytes(entry: Entry) -> bytes:
    """Return an entry as it is hashed and kept."""
    return canonical({name: getattr(entry, name) for name in entry.__struct_fields__})


def after(head: Head, entry: Entry) -> Head:
    """Return the head once `entry` follows `head`.

    Raises:
        ValueError: it is not the next one.
    """
    if entry.n != head.n + 1:
        raise ValueError(f"entry {entry.n} cannot follow {head.n}")
    chained = hashlib.sha256(_ENTRY_LABEL + bytes.fromhex(head.hash) + entry_bytes(entry)).hexdigest()
    return Head(log=head.log, chain=head.chain, n=entry.n, hash=chained)


def checkpoint(head: Head, *, since: Head, at: int, key: SigningKey) -> CheckpointRecord:
    """Return `head` signed at `at` (ms UTC), after a checkpoint at `since`."""
    unsigned = CheckpointRecord(
        head=head, since=since.n, since_hash=since.hash, at=at, signer=key.id, signature=bytes(64)
    )
    return CheckpointRecord(
        head=head,
        since=since.n,
        since_hash=since.hash,
        at=at,
        signer=key.id,
        signature=key.sign(unsigned.signed()),
    )


def tag(key: bytes, value: str) -> str:
    """Return what stands in an entry for an erasable value: "~" and 32 hexadecimal digits."""
    return "~" + hmac.new(key, _TAG_LABEL + value.encode(), hashlib.sha256).digest()[:TAG_BYTES].hex()


def text(value: str) -> str:
    """Return a text as an entry may hold it: printable, of bounded length, and never to be taken for a tag."""
    shown = "".join(character if character.isprintable() else " " for character in value)[:LONGEST_TEXT]
    return f"?{shown[1:]}" if shown.startswith("~") else shown


def is_detail_name(name: str) -> bool:
    """Return whether a detail may be called so."""
    return _DETAIL_NAME.fullmatch(name) is not None
