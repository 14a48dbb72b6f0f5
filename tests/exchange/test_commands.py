"""Who may order what, and what a box believes of an order that arrives."""

from collections.abc import Mapping
from itertools import combinations_with_replacement, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.command_answers import Answer, AnswerState, open_answer
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
    AUTOMATION,
    LONGEST_MS,
    TOLERANCE_MS,
    Command,
    CommandKind,
    Received,
    SignedCommand,
    Trust,
    check_authority,
    check_time,
    decode,
    encode,
    is_allowed,
    open_command,
    sign,
)
from exchange.errors import CommandError, EnvelopeError
from exchange.identity import OpeningKey, SigningKey
from exchange.messages import Range
from exchange.sealed_notes import Purpose, Reader, read_note, seal_note
from exchange.sealing import BUCKETS
from exchange.team_list import Role
from tests.exchange.office import BOX, DAY, NOW, NURSE, PATIENT, PHYSICIAN, Office

POWERS = (*(role.value for role in Role), AUTOMATION)
MAY: Mapping[CommandKind, frozenset[tuple[str, ...]]] = {
    # Written out by hand from DECISIONS 19 and docs/commands.md: every set of at most two people that is enough.
    CommandKind.PROTOCOL: frozenset({("nurse", "physician")}),
    CommandKind.SHADOW: frozenset({("nurse",), ("physician",)}),
    CommandKind.ERASE: frozenset({("nurse", "physician"), ("nurse", "operator")}),
    CommandKind.ROTATE: frozenset({("operator",)}),
    CommandKind.RENEW: frozenset({("nurse",), ("installer",), ("operator",), (AUTOMATION,)}),
    CommandKind.PAIR: frozenset({("nurse",), ("installer",), ("operator",)}),
    CommandKind.SCAN: frozenset({("nurse",), ("installer",), ("operator",)}),
    CommandKind.CANARY: frozenset({("nurse",), ("installer",), ("operator",), (AUTOMATION,)}),
    CommandKind.DISPOSITION: frozenset({("nurse",), ("physician",), (AUTOMATION,)}),
    CommandKind.RESEND: frozenset({("operator",), (AUTOMATION,)}),
    CommandKind.TEAM_LIST: frozenset({()}),
}
BODIES: Mapping[CommandKind, tuple[Body, str]] = {
    CommandKind.PROTOCOL: (ProtocolBody(text="x", protocol_hash="a" * 64), PATIENT),
    CommandKind.SHADOW: (ShadowBody(protocol=ProtocolBody(text="x", protocol_hash="a" * 64)), PATIENT),
    CommandKind.DISPOSITION: (
        DispositionBody(alert="b" * 32, state=DispositionState.TAKEN, by="Anne", at=NOW),
        PATIENT,
    ),
    CommandKind.RESEND: (ResendBody(epoch="c" * 32, ranges=(Range(0, 4),)), ""),
    CommandKind.PAIR: (PairBody(address="C4:B0:00:00:00:01"), ""),
    CommandKind.SCAN: (ScanBody(), ""),
    CommandKind.CANARY: (NoBody(), ""),
    CommandKind.ROTATE: (NoBody(), ""),
    CommandKind.RENEW: (NoBody(), ""),
    CommandKind.ERASE: (EraseBody(), PATIENT),
    CommandKind.TEAM_LIST: (ListBody(data=b"list"), ""),
}


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def box_key() -> OpeningKey:
    return OpeningKey.generate()


def trust(office: Office) -> Trust:
    return Trust(
        people={person.key: person for person in office.team().people},
        automation={office.receipt.id: office.receipt.public},
    )


def no_list(data: bytes) -> Mapping[str, bytes]:
    raise CommandError("list", f"{len(data)} bytes")


def opened(office: Office, data: bytes, key: OpeningKey, *, box: str = BOX) -> Command:
    return open_command(
        data, box=box, keys=[key], automation={office.receipt.id: office.receipt.public}, list_signers=no_list
    ).command


def test_every_kind_is_in_the_matrix_and_has_a_body() -> None:
    assert set(MAY) == set(BODIES) == set(LONGEST_MS) == set(CommandKind)


