"""Envelopes sealed to hybrid keys: what holds for classic ones holds for them, and the two are never mixed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import EnvelopeError, IdentityError
from exchange.identity import (
    OpeningKey,
    ReceiptSigner,
    Recipient,
    RecipientRole,
    SigningKey,
    TeamKeys,
    fault_of,
    read_team_keys,
    write_team_keys,
)
from exchange.messages import ObservationRecord, Record
from exchange.sealing import BUCKETS, LANE_SPARSE, Opener, Sealer
from tests.exchange.conftest import MakeRecord

BOX, EPOCH, NOW = "box-0001", "0123456789abcdef" * 2, 1_763_800_000_000

HYBRID, SECOND, THIRD = (OpeningKey.generate(hybrid=True) for _ in range(3))
CLASSIC = OpeningKey.generate()
SIGNER = SigningKey.generate()


def sealer_of(*keys: OpeningKey) -> Sealer:
    return Sealer(box=BOX, signing_key=SIGNER, recipients=[Recipient.of(key, RecipientRole.TEAM) for key in keys])


def opener_of(*keys: OpeningKey) -> Opener:
    return Opener(keys=keys, signer_of=lambda box, name: SIGNER.public if (box, name) == (BOX, SIGNER.id) else None)


def seal(sealer: Sealer, records: Sequence[Record]) -> bytes:
    return sealer.seal(epoch=EPOCH, first=41, lane=LANE_SPARSE, created=NOW, records=records)


def reason(action: Callable[[], object]) -> str:
    with pytest.raises(EnvelopeError) as caught:
        action()
    return caught.value.reason


def test_every_hybrid_recipient_opens_alone(make_record: MakeRecord) -> None:
    envelope = seal(sealer_of(HYBRID, SECOND, THIRD), [make_record()])
    assert len(envelope) in BUCKETS
    for key in (HYBRID, SECOND, THIRD):
        opened = opener_of(CLASSIC, key).open(envelope, box=BOX)
        assert opened.records == (make_record(),)
        assert opened.header.v == 2
    assert reason(lambda: opener_of(CLASSIC).open(envelope, box=BOX)) == "recipient"


def test_neither_half_of_a_hybrid_key_opens_alone(make_record: MakeRecord) -> None:
    """Breaking X25519 alone, as a quantum computer might, gives nothing; nor does ML-KEM's half alone."""
    envelope = seal(sealer_of(HYBRID), [make_record()])
    post_quantum, classic = HYBRID._parts
    assert isinstance(classic, X25519PrivateKey)
    assert not isinstance(post_quantum, X25519PrivateKey)
    for half in (
        OpeningKey(classic, SECOND._parts[0]),  # type: ignore[arg-type]
        OpeningKey(X25519PrivateKey.generate(), post_quantum),  # type: ignore[arg-type]
        OpeningKey(classic),
    ):
        half.id = HYBRID.id
        assert reason(lambda half=half: opener_of(half).open(envelope, box=BOX)) in {"decrypt", "recipient"}  # type: ignore[misc]


def test_a_classic_key_under_a_hybrid_s_id_opens_nothing_and_the_other_way_round(make_record: MakeRecord) -> None:
    envelope = seal(sealer_of(CLASSIC), [make_record()])
    disguised = OpeningKey.generate(hybrid=True)
    disguised.id = CLASSIC.id
    assert reason(lambda: opener_of(disguised).open(envelope, box=BOX)) == "recipient"


@settings(max_examples=60, deadline=None)
@given(where=st.integers(min_value=0), bit=st.integers(0, 7), hybrid=st.booleans())
def test_any_flipped_bit_anywhere_in_an_envelope_is_refused(
    where: int, bit: int, make_record: MakeRecord, *, hybrid: bool
) -> None:
    key = HYBRID if hybrid else CLASSIC
    envelope = bytearray(seal(sealer_of(key), [make_record()]))
    envelope[where % len(envelope)] ^= 1 << bit
    with pytest.raises(EnvelopeError):
        opener_of(key).open(bytes(envelope), box=BOX)


