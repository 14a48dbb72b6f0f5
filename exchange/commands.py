"""Commands: what a team tells a box to do, and how a box knows that the right people said it.

A command is signed by people, each with their own key (team_list.py says whose it is), over its canonical bytes: the
id, the box, the patient, the version and the whole body are in every signature, so no part of one command serves
another. Which roles a kind needs is one table, `ALLOWED`. What the team's own programs may order (its automation: the
keys that sign receipts) is in it too, and is little.

Rules of this room:

- A command says for which box it is, until when it may be obeyed, and its version within its series: (kind, subject,
  about). Within a series versions only rise. A version is the ms of its making, so that a team whose database was
  restored from yesterday does not count again from where it was.
- Verified before believed: the note's outer signature (the team's automation), then the people's.
- A new team list is the one command that may come under a key that the box cannot know yet. It is opened to find that
  key: the list in it must be signed by the pinned root and must name the key that signed the note.

What is not here: remembering versions and doing it (the box), sealing (sealed_notes.py), bodies (command_bodies.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from exchange.errors import UNDECODABLE, CommandError, EnvelopeError
from exchange.identity import SIGNATURE_LENGTH, KeyId, OpeningKey, SigningKey, verify
from exchange.messages import Milliseconds, Name
from exchange.sealed_notes import Note, Purpose, Reader, read_note, seal_note
from exchange.team_list import Person, Role

VERSION = 1
MAX_BODY_BYTES = 200_000
TOLERANCE_MS = 600_000
"""How far ahead of the box's clock a command may have been made."""

_DAY_MS = 86_400_000
_LABEL = b"veilleur/v1/command\x00"


class CommandKind(StrEnum):
    """What a box can be told to do."""

    PROTOCOL = "protocol"
    """Judge a patient by this care protocol from now on."""
    SHADOW = "shadow"
    """Judge a patient by this one too, telling nobody, or no more."""
    DISPOSITION = "disposition"
    """Know what the team did with an alert."""
    RESEND = "resend"
    """Send once more what the team's database lacks."""
    PAIR = "pair"
    SCAN = "scan"
    CANARY = "canary"
    ROTATE = "rotate"
    """Take new keys for the box's own data."""
    ERASE = "erase"
    RENEW = "renew"
    """Fetch the next certificate now."""
    TEAM_LIST = "team_list"
    """Take in a new list of the team's keys and people."""


AUTOMATION: Final = "automation"
"""Stands for the team's own programs beside the roles of people."""

Power = str
"""A `Role`'s value, or `AUTOMATION`."""
Slots = tuple[frozenset[Power], ...]
"""One set a person who must sign: they have one of these powers. As many different people as slots."""


def _one(*powers: Power) -> Slots:
    return (frozenset(powers),)


ALLOWED: Final[Mapping[CommandKind, tuple[Slots, ...]]] = MappingProxyType(
    {
        # Thresholds are the nurse's and the physician's, together (DECISIONS 19).
        CommandKind.PROTOCOL: ((frozenset({Role.NURSE}), frozenset({Role.PHYSICIAN})),),
        # It changes nothing that anybody is told: whoever may propose a protocol may have it tried.
        CommandKind.SHADOW: (_one(Role.NURSE, Role.PHYSICIAN),),
        # It stops what is told at home and nothing else; the desk sends it by itself when a named person acts.
        CommandKind.DISPOSITION: (_one(AUTOMATION), _one(Role.NURSE), _one(Role.PHYSICIAN)),
        CommandKind.RESEND: (_one(AUTOMATION), _one(Role.OPERATOR)),
        CommandKind.PAIR: (_one(Role.NURSE, Role.INSTALLER, Role.OPERATOR),),
        CommandKind.SCAN: (_one(Role.NURSE, Role.INSTALLER, Role.OPERATOR),),
        CommandKind.CANARY: (_one(AUTOMATION), _one(Role.NURSE, Role.INSTALLER, Role.OPERATOR)),
        CommandKind.ROTATE: (_one(Role.OPERATOR),),
        # The box would do it by itself, and the office alone decides what it gives.
        CommandKind.RENEW: (_one(AUTOMATION), _one(Role.NURSE, Role.INSTALLER, Role.OPERATOR)),
        # It cannot be undone: the nurse knows that this patient is to go, and somebody of another function looks too.
        CommandKind.ERASE: ((frozenset({Role.NURSE}), frozenset({Role.PHYSICIAN, Role.OPERATOR})),),
        # The root signed the list itself.
        CommandKind.TEAM_LIST: ((),),
    }
)
"""Kind -> the ways in which it may be signed, each enough by itself."""

