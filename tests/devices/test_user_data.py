"""The User Control Point in values: both ways, and never a code in a log."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.consent import Consent
from devices.errors import FrameError
from devices.user_data import UserOpcode, UserRequest, UserResponse, UserResponseCode, known_user

octets = st.integers(0, 0xFF)


@given(octets, st.binary(max_size=6))
@settings(max_examples=50, deadline=None)
def test_a_request_comes_back_as_it_was(opcode: int, parameter: bytes) -> None:
    said = UserRequest(opcode=opcode, parameter=parameter)
    assert UserRequest.from_bytes(bytes(said)) == said


@given(octets, octets, st.binary(max_size=6))
@settings(max_examples=50, deadline=None)
def test_a_response_comes_back_as_it_was(request: int, code: int, parameter: bytes) -> None:
    said = UserResponse(request=request, code=code, parameter=parameter)
    assert UserResponse.from_bytes(bytes(said)) == said


def test_a_consent_is_an_opcode_a_user_and_a_code_with_its_lower_byte_first() -> None:
    # Laid out as the consent that a Beurer BF500 was seen to accept (KristianP26/ble-scale-sync #83); the code is ours.
    assert bytes(UserRequest.consent(1, 1234)) == bytes.fromhex("02 01 d204")
    assert bytes(UserRequest.consent(254, 9999)) == bytes.fromhex("02 fe 0f27")


def test_a_refused_consent_is_read() -> None:
    # As scales of the same maker answer a wrong code (KristianP26/ble-scale-sync #335).
    answer = UserResponse.from_bytes(bytes.fromhex("200205"))
    assert answer == UserResponse(request=UserOpcode.CONSENT, code=UserResponseCode.USER_NOT_AUTHORIZED)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "truncated: the opcode"),
        ("20", "truncated: the request's opcode"),
        ("2002", "truncated: the response code"),
        ("020101", "opcode 2 is not a response"),
    ],
)
def test_what_is_no_response_is_refused(frame: str, reason: str) -> None:
    with pytest.raises(FrameError, match=f"2A9F: {reason}"):
        UserResponse.from_bytes(bytes.fromhex(frame))


def test_an_empty_request_is_refused() -> None:
    with pytest.raises(FrameError, match="2A9F: truncated"):
        UserRequest.from_bytes(b"")


def test_no_code_is_shown() -> None:
    assert repr(Consent(user=1, code=4711)) == "Consent(user=1)"
    assert "4711" not in repr(UserRequest.consent(1, 4711))
    assert bytes.fromhex("6712") == bytes(UserRequest.consent(1, 4711))[2:]
    assert "6712" not in repr(UserRequest.consent(1, 4711))


@pytest.mark.parametrize(("user", "code"), [(-1, 0), (255, 0), (0, -1), (0, 10_000)])
def test_a_consent_out_of_bounds_is_refused_without_telling_its_code(user: int, code: int) -> None:
    with pytest.raises(ValueError, match=r"^(a user's index|a consent code) is 0 to") as refused:
        Consent(user=user, code=code)
    assert str(code) not in str(refused.value).replace("9999", "") or code == 0


def test_somebody_unknown_is_nobody() -> None:
    assert [known_user(user) for user in (None, 0, 254, 255)] == [None, 0, 254, None]
