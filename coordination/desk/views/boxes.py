"""/boitiers: the team's boxes, one of them whole, and taking one out of the team."""

import asyncio

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from coordination import signing_keys
from coordination.desk import box_words, pages
from coordination.desk.boxes import box_of, listed, whole
from coordination.desk.erasures import of_box
from coordination.desk.models import Box
from coordination.desk.pages import said, t
from coordination.desk.shared_database import looking, place
from coordination.desk.team_settings import listed_boxes, team_settings
from coordination.errors import CoordinationError
from coordination.office import now_ms
from coordination.revoking import control, revoke_at_inbox

LONGEST_REASON = 200


def show_all(request: HttpRequest) -> HttpResponse:
    """Show the boxes, those first that somebody must look at."""
    search, page = request.GET.get("chercher", "").strip()[:48], request.GET.get("page", "")
    wanted = int(page) if page.isascii() and page.isdecimal() and len(page) <= 5 else 1
    found = listed(request.visit, search, page=wanted)
    return pages.page(request, "boxes.html", {"found": found, "search": search, "words": box_words})


def show(request: HttpRequest, box: str) -> HttpResponse:
    """Show one box."""
    row = box_or_404(request, box)
    found = whole(request.visit, row)
    more = {
        "found": found,
        "row": found.row,
        "words": box_words,
        "erasures": of_box(request.visit, row, found.row.line),
        "kept": signing_keys.key_of(looking(), request.visit.user.pk),
    }
    return pages.page(request, "box.html", more)


def revoke(request: HttpRequest, box: str) -> HttpResponse:
    """Let nothing count any more that a box signs, and keep it out of the broker; its number is typed to be sure."""
    found = box_or_404(request, box)
    reason = request.POST.get("raison", "").strip()
    if request.POST.get("numero", "").strip() != found.name:
        messages.warning(
            request,
            t(
                "Le numéro tapé n'est pas {box} : rien n'a été changé.",
                "The number typed is not {box}: nothing was changed.",
                box=found.name,
            ),
        )
    elif not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        messages.warning(
            request,
            t(
                "Dire pourquoi, en 1 à 200 caractères, sans nommer de patient : rien n'a été changé.",
                "Say why, in 1 to 200 characters, without naming a patient: nothing was changed.",
            ),
        )
    else:
        _revoke(request, found, reason)
    return to_box(found)


def _revoke(request: HttpRequest, box: Box, reason: str) -> None:
    now = now_ms()
    # What the inbox believes comes first and is enough for the promise; the broker may be told later, or again.
    taken = revoke_at_inbox(place(), box.name, listed=listed_boxes(), reason=reason, at=now, by=request.visit.user.name)
    messages.success(
        request,
        t(
            "{box} : l'équipe ne croit plus rien de ce qu'il signe.",
            "{box}: the team believes nothing that it signs any more.",
            box=box.name,
        ),
    )
    try:
        seconds = asyncio.run(control(team_settings()).revoke(box.name, taken.serials))
    except CoordinationError as error:
        told(request, error)
        return
    messages.success(
        request,
        t(
            "Le broker le refuse et l'a déconnecté (vérifié, {seconds} s).",
            "The broker refuses it and has thrown it out (seen, {seconds} s).",
            seconds=pages.number(seconds, 1),
        ),
    )


def box_or_404(request: HttpRequest, name: str) -> Box:
    """Return a box that the visitor may see.

    Raises:
        Http404: there is none of that name for them.
    """
    found = box_of(request.visit, name)
    if found is None:
        raise Http404
    return found


def to_box(box: Box) -> HttpResponseRedirect:
    """Send back to a box's page."""
    return HttpResponseRedirect(reverse("box", args=[box.name]))


def told(request: HttpRequest, error: CoordinationError) -> None:
    """Say an error of ours with its next step, on the page that comes."""
    messages.warning(request, f"{said(error.why)} {said(error.hint)}")