LONGEST_MS: Final[Mapping[CommandKind, int]] = MappingProxyType(
    {
        CommandKind.PROTOCOL: 90 * _DAY_MS,
        CommandKind.SHADOW: 90 * _DAY_MS,
        CommandKind.DISPOSITION: 90 * _DAY_MS,
        CommandKind.RESEND: 90 * _DAY_MS,
        # Somebody stands beside the box, or will today.
        CommandKind.PAIR: _DAY_MS,
        CommandKind.SCAN: _DAY_MS,
        CommandKind.CANARY: 7 * _DAY_MS,
        CommandKind.ROTATE: 90 * _DAY_MS,
        CommandKind.RENEW: 7 * _DAY_MS,
        CommandKind.ERASE: 90 * _DAY_MS,
        CommandKind.TEAM_LIST: 400 * _DAY_MS,
    }
)
"""Kind -> for how long a command of it may be obeyed at most, ms from when it was issued."""


class Command(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, kw_only=True):
    """One order to one box.

    Attributes:
        v: version of this shape.
        id: 32 hexadecimal digits, random; one that comes again gets the same answer.
        box: for whom.
        kind: what to do.
        version: rises within (kind, subject, about).
        issued_at: ms UTC.
        expires_at: ms UTC, not included.
        subject: patient pseudonym; "" when it is about the box.
        about: what of the subject: an alert's id, an epoch, a device; "" for its only one.
        body: see `command_bodies`.
    """

    v: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    id: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    box: Name
    kind: CommandKind
    version: Annotated[int, Meta(ge=1, le=2**53)]
    issued_at: Milliseconds
    expires_at: Milliseconds
    subject: Annotated[str, Meta(max_length=64)]
    about: Annotated[str, Meta(max_length=64)]
    body: Annotated[bytes, Meta(max_length=MAX_BODY_BYTES)]

    @property
    def series(self) -> tuple[str, str, str]:
        """Within which versions rise."""
        return self.kind.value, self.subject, self.about


class CommandSignature(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, kw_only=True):
    """Whose key signed, and the Ed25519 signature."""

    key: KeyId
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_LENGTH, max_length=SIGNATURE_LENGTH)]


