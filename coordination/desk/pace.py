"""How much work a team's alerts are, member by member, against what a week has room for.

Minutes an alert takes depend on what came of it; a team begins with assumed ones (coordination.outcomes) and sets its
own. What is counted is what each member closed, or could not reach and planned to call again, within the days looked
at. These numbers are for sharing work out and for adapting protocols: they say nothing of how good somebody is.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from django.db.models import F

from alerting.alert import Outcome
from coordination.alert_acts import Detail, Done, Standing
from coordination.desk.alert_story import colleagues
from coordination.desk.models import AlertAct, Team, TeamMinutes, WeeklyBudget
from coordination.desk.models.pace import WEEK
from coordination.desk.pages import DAY
from coordination.outcomes import MEANINGS, RECALL, RECALL_MINUTES, Said, work_of

WEEK_MINUTES = 600
"""Minutes a week that a member has for alerts until the team says otherwise: ten hours, assumed."""
LONGEST_MINUTES = 240
LONGEST_WEEK = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one member did: how many of each outcome, the minutes of it, and the minutes that there was room for.

    Attributes:
        name: of the member, or of whoever closed from a command line.
        user: their row, None for those.
        counts: outcome, or "recall" -> how many.
        minutes: of work.
        budget: minutes in the days looked at, None without a row.
    """

    name: str
    user: int | None
    counts: Mapping[str, int]
    minutes: int
    budget: int | None

    @property
    def percent(self) -> int | None:
        """The share of the budget that it took, in percent, rounded."""
        return round(100 * self.minutes / self.budget) if self.budget else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a team did within some days.

    Attributes:
        loads: each member's, the most loaded first; members without any too.
        closed: alerts that were closed.
        minutes: of work in all.
        budget: minutes that there were in all.
        taken_in_time: of `taken` alerts that somebody took, how many by their deadline.
        closed_in_time: of `closed`, how many by theirs.
        lapsed: how often one went back to the list because it was not closed in time.
        escalated: how often one was shown to the physicians because nobody had taken it.
    """

    loads: tuple[Load, ...]
    closed: int
    minutes: int
    budget: int
    taken: int
    taken_in_time: int
    closed_in_time: int
    lapsed: int
    escalated: int


def minutes_of(team: Team) -> dict[str, int]:
    """Return the minutes of work that an alert takes, by what came of it, and those that a week has ("week")."""
    assumed = {said.value: meaning.minutes for said, meaning in MEANINGS.items()}
    assumed |= {RECALL: RECALL_MINUTES, WEEK: WEEK_MINUTES}
    own = dict(TeamMinutes.objects.filter(team=team).values_list("said", "minutes"))
    return assumed | {name: minutes for name, minutes in own.items() if name in assumed}


def budgets_of(team: Team) -> dict[int, int]:
    """Return the minutes a week of each member that has their own."""
    return dict(WeeklyBudget.objects.filter(team=team).values_list("user_id", "minutes"))


def pace(team: Team, *, days: int, now: int) -> Pace:
    """Return what a team did within `days` before `now` (ms UTC)."""
    minutes, budgets = minutes_of(team), budgets_of(team)
    acts = AlertAct.objects.filter(alert__team=team, at__gt=now - days * DAY, at__lte=now)
    worked: defaultdict[tuple[int | None, str], Counter[str]] = defaultdict(Counter)
    in_time = 0
    # What was closed and opened again since is no closed alert: its last closing stands in the alert.
    closings = acts.filter(kind=Done.CLOSED.value, alert__closed_at=F("at"))
    rows = closings.values_list("person_id", "person", "at", "detail", "before")
    closed = 0
    for person_id, person, at, detail, before in rows.iterator(chunk_size=2000):
        came = msgspec.json.decode(detail, type=Detail).outcome
        work = came if came in set(Said) else work_of(Outcome(came), "").value
        worked[person_id, person if person_id is None else ""][work] += 1
        closed += 1
        due = msgspec.json.decode(before, type=Standing).act_due
        in_time += due is None or at <= due
    for person_id, person in acts.filter(kind=Done.RECALL.value).values_list("person_id", "person"):
        worked[person_id, person if person_id is None else ""][RECALL] += 1
    taken = [
        (at, msgspec.json.decode(before, type=Standing).ack_due)
        for at, before in acts.filter(kind__in=(Done.TAKEN.value, Done.ASSIGNED.value)).values_list("at", "before")
    ]
    loads = _loads(team, worked, minutes, budgets, days)
    return Pace(
        loads=loads,
        closed=closed,
        minutes=sum(load.minutes for load in loads),
        budget=sum(load.budget or 0 for load in loads),
        taken=len(taken),
        taken_in_time=sum(due is None or at <= due for at, due in taken),
        closed_in_time=in_time,
        lapsed=acts.filter(kind=Done.LAPSED.value).count(),
        escalated=acts.filter(kind=Done.ESCALATED.value).count(),
    )


def _loads(
    team: Team,
    worked: Mapping[tuple[int | None, str], Counter[str]],
    minutes: Mapping[str, int],
    budgets: Mapping[int, int],
    days: int,
) -> tuple[Load, ...]:
    members = {one.pk: one.name for people in colleagues(team).values() for one in people}
    keys = {(pk, "") for pk in members} | set(worked)
    found = []
    for row, name in keys:
        counts = worked.get((row, name), Counter())
        weekly = None if row is None or row not in members else budgets.get(row, minutes[WEEK])
        found.append(
            Load(
                name=name if row is None else members.get(row, "–"),
                user=row,
                counts=dict(counts),
                minutes=sum(minutes[came] * number for came, number in counts.items()),
                budget=None if weekly is None else weekly * days // 7,
            )
        )
    return tuple(sorted(found, key=lambda load: (-load.minutes, load.name)))
