"""The team's boxes as the desk shows them: those first that somebody must look at, and everything known of one.

- What is shown is of one team, and for an installer of the boxes that they enrolled: another's is as if it were none.
- A box says of itself its version, what waits and its time; that its memory is full, its time wrong or its certificate
  late it says by technical alerts, which stand here as its own words.
- Ages are told by the desk's clock, certificates and codes by the real one (DECISIONS 9).

Not here: enrolling (enrolling), orders (box_orders), and who may (access).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from django.db.models import Q

from alerting.alert import Category, ChangeKind
from coordination.command_queue import CommandView
from coordination.desk.access import Action
from coordination.desk.devices_at_home import USUAL_SILENCE
from coordination.desk.models import (
    Alert,
    Box,
    BoxAssignment,
    BoxStatus,
    DeclaredGap,
    Device,
    DeviceSilence,
    Enrolment,
    Observation,
    Patient,
)
from coordination.desk.shared_database import place, reading
from coordination.desk.team_settings import listed_boxes
from coordination.desk.visits import Visit
from coordination.fleet import DAY_MS, BoxLine, Standing
from coordination.fleet import boxes as fleet_boxes
from coordination.office import now_ms
from coordination.resending import Lacking, lacking
from coordination.sqlite_commands import SqliteCommands
from exchange.topics import valid_box

ENDING_MS = 30 * DAY_MS
"""A box renews its certificate while 60 days are left: fewer than these mean that it fails to."""
CLOCK_WRONG_MS = 60_000
"""A clock that is further off than a message's way explains."""
MOST_GAPS = 20
MOST_COMMANDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxRow:
    """One box in the list.

    Attributes:
        line: what the database knows of it.
        patients: for whom it transmits; none for whoever may not read that.
        facts: what it says of itself that is not as it should be, gravest first.
        real: ms UTC, real time, when it was looked up.
    """

    line: BoxLine
    patients: tuple[str, ...]
    facts: tuple[Alert, ...]
    real: int

    @property
    def days(self) -> int | None:
        """Whole days for which its certificate still holds, negative after its end; None when that is not known."""
        line = self.line
        if line.certificate_until is None or line.standing is not Standing.ENROLLED:
            return None
        return (line.certificate_until - self.real) // DAY_MS

    @property
    def ending(self) -> bool:
        """Whether its certificate is not renewed as it should be."""
        return self.days is not None and self.days * DAY_MS < ENDING_MS

    @property
    def clock_wrong(self) -> bool:
        """Whether its clock is too far from the team's."""
        return self.line.ahead is not None and abs(self.line.ahead) > CLOCK_WRONG_MS

    @property
    def urgency(self) -> tuple[object, ...]:
        """By which the list is in order."""
        line = self.line
        enrolled = line.standing is Standing.ENROLLED
        gravest = min((fact.prio for fact in self.facts), default=9)
        return (
            not line.silent,
            not line.mute,
            not (enrolled and line.state == "offline"),
            not self.ending,
            gravest,
            line.heard_at or 0,
            line.box,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """A device of a box: what it measures, since when it is heard, until when, and what its box says of it."""

    name: str
    quantities: tuple[str, ...]
    first_at: int
    last_at: int
    silent: bool
    facts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBox:
    """Everything about one box."""

    row: BoxRow
    devices: tuple[DeviceRow, ...]
    gaps: tuple[DeclaredGap, ...]
    lacking: Lacking | None
    commands: tuple[CommandView, ...]
    assignments: tuple[BoxAssignment, ...]
    silences: tuple[DeviceSilence, ...]
    epoch: str


def seen_by(visit: Visit) -> "Iterable[int] | None":
    """Return the rows of the boxes that a visitor sees of their team; None for all of them."""
    if visit.may(Action.READ_FLEET):
        return None
    user, team = visit.member()
    own = Enrolment.objects.filter(opened_by=user.pk, team_id=team.pk)
    return frozenset(own.values_list("box_id", flat=True))


def box_of(visit: Visit, name: str) -> Box | None:
    """Return a box by its name when this visitor may see it."""
    # What is no name is asked of no database: PostgreSQL breaks on a NUL.
    found = Box.objects.filter(team=visit.team, name=name).first() if valid_box(name) else None
    seen = seen_by(visit)
    return found if found is not None and (seen is None or found.pk in seen) else None


def listed(visit: Visit, search: str) -> list[BoxRow]:
    """Return the boxes whose name contains `search` (or its patient's does), those first that somebody must look at."""
    _, team = visit.member()
    lines = fleet_boxes(place(), listed_boxes(), at=now_ms(), team=team.pk)
    seen = seen_by(visit)
    if seen is not None:
        own = frozenset(Box.objects.filter(pk__in=seen).values_list("name", flat=True))
        lines = tuple(line for line in lines if line.box in own)
    rows = _rows(visit, lines)
    if search:
        wanted = search.lower()
        rows = [row for row in rows if any(wanted in name.lower() for name in (row.line.box, *row.patients))]
    return sorted(rows, key=lambda row: row.urgency)


def _rows(visit: Visit, lines: Sequence[BoxLine]) -> list[BoxRow]:
    patients: dict[str, list[str]] = defaultdict(list)
    if visit.may_one((Action.READ_PATIENTS, Action.READ_ALL_ACTS)):
        held = BoxAssignment.objects.filter(until=None, box__team=visit.team).order_by("patient__pseudonym")
        for box, patient in held.values_list("box__name", "patient__pseudonym"):
            patients[box].append(patient)
    facts: dict[str, list[Alert]] = defaultdict(list)
    for alert in _standing(Q(team=visit.team)):
        facts[alert.box.name].append(alert)
    real = now_ms()
    return [
        BoxRow(line=line, patients=tuple(patients[line.box]), facts=tuple(facts[line.box]), real=real) for line in lines
    ]


def _standing(which: Q) -> Iterable[Alert]:
    """Return the technical alerts that stand, gravest first."""
    return (
        Alert.objects.filter(which, category=Category.TECHNICAL.value, resolved_at=None, state__lt=2)
        .exclude(kind=ChangeKind.RETRACTED.value)
        .select_related("box", "patient")
        .order_by("prio", "-raised_at", "pk")
    )


def whole(visit: Visit, box: Box) -> WholeBox:
    """Return everything about a box of the visitor's."""
    (line,) = fleet_boxes(place(), listed_boxes(), at=now_ms(), box=box.name)
    (row,) = _rows(visit, (line,))
    with reading() as opened:
        commands = SqliteCommands(opened, nullcontext)
        views = tuple(commands.views(box=box.name, limit=MOST_COMMANDS))
        missing = lacking(opened, box.name)
    status = BoxStatus.objects.filter(box=box).first()
    silences = DeviceSilence.objects.filter(box=box, device=None).order_by("-since")
    assignments = BoxAssignment.objects.filter(box=box).select_related("patient").order_by("-since")
    return WholeBox(
        row=row,
        devices=tuple(_devices(box, row.facts, visit.now)),
        gaps=tuple(DeclaredGap.objects.filter(box=box).select_related("patient").order_by("-since", "pk")[:MOST_GAPS]),
        lacking=missing,
        commands=views,
        assignments=tuple(assignments) if visit.may_one((Action.READ_PATIENTS, Action.READ_ALL_ACTS)) else (),
        silences=tuple(silences[:MOST_GAPS]),
        epoch="" if status is None else status.epoch,
    )


def _devices(box: Box, facts: Sequence[Alert], now: int) -> Iterable[DeviceRow]:
    """Yield the devices that a box read, those first that somebody must look at."""
    # The readings of a device's last day say what it measures; all of them would be millions of rows.
    held = Patient.objects.filter(boxassignment__box=box).values("pk")
    rows = []
    for device in Device.objects.filter(box=box):
        recent = Observation.objects.filter(patient__in=held, t__gte=device.last_data_at - DAY_MS, device=device)
        # A sentence calls a device by the end of its address, as whoever has it in hand does.
        told = tuple(fact for fact in facts if f"…{device.name[-5:]}" in fact.text_fr or device.name in fact.text_fr)
        rows.append(
            DeviceRow(
                name=device.name,
                quantities=tuple(sorted(set(recent.values_list("quantity", flat=True)))),
                first_at=device.first_data_at,
                last_at=device.last_data_at,
                silent=now - device.last_data_at > USUAL_SILENCE,
                facts=told,
            )
        )
    return sorted(rows, key=lambda row: (not row.facts, not row.silent, row.last_at))
