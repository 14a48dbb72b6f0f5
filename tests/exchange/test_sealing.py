"""Envelopes, receipts and status: what goes in comes out for those it was meant for, and nothing else does.

`Forger` builds envelopes by hand from the layout that the module's docstring gives, so that the layout itself is
tested, and what a hostile or broken but registered box could send.
"""

import hashlib
import os
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.alert import Category, ChangeKind, Priority
from devices.reading import ClockTrust, Quantity, Unit, Validity
from exchange import sealing
from exchange.errors import EnvelopeError, ReceiptError
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import (
    MAX_RECORDS,
    SCHEMA,
    AlertRecord,
    Content,
    EvidenceItem,
    ObservationRecord,
    Range,
    Record,
    Status,
)
from exchange.packing import MAX_CONTENT_BYTES, unpack
from exchange.receipts import MAX_EPOCHS, Credit, Receipt, Received
from exchange.sealing import (
    BUCKETS,
    LANE_ALERTS,
    LANE_DENSE,
    LANE_SPARSE,
    Opened,
    Opener,
    Sealer,
    sign_receipt,
    sign_status,
    verify_receipt,
    verify_status,
)

MakeRecord = Callable[..., ObservationRecord]

BOX = "box-0001"
EPOCH = "0123456789abcdef" * 2
NOW = 1_763_800_000_000
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

TIMES = st.integers(-(2**53), 2**53)
NAMES = st.text(min_size=1, max_size=64)
KEYS = st.text(min_size=1, max_size=128)
HEX32 = st.binary(min_size=16, max_size=16).map(bytes.hex)
OBSERVATIONS = st.builds(
    ObservationRecord,
    patient=NAMES,
    quantity=st.sampled_from(Quantity),
    count=TIMES,
    unit=st.sampled_from(Unit),
    validity=st.sampled_from(Validity),
    measured_at=TIMES,
    clock=st.sampled_from(ClockTrust),
    received_at=TIMES,
    device=KEYS,
    key=KEYS,
    quality=st.integers(0, 2**31),
    source=NAMES,
    device_value=st.none() | st.text(max_size=64),
    device_unit=st.sampled_from(Unit),
    device_time=st.none() | st.text(max_size=40),
    frame=st.binary(max_size=512),
)
EVIDENCE = st.builds(
    EvidenceItem,
    quantity=st.sampled_from(Quantity),
    count=TIMES,
    measured_at=TIMES,
    received_at=TIMES,
    device=KEYS,
    key=KEYS,
)
ALERTS = st.builds(
    AlertRecord,
    kind=st.sampled_from(ChangeKind),
    alert_id=HEX32,
    patient=NAMES,
    rule=NAMES,
    priority=st.sampled_from(Priority),
    category=st.sampled_from(Category),
    onset=TIMES,
    raised_at=TIMES,
    resolved_at=st.none() | TIMES,
    evidence=st.lists(EVIDENCE, max_size=3).map(tuple),
    fr=st.text(max_size=300),
    en=st.text(max_size=300),
    late=st.booleans(),
    supersedes=st.none() | HEX32,
    protocol=st.text(max_size=64),
    protocol_version=st.integers(0, 2**31),
    protocol_hash=st.text(max_size=64),
    engine_version=st.text(max_size=32),
)
RECORDS = st.lists(OBSERVATIONS | ALERTS, min_size=1, max_size=5)


def sealer_of(key: SigningKey, *recipients: OpeningKey, box: str = BOX) -> Sealer:
    return Sealer(
        box=box, signing_key=key, recipients=[Recipient.of(recipient, RecipientRole.TEAM) for recipient in recipients]
    )


def opener_of(signer: SigningKey, *keys: OpeningKey) -> Opener:
    registered = {(BOX, signer.id): signer.public}
    return Opener(keys=keys, signer_of=lambda box, name: registered.get((box, name)))


