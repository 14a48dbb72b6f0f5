"""A request: a command in a file, which people sign one after the other before it is sent.

A request file holds the command's canonical bytes and the signatures so far. It is no secret from the team, and says
nothing that a signature does not cover; whoever signs is shown what the bytes mean, read from the very bytes.

What is not here: keys and PINs (person_key), the queue (sql_commands), and the words that a person is shown
(request_words).
"""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import Packs, check_protocol
from alerting.protocol_writer import write_protocol
from coordination.errors import CoordinationError
from exchange.command_bodies import Body, ProtocolBody, encode_body, place_of
from exchange.commands import LONGEST_MS, Command, CommandKind, CommandSignature, SignedCommand, decode, encode, sign
from exchange.errors import UNDECODABLE, CommandError, IdentityError
from exchange.identity import KeyId, SigningKey
from exchange.key_file import replace
from exchange.messages import Name

FORMAT: Final = "veilleur request 1"
MOST_BYTES = 1 << 20
LASTS_MS: Final = 30 * 86_400_000
"""For how long a request may be obeyed unless its kind allows less: a box may be away for weeks."""


class _Signature(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    key: KeyId
    name: Name
    signature: Annotated[str, Meta(pattern="^[0-9a-f]{128}\\Z")]


class _File(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: str
    command: str
    signatures: Annotated[tuple[_Signature, ...], Meta(max_length=2)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One signature, and what its key calls its owner: not proven, the list says it."""

    name: str
    signature: CommandSignature


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command and who signed it so far."""

    raw: bytes
    command: Command
    signed: tuple[Signed, ...] = ()

    def as_signed(self) -> SignedCommand:
        """Return it as it is sent."""
        return SignedCommand(command=self.raw, signatures=tuple(one.signature for one in self.signed))


def make_command(
    kind: CommandKind, body: Body, *, box: str, subject: str, now: int, after: int = 0, lasts: int = LASTS_MS
) -> Command:
    """Return a new command.

    Args:
        kind: what to do.
        body: of that kind.
        box: who.
        subject: pseudonym, "" when it is about the box.
        now: ms UTC, real time.
        after: the version of the last command of its series, when it is known.
        lasts: ms for which it may be obeyed; no longer than its kind allows.

    Raises:
        CoordinationError: the body does not go with kind and subject.
    """
    about = place_of(body, subject)
    if about is None:
        raise CoordinationError(
            Sentence(
                fr=f"Un ordre « {kind} » {'ne concerne pas un patient' if subject else 'concerne un patient'}.",
                en=f"An order '{kind}' is {'about no patient' if subject else 'about a patient'}.",
            ),
            hint=Sentence(
                fr="Retirer --patient." if subject else "Ajouter --patient.",
                en="Leave out --patient." if subject else "Add --patient.",
            ),
        )
    return Command(
        id=secrets.token_hex(16),
        box=box,
        kind=kind,
        version=max(now, after + 1),
        issued_at=now,
        expires_at=now + min(lasts, LONGEST_MS[kind]),
        subject=subject,
        about=about,
        body=encode_body(body),
    )


def protocol_body(text: bytes, *, name: str, packs: Packs) -> tuple[ProtocolBody, CareProtocol]:
    """Return the body that sends a protocol file, resolved, with the pack that it must stay within.

    Args:
        text: of the file.
        name: what to call it when it is at fault.
        packs: finds its pack.

    Raises:
        CoordinationError: the file has faults.
    """
    asked: list[bytes] = []

    def noted(pack: str) -> bytes:
        data = packs(pack)
        asked.append(data)
        return data

    checked = check_protocol(text, packs=noted)
    if checked.protocol is None:
        raise CoordinationError(
            Sentence(
                fr=f"{name} a des défauts : " + " ; ".join(fault.message.fr for fault in checked.faults[:5]),
                en=f"{name} has faults: " + "; ".join(fault.message.en for fault in checked.faults[:5]),
            ),
            hint=Sentence(
                fr=f"« veilleur check {name} » les montre tous.", en=f"'veilleur check {name}' shows them all."
            ),
        )
    pack = "" if not asked else _resolved(asked[0], packs)
    resolved = write_protocol(checked.protocol)
    # What is signed is what this text means when it is read again, as the box will.
    again = check_protocol(resolved.encode()).protocol
    if again is None or again.protocol_hash != checked.protocol.protocol_hash:
        raise CoordinationError(
            Sentence(fr=f"{name} ne se relit pas à l'identique.", en=f"{name} does not read back as itself."),
            hint=Sentence(fr="Le signaler avec le fichier.", en="Report it with the file."),
        )
    return ProtocolBody(text=resolved, pack=pack, protocol_hash=again.protocol_hash), again


def _resolved(pack: bytes, packs: Packs) -> str:
    protocol = check_protocol(pack, packs=packs).protocol
    return "" if protocol is None else write_protocol(protocol)


def new_request(command: Command) -> Request:
    """Return the request of a command.

    Raises:
        CoordinationError: a box would refuse it.
    """
    try:
        return Request(raw=encode(command), command=command)
    except CommandError as error:
        raise CoordinationError(
            Sentence(fr=f"Cet ordre ne peut pas être donné ({error}).", en=f"This order cannot be given ({error})."),
            hint=Sentence(fr="Vérifier ce qui est demandé.", en="Check what is asked for."),
        ) from error


def add_signature(request: Request, key: SigningKey, name: str) -> Request:
    """Return the request with one more signature; signing twice with a key changes nothing.

    Raises:
        CoordinationError: it has two signatures of others.
    """
    others = tuple(one for one in request.signed if one.signature.key != key.id)
    if len(others) == 2:
        raise CoordinationError(
            Sentence(fr="Cette demande a déjà deux signatures.", en="This request has two signatures already."),
            hint=Sentence(fr="L'envoyer, ou en préparer une autre.", en="Send it, or prepare another."),
        )
    added = Signed(name=name, signature=sign(request.raw, key))
    return Request(raw=request.raw, command=request.command, signed=(*others, added))


def read_request(path: Path) -> Request:
    """Read a request file.

    Raises:
        CoordinationError: it is none.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        file = msgspec.json.decode(data if len(data) <= MOST_BYTES else b"", type=_File)
        raw = base64.b64decode(file.command, validate=True)
        command = decode(raw)
    except OSError as error:
        raise CoordinationError(
            Sentence(fr=f"{path} est illisible ({error.strerror}).", en=f"{path} cannot be read ({error.strerror})."),
            hint=Sentence(fr="Vérifier le chemin.", en="Check the path."),
        ) from error
    except (*UNDECODABLE, ValueError, CommandError) as error:
        raise _no_request(path) from error
    if file.format != FORMAT:
        raise _no_request(path)
    signed = tuple(
        Signed(
            name=one.name,
            signature=CommandSignature(key=one.key, signature=bytes.fromhex(one.signature)),
        )
        for one in file.signatures
    )
    return Request(raw=raw, command=command, signed=signed)


def write_request(path: Path, request: Request) -> None:
    """Write a request file, complete or not at all, over an older one; mode 0600: it speaks of a patient.

    Raises:
        CoordinationError: it cannot be written.
    """
    file = _File(
        format=FORMAT,
        command=base64.b64encode(request.raw).decode(),
        signatures=tuple(_written(request.signed)),
    )
    try:
        replace(path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n", mode=0o600)
    except IdentityError as error:
        raise CoordinationError(
            Sentence(fr=f"{path} ne peut pas être écrit.", en=f"{path} cannot be written."),
            hint=Sentence(fr="Choisir un autre dossier.", en="Choose another folder."),
        ) from error


def _written(signed: Sequence[Signed]) -> list[_Signature]:
    return [_Signature(key=one.signature.key, name=one.name, signature=one.signature.signature.hex()) for one in signed]


def _no_request(path: Path) -> CoordinationError:
    return CoordinationError(
        Sentence(fr=f"{path} n'est pas une demande à signer.", en=f"{path} is no request to sign."),
        hint=Sentence(
            fr="Donner le fichier fait par « veilleur-desk request ».",
            en="Give the file that 'veilleur-desk request' made.",
        ),
    )
