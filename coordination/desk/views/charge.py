"""/charge: how much work the team's alerts are, how often they were of use, and what the team sets about both."""

import re
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from alerting.alert import Sentence
from coordination.audit_log import AuditLog
from coordination.deadlines import MINUTE, Spans, keep_spans, spans_of
from coordination.desk import pages
from coordination.desk.access import Action
from coordination.desk.feedback import tallies, worth_trying
from coordination.desk.models import TeamMinutes, WeeklyBudget
from coordination.desk.models.pace import WEEK
from coordination.desk.pace import LONGEST_MINUTES, LONGEST_WEEK, budgets_of, minutes_of, pace
from coordination.desk.pages import t
from coordination.desk.protocol_names import names_of_many
from coordination.desk.shared_database import acting
from coordination.desk.views.alerts import is_page, pathway_of
from coordination.outcomes import MEANINGS, RECALL, RECALL_WORDS
from coordination.reading_hours import SHORTEST, ReadingHours, hours_of, keep_hours
from exchange.audit_chain import Act

PERIODS = (7, 28, 90)
ZONE = "Europe/Paris"
"""Of the hours that a team reads in."""
DAYS = tuple(
    Sentence(fr=fr, en=en)
    for fr, en in (
        ("lun.", "Mon"),
        ("mar.", "Tue"),
        ("mer.", "Wed"),
        ("jeu.", "Thu"),
        ("ven.", "Fri"),
        ("sam.", "Sat"),
        ("dim.", "Sun"),
    )
)
LONGEST_SPAN_MINUTES = 14 * 24 * 60


def show(request: HttpRequest) -> HttpResponse:
    """Show the team's load and what came of its alerts."""
    visit = request.visit
    asked = request.GET.get("jours", "")
    days = int(asked) if asked in {str(period) for period in PERIODS} else PERIODS[1]
    with acting() as database:
        spans, read_in = spans_of(database, visit.team.pk), hours_of(database, visit.team.pk)
    counted, seldom = tallies(visit.team, now=visit.now), worth_trying(visit.team, now=visit.now)
    names = names_of_many([one.protocol_hash for one in counted] + [one.protocol_hash for one in seldom])
    return pages.page(
        request,
        "charge.html",
        {
            "pace": pace(visit.team, days=days, now=visit.now),
            "days": days,
            "periods": PERIODS,
            "tallies": counted,
            "worth_trying": seldom,
            "minutes": minutes_of(visit.team),
            "budgets": budgets_of(visit.team),
            "WEEK": WEEK,
            "words": {said.value: meaning.words for said, meaning in MEANINGS.items()} | {RECALL: RECALL_WORDS},
            "spans": {priority: (one.ack // MINUTE, one.act // MINUTE) for priority, one in spans.items()},
            "names": names,
            "hours": hours,
            "pathway_of": partial(pathway_of, names),
            "is_page": is_page,
            "read_in": read_in,
            "day_names": DAYS,
            "clock": clock,
            "may_set": visit.may(Action.SET_PACE),
        },
    )


def hours(minutes: int) -> str:
    """Return an amount of work, in hours and never in days, which would be read as working days."""
    return f"{minutes // 60}\u00a0h\u00a0{minutes % 60:02d}" if minutes >= 60 else f"{minutes}\u00a0min"


def set_minutes(request: HttpRequest) -> HttpResponse:
    """Keep the minutes that an alert takes, and those that a week has."""
    team, now = request.visit.team, minutes_of(request.visit.team)
    wanted = {name: _number(request, name, LONGEST_WEEK if name == WEEK else LONGEST_MINUTES) for name in now}
    members = {load.user for load in pace(team, days=7, now=request.visit.now).loads if load.budget is not None}
    budgets = {user: request.POST.get(f"semaine-{user}", "").strip() for user in members if user is not None}
    read = {user: _whole(text, LONGEST_WEEK) for user, text in budgets.items() if text}
    if None in wanted.values() or None in read.values():
        return _refused(request)
    changed = {name: value for name, value in wanted.items() if value is not None and value != now[name]}
    with acting() as database:
        for name, value in changed.items():
            TeamMinutes.objects.update_or_create(team=team, said=name, defaults={"minutes": value})
        before = budgets_of(team)
        for user, text in budgets.items():
            if not text:
                WeeklyBudget.objects.filter(team=team, user_id=user).delete()
            else:
                WeeklyBudget.objects.update_or_create(team=team, user_id=user, defaults={"minutes": read[user]})
        if changed or budgets_of(team) != before:
            _enter(AuditLog(database), request, "minutes")
    messages.success(request, t("Minutes enregistrées.", "Minutes saved."))
    return HttpResponseRedirect("/charge#reglages")


def set_deadlines(request: HttpRequest) -> HttpResponse:
    """Keep by when alerts of each priority are taken and closed; it holds for what arrives from now on."""
    wanted: dict[int, Spans] = {}
    for priority in (1, 2, 3, 4):
        ack, act = (_number(request, f"{name}-{priority}", LONGEST_SPAN_MINUTES) for name in ("prendre", "clore"))
        if not ack or not act:
            return _refused(request)
        wanted[priority] = Spans(ack=ack * MINUTE, act=act * MINUTE)
    read_in, fault = _hours(request)
    if fault:
        messages.warning(request, fault)
        return HttpResponseRedirect("/charge#reglages")
    team = request.visit.team.pk
    with acting() as database:
        if spans_of(database, team) != wanted or hours_of(database, team) != read_in:
            keep_hours(database, team, read_in)
            for priority, spans in wanted.items():
                keep_spans(database, team, priority, spans)
            _enter(AuditLog(database), request, "deadlines")
    messages.success(request, t("Échéances enregistrées.", "Deadlines saved."))
    return HttpResponseRedirect("/charge#reglages")


def _hours(request: HttpRequest) -> tuple[ReadingHours | None, str]:
    """Return the hours that were chosen, None for around the clock, and what is wrong with them, "" for nothing."""
    if request.POST.get("heures", "") != "limitees":
        return None, ""
    days = frozenset(int(day) for day in request.POST.getlist("jours") if day in set("0123456"))
    opens, closes = (_clock(request.POST.get(name, "").strip()) for name in ("ouvre", "ferme"))
    if not days or opens is None or closes is None or closes - opens < SHORTEST:
        return None, t(
            "Choisir au moins un jour, et une fin au moins une heure après le début : rien n'a été changé.",
            "Choose a day at least, and an end at least an hour after the beginning: nothing was changed.",
        )
    return ReadingHours(zone=ZONE, days=days, opens=opens, closes=closes), ""


def _clock(text: str) -> int | None:
    found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text, re.ASCII)
    return None if found is None else 60 * int(found.group(1)) + int(found.group(2))


def clock(minutes: int) -> str:
    """Return minutes from midnight as a form's field for times has them, 08:00."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _number(request: HttpRequest, name: str, most: int) -> int | None:
    return _whole(request.POST.get(name, "").strip(), most)


def _whole(text: str, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= most else None


def _refused(request: HttpRequest) -> HttpResponse:
    said = t(
        "Écrire partout un nombre entier de minutes : rien n'a été changé.",
        "Write a whole number of minutes everywhere: nothing was changed.",
    )
    messages.warning(request, said)
    return HttpResponseRedirect("/charge#reglages")


def _enter(log: AuditLog, request: HttpRequest, what: str) -> None:
    now, team = request.visit.now, request.visit.team.pk
    log.begin(at=now)
    log.enter(Act.SETTINGS_CHANGED, at=now, by=request.visit.user.name, reference=what, detail={"team": team})