def reason(action: Callable[[], object]) -> str:
    with pytest.raises(EnvelopeError) as caught:
        action()
    return caught.value.reason


@pytest.fixture
def sealer(box_key: SigningKey, team: OpeningKey, on_call: OpeningKey, escrow: OpeningKey) -> Sealer:
    return sealer_of(box_key, team, on_call, escrow)


@pytest.fixture
def opener(box_key: SigningKey, team: OpeningKey) -> Opener:
    return opener_of(box_key, team)


@pytest.fixture
def envelope(sealer: Sealer, make_record: MakeRecord) -> bytes:
    return sealer.seal(epoch=EPOCH, first=41, lane=LANE_SPARSE, created=NOW, records=[make_record(0), make_record(1)])


def seal(sealer: Sealer, records: Sequence[Record]) -> bytes:
    return sealer.seal(epoch=EPOCH, first=7, lane=LANE_DENSE, created=NOW, records=records)


@dataclass
class Forger:
    """Makes an envelope by hand; every part can be given instead of being made."""

    signer: SigningKey
    recipients: list[OpeningKey]
    records: list[Any]
    header: dict[str, Any] = field(default_factory=dict)
    raw_header: bytes | None = None
    packed: bytes | None = None
    info_label: bytes = b"veilleur/v1/wrap\x00"
    body_header: bytes | None = None
    reverse_wraps: bool = False
    envelope_label: bytes = b"veilleur/v1/envelope\x00"
    size: int = 1024

    def envelope(self) -> bytes:
        fields = {
            "v": 1,
            "box": BOX,
            "epoch": EPOCH,
            "first": 41,
            "last": 41 + len(self.records) - 1,
            "lane": 1,
            "created": NOW,
            "signer": self.signer.id,
            "recipients": [key.id for key in self.recipients],
            "content_type": "records",
            "schema": 1,
            **self.header,
        }
        header = self.raw_header or msgspec.msgpack.encode(list(fields.values()))
        plain = msgspec.msgpack.encode({"records": self.records})
        squeezed = zlib.compress(plain)
        packed = self.packed or len(squeezed).to_bytes(4, "big") + squeezed
        content_key = os.urandom(32)
        info = self.info_label + hashlib.sha256(header).digest()
        keys = reversed(self.recipients) if self.reverse_wraps else self.recipients
        wraps = b"".join(
            SUITE.encrypt(content_key, X25519PublicKey.from_public_bytes(key.public), info=info) for key in keys
        )
        room = self.size - 2 - len(header) - len(wraps) - 12 - 16 - 64
        nonce = os.urandom(12)
        aad = self.body_header or header
        body = nonce + AESGCM(content_key).encrypt(nonce, packed.ljust(room, b"\x00"), aad)
        unsigned = len(header).to_bytes(2, "big") + header + wraps + body
        return unsigned + self.signer.sign(self.envelope_label + unsigned)


@pytest.fixture
def forger(box_key: SigningKey, team: OpeningKey, on_call: OpeningKey, make_record: MakeRecord) -> Forger:
    return Forger(signer=box_key, recipients=[team, on_call], records=[make_record(0), make_record(1)])


# What goes in comes out.


@settings(max_examples=100, deadline=None)
@given(
    records=RECORDS,
    epoch=HEX32,
    first=st.integers(0, 2**53 - MAX_RECORDS),
    lane=st.sampled_from([LANE_ALERTS, LANE_SPARSE, LANE_DENSE]),
    created=TIMES,
)
def test_records_come_out_as_they_went_in(
    records: list[Record], epoch: str, first: int, lane: int, created: int
) -> None:
    signer, recipient = SigningKey.generate(), OpeningKey.generate()
    sealed = sealer_of(signer, recipient).seal(epoch=epoch, first=first, lane=lane, created=created, records=records)
    opened = opener_of(signer, recipient).open(sealed, box=BOX)
    assert list(opened.records) == records
    assert opened.header == sealing.Header(
        v=1,
        box=BOX,
        epoch=epoch,
        first=first,
        last=first + len(records) - 1,
        lane=lane,
        created=created,
        signer=signer.id,
        recipients=(recipient.id,),
        content_type="records",
        schema=SCHEMA,
    )


