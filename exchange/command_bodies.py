"""What each kind of command says besides its kind: the body of a `Command`, for one kind one shape.

Everything here crosses the wire inside a signed command: msgspec Structs, unknown fields refused, lengths bounded.
A body is decoded only after the command's signatures were found good.

What is not here: who may order it (commands.py), and doing it (the box).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from alerting.alert import Outcome
from exchange.commands import CommandKind
from exchange.errors import UNDECODABLE, CommandError
from exchange.messages import AlertId, Milliseconds, Name, Range

MAX_TEXT_CHARACTERS = 64_000


class ProtocolBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A care protocol for the command's patient.

    Attributes:
        text: the resolved protocol, its pack inlined: TOML, as `veilleur check --resolved` prints it.
        pack: the pack that it adapts, resolved, whose limits it must keep; "" when it is one itself.
        protocol_hash: of `text`, as a person who signs sees it; what the box reads must have it too.
    """

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
    pack: Annotated[str, Meta(max_length=MAX_TEXT_CHARACTERS)] = ""
    protocol_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]


class ShadowBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A care protocol to judge the command's patient by beside the one applied; None: what is judged so ends."""

    protocol: ProtocolBody | None = None


class DispositionState(StrEnum):
    """What the team did with an alert."""

    TAKEN = "taken"
    """A named person has seen it."""
    RETURNED = "returned"
    """They handed it back to the team, which looks after it from there: the box does not begin again by itself."""
    CLOSED = "closed"
    """They said what came of it."""


class DispositionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the team did with one alert of the command's patient; the command is about the alert's id.

    Attributes:
        alert: its id.
        state: what was done last.
        by: who.
        at: ms UTC by the team's clock.
        outcome: what came of it, once it is closed.
    """

    alert: AlertId
    state: DispositionState
    by: Name
    at: Milliseconds
    outcome: Outcome | None = None


class ResendBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the team's database lacks of one epoch of the box."""

    epoch: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]
    ranges: Annotated[tuple[Range, ...], Meta(min_length=1, max_length=1000)]


class PairBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device to pair, and the six digits that it shows, when it shows any.

    The command's subject is whose it is from then on; without one the box only pairs it.
    """

    address: Annotated[str, Meta(pattern="^([0-9A-F]{2}:){5}[0-9A-F]{2}\\Z")]
    passkey: Annotated[int, Meta(ge=0, le=999_999)] | None = None

    def __repr__(self) -> str:
        """Return which device, without its code."""
        return f"{type(self).__name__}(address={self.address!r})"


class ScanBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many real seconds to listen for devices."""

    seconds: Annotated[float, Meta(ge=1, le=120)] = 20.0


class EraseBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of the command's patient is to be erased; `everything`: of the whole box, whose command has no subject."""

    everything: bool = False


class NoBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The kind says it all."""


class ListBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A team list as its root signed it; its command carries these very bytes, and nothing around them."""

    data: bytes


Body = ProtocolBody | ShadowBody | DispositionBody | ResendBody | PairBody | ScanBody | EraseBody | NoBody | ListBody

_TYPES: Final[Mapping[CommandKind, type[Struct]]] = {
    CommandKind.PROTOCOL: ProtocolBody,
    CommandKind.SHADOW: ShadowBody,
    CommandKind.DISPOSITION: DispositionBody,
    CommandKind.RESEND: ResendBody,
    CommandKind.PAIR: PairBody,
    CommandKind.SCAN: ScanBody,
    CommandKind.CANARY: NoBody,
    CommandKind.ROTATE: NoBody,
    CommandKind.RENEW: NoBody,
    CommandKind.ERASE: EraseBody,
}
_Body = TypeVar("_Body", bound=Struct)


def encode_body(body: Body) -> bytes:
    """Return a body's bytes.

    Raises:
        CommandError: "malformed" when a box would refuse it.
    """
    if isinstance(body, ListBody):
        return body.data
    raw = msgspec.msgpack.encode(body)
    _decode(raw, type(body))
    return raw


def decode_body(kind: CommandKind, raw: bytes) -> Body:
    """Return the body of a command of `kind`.

    Raises:
        CommandError: "malformed".
    """
    if kind is CommandKind.TEAM_LIST:
        return ListBody(data=raw)
    body = _decode(raw, _TYPES[kind])
    if not isinstance(body, Body):
        raise CommandError("malformed", f"no body of a {kind}")
    return body


def _decode(raw: bytes, kind: type[_Body]) -> _Body:
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except UNDECODABLE as error:
        raise CommandError("malformed", str(error)) from error


def place_of(body: Body, subject: str) -> str | None:
    """Return what a command with this body must be about, None when the body does not go with its subject."""
    of_patient = isinstance(body, (ProtocolBody, ShadowBody)) or (isinstance(body, EraseBody) and not body.everything)
    if not isinstance(body, (DispositionBody, PairBody)) and of_patient is not bool(subject):
        # An alert may be the box's own, and a device nobody's yet.
        return None
    match body:
        case DispositionBody():
            return body.alert
        case ResendBody():
            return body.epoch
        case PairBody():
            return body.address
        case _:
            return ""
