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
from dataclasses import dataclass, replace

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
from coordination.desk.shared_database import looking, place, reading
from coordination.desk.team_settings import listed_boxes
from coordination.desk.visits import Visit
from coordination.desk.worklist import PAGE
from coordination.fleet import DAY_MS, BoxLine, Standing
from coordination.fleet import boxes as fleet_boxes
from coordination.office import now_ms
from coordination.resending import Lacking, lacking
from coordination.sql_commands import SqlCommands
from exchange.topics import valid_box

ENDING_MS = 30 * DAY_MS
"""A box renews its certificate while 60 days are left: fewer than these mean that it fails to."""
CLOCK_WRONG_MS = 60_000
"""A clock that is further off than a message's way explains."""
NO_FACT = 9
"""Stands for the priority of the gravest fact of a box that says nothing is wrong."""
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
        gravest: priority of the gravest fact.
    """

    line: BoxLine
    patients: tuple[str, ...]
    facts: tuple[Alert, ...]
    real: int
    gravest: int = NO_FACT

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
        return (
            not line.silent,
            not line.mute,
            not (enrolled and line.state == "offline"),
            not self.ending,
            self.gravest,
            line.heard_at or 0,
            line.box,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxList:
    """A page of the list of boxes.

    Attributes:
        rows: of this page, those first that somebody must look at.
        page: from 1 on.
        total: how many boxes there are on all pages.
        silent: how many of these are silent.
        ending: of how many the certificate is not renewed as it should be.
    """

    rows: tuple[BoxRow, ...]
    page: int
    total: int
    silent: int
    ending: int

    @property
    def more(self) -> bool:
        """Whether there is a page after this one."""
        return self.page * PAGE < self.total


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


def listed(visit: Visit, search: str, *, page: int = 1) -> BoxList:
    """Return a page of the boxes whose name contains `search` (or its patient's does); past the end, the last one.

    All of them are put in order; what a page shows besides is asked for the boxes on it only.
    """
    _, team = visit.member()
    lines = fleet_boxes(place(), listed_boxes(), at=now_ms(), team=team.pk)
    seen = seen_by(visit)
    if seen is not None:
        own = frozenset(Box.objects.filter(pk__in=seen).values_list("name", flat=True))
        lines = tuple(line for line in lines if line.box in own)
    if search:
        wanted, patients = search.lower(), _patients(visit, None)
        lines = tuple(line for line in lines if any(wanted in name.lower() for name in (line.box, *patients[line.box])))
    standing, real = _standing(team.pk), now_ms()
    rows = sorted(
        (
            BoxRow(line=line, patients=(), facts=(), real=real, gravest=_gravest(standing.get(line.box, ())))
            for line in lines
        ),
        key=lambda row: row.urgency,
    )
    page = max(1, min(page, -(-len(rows) // PAGE)))
    return BoxList(
        rows=_filled(visit, rows[(page - 1) * PAGE : page * PAGE], standing),
        page=page,
        total=len(rows),
        silent=sum(row.line.silent for row in rows),
        ending=sum(row.ending for row in rows),
    )


def _filled(visit: Visit, rows: Sequence[BoxRow], standing: "dict[str, list[tuple[str, int]]]") -> tuple[BoxRow, ...]:
    """Return rows with their patients and with what their boxes say of themselves."""
    names = [row.line.box for row in rows]
    patients = _patients(visit, names)
    wanted = [alert for name in names for alert, _ in standing.get(name, ())]
    facts: dict[str, list[Alert]] = defaultdict(list)
    for alert in Alert.objects.filter(pk__in=wanted).select_related("box").order_by("prio", "-raised_at", "pk"):
        facts[alert.box.name].append(alert)
    return tuple(replace(row, patients=tuple(patients[row.line.box]), facts=tuple(facts[row.line.box])) for row in rows)


def _patients(visit: Visit, boxes: Sequence[str] | None) -> "defaultdict[str, list[str]]":
    """Return for whom boxes transmit (None: all of the team's); nobody for whoever may not read that."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    if visit.may_one((Action.READ_PATIENTS, Action.READ_ALL_ACTS)):
        held = BoxAssignment.objects.filter(until=None, box__team=visit.team).order_by("patient__pseudonym")
        if boxes is not None:
            held = held.filter(box__name__in=boxes)
        for box, patient in held.values_list("box__name", "patient__pseudonym"):
            found[box].append(patient)
    return found


def _gravest(facts: Iterable[tuple[str, int]]) -> int:
    return min((prio for _, prio in facts), default=NO_FACT)


def _standing(team: int, box: str | None = None) -> "dict[str, list[tuple[str, int]]]":
    """Return (id, priority) of the technical alerts that stand, by box."""
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    # Open alerts are few and have an index: it serves where the query says "state < 2" itself, which Django would not,
    # and where no index of the team's alerts looks better (the plus).
    for name, alert, prio in looking().execute(
        "SELECT box.name, alert.id, prio FROM alert JOIN box ON box.id = box_id WHERE state < 2 AND +alert.team_id = ?"
        " AND category = ? AND resolved_at IS NULL AND kind <> ? AND (? IS NULL OR box.name = ?)",
        (team, Category.TECHNICAL.value, ChangeKind.RETRACTED.value, box, box),
    ):
        found[name].append((alert, prio))
    return found


def whole(visit: Visit, box: Box) -> WholeBox:
    """Return everything about a box of the visitor's."""
    (line,) = fleet_boxes(place(), listed_boxes(), at=now_ms(), box=box.name)
    bare = BoxRow(line=line, patients=(), facts=(), real=now_ms())
    (row,) = _filled(visit, (bare,), _standing(box.team_id, box.name))
    with reading() as opened:
        commands = SqlCommands(opened, nullcontext)
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