def test_every_recipient_opens_alone(
    envelope: bytes, box_key: SigningKey, team: OpeningKey, on_call: OpeningKey, escrow: OpeningKey
) -> None:
    opened = [opener_of(box_key, key).open(envelope, box=BOX) for key in (team, on_call, escrow)]
    assert opened[0] == opened[1] == opened[2]


def test_a_key_that_was_replaced_still_opens_what_was_sealed_to_it(
    envelope: bytes, box_key: SigningKey, team: OpeningKey
) -> None:
    assert opener_of(box_key, OpeningKey.generate(), team).open(envelope, box=BOX).header.first == 41


def test_an_envelope_made_by_hand_from_the_documented_layout_opens(forger: Forger, opener: Opener) -> None:
    assert list(opener.open(forger.envelope(), box=BOX).records) == forger.records


def test_a_sealed_envelope_is_taken_apart_by_hand(
    envelope: bytes, team: OpeningKey, on_call: OpeningKey, escrow: OpeningKey, make_record: MakeRecord
) -> None:
    length = int.from_bytes(envelope[:2], "big")
    header = envelope[2 : 2 + length]
    assert msgspec.msgpack.decode(header)[7:9][1] == [team.id, on_call.id, escrow.id]
    second = envelope[2 + length + 80 : 2 + length + 160]
    info = b"veilleur/v1/wrap\x00" + hashlib.sha256(header).digest()
    content_key = SUITE.decrypt(second, on_call.private, info=info)
    body = envelope[2 + length + 240 : -64]
    packed = AESGCM(content_key).decrypt(body[:12], body[12:], header)
    plain = zlib.decompress(packed[4 : 4 + int.from_bytes(packed[:4], "big")])
    assert msgspec.msgpack.decode(plain, type=Content).records == (make_record(0), make_record(1))


def test_the_same_header_has_the_same_bytes(sealer: Sealer, make_record: MakeRecord) -> None:
    first, second = seal(sealer, [make_record()]), seal(sealer, [make_record()])
    length = int.from_bytes(first[:2], "big")
    assert first[: 2 + length] == second[: 2 + length]


def test_two_envelopes_of_the_same_records_share_no_key_nonce_or_text(sealer: Sealer, make_record: MakeRecord) -> None:
    envelopes = [seal(sealer, [make_record()]) for _ in range(50)]
    length = int.from_bytes(envelopes[0][:2], "big")
    wraps = {one[2 + length :][:80] for one in envelopes}
    nonces = {one[2 + length + 240 :][:12] for one in envelopes}
    bodies = {one[2 + length + 252 : -64] for one in envelopes}
    assert len(wraps) == len(nonces) == len(bodies) == 50


def test_no_word_of_a_record_is_readable_in_an_envelope(sealer: Sealer, make_record: MakeRecord) -> None:
    sealed = seal(sealer, [make_record(number) for number in range(10)])
    for word in (b"patient-7f3a", b"glucose", b"C4:B0:00:00:00:01", b"mg/dL"):
        assert word not in sealed


# Sizes.


@pytest.mark.parametrize("count", [1, 2, 7, 20, 60, 200, MAX_RECORDS])
def test_an_envelope_has_one_of_four_sizes(count: int, sealer: Sealer, opener: Opener, make_record: MakeRecord) -> None:
    sealed = seal(sealer, [make_record(number, frame=os.urandom(13)) for number in range(count)])
    assert len(sealed) in BUCKETS
    assert len(opener.open(sealed, box=BOX).records) == count


def test_a_record_more_or_less_does_not_show_in_the_size(sealer: Sealer, make_record: MakeRecord) -> None:
    assert len(seal(sealer, [make_record()])) == len(seal(sealer, [make_record(), make_record(1)])) == 1024


