"""The team list: who a box seals to, whose receipts it believes and who may give it orders, signed by the team's root.

A signed list is, one part after the other, with nothing between them to vary:

    number of successions (1 byte, 0 to 8)
    each succession: new root's public key (32) | signature by the root before it (64)
    id of the root that signs (8) | payload (MessagePack) | Ed25519 signature (64) over a label and everything before

Rules of this room:

- Nothing of the payload is decoded before a root that is pinned, or to which a pinned one handed over, has signed it.
- Versions only rise. An older list is a rollback, another list of the same version a forgery, and one that has
  expired already cannot replace another (a freeze); each is refused, and what was held goes on.
- A list that expires while it is held goes on to be sealed to, and a box that holds none takes an expired one: keys
  never stop ingest. Whoever asks is told that it has expired.
- A root is replaced by its own word: the old root signs the new one's public key, and every list carries that from
  then on, so that a box which was away for weeks follows from the root that it has pinned. Once a list was taken in
  from a later root, an earlier one is no longer believed.

What is not here: files (whoever holds a list keeps it), sealing (sealing.py), and what each role may do.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self

import msgspec
from msgspec import Meta, Struct

from exchange.errors import UNDECODABLE, TeamListError
from exchange.identity import (
    KEY_ID_LENGTH,
    SIGNATURE_LENGTH,
    KeyId,
    PublicHex,
    ReceiptSigner,
    Recipient,
    SigningKey,
    fault_of,
    key_id,
    verify,
)
from exchange.messages import Milliseconds, Name

MAX_PEOPLE = 200
MAX_RECIPIENTS = 8
MAX_RECEIPT_SIGNERS = 16
MAX_SUCCESSIONS = 8
MAX_LIST_BYTES = 49152
"""A signed list fits into one envelope, with room for what carries it."""

_LIST_LABEL = b"veilleur/v1/team-list\x00"
_SUCCESSION_LABEL = b"veilleur/v1/root-succession\x00"
_PUBLIC_LENGTH = 32
_SUCCESSION_LENGTH = _PUBLIC_LENGTH + SIGNATURE_LENGTH


class Role(StrEnum):
    """What a person is for a patient or a box."""

    NURSE = "nurse"
    PHYSICIAN = "physician"
    OPERATOR = "operator"
    INSTALLER = "installer"


class Person(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One person whose signature a box knows.

    Attributes:
        key: id of their key.
        public: Ed25519, 32 bytes in hexadecimal.
        name: as colleagues call them; read by the boxes' installers and in the log of acts.
        role: what they may sign follows from it.
    """

    key: KeyId
    public: PublicHex
    name: Name
    role: Role


