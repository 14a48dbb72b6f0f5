"""Another implementation of RFC 9180 opens what a box seals, and the team opens what that one seals (pyhpke)."""

import hashlib
import os

import msgspec
import pyhpke
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import sealing
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.packing import pack, unpack
from exchange.sealing import LANE_SPARSE, Header, Opener, Sealer
from tests.exchange.conftest import MakeRecord

BOX, EPOCH = "box-0001", "0123456789abcdef" * 2
THEIRS = pyhpke.CipherSuite.new(
    pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES256_GCM
)


def their_private(key: OpeningKey) -> pyhpke.KEMKeyInterface:
    assert not key.hybrid
    return THEIRS.kem.deserialize_private_key(key.private.private_bytes_raw())  # type: ignore[union-attr]


@settings(max_examples=30, deadline=None)
@given(plain=st.binary(max_size=200), info=st.binary(max_size=80))
def test_what_either_seals_the_other_opens(plain: bytes, info: bytes) -> None:
    key = OpeningKey.generate()
    sealed = sealing._SUITE.encrypt(plain, key.private.public_key(), info=info)
    theirs = THEIRS.create_recipient_context(sealed[:32], their_private(key), info=info)
    assert theirs.open(sealed[32:]) == plain
    encapsulated, sender = THEIRS.create_sender_context(THEIRS.kem.deserialize_public_key(key.public), info=info)
    assert sealing._SUITE.decrypt(encapsulated + sender.seal(plain), key.private, info=info) == plain


def test_an_envelope_of_a_box_opens_by_the_documented_layout_with_the_other_implementation(
    box_key: SigningKey, team: OpeningKey, on_call: OpeningKey, make_record: MakeRecord
) -> None:
    recipients = [Recipient.of(team, RecipientRole.TEAM), Recipient.of(on_call, RecipientRole.ON_CALL)]
    sealer = Sealer(box=BOX, signing_key=box_key, recipients=recipients)
    records = (make_record(0), make_record(1))
    envelope = sealer.seal(epoch=EPOCH, first=3, lane=LANE_SPARSE, created=0, records=records)
    length = int.from_bytes(envelope[:2], "big")
    header, rest = envelope[2 : 2 + length], envelope[2 + length : -64]
    info = b"veilleur/v1/wrap\x00" + hashlib.sha256(header).digest()
    for place, key in enumerate((team, on_call)):
        wrap = rest[80 * place : 80 * place + 80]
        content_key = THEIRS.create_recipient_context(wrap[:32], their_private(key), info=info).open(wrap[32:])
        packed = AESGCM(content_key).decrypt(rest[160:172], rest[172:], header)
        assert unpack(packed, count=2) == records


def test_the_team_opens_an_envelope_whose_wraps_the_other_implementation_made(
    box_key: SigningKey, team: OpeningKey, make_record: MakeRecord
) -> None:
    ours = Sealer(box=BOX, signing_key=box_key, recipients=[Recipient.of(team, RecipientRole.TEAM)])
    envelope = ours.seal(epoch=EPOCH, first=3, lane=LANE_SPARSE, created=0, records=[make_record()])
    length = int.from_bytes(envelope[:2], "big")
    header = envelope[2 : 2 + length]
    assert msgspec.msgpack.decode(header, type=Header).recipients == (team.id,)
    content_key, nonce = os.urandom(32), os.urandom(12)
    info = b"veilleur/v1/wrap\x00" + hashlib.sha256(header).digest()
    encapsulated, sender = THEIRS.create_sender_context(THEIRS.kem.deserialize_public_key(team.public), info=info)
    packed = pack([make_record()])
    room = len(envelope) - 2 - length - 80 - 12 - 16 - 64
    body = nonce + AESGCM(content_key).encrypt(nonce, packed.ljust(room, b"\x00"), header)
    unsigned = envelope[: 2 + length] + encapsulated + sender.seal(content_key) + body
    remade = unsigned + box_key.sign(b"veilleur/v1/envelope\x00" + unsigned)
    opener = Opener(keys=[team], signer_of=lambda _box, _name: box_key.public)
    assert opener.open(remade, box=BOX).records == (make_record(),)


def test_the_other_implementation_refuses_another_info(team: OpeningKey) -> None:
    sealed = sealing._SUITE.encrypt(b"content key", team.private.public_key(), info=b"one")
    theirs = THEIRS.create_recipient_context(sealed[:32], their_private(team), info=b"two")
    with pytest.raises(pyhpke.PyHPKEError):
        theirs.open(sealed[32:])