def test_records_that_do_not_fit_are_for_the_caller_to_split(sealer: Sealer, make_record: MakeRecord) -> None:
    wide = [make_record(number, frame=os.urandom(512)) for number in range(200)]
    assert reason(lambda: seal(sealer, wide)) == "oversize"
    assert len(seal(sealer, wide[:50])) == 65536


def test_more_records_than_the_other_end_takes_are_oversize(sealer: Sealer, make_record: MakeRecord) -> None:
    assert reason(lambda: seal(sealer, [make_record()] * (MAX_RECORDS + 1))) == "oversize"


def test_records_that_squeeze_well_are_still_bounded_unpacked(sealer: Sealer, make_record: MakeRecord) -> None:
    long = msgspec.structs.replace(make_record(frame=bytes(512)), device_value="0" * 4096)
    assert reason(lambda: seal(sealer, [long] * MAX_RECORDS)) == "oversize"


def test_what_the_other_end_would_refuse_is_refused_at_sealing(sealer: Sealer, make_record: MakeRecord) -> None:
    assert reason(lambda: seal(sealer, [make_record(frame=bytes(513))])) == "content"
    assert reason(lambda: seal(sealer, [msgspec.structs.replace(make_record(), patient="\ud800")])) == "content"
    assert reason(lambda: seal(sealer, [msgspec.structs.replace(make_record(), count=2**70)])) == "content"
    assert reason(lambda: seal(sealer, [])) == "content"


@pytest.mark.parametrize(
    "fault", [{"epoch": "short"}, {"first": -1}, {"lane": 3}, {"lane": -1}, {"created": 2**60}, {"epoch": "G" * 32}]
)
def test_a_header_that_would_be_refused_is_refused_at_sealing(
    fault: dict[str, Any], sealer: Sealer, make_record: MakeRecord
) -> None:
    arguments: dict[str, Any] = {"epoch": EPOCH, "first": 0, "lane": 0, "created": NOW, **fault}
    assert reason(lambda: sealer.seal(records=[make_record()], **arguments)) == "malformed"


def test_a_sealer_needs_different_recipients_and_not_too_many(box_key: SigningKey, team: OpeningKey) -> None:
    for recipients in ([], [team, team], [OpeningKey.generate() for _ in range(9)]):
        with pytest.raises(ValueError, match="recipients"):
            sealer_of(box_key, *recipients)
    eight = [OpeningKey.generate() for _ in range(8)]
    assert sealer_of(box_key, *eight) is not None


# What was tampered with is refused, and nothing of it is decrypted before the signature holds.


class CountingSuite:
    def __init__(self) -> None:
        self.decrypted = 0

    def decrypt(self, ciphertext: bytes, private_key: X25519PrivateKey, info: bytes) -> bytes:
        self.decrypted += 1
        return SUITE.decrypt(ciphertext, private_key, info=info)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> CountingSuite:
    suite = CountingSuite()
    monkeypatch.setattr(sealing, "_SUITE", suite)
    return suite


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_every_changed_byte_is_refused_and_nothing_decrypted(
    bit: int, envelope: bytes, opener: Opener, counting: CountingSuite
) -> None:
    seen = set()
    for place in range(len(envelope)):
        changed = bytearray(envelope)
        changed[place] ^= bit
        seen.add(reason(lambda changed=changed: opener.open(bytes(changed), box=BOX)))  # type: ignore[misc]
    assert {"malformed", "signature"} <= seen <= {"malformed", "version", "box", "signer", "signature"}
    assert counting.decrypted == 0
    opener.open(envelope, box=BOX)
    assert counting.decrypted == 1


