"""Whatever is done to genuine envelopes on their way, what opens is one of them, whole, at its own box."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import sealing
from exchange.errors import EnvelopeError
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import BUCKETS, LANE_SPARSE, MAX_MESSAGE_BYTES, Opener, Sealer
from tests.exchange.conftest import MakeRecord

EPOCH, NOW = "0123456789abcdef" * 2, 1_763_800_000_000
BOXES = {name: SigningKey.generate() for name in ("box-0001", "box-0002")}
KEYS = {hybrid: [OpeningKey.generate(hybrid=hybrid) for _ in range(2)] for hybrid in (False, True)}


def sealer_of(box: str, *, hybrid: bool) -> Sealer:
    recipients = [Recipient.of(key, RecipientRole.TEAM) for key in KEYS[hybrid]]
    return Sealer(box=box, signing_key=BOXES[box], recipients=recipients)


SEALERS = {(box, hybrid): sealer_of(box, hybrid=hybrid) for box in BOXES for hybrid in KEYS}
OPENER = Opener(
    keys=[key for keys in KEYS.values() for key in keys],
    signer_of=lambda box, signer: BOXES[box].public if box in BOXES and BOXES[box].id == signer else None,
)


@dataclass
class Cut:
    """An envelope at its seams."""

    length: bytes
    header: bytes
    wraps: list[bytes]
    body: bytes
    signature: bytes

    @classmethod
    def of(cls, envelope: bytes, *, hybrid: bool) -> "Cut":
        end, wrap = 2 + int.from_bytes(envelope[:2], "big"), 1168 if hybrid else 80
        wraps = [envelope[end + number * wrap : end + (number + 1) * wrap] for number in range(2)]
        return cls(envelope[:2], envelope[2:end], wraps, envelope[end + 2 * wrap : -64], envelope[-64:])

    def joined(self) -> bytes:
        return self.length + self.header + b"".join(self.wraps) + self.body + self.signature


def sealed(box: str, first: int, make_record: MakeRecord, *, hybrid: bool) -> bytes:
    return SEALERS[box, hybrid].seal(
        epoch=EPOCH, first=first, lane=LANE_SPARSE, created=NOW, records=[make_record(first)]
    )


@settings(max_examples=80, deadline=None)
@given(
    hybrid=st.booleans(),
    other_box=st.booleans(),
    chosen=st.lists(st.booleans(), min_size=6, max_size=6),
    swapped=st.booleans(),
)
def test_parts_of_two_genuine_envelopes_put_together_are_refused(
    chosen: list[bool], make_record: MakeRecord, *, hybrid: bool, other_box: bool, swapped: bool
) -> None:
    first = sealed("box-0001", 1, make_record, hybrid=hybrid)
    second = sealed("box-0002" if other_box else "box-0001", 2, make_record, hybrid=hybrid)
    parts = Cut.of(first, hybrid=hybrid), Cut.of(second, hybrid=hybrid)
    assert parts[0].joined() == first
    pick = [parts[choice] for choice in chosen]
    wraps = [pick[2].wraps[0], pick[3].wraps[1]]
    mixed = Cut(
        pick[0].length, pick[1].header, wraps[::-1] if swapped else wraps, pick[4].body, pick[5].signature
    ).joined()
    try:
        opened = OPENER.open(mixed, box="box-0001")
    except EnvelopeError:
        assert mixed != first
        return
    assert mixed in {first, second}
    assert opened.header.box == "box-0001"


@settings(max_examples=60, deadline=None)
@given(box=st.sampled_from(sorted(BOXES)), topic=st.sampled_from(sorted(BOXES)), hybrid=st.booleans())
def test_an_envelope_opens_at_its_own_box_only(box: str, topic: str, make_record: MakeRecord, *, hybrid: bool) -> None:
    envelope = sealed(box, 5, make_record, hybrid=hybrid)
    if box == topic:
        assert OPENER.open(envelope, box=topic).records == (make_record(5),)
        return
    with pytest.raises(EnvelopeError) as caught:
        OPENER.open(envelope, box=topic)
    assert caught.value.reason == "box"


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 600), frame=st.integers(0, 120), hybrid=st.booleans())
def test_sizes_are_always_in_buckets(count: int, frame: int, make_record: MakeRecord, *, hybrid: bool) -> None:
    records = [make_record(number, frame=bytes([number % 256]) * frame) for number in range(count)]
    sealer = SEALERS["box-0001", hybrid]
    try:
        size = len(sealer.seal(epoch=EPOCH, first=0, lane=LANE_SPARSE, created=NOW, records=records))
    except EnvelopeError as error:
        size = 0 if error.reason == "oversize" else -1
    assert size in {0, *BUCKETS}


@settings(max_examples=40, deadline=None)
@given(extra=st.integers(1, 200_000))
def test_what_is_longer_than_any_envelope_is_refused_before_anything_else(extra: int) -> None:
    with pytest.raises(EnvelopeError) as caught:
        OPENER.open(bytes(MAX_MESSAGE_BYTES + extra), box="box-0001")
    assert caught.value.reason == "oversize"


def test_no_two_envelopes_share_a_content_key_or_a_nonce(
    make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    class Listening:
        def encrypt(self, content_key: bytes, _key: object, *, info: bytes) -> bytes:
            assert info
            seen.append(content_key)
            return bytes(80)

    monkeypatch.setattr(sealing, "_SUITE", Listening())
    envelopes = [sealed("box-0001", number, make_record, hybrid=False) for number in range(2000)]
    assert len(set(seen)) == 2000
    assert len(seen) == 4000, "one content key an envelope, for both recipients"
    assert len({Cut.of(envelope, hybrid=False).body[:12] for envelope in envelopes}) == 2000
