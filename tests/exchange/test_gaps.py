"""A gap travels as it was declared, or not at all."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.gaps import GapReason, GapRecord
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.messages import Content
from exchange.sealing import Opener, Sealer

EPOCH = "0123456789abcdef0123456789abcdef"
WHOLE: dict[str, object] = {
    "patient": "patient-7f3a",
    "lane": 2,
    "epoch": EPOCH,
    "ranges": ((0, 59), (61, 61)),
    "measured_from": 1_763_800_000_000,
    "measured_to": 1_763_800_060_000,
    "readings": 61,
    "reason": "evicted",
}


def made(**changes: object) -> GapRecord:
    return msgspec.convert(WHOLE | changes, GapRecord, strict=False)


@st.composite
def gaps(draw: st.DrawFn) -> GapRecord:
    ends = sorted(draw(st.sets(st.integers(0, 2**53), max_size=20)))
    ranges = tuple(zip(ends[::2], ends[1::2], strict=False))
    begin = draw(st.integers(-(2**53), 2**53))
    return made(
        ranges=ranges,
        lane=draw(st.integers(0, 2)),
        measured_from=begin,
        measured_to=draw(st.integers(begin, 2**53)),
        readings=draw(st.integers(1, 2**53)),
        reason=draw(st.sampled_from(GapReason)),
    )


@given(gaps())
def test_a_gap_comes_out_of_an_envelope_as_it_went_in(gap: GapRecord) -> None:
    signing, opening = SigningKey.generate(), OpeningKey.generate()
    recipients = [Recipient.of(opening, RecipientRole.TEAM)]
    sealer = Sealer(box="box-0001", signing_key=signing, recipients=recipients)
    opener = Opener(keys=[opening], signer_of=lambda _box, _signer: signing.public)
    envelope = sealer.seal(epoch=EPOCH, first=7, lane=0, created=0, records=[gap])
    assert opener.open(envelope, box="box-0001").records == (gap,)


@pytest.mark.parametrize(
    "changes",
    [
        {"ranges": ((5, 4),)},
        {"ranges": ((0, 5), (5, 9))},
        {"ranges": ((6, 9), (0, 5))},
        {"ranges": ((-1, 5),)},
        {"ranges": ((0, 2**54),)},
        {"ranges": tuple((2 * number, 2 * number) for number in range(1001))},
        {"measured_to": 1_763_799_999_999},
        {"readings": 0},
        {"lane": 3},
        {"epoch": "short"},
        {"patient": ""},
        {"reason": "tired"},
        {"more": 1},
    ],
)
def test_a_gap_that_cannot_be_meant_is_refused(changes: dict[str, object]) -> None:
    assert made().readings == 61
    with pytest.raises(msgspec.ValidationError):
        made(**changes)
    plain = msgspec.msgpack.encode({"records": [{"type": "gap"} | WHOLE | changes]})
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(plain, type=Content)