def test_every_truncation_and_extension_is_refused(envelope: bytes, opener: Opener, counting: CountingSuite) -> None:
    for length in range(len(envelope)):
        assert reason(lambda length=length: opener.open(envelope[:length], box=BOX)) == "malformed"  # type: ignore[misc]
    for more in (b"\x00", bytes(3072), bytes(15360), bytes(64512)):
        assert reason(lambda more=more: opener.open(envelope + more, box=BOX)) in {"malformed", "signature"}  # type: ignore[misc]
    assert reason(lambda: opener.open(bytes(65537), box=BOX)) == "oversize"
    assert counting.decrypted == 0


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=1024), size=st.sampled_from(BUCKETS))
def test_noise_is_refused(noise: bytes, size: int) -> None:
    opener = opener_of(SigningKey.generate(), OpeningKey.generate())
    assert reason(lambda: opener.open(noise.ljust(size, b"\x91"), box=BOX)) in {"malformed", "version", "box"}


def test_a_signature_by_another_key_is_refused(forger: Forger, opener: Opener, stranger: SigningKey) -> None:
    signer_id = forger.signer.id
    forger.signer = stranger
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "signer"
    forger.header = {"signer": signer_id}
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "signature"


def test_a_signature_made_for_another_purpose_is_refused(forger: Forger, opener: Opener) -> None:
    forger.envelope_label = b"veilleur/v1/status\x00"
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "signature"


def test_an_envelope_on_another_box_s_topic_is_refused(envelope: bytes, opener: Opener) -> None:
    assert reason(lambda: opener.open(envelope, box="box-0002")) == "box"


def test_a_box_that_signs_for_another_is_refused(
    box_key: SigningKey, team: OpeningKey, stranger: SigningKey, make_record: MakeRecord
) -> None:
    registered = {("box-0001", box_key.id): box_key.public, ("box-0002", stranger.id): stranger.public}
    opener = Opener(keys=[team], signer_of=lambda box, name: registered.get((box, name)))
    sealed = seal(sealer_of(stranger, team, box="box-0001"), [make_record()])
    assert reason(lambda: opener.open(sealed, box="box-0001")) == "signer"
    assert reason(lambda: opener.open(sealed, box="box-0002")) == "box"


def test_an_envelope_for_others_is_refused(envelope: bytes, box_key: SigningKey) -> None:
    assert reason(lambda: opener_of(box_key, OpeningKey.generate()).open(envelope, box=BOX)) == "recipient"


def test_a_removed_recipient_opens_nothing_sealed_later(
    box_key: SigningKey, team: OpeningKey, on_call: OpeningKey, make_record: MakeRecord
) -> None:
    earlier = seal(sealer_of(box_key, team, on_call), [make_record()])
    assert opener_of(box_key, on_call).open(earlier, box=BOX).records == (make_record(),)
    later = seal(sealer_of(box_key, team), [make_record()])
    assert reason(lambda: opener_of(box_key, on_call).open(later, box=BOX)) == "recipient"


# What a registered box could send in error or malice.


def test_wraps_in_another_order_than_the_header_s_do_not_open(forger: Forger, opener: Opener) -> None:
    forger.reverse_wraps = True
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "decrypt"


def test_a_wrap_made_for_another_header_does_not_open(forger: Forger, opener: Opener) -> None:
    forger.info_label = b"another/purpose\x00"
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "decrypt"


def test_a_body_made_for_another_header_does_not_open(forger: Forger, opener: Opener) -> None:
    forger.body_header = b"another header"
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "decrypt"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"v": 3}, "version"),
        ({"v": 2}, "malformed"),
        ({"v": 0}, "version"),
        ({"v": "1"}, "malformed"),
        ({"schema": SCHEMA + 1}, "version"),
        ({"schema": 0}, "malformed"),
        ({"content_type": "pictures"}, "version"),
        ({"box": ""}, "malformed"),
        ({"epoch": "0" * 31}, "malformed"),
        ({"first": 42}, "content"),
        ({"last": 41}, "content"),
        ({"last": 43}, "content"),
        ({"last": 40}, "malformed"),
        ({"last": 41 + MAX_RECORDS}, "malformed"),
        ({"first": -1}, "malformed"),
        ({"lane": 3}, "malformed"),
        ({"created": 2**54}, "malformed"),
        ({"signer": "nothex"}, "malformed"),
        ({"recipients": []}, "malformed"),
        ({"recipients": ["0" * 16, "0" * 16]}, "malformed"),
        ({"more": 1}, "malformed"),
    ],
)
def test_a_header_that_says_what_it_must_not_is_refused(
    fields: dict[str, Any], word: str, forger: Forger, opener: Opener
) -> None:
    forger.header = fields
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == word


