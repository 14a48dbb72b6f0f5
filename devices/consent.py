"""The consent procedure: show a scale a user's code, so that it gives that user's results.

A scale may leave a consent unanswered and give the results all the same, so silence is no refusal. It may hang up
after any user's results, so who was left out comes first the next time.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from devices.errors import FrameError
from devices.gatt import USER_CONTROL_POINT
from devices.radio import Connection
from devices.user_data import UserOpcode, UserRequest, UserResponse, UserResponseCode

LARGEST_USER: Final = 254
LARGEST_CODE: Final = 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What lets a box read one user's results.

    Attributes:
        user: index in the device, 0 to 254.
        code: as shown by the device or chosen when the user was registered, 0 to 9999; a secret, never logged.

    Raises:
        ValueError: one of them is out of bounds.
    """

    user: int
    code: int = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.user <= LARGEST_USER:
            raise ValueError(f"a user's index is 0 to {LARGEST_USER}, not {self.user}")
        if not 0 <= self.code <= LARGEST_CODE:
            # The code stays out of the message: somebody's real one may be mistyped by one digit.
            raise ValueError(f"a consent code is 0 to {LARGEST_CODE}")


class Consents:
    """The consents of one device's users, in the order in which it is their turn; it outlives a connection."""

    def __init__(self, consents: Iterable[Consent]) -> None:
        self._waiting = deque(consents)

    def in_turn(self) -> tuple[Consent, ...]:
        """Return them all, whoever has waited longest first."""
        return tuple(self._waiting)

    def give(self, consent: Consent) -> None:
        """Note that it was this one's turn."""
        self._waiting.remove(consent)
        self._waiting.append(consent)


class ConsentPoint:
    """The User Control Point of one open link."""

    def __init__(self, link: Connection, *, within: float) -> None:
        """Take a link that has the control point; an answer is waited for `within` real seconds."""
        self._link = link
        self._within = within
        self._answers: asyncio.Queue[bytes] = asyncio.Queue(8)

    async def open(self) -> None:
        """Listen for answers.

        Raises:
            RadioError: the link failed.
        """
        await self._link.subscribe(USER_CONTROL_POINT, self._on_answer)

    def _on_answer(self, frame: bytes) -> None:
        if not self._answers.full():
            self._answers.put_nowait(frame)

    async def give(self, consent: Consent) -> str | None:
        """Give a consent; return why it was refused, None when it was accepted or left unanswered.

        Raises:
            RadioError: the link failed.
        """
        while not self._answers.empty():
            self._answers.get_nowait()
        await self._link.write(USER_CONTROL_POINT, bytes(UserRequest.consent(consent.user, consent.code)))
        try:
            async with asyncio.timeout(self._within):
                while True:
                    answer = UserResponse.from_bytes(await self._answers.get())
                    if answer.request == UserOpcode.CONSENT:
                        break
        except TimeoutError:
            return None
        except FrameError as error:
            return str(error)
        if answer.code == UserResponseCode.SUCCESS:
            return None
        if answer.code == UserResponseCode.USER_NOT_AUTHORIZED:
            return f"the consent code of user {consent.user} is wrong"
        return f"the device refused the consent of user {consent.user} (code {answer.code})"
