"""The worklist: one row a patient and problem, most urgent first.

Several alerts of one rule about one patient are one problem: the row is the newest that nobody has in hand, else the
newest, and says how many more there are.
An alert that ended by itself stays until somebody has dealt with it; one that its box took back or continues under
another id does not ask for anybody any more, and neither does one that is held back. What waits is kept as one row a
problem (coordination/problems.py), so that a page reads as many rows as it shows.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlencode

import msgspec
from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.db.models.expressions import Case, Value, When

from alerting.alert import Category, ChangeKind
from coordination.deadlines import TECHNICAL
from coordination.desk.models import Alert, Patient, Problem, Team
from coordination.handling import CLOSED, TAKEN
from coordination.problem_tables import NO_DEADLINE
from exchange.messages import EvidenceItem

PAGE = 50
"""Rows a page."""
MOST_NAMED = 500
"""Patients that a search among closed alerts looks at."""
_ORDER = ("priority", "state", "due", "raised_at", "alert_id")


class Tab(StrEnum):
    """Which alerts are looked at."""

    TO_HANDLE = "a-traiter"
    MINE = "les-miennes"
    PHYSICIAN = "medecin"
    CLOSED = "closes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person wants to see.

    Attributes:
        tab: which alerts.
        user: row of who looks, for theirs.
        search: part of a pseudonym, or of a box's name; "" for all.
        pathway: name of a protocol, "" for all.
        priority: 1 to 4, None for all.
        page: from 1 on.
    """

    tab: Tab = Tab.TO_HANDLE
    user: int = 0
    search: str = ""
    pathway: str = ""
    priority: int | None = None
    page: int = 1

    def address(self, **changes: object) -> str:
        """Return this as what stands after "?" in an address, with changes."""
        asked = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        parts = {
            "voir": asked.tab.value if asked.tab is not Tab.TO_HANDLE else "",
            "priorite": asked.priority or "",
            "parcours": asked.pathway,
            "patient": asked.search,
            "page": asked.page if asked.page > 1 else "",
        }
        return urlencode({name: value for name, value in parts.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A patient-problem.

    Attributes:
        alert: the newest that nobody has in hand, else the newest.
        repeats: how many more alerts of the same problem wait.
        priority: 1 high, 2 medium, 3 low, 4 technical.
        due: ms UTC; by when it is to be taken, or when it is, closed; None when nothing says.
        holder: who has it, or others of its alerts, in hand; "" for nobody.
        escalated_at: when it was told to the physicians because nobody had handled it in time, None when it was not.
        physician_at: when somebody told a physician.
    """

    alert: Alert
    repeats: int
    priority: int
    due: int | None
    holder: str = ""
    escalated_at: int | None = None
    physician_at: int | None = None

    def overdue(self, now: int) -> bool:
        """Return whether it should have been done by now (ms UTC)."""
        return self.due is not None and self.alert.state != CLOSED and now > self.due

    @property
    def evidence(self) -> tuple[EvidenceItem, ...]:
        """The readings that its newest alert rests on."""
        return msgspec.json.decode(self.alert.evidence, type=tuple[EvidenceItem, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """What the page shows.

    Attributes:
        rows: of one page, most urgent first.
        counts: priority -> how many problems wait, in hand or not, whatever is asked for.
        overdue: how many of them should have been done.
        physician: how many of them ask for a physician.
        total: how many rows there are on all pages; None where they are not counted.
        more: whether there is a page after this one.
        since: what changes after this is news to whoever reads the page.
        mark: another one whenever any row is (`changes.News.mark`).
    """

    rows: tuple[Row, ...]
    counts: dict[int, int]
    overdue: int
    physician: int
    total: int | None
    more: bool
    since: int
    mark: str


def worklist(team: Team, asked: Asked, *, now: int) -> Worklist:
    """Return what a person sees of the team's alerts; `now` is ms UTC."""
    counts = dict.fromkeys((1, 2, 3, TECHNICAL), 0)
    overdue = physician = since = said = 0
    for row in (
        Problem.objects.filter(team=team)
        .values("priority")
        .annotate(
            number=Count("pk"),
            late=Sum(Case(When(due__lt=now, then=Value(1)), default=Value(0))),
            told=Sum(Case(When(_FOR_PHYSICIAN, then=Value(1)), default=Value(0))),
            said=Sum("stamp"),
            newest=Max("stamp"),
        )
        .order_by()
    ):
        counts[row["priority"]] = row["number"]
        overdue += row["late"]
        physician += row["told"]
        said += row["said"]
        since = max(since, row["newest"])
    begin = (asked.page - 1) * PAGE
    if asked.tab is Tab.CLOSED:
        found = list(_closed(team, asked)[begin : begin + PAGE + 1])
        rows = tuple(Row(alert=one, repeats=0, priority=priority_of(one), due=None) for one in found[:PAGE])
        total = None
    else:
        chosen = _chosen(team, asked)
        found = list(_with_alert(chosen.order_by(*_ORDER))[begin : begin + PAGE + 1])
        rows = tuple(map(_row, found[:PAGE]))
        total = chosen.count()
    return Worklist(
        rows=rows,
        counts=counts,
        overdue=overdue,
        physician=physician,
        total=total,
        more=len(found) > PAGE,
        since=since,
        mark=f"{sum(counts.values())}-{said}" if said else "0",
    )


_FOR_PHYSICIAN = Q(escalated_at__isnull=False) | Q(physician_at__isnull=False)


def _chosen(team: Team, asked: Asked) -> QuerySet[Problem]:
    chosen = Problem.objects.filter(team=team)
    if asked.tab is Tab.MINE:
        chosen = chosen.filter(state=TAKEN, holder_id=asked.user)
    elif asked.tab is Tab.PHYSICIAN:
        chosen = chosen.filter(_FOR_PHYSICIAN)
    if asked.priority is not None:
        chosen = chosen.filter(priority=asked.priority)
    if asked.pathway:
        chosen = chosen.filter(protocol=asked.pathway)
    if asked.search:
        by_name = Q(patient__pseudonym__icontains=asked.search)
        chosen = chosen.filter(by_name | Q(patient=None, box__name__icontains=asked.search))
    return chosen


def _closed(team: Team, asked: Asked) -> QuerySet[Alert]:
    closed = Alert.objects.filter(team=team, closed_at__isnull=False).select_related("patient", "box", "alertoutcome")
    if asked.priority == TECHNICAL:
        closed = closed.filter(category=Category.TECHNICAL.value)
    elif asked.priority is not None:
        closed = closed.filter(prio=asked.priority).exclude(category=Category.TECHNICAL.value)
    if asked.pathway:
        closed = closed.filter(protocol=asked.pathway)
    if asked.search:
        named = Patient.objects.filter(team=team, pseudonym__icontains=asked.search)
        closed = closed.filter(patient__in=list(named.values_list("pk", flat=True)[:MOST_NAMED]))
    return closed.defer("record").order_by("-closed_at", "-pk")


def pathways(team: Team) -> tuple[str, ...]:
    """Return the names of the protocols that the team's waiting problems follow from, sorted."""
    found = Problem.objects.filter(team=team).exclude(protocol="").values_list("protocol", flat=True).distinct()
    return tuple(sorted(found))


def problems_of(team: Team, *, patient: Patient | None = None) -> tuple[Row, ...]:
    """Return the problems of a team, or of one patient, that wait, in hand or not, most urgent first."""
    chosen = Problem.objects.filter(team=team)
    if patient is not None:
        chosen = chosen.filter(patient=patient)
    return tuple(map(_row, _with_alert(chosen.order_by(*_ORDER))))


def waiting_by_patient(team: Team) -> dict[int, tuple[int, int]]:
    """Return patient's row -> (how many problems wait, their gravest priority), of those of whom any does."""
    found = Problem.objects.filter(team=team, patient__isnull=False).values("patient_id").order_by()
    rows = found.annotate(number=Count("pk"), gravest=Min("priority"))
    return {row["patient_id"]: (row["number"], row["gravest"]) for row in rows}


def waiting(team: Team) -> QuerySet[Alert]:
    """Return the alerts of a team that ask for somebody."""
    continued = Alert.objects.exclude(supersedes=None).values("supersedes")
    return (
        Alert.objects.filter(team=team, state__lt=CLOSED)
        .exclude(told_at=None)
        .exclude(kind=ChangeKind.RETRACTED.value)
        .exclude(pk__in=continued)
    )


def same_problem(alert: Alert) -> list[Alert]:
    """Return the other waiting alerts of the problem that an alert is of."""
    same = waiting(alert.team).filter(patient=alert.patient, rule_id=alert.rule_id).exclude(pk=alert.pk)
    return list(same if alert.patient is not None else same.filter(box=alert.box))


def neighbours(team: Team, asked: Asked, alert: str) -> tuple[str | None, str | None]:
    """Return the alerts before and after one in the list that a person came from; None where there is none."""
    if asked.tab is Tab.CLOSED:
        ids = list(_closed(team, asked).values_list("pk", flat=True)[:MOST_NAMED])
    else:
        ids = list(_chosen(team, asked).order_by(*_ORDER).values_list("alert_id", flat=True)[:MOST_NAMED])
    if alert not in ids:
        # It was handled meanwhile: what comes next is what is most urgent now.
        return None, next(iter(ids), None)
    at = ids.index(alert)
    return (ids[at - 1] if at else None), next(iter(ids[at + 1 : at + 2]), None)


def priority_of(alert: Alert) -> int:
    """Return an alert's priority as the list sorts it: 1 high, 2 medium, 3 low, 4 technical."""
    return TECHNICAL if alert.category == Category.TECHNICAL.value else alert.prio


def of_team(team: Team, alert: str) -> Alert | None:
    """Return an alert by its id when it is this team's."""
    return Alert.objects.filter(Q(team=team), pk=alert).select_related("patient", "box", "alertoutcome").first()


def _with_alert(problems: QuerySet[Problem]) -> QuerySet[Problem]:
    return problems.select_related("alert", "alert__patient", "alert__box").defer("alert__record")


def _row(problem: Problem) -> Row:
    return Row(
        alert=problem.alert,
        repeats=problem.repeats,
        priority=problem.priority,
        due=None if problem.due >= NO_DEADLINE else problem.due,
        holder=problem.holder,
        escalated_at=problem.escalated_at,
        physician_at=problem.physician_at,
    )