class SignedCommand(Struct, frozen=True, forbid_unknown_fields=True, array_like=True, kw_only=True):
    """A command's canonical bytes with who signed them."""

    command: Annotated[bytes, Meta(max_length=MAX_BODY_BYTES + 1024)]
    signatures: Annotated[tuple[CommandSignature, ...], Meta(max_length=2)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom a box believes.

    Attributes:
        people: key id -> person.
        automation: key id -> raw public key of the team's programs.
        stale: the list that names the people has expired: their signatures count again once a newer one has come.
    """

    people: Mapping[str, Person]
    automation: Mapping[str, bytes]
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatory:
    """Who signed a command, by name; `power` is their role, or `AUTOMATION`."""

    name: str
    power: Power


def encode(command: Command) -> bytes:
    """Return the canonical bytes of a command: what is signed.

    Raises:
        CommandError: "malformed" when a box would refuse them.
    """
    raw = msgspec.msgpack.encode(command)
    decode(raw)
    return raw


def decode(raw: bytes) -> Command:
    """Return the command of canonical bytes.

    Raises:
        CommandError: "malformed".
    """
    try:
        command = msgspec.msgpack.decode(raw, type=Command)
    except UNDECODABLE as error:
        raise CommandError("malformed", str(error)) from error
    if msgspec.msgpack.encode(command) != raw:
        raise CommandError("malformed", "not in its one encoding")
    if not 0 < command.expires_at - command.issued_at <= LONGEST_MS[command.kind]:
        raise CommandError("malformed", f"a {command.kind} may not last that long, or ends before it begins")
    return command


def sign(raw: bytes, key: SigningKey) -> CommandSignature:
    """Sign the canonical bytes of a command."""
    return CommandSignature(key=key.id, signature=key.sign(_LABEL + raw))


def signatories(signed: SignedCommand, trust: Trust) -> tuple[Signatory, ...]:
    """Return who signed a command, in order; every signature on it must hold.

    Raises:
        CommandError: "signer" when a key is nobody's, "signature" when one does not hold, "people" when one person
            signed twice.
    """
    found: list[Signatory] = []
    for item in signed.signatures:
        person = trust.people.get(item.key)
        public = trust.automation.get(item.key) if person is None else bytes.fromhex(person.public)
        if public is None:
            raise CommandError("signer", f"{item.key} is nobody's key here")
        if not verify(public, _LABEL + signed.command, item.signature):
            raise CommandError("signature", f"not signed by {item.key}")
        found.append(
            Signatory(name=f"key {item.key}", power=AUTOMATION)
            if person is None
            else Signatory(name=person.name, power=person.role.value)
        )
    if len({one.name for one in found}) < len(found):
        # Also under two keys: two signatures mean two people.
        raise CommandError("people", "one person signed twice")
    return tuple(found)


def is_allowed(kind: CommandKind, powers: Sequence[Power]) -> bool:
    """Return whether these powers, each of another person, are enough for a kind; more than enough is enough."""
    return any(_filled(slots, powers) for slots in ALLOWED[kind])


def _filled(slots: Slots, powers: Sequence[Power]) -> bool:
    """Return whether every slot can be filled by somebody of their own."""
    if not slots:
        return True
    first, rest = slots[0], slots[1:]
    return any(
        power in first and _filled(rest, [*powers[:place], *powers[place + 1 :]]) for place, power in enumerate(powers)
    )


def seal_command(signed: SignedCommand, *, box: str, key: Reader, signer: SigningKey) -> bytes:
    """Return a command as it travels to `box`.

    Args:
        signed: with the signatures that it needs.
        box: for whom.
        key: the box's opening key.
        signer: the team's automation.

    Raises:
        EnvelopeError: "oversize" when it does not fit into 64 KiB.
        CommandError: "malformed".
    """
    hint = CommandKind.TEAM_LIST.value if decode(signed.command).kind is CommandKind.TEAM_LIST else ""
    content = msgspec.msgpack.encode(signed)
    return seal_note(content, purpose=Purpose.COMMAND, box=box, signer=signer, readers=[key], hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A command that the team's automation vouches for; what people signed is still to be looked at."""

    command: Command
    signed: SignedCommand


def open_command(
    data: bytes,
    *,
    box: str,
    keys: Sequence[OpeningKey],
    automation: Mapping[str, bytes],
    list_signers: Callable[[bytes], Mapping[str, bytes]],
) -> Received:
    """Return a command that arrived at `box`.

    Args:
        data: as it came.
        box: this box.
        keys: its opening keys, the present one and the one before.
        automation: key id -> raw public key of the team's programs.
        list_signers: bytes of a team list -> the automation that it names, once the pinned root's signature holds;
            raises `CommandError` otherwise.

    Raises:
        EnvelopeError: "oversize", "malformed", "version", "box", "signer", "signature", "recipient", "decrypt" or
            "content".
        CommandError: "malformed", or what `list_signers` raised.
    """
    note = read_note(data, purpose=Purpose.COMMAND, box=box)
    public = automation.get(note.header.signer)
    if public is None and note.header.hint == CommandKind.TEAM_LIST.value:
        return _open_list(note, keys, list_signers)
    note.verify(public)
    return _received(note.open(keys), box=box, hint=note.header.hint)


def _open_list(
    note: Note, keys: Sequence[OpeningKey], list_signers: Callable[[bytes], Mapping[str, bytes]]
) -> Received:
    """Return a team list that brings the key which its own note is signed with."""
    received = _received(note.open_unverified(keys), box=note.header.box, hint=note.header.hint)
    note.verify(list_signers(received.command.body).get(note.header.signer))
    return received


def _received(content: bytes, *, box: str, hint: str) -> Received:
    try:
        signed = msgspec.msgpack.decode(content, type=SignedCommand)
    except UNDECODABLE as error:
        raise EnvelopeError("content", str(error)) from error
    command = decode(signed.command)
    if command.box != box:
        raise EnvelopeError("box", f"for {command.box}, arrived at {box}")
    if (command.kind is CommandKind.TEAM_LIST) is not (hint == CommandKind.TEAM_LIST.value):
        raise EnvelopeError("content", "the header does not say what it holds")
    return Received(command=command, signed=signed)


def check_authority(received: Received, trust: Trust) -> tuple[Signatory, ...]:
    """Return who signed a command, when they may order that.

    Raises:
        CommandError: see `signatories`; "role" when what they are does not allow it; "list" when the list that says so
            has expired: to be asked again.
    """
    found = signatories(received.signed, trust)
    kind = received.command.kind
    if trust.stale and any(one.power != AUTOMATION for one in found):
        raise CommandError("list", "the list of the team's people has expired")
    if not is_allowed(kind, [one.power for one in found]):
        names = ", ".join(one.power for one in found) or "nobody"
        raise CommandError("role", f"{kind} is signed by {names}")
    return found


def check_time(command: Command, *, now: int, known: bool) -> None:
    """Check that a command may be obeyed now.

    Args:
        command: what was ordered.
        now: ms UTC by the box's clock, which is never before a time that has certainly passed.
        known: whether that clock is trusted. When it is not, it may run behind.

    Raises:
        CommandError: "expired"; "future" when it was made later than now; "clock" when only a box that knows the time
            may say, and this one does not: to be asked again.
    """
    if now >= command.expires_at:
        raise CommandError("expired" if known else "clock", f"it could be obeyed until {command.expires_at}")
    if known and command.issued_at > now + TOLERANCE_MS:
        raise CommandError("future", f"it was made at {command.issued_at}, later than now")
    if not known and command.kind not in _TIMELESS:
        raise CommandError("clock", "the time is not known here")


_TIMELESS: Final = frozenset({CommandKind.DISPOSITION, CommandKind.RESEND, CommandKind.CANARY, CommandKind.TEAM_LIST})
"""What an old one of can do no harm: versions keep it from undoing a newer one, and lists have an end of their own."""


def powers_of(kind: CommandKind) -> tuple[tuple[tuple[Power, ...], ...], ...]:
    """Return the ways to sign a kind, each a tuple of places, each place the powers of which one fills it."""
    return tuple(tuple(tuple(sorted(slot)) for slot in slots) for slots in ALLOWED[kind])
