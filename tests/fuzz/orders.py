"""What the team tells a box and what the box answers: sealed notes, the commands in them, their bodies, the answers.

Whoever spoils a note is refused for its signature. So it is tried four times, each time one door further in: by whoever
carries it, by whoever holds the team's automation key and no person's, by a person whose command is badly made, and
by an author of badly made bodies. The first two must bring nothing through.
"""

import random
from collections.abc import Callable, Sequence

import msgspec

from exchange.command_answers import Answer, AnswerState, open_answer, seal_answer
from exchange.command_bodies import (
    Body,
    DispositionBody,
    DispositionState,
    EraseBody,
    ListBody,
    NoBody,
    PairBody,
    ProtocolBody,
    ResendBody,
    ScanBody,
    ShadowBody,
    decode_body,
    encode_body,
    place_of,
)
from exchange.commands import (
    Command,
    CommandKind,
    Received,
    SignedCommand,
    Trust,
    check_authority,
    check_time,
    decode,
    encode,
    open_command,
    seal_command,
    sign,
)
from exchange.errors import CommandError, EnvelopeError, ExchangeError
from exchange.identity import SIGNATURE_LENGTH, ReceiptSigner, Recipient, RecipientRole, SigningKey
from exchange.messages import Range, Said
from exchange.sealed_notes import Purpose, Reader, seal_note
from exchange.sealing import BUCKETS
from exchange.team_list import Person, Role, TeamList, sign_team_list, verify_team_list
from tests.agent.kit import BOX, START
from tests.fuzz.case import Case
from tests.fuzz.keys import NURSE, OPENING, OPERATOR, PHYSICIAN, SIGNING
from tests.fuzz.trees import packed_mutant

_NOTE_LABEL = b"veilleur/v1/note\x00"
PATIENT = "patient-7f3a"
NUMBER = "0" * 32
LIST = sign_team_list(
    TeamList(
        version=1,
        issued_at=START,
        expires_at=START + 1,
        recipients=(Recipient.of(OPENING, RecipientRole.TEAM),),
        receipt_signers=(ReceiptSigner.of(SIGNING),),
    ),
    SIGNING,
)
BODIES: tuple[tuple[CommandKind, str, Body, tuple[SigningKey, ...]], ...] = (
    (CommandKind.PROTOCOL, PATIENT, ProtocolBody(text="x = 1", protocol_hash="0" * 64), (NURSE, PHYSICIAN)),
    (
        CommandKind.SHADOW,
        PATIENT,
        ShadowBody(protocol=ProtocolBody(text="x = 1", protocol_hash="0" * 64)),
        (NURSE,),
    ),
    (
        CommandKind.DISPOSITION,
        PATIENT,
        DispositionBody(alert=NUMBER, state=DispositionState.TAKEN, by="Anne Morel", at=START),
        (SIGNING,),
    ),
    (CommandKind.RESEND, "", ResendBody(epoch=NUMBER, ranges=(Range(0, 7),)), (OPERATOR,)),
    (CommandKind.PAIR, "", PairBody(address="C4:B0:00:00:00:01", passkey=123456), (NURSE,)),
    (CommandKind.SCAN, "", ScanBody(seconds=20), (OPERATOR,)),
    (CommandKind.CANARY, "", NoBody(), (SIGNING,)),
    (CommandKind.ROTATE, "", NoBody(), (OPERATOR,)),
    (CommandKind.ERASE, PATIENT, EraseBody(), (NURSE, OPERATOR)),
    (CommandKind.TEAM_LIST, "", ListBody(data=LIST), ()),
)
PEOPLE = {
    key.id: Person(key=key.id, public=key.public.hex(), name=name, role=role)
    for name, role, key in (
        ("Anne Morel", Role.NURSE, NURSE),
        ("Dr Claire Petit", Role.PHYSICIAN, PHYSICIAN),
        ("Omar Diallo", Role.OPERATOR, OPERATOR),
    )
}
TRUST = Trust(people=PEOPLE, automation={SIGNING.id: SIGNING.public})


