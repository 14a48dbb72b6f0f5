"""/alertes: the worklist, and one alert whole. What is done with alerts from there: views.handling."""

from collections.abc import Mapping
from functools import partial

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from alerting.alert import Sentence
from coordination.desk import pages
from coordination.desk.alert_story import HOW, Shown, colleagues, outcome_words, shown, story_of
from coordination.desk.feedback import tally_of
from coordination.desk.heard import heard
from coordination.desk.protocol_names import Names, names_of, names_of_many
from coordination.desk.views.handling import RECALLS, handler_of
from coordination.desk.worklist import (
    Asked,
    Tab,
    neighbours,
    of_team,
    pathways,
    priority_of,
    problems_of,
    same_problem,
    worklist,
)
from coordination.outcomes import MEANINGS
from exchange.messages import EvidenceItem

MOST_PAGES = 10_000


def asked_of(request: HttpRequest) -> Asked:
    """Return what somebody wants to see, whatever stands in the address."""
    tab, priority, page = (request.GET.get(name, "") for name in ("voir", "priorite", "page"))
    return Asked(
        tab=Tab(tab) if tab in set(Tab) else Tab.TO_HANDLE,
        user=request.visit.user.pk,
        search=request.GET.get("patient", "").replace("\0", "").strip()[:48],
        pathway=request.GET.get("parcours", "").replace("\0", "")[:64],
        priority=int(priority) if priority in {"1", "2", "3", "4"} else None,
        page=int(page) if page.isascii() and page.isdecimal() and 1 <= int(page[:6]) <= MOST_PAGES else 1,
    )


def show(request: HttpRequest) -> HttpResponse:
    """Show the team's alerts."""
    visit, asked = request.visit, asked_of(request)
    found = worklist(visit.team, asked, now=visit.now)
    together = {row.priority for row in found.rows} == {4} or (
        len({row.alert.patient_id for row in found.rows}) == 1 and found.rows[0].alert.patient_id is not None
    )
    return pages.page(
        request,
        "worklist.html",
        {
            "found": found,
            "asked": asked,
            "Tab": Tab,
            "pathways": pathways(visit.team),
            "pathway_of": partial(pathway_of, names_of_many(row.alert.protocol_hash for row in found.rows)),
            "outcome_words": outcome_words,
            "readings_shown": readings_shown,
            "heard": heard(visit.team) if not found.rows else None,
            "boxes_page": is_page("/boitiers"),
            "account_page": is_page("/compte"),
            # Several at once: technical ones, or one patient's, and nothing else.
            "together": together and len(found.rows) > 1 and asked.tab is not Tab.CLOSED,
        },
    )


def show_one(request: HttpRequest, alert: str) -> HttpResponse:
    """Show one alert whole."""
    visit, asked = request.visit, asked_of(request)
    found = of_team(visit.team, alert)
    if found is None:
        raise Http404
    before, after = neighbours(visit.team, asked, found.pk)
    others = same_problem(found)
    return pages.page(
        request,
        "alert.html",
        {
            "alert": found,
            "story": story_of(found, by=handler_of(request), now=visit.now),
            "priority": priority_of(found),
            "names": names_of(found.protocol_hash),
            "others": others,
            "zone": found.patient.time_zone if found.patient is not None else "Europe/Paris",
            "asked": asked,
            "before": before,
            "after": after,
            "people": colleagues(visit.team),
            "HOW": HOW,
            "MEANINGS": MEANINGS,
            "RECALLS": RECALLS,
            "tally": tally_of(found),
            "readings_shown": readings_shown,
            "workshop": found.patient is not None and is_page(f"/patients/{found.patient.pseudonym}/protocole"),
            "waits": any(row.alert.pk == found.pk for row in problems_of(visit.team, patient=found.patient))
            if found.patient is not None
            else found.state == 0,
        },
    )


def pathway_of(names: Mapping[str, Names], protocol_hash: str, name: str) -> Sentence:
    """Return what a patient is followed for, as a person reads it."""
    title = names[protocol_hash].title
    return title if title is not None and title.fr else Sentence(fr=name, en=name)


def readings_shown(items: tuple[EvidenceItem, ...]) -> tuple[Shown, ...]:
    """Return the readings of a row as a person reads them; a row needs the last."""
    return shown(items[-1:])


def is_page(address: str) -> bool:
    """Return whether the desk has a page at an address."""
    try:
        resolve(address)
    except Resolver404:
        return False
    return True