@pytest.mark.parametrize("kind", CommandKind)
def test_a_kind_is_allowed_to_exactly_the_people_of_the_matrix(kind: CommandKind) -> None:
    sets = [(), *((power,) for power in POWERS), *combinations_with_replacement(POWERS, 2)]
    for powers in sets:
        enough = any(set(way) <= set(powers) and len(way) <= len(powers) for way in MAY[kind])
        for order in {powers, tuple(reversed(powers))}:
            assert is_allowed(kind, order) is enough, (kind, order)


@pytest.mark.parametrize("kind", CommandKind)
def test_the_matrix_holds_for_real_signatures_of_real_people(office: Office, kind: CommandKind) -> None:
    body, subject = BODIES[kind]
    command = office.command(kind, body, subject=subject)
    raw = encode(command)
    signers: dict[str, SigningKey] = {name: key for name, (_, key) in office.people.items()} | {"": office.receipt}
    role_of = {name: role.value for name, (role, _) in office.people.items()} | {"": AUTOMATION}
    groups = [(), *((name,) for name in signers), *product(signers, repeat=2)]
    for names in groups:
        signed = SignedCommand(command=raw, signatures=tuple(sign(raw, signers[name]) for name in names))
        received = _received(command, signed)
        powers = [role_of[name] for name in names]
        enough = any(set(way) <= set(powers) for way in MAY[kind]) and len(set(names)) == len(names)
        if enough:
            assert [one.power for one in check_authority(received, trust(office))] == powers
        else:
            with pytest.raises(CommandError) as caught:
                check_authority(received, trust(office))
            assert caught.value.reason in {"role", "people"}


def _received(command: Command, signed: SignedCommand) -> Received:
    return Received(command=command, signed=signed)


def test_one_person_under_two_keys_is_one_person(office: Office) -> None:
    second = SigningKey.generate()
    people = {person.key: person for person in office.team().people}
    nurse = next(person for person in people.values() if person.name == NURSE)
    people[second.id] = msgspec.structs.replace(nurse, key=second.id, public=second.public.hex(), role=Role.PHYSICIAN)
    command = office.command(CommandKind.PROTOCOL, BODIES[CommandKind.PROTOCOL][0], subject=PATIENT)
    raw = encode(command)
    signed = SignedCommand(command=raw, signatures=(sign(raw, office.people[NURSE][1]), sign(raw, second)))
    with pytest.raises(CommandError, match="people"):
        check_authority(_received(command, signed), Trust(people=people, automation={}))


def test_parts_of_two_commands_do_not_make_a_third(office: Office) -> None:
    """TUF's mix-and-match: each signature covers the id, the box, the patient, the version and the body."""
    body = BODIES[CommandKind.PROTOCOL][0]
    one = office.command(CommandKind.PROTOCOL, body, subject=PATIENT)
    changes = [
        {"id": "f" * 32},
        {"box": "box-0002"},
        {"subject": "patient-21c8"},
        {"version": one.version + 1},
        {"expires_at": one.expires_at + 1},
        {"body": encode_body(ProtocolBody(text="y", protocol_hash="a" * 64))},
    ]
    for change in changes:
        other = msgspec.structs.replace(one, **change)  # type: ignore[arg-type]
        raw = encode(other)
        mixed = SignedCommand(
            command=raw,
            signatures=(sign(raw, office.people[NURSE][1]), sign(encode(one), office.people[PHYSICIAN][1])),
        )
        with pytest.raises(CommandError, match="signature"):
            check_authority(_received(other, mixed), trust(office))


def test_a_signature_of_a_person_who_left_is_nobodys(office: Office) -> None:
    command = office.command(CommandKind.SCAN, ScanBody())
    people = {person.key: person for person in office.team().people if person.name != NURSE}
    with pytest.raises(CommandError, match="signer"):
        check_authority(_received(command, office.signed(command, NURSE)), Trust(people=people, automation={}))


