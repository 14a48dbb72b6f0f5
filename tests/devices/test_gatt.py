"""Bytes within their bounds, and the E2E-CRC."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.errors import FrameError
from devices.gatt import CGM_MEASUREMENT, FrameReader, e2e_crc, sfloat_bytes, uint_bytes, with_e2e_crc


def test_the_crc_of_the_specifications_sample() -> None:
    # Continuous Glucose Monitoring Service 1.0.2, section 3.11.
    assert with_e2e_crc(bytes.fromhex("3e010203040506070809")) == bytes.fromhex("3e010203040506070809 012f")


def test_the_crc_of_the_catalogues_check_string() -> None:
    # CRC-16/MCRF4XX, the name of this CRC in the catalogue of parametrised CRC algorithms.
    assert e2e_crc(b"123456789") == 0x6F91
    assert e2e_crc(b"") == 0xFFFF


@given(st.binary(max_size=20))
@settings(max_examples=100, deadline=None)
def test_bytes_followed_by_their_crc_leave_no_remainder(payload: bytes) -> None:
    assert e2e_crc(with_e2e_crc(payload)) == 0


def test_fields_are_taken_from_first_to_last() -> None:
    reader = FrameReader(CGM_MEASUREMENT, bytes.fromhex("01 0200 fe b5f4 aabb"))
    assert (reader.uint(1, "a"), reader.uint(2, "b"), reader.sint(1, "c")) == (1, 2, -2)
    assert reader.sfloat("d") == Decimal("120.5")
    assert (reader.left, reader.rest(), reader.left) == (2, b"\xaa\xbb", 0)


def test_what_is_missing_names_the_characteristic_the_field_and_the_frame() -> None:
    reader = FrameReader(CGM_MEASUREMENT, b"\x01\x02\x03")
    reader.take(2, "the head")
    with pytest.raises(FrameError, match="2AA7: truncated: the tail needs 2 bytes, 1 are left") as refused:
        reader.uint(2, "the tail")
    assert (refused.value.characteristic, refused.value.frame) == ("2AA7", b"\x01\x02\x03")


def test_what_does_not_fit_is_refused() -> None:
    assert (uint_bytes(0xFFFF, 2), sfloat_bytes(Decimal("120.5"))) == (b"\xff\xff", b"\xb5\xf4")
    with pytest.raises(OverflowError):
        uint_bytes(0x10000, 2)
