"""The worklist: one row a patient and problem, most urgent first.

Several alerts of one rule about one patient are one problem: the row is its newest, and says how many came before.
An alert that ended by itself stays until somebody has dealt with it; one that its box took back or continues under
another id does not ask for anybody any more, and neither does one that is held back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import F, Q, QuerySet

from alerting.alert import Category, ChangeKind
from coordination.desk.models import Alert, Team
from coordination.handling import CLOSED, NEW, TAKEN

TECHNICAL = 4
"""Stands for a technical alert's priority: whatever it is, it comes after what is about a patient."""
MOST_ROWS = 500


class Tab(StrEnum):
    """Which alerts are looked at."""

    TO_HANDLE = "a-traiter"
    MINE = "les-miennes"
    CLOSED = "closes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A patient-problem.

    Attributes:
        alert: its newest alert.
        repeats: how many alerts of the same problem came before it and wait as well.
        priority: 1 high, 2 medium, 3 low, 4 technical.
        due: ms UTC; by when it is to be taken, or when it is, closed; None when nothing says.
    """

    alert: Alert
    repeats: int
    priority: int
    due: int | None

    def overdue(self, now: int) -> bool:
        """Return whether it should have been done by now (ms UTC)."""
        return self.due is not None and self.alert.state != CLOSED and now > self.due


@dataclass(frozen=True, slots=True, kw_only=True)
class Worklist:
    """What the page shows.

    Attributes:
        rows: most urgent first.
        counts: priority -> how many problems wait, in hand or not, whatever the tab.
        overdue: how many of them should have been done.
        newest: changes whenever any alert of the team does.
    """

    rows: tuple[Row, ...]
    counts: dict[int, int]
    overdue: int


def waiting(team: Team) -> QuerySet[Alert]:
    """Return the alerts of a team that ask for somebody."""
    continued = Alert.objects.exclude(supersedes=None).values("supersedes")
    return (
        Alert.objects.filter(team=team, state__lt=CLOSED)
        .exclude(told_at=None)
        .exclude(kind=ChangeKind.RETRACTED.value)
        .exclude(pk__in=continued)
    )


def worklist(team: Team, *, tab: Tab, user: int, search: str, now: int) -> Worklist:
    """Return what a person sees of the team's alerts.

    Args:
        team: whose.
        tab: which.
        user: row of who looks, for theirs.
        search: part of a pseudonym, "" for all.
        now: ms UTC.
    """
    problems = problems_of(team)
    counts = dict.fromkeys((1, 2, 3, TECHNICAL), 0)
    for row in problems:
        counts[row.priority] += 1
    overdue = sum(row.overdue(now) for row in problems)
    shown = problems
    if tab is Tab.MINE:
        shown = tuple(row for row in problems if row.alert.holder_id == user)
    elif tab is Tab.CLOSED:
        closed = Alert.objects.filter(team=team, state=CLOSED).select_related("patient", "box", "alertoutcome")
        latest = closed.order_by(F("alertoutcome__at").desc(nulls_last=True), "-raised_at")[:MOST_ROWS]
        shown = tuple(Row(alert=one, repeats=0, priority=_priority(one), due=None) for one in latest)
    if search:
        shown = tuple(row for row in shown if search.lower() in _name(row.alert).lower())
    return Worklist(rows=shown[:MOST_ROWS], counts=counts, overdue=overdue)


def problems_of(team: Team) -> tuple[Row, ...]:
    """Return the problems of a team that wait, in hand or not, most urgent first."""
    return _rows(waiting(team).select_related("patient", "box"))


def same_problem(alert: Alert) -> list[Alert]:
    """Return the other waiting alerts of the problem that an alert is of."""
    same = waiting(alert.team).filter(patient=alert.patient, rule_id=alert.rule_id).exclude(pk=alert.pk)
    return list(same if alert.patient is not None else same.filter(box=alert.box))


def _rows(alerts: Iterable[Alert]) -> tuple[Row, ...]:
    problems: dict[tuple[int | None, int, str], list[Alert]] = {}
    for alert in alerts:
        key = (alert.patient_id, 0 if alert.patient_id else alert.box_id, alert.rule_id)
        problems.setdefault(key, []).append(alert)
    rows = [_row(sorted(same, key=lambda one: (one.raised_at, one.pk))) for same in problems.values()]
    return tuple(sorted(rows, key=_urgency))


def _row(same: list[Alert]) -> Row:
    alert = same[-1]
    dues = [due for due in map(_due, same) if due is not None]
    return Row(alert=alert, repeats=len(same) - 1, priority=min(map(_priority, same)), due=min(dues, default=None))


def _due(alert: Alert) -> int | None:
    if alert.state == TAKEN:
        return alert.act_due
    return alert.ack_due if alert.ack_due is not None else alert.due_by


def _priority(alert: Alert) -> int:
    return TECHNICAL if alert.category == Category.TECHNICAL.value else alert.prio


def _urgency(row: Row) -> tuple[object, ...]:
    return (row.priority, row.alert.state != NEW, row.due or 2**53, row.alert.raised_at, row.alert.pk)


def _name(alert: Alert) -> str:
    return alert.patient.pseudonym if alert.patient is not None else alert.box.name


def of_team(team: Team, alert: str) -> Alert | None:
    """Return an alert by its id when it is this team's."""
    return Alert.objects.filter(Q(team=team), pk=alert).select_related("patient", "box").first()