def command(kind: CommandKind, subject: str, body: Body) -> Command:
    return Command(
        id=NUMBER,
        box=BOX,
        kind=kind,
        version=START,
        issued_at=START,
        expires_at=START + 3_600_000,
        subject=subject,
        about=place_of(body, subject) or "",
        body=encode_body(body),
    )


def signed(kind: CommandKind, subject: str, body: Body, keys: Sequence[SigningKey]) -> SignedCommand:
    raw = encode(command(kind, subject, body))
    return SignedCommand(command=raw, signatures=tuple(sign(raw, key) for key in keys))


ORDERS = [signed(*order) for order in BODIES]
SAID = frozenset(order.command for order in ORDERS)
"""What people really ordered."""


def list_signers(data: bytes) -> dict[str, bytes]:
    return verify_team_list(data, roots={SIGNING.id: SIGNING.public}).signers()


def obeyed(note: bytes) -> Received:
    """Look at a note as a box does, up to the order itself."""
    received = open_command(note, box=BOX, keys=[OPENING], automation=TRUST.automation, list_signers=_of_list)
    check_authority(received, TRUST)
    check_time(received.command, now=START + 1, known=True)
    if received.command.kind is CommandKind.TEAM_LIST:
        _of_list(received.command.body)
    body = decode_body(received.command.kind, received.command.body)
    place_of(body, received.command.subject)
    repr(body)
    return received


def _of_list(data: bytes) -> dict[str, bytes]:
    try:
        return list_signers(data)
    except ExchangeError as error:
        raise CommandError("signer", str(error)) from error


def only_said(take: Callable[[bytes], Received]) -> Callable[[bytes], bool]:
    """Return a `run` that fails when a command is obeyed that nobody of those who may had ordered."""

    def run(frame: bytes) -> bool:
        try:
            received = take(frame)
        except (EnvelopeError, CommandError):
            return True
        if received.command.kind is CommandKind.TEAM_LIST:
            # The root's signature is in the list; everything around it is the automation's to say.
            if received.command.body != LIST:
                raise ValueError("taken in, and no root had signed it")
            return False
        if received.signed.command not in SAID:
            raise ValueError("obeyed, and nobody who may had ordered it")
        return False

    return run