def test_a_changed_version_does_not_turn_one_form_into_the_other(make_record: MakeRecord) -> None:
    envelope = seal(sealer_of(HYBRID), [make_record()])
    assert envelope[2:4] == bytes([0x9B, 2])
    as_classic = envelope[:3] + b"\x01" + envelope[4:]
    assert reason(lambda: opener_of(HYBRID).open(as_classic, box=BOX)) == "signature"
    unsigned = as_classic[:-64]
    resigned = unsigned + SIGNER.sign(b"veilleur/v1/envelope\x00" + unsigned)
    assert reason(lambda: opener_of(HYBRID).open(resigned, box=BOX)) == "recipient"


def test_hybrid_and_classic_recipients_are_never_mixed() -> None:
    mixed = [Recipient.of(key, RecipientRole.TEAM) for key in (HYBRID, CLASSIC)]
    assert fault_of(mixed) is not None
    with pytest.raises(ValueError, match="mixed"):
        Sealer(box=BOX, signing_key=SIGNER, recipients=mixed)


def test_a_sealer_goes_from_classic_to_hybrid_recipients_without_a_restart(make_record: MakeRecord) -> None:
    sealer = sealer_of(CLASSIC)
    before = seal(sealer, [make_record()])
    sealer.use([Recipient.of(HYBRID, RecipientRole.TEAM)])
    after = seal(sealer, [make_record()])
    opener = opener_of(CLASSIC, HYBRID)
    assert [opener.open(envelope, box=BOX).header.v for envelope in (before, after)] == [1, 2]
    with pytest.raises(ValueError, match="recipients"):
        sealer.use([])
    assert opener.open(seal(sealer, [make_record()]), box=BOX).header.v == 2


def test_eight_hybrid_recipients_leave_room_for_a_reading_and_too_much_is_oversize(make_record: MakeRecord) -> None:
    eight = sealer_of(*(OpeningKey.generate(hybrid=True) for _ in range(8)))
    assert len(seal(eight, [make_record()])) == 16384
    many: list[ObservationRecord] = [make_record(number, frame=bytes(64)) for number in range(600)]
    assert len(seal(eight, many)) in BUCKETS


def test_a_loaded_hybrid_key_is_the_same_and_its_file_is_private(tmp_path: Path, make_record: MakeRecord) -> None:
    HYBRID.save(tmp_path / "team.key")
    assert (tmp_path / "team.key").stat().st_mode & 0o777 == 0o600
    loaded = OpeningKey.load(tmp_path / "team.key")
    assert (loaded.id, loaded.public, loaded.hybrid) == (HYBRID.id, HYBRID.public, True)
    envelope = seal(sealer_of(HYBRID), [make_record()])
    assert opener_of(loaded).open(envelope, box=BOX).records == (make_record(),)


def test_parts_in_another_order_or_of_another_kind_are_no_opening_key(tmp_path: Path) -> None:
    post_quantum, classic = (
        part.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for part in HYBRID._parts
    )
    for number, content in enumerate((classic + post_quantum, classic + classic, post_quantum, classic + b"rest")):
        path = tmp_path / f"{number}.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(IdentityError):
            OpeningKey.load(path)


def test_a_team_s_file_can_name_hybrid_keys(tmp_path: Path) -> None:
    keys = TeamKeys(
        recipients=(Recipient.of(HYBRID, RecipientRole.TEAM), Recipient.of(SECOND, RecipientRole.ESCROW)),
        receipt_signers=(ReceiptSigner.of(SIGNER),),
    )
    write_team_keys(tmp_path / "team.json", keys)
    assert read_team_keys(tmp_path / "team.json") == keys
    assert all(recipient.hybrid for recipient in keys.recipients)
