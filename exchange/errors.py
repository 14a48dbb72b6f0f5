"""What can go wrong between a box and its team.

`LinkError` is transient (back off, try again). `EnvelopeError`, `ReceiptError` and `TeamListError` are rejected
input: recorded, counted, told; they never become data. `IdentityError` is unsafe to go on: its hint is the
operator's next step.
"""

from typing import Final

from msgspec import DecodeError

UNDECODABLE: Final = (DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises at bytes that are not in the form: text that is not UTF-8, and arrays in arrays without end, come
with Python's own errors."""


class ExchangeError(Exception):
    """Base of every error of this package."""


class LinkError(ExchangeError):
    """The broker was not reached, refused us, or the link broke.

    Attributes:
        reason_code: the MQTT 5 reason code when the broker gave one.
        on_dates: a certificate was refused for its dates: it has run out, or one of the two clocks is wrong.
    """

    def __init__(self, reason: str, *, reason_code: int | None = None, on_dates: bool = False) -> None:
        super().__init__(reason)
        self.reason_code = reason_code
        self.on_dates = on_dates


class EnvelopeError(ExchangeError):
    """A sealed message that is malformed, forged, foreign or not for us.

    Attributes:
        reason: a short fixed word for counting: "malformed", "oversize", "version", "signer", "signature", "box",
            "recipient", "decrypt" or "content".
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class ReceiptError(ExchangeError):
    """A receipt that the team did not sign, or that is not for this box.

    Attributes:
        reason: "malformed", "signer", "signature" or "box".
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class TeamListError(ExchangeError):
    """A team list that the team's root did not sign, or that a box must not take in.

    Attributes:
        reason: "malformed", "signer", "signature", "rollback", "conflict" or "expired".
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class IdentityError(ExchangeError):
    """A key or certificate that is missing, unreadable or readable by others.

    Attributes:
        hint: the operator's next step, one sentence.
    """

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


class CommandError(ExchangeError):
    """A command that may not be obeyed: rejected input.

    Attributes:
        reason: a short fixed word, for counting and for the answer: "malformed", "signer", "signature", "people",
            "role", "expired", "future", "clock", "rollback", "repeated", "list" or "unsupported".
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