def test_a_header_of_a_later_version_is_told_from_a_malformed_one(forger: Forger, opener: Opener) -> None:
    forger.raw_header = msgspec.msgpack.encode([3, "another", "shape"])
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "version"
    forger.raw_header = b"\x93\x01\xc1\x00"
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "malformed"


def test_a_header_nested_deeper_than_a_stack_is_refused(forger: Forger, opener: Opener) -> None:
    forger.raw_header = b"\x92\x01" + b"\x91" * 500 + b"\xc0"
    forger.size = 4096
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "malformed"


def test_a_header_that_takes_the_place_of_the_body_is_refused(forger: Forger, opener: Opener) -> None:
    sealed = forger.envelope()
    for length in (0, 513, 65535):
        changed = length.to_bytes(2, "big") + sealed[2:]
        assert reason(lambda changed=changed: opener.open(changed, box=BOX)) == "malformed"  # type: ignore[misc]


def test_recipients_that_leave_no_room_for_a_body_are_malformed(box_key: SigningKey, opener: Opener) -> None:
    fields = [1, "b" * 64, EPOCH, 0, 0, 1, NOW, box_key.id, [f"{n:016x}" for n in range(8)], "c" * 64, 1]
    header = msgspec.msgpack.encode(fields)
    unsigned = (len(header).to_bytes(2, "big") + header).ljust(1024 - 64, b"\x00")
    sealed = unsigned + box_key.sign(b"veilleur/v1/envelope\x00" + unsigned)
    assert reason(lambda: opener.open(sealed, box=BOX)) == "malformed"


def packed_of(plain: bytes) -> bytes:
    squeezed = zlib.compress(plain, 9)
    return len(squeezed).to_bytes(4, "big") + squeezed


def test_a_zip_bomb_is_refused_before_it_is_unpacked(forger: Forger, opener: Opener) -> None:
    forger.packed = packed_of(bytes(60 << 20))
    forger.size = 65536
    bomb = forger.envelope()
    tracemalloc.start()
    with pytest.raises(EnvelopeError, match=f"more than {MAX_CONTENT_BYTES} bytes") as caught:
        opener.open(bomb, box=BOX)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == "content"
    assert peak < 4 * MAX_CONTENT_BYTES


@pytest.mark.parametrize(
    "packed",
    [
        b"\x00\x00\x00\x04none",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        packed_of(b"\x80"),
        packed_of(b"\x81\xa7records\x90"),
        packed_of(b"\x81\xa7records\x91\x81\xa4type\xa1\xff"),
        packed_of(msgspec.msgpack.encode({"records": [], "more": 1})),
        b"\x00\x00\x00\x08" + zlib.compress(b"\x81\xa7records\x91")[:8],
    ],
)
def test_content_that_is_not_what_was_agreed_is_refused(packed: bytes, forger: Forger, opener: Opener) -> None:
    forger.packed = packed
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "content"


def test_nothing_can_hide_behind_the_content(forger: Forger, opener: Opener) -> None:
    good = packed_of(msgspec.msgpack.encode({"records": forger.records}))
    forger.packed = good + b"\x00hidden"
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "content"
    forger.packed = (len(good) - 4 + 6).to_bytes(4, "big") + good[4:] + b"hidden"
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "content"