class TeamList(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a box believes about its team.

    Attributes:
        version: rises with every list.
        issued_at: ms UTC.
        expires_at: ms UTC, not included; after `issued_at`.
        recipients: to whom everything is sealed; ids unique.
        receipt_signers: whose receipts free what the box holds, oldest first; ids unique.
        people: ids unique.
    """

    version: Annotated[int, Meta(ge=1, le=2**53)]
    issued_at: Milliseconds
    expires_at: Milliseconds
    recipients: Annotated[tuple[Recipient, ...], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    receipt_signers: Annotated[tuple[ReceiptSigner, ...], Meta(min_length=1, max_length=MAX_RECEIPT_SIGNERS)]
    people: Annotated[tuple[Person, ...], Meta(max_length=MAX_PEOPLE)] = ()

    def signers(self) -> dict[str, bytes]:
        """Return id -> raw public key of those who may sign receipts."""
        return {signer.id: bytes.fromhex(signer.public) for signer in self.receipt_signers}

    def person(self, key: str) -> Person | None:
        """Return whose key that is."""
        return next((person for person in self.people if person.key == key), None)

    def expired(self, now_ms: int) -> bool:
        """Return whether `now_ms` (ms UTC) is at or past its end."""
        return now_ms >= self.expires_at


@dataclass(frozen=True, slots=True)
class Succession:
    """An old root's word that another is root from now on.

    Attributes:
        public: the new root's raw public key.
        signature: of the old root.
    """

    public: bytes
    signature: bytes

    @classmethod
    def of(cls, *, old: SigningKey, new: bytes) -> Self:
        """Let `old` hand over to the raw public key `new`."""
        return cls(new, old.sign(_SUCCESSION_LABEL + new))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTeamList:
    """A list whose signature was verified.

    Attributes:
        team: what it says.
        data: as it travels.
        root: raw public key of the root that signed it.
        successions: how that root follows from earlier ones, oldest first.
    """

    team: TeamList
    data: bytes
    root: bytes
    successions: tuple[Succession, ...]


def sign_team_list(team: TeamList, root: SigningKey, *, successions: Sequence[Succession] = ()) -> bytes:
    """Return a list as it travels, signed by `root`.

    Args:
        team: its content.
        root: the present root.
        successions: from the first root that any box has pinned to `root`, oldest first.

    Raises:
        TeamListError: "malformed" when a box would refuse it.
    """
    payload = msgspec.msgpack.encode(team)
    _decode(payload)
    if len(successions) > MAX_SUCCESSIONS:
        raise TeamListError("malformed", f"{len(successions)} successions are more than {MAX_SUCCESSIONS}")
    chain = b"".join(step.public + step.signature for step in successions)
    unsigned = bytes([len(successions)]) + chain + bytes.fromhex(root.id) + payload
    data = unsigned + root.sign(_LIST_LABEL + unsigned)
    if len(data) > MAX_LIST_BYTES:
        raise TeamListError("malformed", f"{len(data)} bytes are more than {MAX_LIST_BYTES}: name fewer people")
    return data


def verify_team_list(data: bytes, *, roots: Mapping[str, bytes]) -> TeamList:
    """Return a list that one of `roots` (id -> raw public key), or its successor, signed. Looks at no clock.

    Raises:
        TeamListError: "malformed", "signer" or "signature".
    """
    return read_signed(data, roots=roots).team


def read_signed(data: bytes, *, roots: Mapping[str, bytes]) -> SignedTeamList:
    """Return the same with who signed it.

    Raises:
        TeamListError: "malformed", "signer" or "signature".
    """
    successions, signer, payload, signature = _split(data)
    public = _followed(roots, successions).get(signer)
    if public is None:
        raise TeamListError("signer", f"{signer} is not the root of this team")
    if not verify(public, _LIST_LABEL + data[:-SIGNATURE_LENGTH], signature):
        raise TeamListError("signature", f"not signed by {signer}")
    return SignedTeamList(team=_decode(payload), data=data, root=public, successions=successions)


def newer(data: bytes, *, held: SignedTeamList | None, roots: Mapping[str, bytes], now_ms: int) -> SignedTeamList:
    """Return what a box that holds `held` must hold once `data` was offered to it.

    Args:
        data: a list as it travels.
        held: the newest that was taken in; None when there is none yet.
        roots: pinned roots, id -> raw public key.
        now_ms: ms UTC by the box's clock.

    Returns:
        The offered list, or `held` when it is that very list.

    Raises:
        TeamListError: "malformed", "signer", "signature", "rollback", "conflict" or "expired".
    """
    if held is not None and data == held.data:
        return held
    # A root that handed over is believed no longer, even where it is still pinned.
    offered = read_signed(data, roots=roots if held is None else {key_id(held.root): held.root})
    if held is not None:
        if offered.team.version < held.team.version:
            raise TeamListError("rollback", f"version {offered.team.version} after {held.team.version}")
        if offered.team.version == held.team.version:
            raise TeamListError("conflict", f"another list has version {held.team.version}")
        if offered.team.expired(now_ms):
            raise TeamListError("expired", f"version {offered.team.version} had expired when it came")
    return offered


def _followed(roots: Mapping[str, bytes], successions: Iterable[Succession]) -> dict[str, bytes]:
    """Return `roots` and those to which they handed over, in the order given."""
    known = dict(roots)
    for step in successions:
        # The old root is not named: a chain is short, and names would be one more thing to check.
        if any(verify(public, _SUCCESSION_LABEL + step.public, step.signature) for public in known.values()):
            known[key_id(step.public)] = step.public
    return known


def _split(data: bytes) -> tuple[tuple[Succession, ...], str, bytes, bytes]:
    """Return (successions, signer id, payload, signature) of a list whose layout holds."""
    if not 1 <= len(data) <= MAX_LIST_BYTES:
        raise TeamListError("malformed", f"{len(data)} bytes")
    count = data[0]
    head = 1 + count * _SUCCESSION_LENGTH
    start = head + KEY_ID_LENGTH // 2
    if count > MAX_SUCCESSIONS or start + SIGNATURE_LENGTH >= len(data):
        raise TeamListError("malformed", "the parts do not fit")
    steps = (data[place : place + _SUCCESSION_LENGTH] for place in range(1, head, _SUCCESSION_LENGTH))
    successions = tuple(Succession(step[:_PUBLIC_LENGTH], step[_PUBLIC_LENGTH:]) for step in steps)
    return successions, data[head:start].hex(), data[start:-SIGNATURE_LENGTH], data[-SIGNATURE_LENGTH:]


def _decode(payload: bytes) -> TeamList:
    try:
        team = msgspec.msgpack.decode(payload, type=TeamList)
    except UNDECODABLE as error:
        raise TeamListError("malformed", str(error)) from error
    if team.expires_at <= team.issued_at:
        raise TeamListError("malformed", "it ends before it begins")
    keys = (
        [(recipient.id, recipient.public) for recipient in team.recipients],
        [(signer.id, signer.public) for signer in team.receipt_signers],
        [(person.key, person.public) for person in team.people],
    )
    for group in keys:
        for name, public in group:
            if name != key_id(bytes.fromhex(public)):
                raise TeamListError("malformed", f"key {name} does not carry its own id")
        twice = [name for name, count in Counter(name for name, _ in group).items() if count > 1]
        if twice:
            raise TeamListError("malformed", f"key {twice[0]} is listed twice")
    if (fault := fault_of(team.recipients)) is not None:
        raise TeamListError("malformed", fault)
    return team