def refusable(take: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    def run(frame: bytes) -> bool:
        try:
            take(frame)
        except (EnvelopeError, CommandError):
            return True
        return False

    return run


def sealed(content: bytes, *, purpose: Purpose = Purpose.COMMAND, hint: str = "") -> bytes:
    """Return a note of whatever that is, from the team's automation."""
    return seal_note(content, purpose=purpose, box=BOX, signer=SIGNING, readers=[Reader.of(OPENING)], hint=hint)


def by_automation(content: bytes) -> Received:
    """Look at what the team's automation sealed, whoever signed what is in it."""
    try:
        return obeyed(sealed(content))
    except (EnvelopeError, CommandError):
        return obeyed(sealed(content, hint=CommandKind.TEAM_LIST.value))


def by_people(raw: bytes) -> Received:
    """Look at a command that is badly made and well signed."""
    refusal: ExchangeError = CommandError("role", "nobody signed")
    for keys in ((NURSE, PHYSICIAN), (NURSE, OPERATOR), ()):
        content = SignedCommand(command=raw, signatures=tuple(sign(raw, key) for key in keys))
        try:
            return by_automation(msgspec.msgpack.encode(content))
        except (EnvelopeError, CommandError) as error:
            refusal = error
    raise refusal


def any_body(raw: bytes) -> None:
    """Read it as a body of whichever kind it is not refused for; raise the last refusal when it is none."""
    refusals = []
    for kind in CommandKind:
        try:
            body = decode_body(kind, raw)
        except CommandError as error:
            refusals.append(error)
            continue
        if encode_body(body) != raw and decode_body(kind, encode_body(body)) != body:
            raise ValueError("not the same body when it is written again")
        place_of(body, PATIENT)
        repr(body)
    if len(refusals) >= len(CommandKind) - 1:  # a list is looked at by whoever takes it in
        raise refusals[-1]


def note_signed_again(frame: bytes) -> bytes:
    """Return a note of the nearest size that one can have, signed again."""
    size = min(BUCKETS[:2], key=lambda bucket: abs(bucket - len(frame)))
    unsigned = frame[: size - SIGNATURE_LENGTH].ljust(size - SIGNATURE_LENGTH, b"\x00")
    return unsigned + SIGNING.sign(_NOTE_LABEL + unsigned)


def header_mutant(dice: random.Random, seeds: Sequence[bytes], longest: int) -> bytes:
    """Return a note with another header of a form that may hold, in the length that notes have."""
    note = dice.choice(seeds)
    length = int.from_bytes(note[:2], "big")
    header = packed_mutant(dice, [note[2 : 2 + length]], 600)
    whole = len(header).to_bytes(2, "big") + header + note[2 + length :]
    return whole[: len(note)].ljust(len(note), b"\x00")[:longest]


def answers() -> list[Answer]:
    return [
        Answer(box=BOX, command=NUMBER, state=AnswerState.ACCEPTED, at=START),
        Answer(
            box=BOX,
            command=NUMBER,
            state=AnswerState.REFUSED,
            at=START,
            reason="role",
            said=(Said(fr="Non.", en="No."),),
            protocol_hash="0" * 64,
            highest=START,
            result=b'{"found":[]}',
        ),
    ]


def cases() -> dict[str, Case]:
    notes = [seal_command(order, box=BOX, key=Reader.of(OPENING), signer=SIGNING) for order in ORDERS]
    contents = [msgspec.msgpack.encode(order) for order in ORDERS]
    replies = [seal_answer(answer, signer=SIGNING, readers=[Reader.of(OPENING)]) for answer in answers()]
    raw_answers = [msgspec.msgpack.encode(answer) for answer in answers()]

    def heard(frame: bytes) -> Answer:
        return open_answer(
            frame,
            box=BOX,
            keys=[OPENING],
            signer_of=lambda box, key: SIGNING.public if (box, key) == (BOX, SIGNING.id) else None,
        )

    def answered(frame: bytes) -> bool:
        try:
            answer = heard(frame)
        except EnvelopeError:
            return True
        if frame not in replies:
            raise ValueError("believed, and no box had signed it")
        return answer not in answers()

    longest = BUCKETS[1] + 64
    return {
        "command": Case(notes, only_said(obeyed), longest=longest, mutants=header_mutant, short=300),
        "command.signed_again": Case(
            notes,
            refusable(obeyed),
            note_signed_again,
            longest=longest,
            repair_always=True,
            mutants=header_mutant,
            short=300,
        ),
        "command.unsigned": Case(
            contents,
            only_said(by_automation),
            longest=1 << 17,
            mutants=packed_mutant,
            short=150,
        ),
        "command.badly_made": Case(
            [order.command for order in ORDERS],
            refusable(by_people),
            longest=1 << 17,
            mutants=packed_mutant,
            short=60,
        ),
        "command.body": Case(
            [decode(order.command).body for order in ORDERS[:-1]],
            refusable(any_body),
            longest=1 << 17,
            mutants=packed_mutant,
            short=500,
        ),
        "answer": Case(replies, answered, longest=longest, mutants=header_mutant, short=300),
        "answer.signed_again": Case(
            replies,
            refusable(heard),
            note_signed_again,
            longest=longest,
            repair_always=True,
            mutants=header_mutant,
            short=300,
        ),
        "answer.badly_made": Case(
            raw_answers,
            refusable(lambda frame: heard(sealed(frame, purpose=Purpose.ANSWER))),
            longest=1 << 17,
            mutants=packed_mutant,
            short=300,
        ),
    }