def test_while_the_list_of_people_has_expired_their_orders_wait(office: Office) -> None:
    command = office.command(CommandKind.SCAN, ScanBody())
    old = Trust(people=trust(office).people, automation=trust(office).automation, stale=True)
    with pytest.raises(CommandError) as caught:
        check_authority(_received(command, office.signed(command, NURSE)), old)
    assert caught.value.reason == "list"
    canary = office.command(CommandKind.CANARY, NoBody())
    assert check_authority(_received(canary, office.signed(canary)), old)[0].power == AUTOMATION


@pytest.mark.parametrize("kind", CommandKind)
def test_a_command_travels_and_opens_for_its_box_alone(office: Office, box_key: OpeningKey, kind: CommandKind) -> None:
    body, subject = BODIES[kind]
    command = office.command(kind, body, subject=subject)
    names = () if kind is CommandKind.TEAM_LIST else (NURSE,)
    data = office.sealed(command, box_key, *names)
    assert len(data) in BUCKETS
    assert opened(office, data, box_key) == command
    assert decode_body(kind, command.body) == body
    for text in (PATIENT, command.id, kind.value if kind is not CommandKind.TEAM_LIST else NURSE):
        assert text.encode() not in data
    with pytest.raises(EnvelopeError, match="box"):
        opened(office, data, box_key, box="box-0002")
    with pytest.raises(EnvelopeError, match="recipient"):
        opened(office, data, OpeningKey.generate())


def test_a_note_sealed_for_one_box_and_saying_another_inside_is_refused(office: Office, box_key: OpeningKey) -> None:
    command = office.command(CommandKind.SCAN, ScanBody(), box="box-0002")
    with pytest.raises(EnvelopeError, match="box"):
        opened(office, office.sealed(command, box_key, NURSE), box_key)


def test_what_the_teams_automation_did_not_seal_is_not_even_opened(office: Office, box_key: OpeningKey) -> None:
    stranger = Office()
    command = office.command(CommandKind.SCAN, ScanBody())
    with pytest.raises(EnvelopeError, match="signer"):
        opened(office, stranger.seal(office.signed(command, NURSE), box_key), box_key)
    data = stranger.seal(office.signed(command, NURSE), box_key)
    with pytest.raises(EnvelopeError, match="signature"):
        read_note(data, purpose=Purpose.COMMAND, box=BOX).open([box_key])


def test_a_list_brings_the_key_that_its_own_note_is_signed_with_and_nothing_else_does(box_key: OpeningKey) -> None:
    before, after = Office(), Office()
    after.root = before.root
    command = after.command(CommandKind.TEAM_LIST, ListBody(data=after.team_list(version=2)))
    data = after.sealed(command, box_key)

    def signers(offered: bytes) -> Mapping[str, bytes]:
        assert offered == after.team_list(version=2)
        return {after.receipt.id: after.receipt.public}

    known = {before.receipt.id: before.receipt.public}
    received = open_command(data, box=BOX, keys=[box_key], automation=known, list_signers=signers)
    assert received.command == command
    with pytest.raises(CommandError, match="list"):
        open_command(data, box=BOX, keys=[box_key], automation=known, list_signers=no_list)
    with pytest.raises(EnvelopeError, match="signer"):
        open_command(data, box=BOX, keys=[box_key], automation=known, list_signers=lambda _: dict(known))
    # The same way in, with another order behind the same header.
    scan = msgspec.msgpack.encode(after.signed(after.command(CommandKind.SCAN, ScanBody()), NURSE))
    disguised = seal_note(
        scan, purpose=Purpose.COMMAND, box=BOX, signer=after.receipt, readers=[Reader.of(box_key)], hint="team_list"
    )
    with pytest.raises(EnvelopeError, match="content"):
        open_command(disguised, box=BOX, keys=[box_key], automation=known, list_signers=signers)


@given(data=st.data())
def test_no_changed_byte_gets_an_order_in(data: st.DataObject) -> None:
    office, box_key = _SHARED
    note = bytearray(_NOTE)
    place = data.draw(st.integers(0, len(note) - 1))
    note[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EnvelopeError):
        opened(office, bytes(note), box_key)


