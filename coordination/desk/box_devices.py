"""Pairing devices of a box from afar: what it heard, what came of pairing, and whether a first reading has come.

What a box found comes in its answer, signed by it and sealed to the team; it is read here as somebody else's words:
strictly, bounded, and shown escaped.

Not here: asking (coordination.box_orders), and what the box does (agent/radio_orders).
"""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from coordination.command_queue import UNANSWERED, CommandState, CommandView
from coordination.desk.models import Box, BoxAssignment, Device
from coordination.desk.shared_database import looking
from coordination.sql_commands import SqlCommands
from exchange.commands import CommandKind
from exchange.errors import UNDECODABLE

LOOKED_AT = 60
"""Orders to a box among which those about devices are looked for, the newest."""
_Address = Annotated[str, Meta(pattern="^([0-9A-F]{2}:){5}[0-9A-F]{2}\\Z")]
_Short = Annotated[str, Meta(max_length=80)]
_Found = TypeVar("_Found", bound=Struct)


class Seen(Struct, frozen=True, kw_only=True):
    """A device that a box heard; `driver` is what would read it, None when nothing here does."""

    address: _Address
    name: _Short | None = None
    rssi: Annotated[int, Meta(ge=-200, le=100)] = 0
    driver: _Short | None = None


class _Scan(Struct, frozen=True, kw_only=True):
    seen: Annotated[tuple[Seen, ...], Meta(max_length=200)] = ()


class _Paired(Struct, frozen=True, kw_only=True):
    driver: _Short | None = None
    trial_readings: Annotated[int, Meta(ge=0)] = 0
    taken_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The newest order to listen: how far it came, and who was heard, those first that can be read, nearest first."""

    view: CommandView
    seen: tuple[Seen, ...]

    @property
    def waits(self) -> bool:
        """Whether the box has not answered yet."""
        return self.view.state in UNANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """An order to pair a device, and what came of it.

    Attributes:
        view: the order.
        driver: what reads the device, "" before it is known.
        trial: values that came while it was proved.
        taken_up: the box reads it by itself, for whom the order says; else its settings are to name it.
        first_at: ms UTC, when the first reading came here that is kept; None before.
    """

    view: CommandView
    driver: str
    trial: int
    taken_up: bool
    first_at: int | None

    @property
    def waits(self) -> bool:
        """Whether the box has not answered yet, or a first reading is awaited."""
        return self.view.state in UNANSWERED or (self.proved and self.first_at is None)

    @property
    def proved(self) -> bool:
        """Whether the box says that it is paired and gave values."""
        return self.view.state is CommandState.APPLIED

    @property
    def block(self) -> str:
        """What the box's settings are to say of it, but for whose it is."""
        at = self.view.issued_at if self.view.answer is None else self.view.answer.at
        since = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines = ("[[devices]]", f'address = "{self.view.about}"', f'driver = "{self.driver}"')
        return "\n".join((*lines, f"from = {since}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTheBox:
    """Everything about pairing at one box."""

    scan: Scan | None
    pairings: tuple[Pairing, ...]
    known: frozenset[str]
    patients: tuple[str, ...]

    @property
    def stamp(self) -> str:
        """What changes when the page does."""
        scan = "" if self.scan is None else f"{self.scan.view.id[:8]}-{self.scan.view.state}"
        pairs = "".join(f".{one.view.id[:8]}-{one.view.state}-{one.first_at}" for one in self.pairings)
        return f"{scan}{pairs}"

    @property
    def waits(self) -> bool:
        """Whether something is still to come."""
        return any(one.waits for one in (*(() if self.scan is None else (self.scan,)), *self.pairings))


def at_the_box(box: Box) -> AtTheBox:
    """Return what is known of pairing at a box."""
    views = tuple(SqlCommands(looking(), nullcontext).views(box=box.name, limit=LOOKED_AT))
    scans = [view for view in views if view.kind is CommandKind.SCAN]
    newest: dict[str, CommandView] = {}
    for view in views:
        if view.kind is CommandKind.PAIR:
            newest.setdefault(view.about, view)
    first = dict(Device.objects.filter(box=box).values_list("name", "first_data_at"))
    held = BoxAssignment.objects.filter(box=box, until=None).order_by("patient__pseudonym")
    return AtTheBox(
        scan=None if not scans else Scan(view=scans[0], seen=_heard(scans[0])),
        pairings=tuple(_pairing(view, first) for view in newest.values()),
        known=frozenset(first),
        patients=tuple(held.values_list("patient__pseudonym", flat=True)),
    )


def _heard(view: CommandView) -> tuple[Seen, ...]:
    found = _result(view, _Scan)
    return () if found is None else tuple(sorted(found.seen, key=lambda one: (one.driver is None, -one.rssi)))


def _pairing(view: CommandView, first: dict[str, int]) -> Pairing:
    found = _result(view, _Paired)
    return Pairing(
        view=view,
        driver=(found.driver or "") if found is not None else "",
        trial=0 if found is None else found.trial_readings,
        taken_up=found is not None and found.taken_up,
        first_at=first.get(view.about),
    )


def _result(view: CommandView, kind: type[_Found]) -> _Found | None:
    """Return what a box found, None when it found nothing or what it says cannot be read."""
    if view.answer is None or not view.answer.result:
        return None
    try:
        return msgspec.json.decode(view.answer.result, type=kind)
    except UNDECODABLE:
        return None