def test_a_record_with_a_field_that_is_not_known_is_refused(forger: Forger, opener: Opener) -> None:
    forger.records = [{**msgspec.to_builtins(forger.records[0]), "type": "observation", "name": "Jean"}]
    assert reason(lambda: opener.open(forger.envelope(), box=BOX)) == "content"


# HPKE (RFC 9180).


def test_the_suite_is_the_one_of_rfc_9180() -> None:
    """DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode: from the vectors published with RFC 9180.

    The published ciphertexts all carry an AAD, which the library does not take. Its key and nonce are those of the
    vector nevertheless: what is encrypted here with the published key and nonce, it must open with the published
    recipient key, encapsulated key and info.
    """
    recipient = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d")
    )
    encapsulated = bytes.fromhex("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256")
    info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
    key = AESGCM(bytes.fromhex("f50b0609186798729ed0564b36ef2ef8044f1f9d05636874d1f46c819c7a669f"))
    nonce = bytes.fromhex("151d9929e2449747889bc923")
    plain = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
    published = "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"
    assert key.encrypt(nonce, plain, b"Count-0").hex() == published
    assert recipient.public_key().public_bytes_raw().hex() == (
        "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c"
    )

    sealed = encapsulated + key.encrypt(nonce, plain, b"")
    assert sealing._SUITE.decrypt(sealed, recipient, info=info) == plain
    with pytest.raises(InvalidTag):
        sealing._SUITE.decrypt(sealed, recipient, info=info + b"\x00")


# Receipts.


@pytest.fixture
def receipt() -> Receipt:
    ranges = (Range(first=0, last=11), Range(first=13, last=13))
    older = Received(epoch="f" * 32, ranges=(Range(first=7, last=7),), high=7)
    credit = Credit(envelopes=3, size=1 << 20)
    return Receipt(box=BOX, epochs=(Received(epoch=EPOCH, ranges=ranges, high=13), older), at=NOW, credit=credit)


def receipt_reason(data: bytes, signer: SigningKey, box: str = BOX) -> str:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(data, box=box, signers={signer.id: signer.public})
    return caught.value.reason


def test_a_receipt_comes_out_as_it_went_in(receipt: Receipt, stranger: SigningKey) -> None:
    signed = sign_receipt(receipt, stranger)
    assert verify_receipt(signed, box=BOX, signers={stranger.id: stranger.public}) == receipt


def test_a_receipt_by_a_stranger_or_for_another_box_is_refused(
    receipt: Receipt, box_key: SigningKey, stranger: SigningKey
) -> None:
    assert receipt_reason(sign_receipt(receipt, stranger), box_key) == "signer"
    forged = bytes.fromhex(box_key.id) + sign_receipt(receipt, stranger)[8:]
    assert receipt_reason(forged, box_key) == "signature"
    assert receipt_reason(sign_receipt(receipt, box_key), box_key, box="box-0002") == "box"


def test_every_changed_or_missing_byte_of_a_receipt_is_refused(receipt: Receipt, box_key: SigningKey) -> None:
    signed = sign_receipt(receipt, box_key)
    for place in range(len(signed)):
        changed = bytearray(signed)
        changed[place] ^= 0x04
        assert receipt_reason(bytes(changed), box_key) in {"signer", "signature"}
        assert receipt_reason(signed[:place], box_key) in {"malformed", "signature"}
    assert receipt_reason(signed + b"\x00", box_key) == "signature"
    assert receipt_reason(bytes(65537), box_key) == "malformed"


def test_a_signed_receipt_that_makes_no_sense_is_refused(receipt: Receipt, box_key: SigningKey) -> None:
    def signed(**changes: object) -> bytes:
        return sign_receipt(msgspec.structs.replace(receipt, **changes), box_key)

    one = receipt.epochs[1]
    backwards = msgspec.structs.replace(one, ranges=(Range(first=5, last=4),))
    nothing = msgspec.structs.replace(one, ranges=())
    for epochs in ((backwards,), (receipt.epochs[0], backwards), (nothing,), (), (one, one), (one,) * (MAX_EPOCHS + 1)):
        assert receipt_reason(signed(epochs=epochs), box_key) == "malformed"
    for credit in (Credit(envelopes=0, size=1 << 20), Credit(envelopes=1, size=1000)):
        assert receipt_reason(signed(credit=credit), box_key) == "malformed"
    assert verify_receipt(signed(credit=None), box=BOX, signers={box_key.id: box_key.public}).credit is None


