"""The User Control Point (0x2A9F) in values: how a box asks a scale for one user's results, both ways.

A scale that knows several people gives a user's results only to who shows that user's consent code. The procedure is
`consent`.

Source: User Data Service (UDS), User Control Point. The numbers were compared with public implementations of it and
with captures of scales: Philips GHS (opcodes), KristianP26/ble-scale-sync #83 (a consent) and #335 (its refusal).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from devices.gatt import USER_CONTROL_POINT, FrameReader, uint_bytes

UNKNOWN_USER = 0xFF
"""User index of somebody whom the device does not know."""


def known_user(user_id: int | None) -> int | None:
    """Return the index of a user whom a measurement names; None when it names nobody or somebody unknown."""
    return None if user_id == UNKNOWN_USER else user_id


class UserOpcode(IntEnum):
    """What is asked or answered."""

    REGISTER_NEW_USER = 0x01
    CONSENT = 0x02
    DELETE_USER_DATA = 0x03
    LIST_ALL_USERS = 0x04
    DELETE_USERS = 0x05
    RESPONSE_CODE = 0x20


class UserResponseCode(IntEnum):
    """How a request ended."""

    SUCCESS = 0x01
    OPCODE_NOT_SUPPORTED = 0x02
    INVALID_PARAMETER = 0x03
    OPERATION_FAILED = 0x04
    USER_NOT_AUTHORIZED = 0x05


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRequest:
    """What a collector writes.

    Attributes:
        opcode: a `UserOpcode`, or another number kept as it came.
        parameter: what follows the opcode; it may hold a code, so no `repr` shows it.
    """

    opcode: int
    parameter: bytes = field(default=b"", repr=False)

    @classmethod
    def consent(cls, user: int, code: int) -> Self:
        """Ask for a user's results.

        Args:
            user: index, 0 to 254.
            code: consent code, 0 to 9999.
        """
        return cls(opcode=UserOpcode.CONSENT, parameter=uint_bytes(user, 1) + uint_bytes(code, 2))

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read a request.

        Raises:
            FrameError: empty.
        """
        reader = FrameReader(USER_CONTROL_POINT, frame)
        return cls(opcode=reader.uint(1, "the opcode"), parameter=reader.rest())

    def __bytes__(self) -> bytes:
        return bytes((self.opcode,)) + self.parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class UserResponse:
    """How a request ended.

    Attributes:
        request: the opcode that is answered.
        code: a `UserResponseCode`, or another number kept as it came.
        parameter: what follows, such as the index of a user just registered.
    """

    request: int
    code: int
    parameter: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> Self:
        """Read what a device indicates.

        Raises:
            FrameError: cut short, or not a response.
        """
        reader = FrameReader(USER_CONTROL_POINT, frame)
        opcode = reader.uint(1, "the opcode")
        if opcode != UserOpcode.RESPONSE_CODE:
            raise reader.error(f"opcode {opcode} is not a response")
        return cls(
            request=reader.uint(1, "the request's opcode"),
            code=reader.uint(1, "the response code"),
            parameter=reader.rest(),
        )

    def __bytes__(self) -> bytes:
        return bytes((UserOpcode.RESPONSE_CODE, self.request, self.code)) + self.parameter