@given(st.binary(max_size=2048) | st.sampled_from(BUCKETS).map(bytes))
def test_noise_is_refused_as_what_it_is(noise: bytes) -> None:
    office, box_key = _SHARED
    with pytest.raises((EnvelopeError, CommandError)):
        opened(office, noise, box_key)


@given(st.binary(max_size=600))
def test_a_command_has_one_encoding(noise: bytes) -> None:
    try:
        command = decode(noise)
    except CommandError:
        return
    assert encode(command) == noise


def test_a_longer_spelling_of_the_same_command_is_refused(office: Office) -> None:
    raw = encode(office.command(CommandKind.SCAN, ScanBody()))
    assert raw[1] == 1
    longer = raw[:1] + b"\xcc\x01" + raw[2:]
    with pytest.raises(CommandError, match="one encoding"):
        decode(longer)


@pytest.mark.parametrize("kind", CommandKind)
def test_no_command_may_last_longer_than_its_kind(office: Office, kind: CommandKind) -> None:
    body, subject = BODIES[kind]
    encode(office.command(kind, body, subject=subject, lasts=LONGEST_MS[kind]))
    for lasts in (LONGEST_MS[kind] + 1, 0, -1):
        with pytest.raises(CommandError, match="malformed"):
            encode(office.command(kind, body, subject=subject, lasts=lasts))


def test_an_order_counts_until_it_expires_and_not_before_it_was_made(office: Office) -> None:
    command = office.command(CommandKind.SCAN, ScanBody(), lasts=DAY)
    for now in (NOW - TOLERANCE_MS, NOW, NOW + DAY - 1):
        check_time(command, now=now, known=True)
    for now, reason in ((NOW + DAY, "expired"), (NOW - TOLERANCE_MS - 1, "future")):
        with pytest.raises(CommandError) as caught:
            check_time(command, now=now, known=True)
        assert caught.value.reason == reason


def test_a_box_that_does_not_know_the_time_lets_peoples_orders_wait(office: Office) -> None:
    scan, canary = office.command(CommandKind.SCAN, ScanBody()), office.command(CommandKind.CANARY, NoBody())
    for command, now in ((scan, NOW), (scan, NOW + 10 * DAY), (canary, NOW + 10 * DAY)):
        with pytest.raises(CommandError) as caught:
            check_time(command, now=now, known=False)
        assert caught.value.reason == "clock"
    check_time(canary, now=0, known=False)


def test_a_body_goes_with_its_subject() -> None:
    for body, subject in BODIES.values():
        assert place_of(body, subject) is not None
        if not isinstance(body, (DispositionBody, PairBody)):
            assert place_of(body, "" if subject else PATIENT) is None
    for whose in ("", PATIENT):
        assert place_of(BODIES[CommandKind.PAIR][0], whose) == "C4:B0:00:00:00:01"
    assert place_of(EraseBody(everything=True), "") == ""
    assert place_of(EraseBody(everything=True), PATIENT) is None


def test_a_code_is_never_shown() -> None:
    assert "123456" not in repr(PairBody(address="C4:B0:00:00:00:01", passkey=123456))


_SHARED = (Office(), OpeningKey.generate())
_NOTE = _SHARED[0].sealed(_SHARED[0].command(CommandKind.SCAN, ScanBody()), _SHARED[1], NURSE)


@pytest.mark.parametrize("result", [b"no JSON", b"[" * 900 + b"]" * 900, b"[" * 17 + b"]" * 17, b"\xff", b"[1e999"])
def test_a_result_that_nobody_could_be_shown_is_no_answer(result: bytes) -> None:
    """It would be stored, receipted, and stop whoever lists the commands later."""
    answer = Answer(box=BOX, command="0" * 32, state=AnswerState.APPLIED, at=NOW)
    key, team = SigningKey.generate(), OpeningKey.generate()
    raw = msgspec.msgpack.encode(msgspec.structs.replace(answer, result=result))
    note = seal_note(raw, purpose=Purpose.ANSWER, box=BOX, signer=key, readers=[Reader.of(team)])
    with pytest.raises(EnvelopeError) as caught:
        open_answer(note, box=BOX, keys=[team], signer_of=lambda _box, _key: key.public)
    assert caught.value.reason == "content"
