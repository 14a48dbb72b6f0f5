"""What a box sealed before its key was replaced: under the present key's hand it is taken, alone or altered never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import EnvelopeError
from exchange.handed_over import OVERHEAD, hand_over, is_handed_over, taken_over
from exchange.identity import OpeningKey, Recipient, RecipientRole, SigningKey
from exchange.sealing import BUCKETS, MAX_MESSAGE_BYTES, Opener, Sealer, claimed_signer
from tests.coordination.kit import BOX, EPOCH, OTHER_BOX, START, glucose

OPENING = OpeningKey.generate()
OLD, NEW, STRANGER = (SigningKey.generate() for _ in range(3))


def sealed(key: SigningKey = OLD, box: str = BOX, records: int = 1) -> bytes:
    sealer = Sealer(box=box, signing_key=key, recipients=[Recipient.of(OPENING, RecipientRole.TEAM)])
    return sealer.seal(
        epoch=EPOCH, first=0, lane=1, created=START, records=[glucose(number) for number in range(records)]
    )


def present(box: str, signer: str) -> bytes | None:
    return NEW.public if (box, signer) == (BOX, NEW.id) else None


ENVELOPE = sealed()
HANDED = hand_over(ENVELOPE, NEW)


def test_what_is_handed_over_is_the_envelope_unchanged() -> None:
    assert taken_over(HANDED, box=BOX, signer_of=present) == ENVELOPE
    assert len(HANDED) == len(ENVELOPE) + OVERHEAD
    opener = Opener(keys=[OPENING], signer_of=lambda _, signer: OLD.public if signer == OLD.id else None)
    assert opener.open(taken_over(HANDED, box=BOX, signer_of=present), box=BOX).records == (glucose(0),)
    assert not is_handed_over(ENVELOPE)
    assert claimed_signer(ENVELOPE) == OLD.id
    assert claimed_signer(HANDED) is None, "it is no envelope"


@pytest.mark.parametrize("records", [1, 30, 140])
def test_an_envelope_of_any_size_can_be_handed_over(records: int) -> None:
    envelope = sealed(records=records)
    assert taken_over(hand_over(envelope, NEW), box=BOX, signer_of=present) == envelope


@given(place=st.integers(0, len(HANDED) - 1), bits=st.integers(1, 255))
def test_any_changed_byte_is_refused(place: int, bits: int) -> None:
    changed = bytearray(HANDED)
    changed[place] ^= bits
    with pytest.raises(EnvelopeError) as caught:
        taken_over(bytes(changed), box=BOX, signer_of=present)
    assert caught.value.reason in {"malformed", "signer", "signature"}


@pytest.mark.parametrize("by", [OLD, STRANGER])
def test_only_the_present_key_hands_over(by: SigningKey) -> None:
    with pytest.raises(EnvelopeError, match="no valid signing key"):
        taken_over(hand_over(ENVELOPE, by), box=BOX, signer_of=present)


def test_a_stranger_who_names_the_present_key_is_refused() -> None:
    forged = hand_over(ENVELOPE, STRANGER).replace(bytes.fromhex(STRANGER.id), bytes.fromhex(NEW.id), 1)
    with pytest.raises(EnvelopeError, match="not signed by"):
        taken_over(forged, box=BOX, signer_of=present)


def test_it_is_handed_over_for_its_own_box_only() -> None:
    with pytest.raises(EnvelopeError, match="no valid signing key"):
        taken_over(HANDED, box=OTHER_BOX, signer_of=present)
    other = hand_over(sealed(box=OTHER_BOX), NEW)
    opener = Opener(keys=[OPENING], signer_of=lambda _box, _signer: OLD.public)
    with pytest.raises(EnvelopeError, match="arrived on a topic"):
        opener.open(taken_over(other, box=BOX, signer_of=present), box=BOX)


@given(data=st.binary(max_size=2000))
def test_noise_is_refused_in_order(data: bytes) -> None:
    for noise in (data, b"\xff\xff" + data, b"\xff\xff" + bytes.fromhex(NEW.id) + data):
        with pytest.raises(EnvelopeError):
            taken_over(noise, box=BOX, signer_of=present)


@pytest.mark.parametrize("size", [0, 1, MAX_MESSAGE_BYTES + 1, 10 * MAX_MESSAGE_BYTES])
def test_what_has_not_the_size_of_an_envelope_is_not_even_verified(size: int) -> None:
    def never(box: str, signer: str) -> bytes:
        raise AssertionError(f"{box} {signer} was looked up")

    with pytest.raises(EnvelopeError) as caught:
        taken_over(hand_over(bytes(size), NEW), box=BOX, signer_of=never)
    assert caught.value.reason == ("oversize" if size > BUCKETS[-1] else "malformed")


def test_what_was_handed_over_cannot_be_handed_over_again() -> None:
    with pytest.raises(EnvelopeError, match="no envelope"):
        taken_over(hand_over(HANDED, NEW), box=BOX, signer_of=present)