def test_a_status_does_not_pass_for_a_receipt(status: Status, receipt: Receipt, box_key: SigningKey) -> None:
    assert receipt_reason(sign_status(status, box_key), box_key) == "signature"
    assert status_reason(sign_receipt(receipt, box_key), box_key) == "signature"


# Status.


@pytest.fixture
def status() -> Status:
    return Status(
        state="online",
        box=BOX,
        epoch=EPOCH,
        session="f" * 32,
        next_seq=42,
        backlog=3,
        version="0.1.0",
        protocols={"patient-7f3a": "a" * 64},
        at=NOW,
    )


def status_reason(data: bytes, signer: SigningKey, box: str = BOX) -> str:
    return reason(
        lambda: verify_status(data, box=box, signer_of=lambda _, name: signer.public if name == signer.id else None)
    )


def test_a_status_comes_out_as_it_went_in(status: Status, box_key: SigningKey) -> None:
    signed = sign_status(status, box_key)
    assert verify_status(signed, box=BOX, signer_of=lambda _box, _name: box_key.public) == status


def test_a_status_by_a_stranger_or_of_another_box_is_refused(
    status: Status, box_key: SigningKey, stranger: SigningKey
) -> None:
    assert status_reason(sign_status(status, stranger), box_key) == "signer"
    forged = bytes.fromhex(box_key.id) + sign_status(status, stranger)[8:]
    assert status_reason(forged, box_key) == "signature"
    assert status_reason(sign_status(status, box_key), box_key, box="box-0002") == "box"


def test_a_changed_short_or_senseless_status_is_refused(status: Status, box_key: SigningKey) -> None:
    signed = sign_status(status, box_key)
    changed = bytearray(signed)
    changed[20] ^= 1
    assert status_reason(bytes(changed), box_key) == "signature"
    assert status_reason(signed[:72], box_key) == "malformed"
    assert status_reason(b"", box_key) == "malformed"
    assert status_reason(sign_status(msgspec.structs.replace(status, state="asleep"), box_key), box_key) == "content"
    assert status_reason(sign_status(msgspec.structs.replace(status, epoch="0"), box_key), box_key) == "content"


def test_opened_is_a_value(envelope: bytes, opener: Opener) -> None:
    assert opener.open(envelope, box=BOX) == opener.open(envelope, box=BOX)
    assert isinstance(opener.open(envelope, box=BOX), Opened)


DEEP = b"\x91" * 100_000 + b"\xc0"


def test_arrays_in_arrays_without_end_are_refused_wherever_a_known_key_signed_them(
    status: Status, box_key: SigningKey
) -> None:
    """The first key is unknown, before the one that says which record it is: it is stepped over, to its end."""
    squeezed = zlib.compress(b"\x81\xa7records\x91\x82\xa1x" + DEEP)
    with pytest.raises(EnvelopeError) as caught:
        unpack(len(squeezed).to_bytes(4, "big") + squeezed, count=1)
    assert caught.value.reason == "content"
    unsigned = bytes.fromhex(box_key.id) + b"\x81\xa1x" + DEEP[-60_000:]
    assert status_reason(unsigned + box_key.sign(sealing._STATUS_LABEL + unsigned), box_key) == "content"


def test_a_line_feed_after_an_epoch_makes_it_none(status: Status, box_key: SigningKey) -> None:
    epoch = f"{status.epoch}\n"
    assert status_reason(sign_status(msgspec.structs.replace(status, epoch=epoch), box_key), box_key) == "content"
