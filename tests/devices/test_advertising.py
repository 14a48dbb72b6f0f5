"""Advertising data both ways."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.advertising import advertisement_bytes, advertisement_from_bytes
from devices.errors import FrameError
from devices.radio import Advertisement

UINT16 = st.integers(0, 0xFFFF)
PAYLOADS = st.dictionaries(UINT16, st.binary(max_size=20), max_size=2)


@given(
    name=st.none() | st.text(max_size=20),
    services=st.frozensets(UINT16, max_size=5),
    service_data=PAYLOADS,
    manufacturer_data=PAYLOADS,
)
@settings(max_examples=100, deadline=None)
def test_what_is_advertised_is_read_again(
    name: str | None,
    services: frozenset[int],
    service_data: dict[int, bytes],
    manufacturer_data: dict[int, bytes],
) -> None:
    said = Advertisement(
        address="C4:B0:00:00:00:01",
        name=name,
        services=services,
        service_data=service_data,
        manufacturer_data=manufacturer_data,
        rssi=-60,
    )
    assert advertisement_from_bytes(advertisement_bytes(said), address=said.address, rssi=-60) == said


def test_flags_and_other_structures_are_passed_over() -> None:
    payload = (
        bytes.fromhex("020106") + bytes.fromhex("03031018") + bytes.fromhex("020a04") + bytes.fromhex("05084f6d726f")
    )
    heard = advertisement_from_bytes(payload)
    assert (heard.name, heard.services) == ("Omro", frozenset({0x1810}))


def test_an_early_end_is_padding() -> None:
    assert advertisement_from_bytes(bytes.fromhex("03031018") + bytes(20)).services == {0x1810}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("0503", "truncated"),
        ("0203100000", "odd number"),
        ("02160000", "without the number"),
        ("02ff00", "without the number"),
        ("00" * 1651, "longer than"),
    ],
)
def test_a_broken_structure_is_refused(payload: str, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        advertisement_from_bytes(bytes.fromhex(payload))


@given(payload=st.binary(max_size=62))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_advertisement_or_a_frame_error(payload: bytes) -> None:
    try:
        heard = advertisement_from_bytes(payload)
    except FrameError:
        return
    assert isinstance(heard, Advertisement)
