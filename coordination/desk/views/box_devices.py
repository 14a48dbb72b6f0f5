"""/boitiers/<b>/appareils: a box listens, somebody chooses, the box pairs; each order signed by whoever gives it."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from alerting.alert import Sentence
from coordination import signing_keys
from coordination.box_orders import order
from coordination.desk import box_words, pages
from coordination.desk.access import Action
from coordination.desk.box_devices import at_the_box
from coordination.desk.models import Box
from coordination.desk.pages import said, t
from coordination.desk.shared_database import acting, looking
from coordination.desk.views.boxes import box_or_404
from coordination.desk.views.signing import opened
from coordination.errors import CoordinationError
from coordination.office import now_ms
from exchange.command_bodies import Body, NoBody, PairBody, ScanBody
from exchange.commands import CommandKind


def show(request: HttpRequest, box: str) -> HttpResponse:
    """Show what the box heard and paired."""
    return _page(request, box_or_404(request, box))


def _page(request: HttpRequest, box: Box, *, fault: str = "", status: int = 200) -> HttpResponse:
    found = at_the_box(box)
    named = request.visit.may(Action.READ_PATIENTS) and len(found.patients) == 1
    more = {
        "box": box.name,
        "found": found,
        "patient": found.patients[0] if named else t("patient-du-boîtier", "patient-of-the-box"),
        "kept": signing_keys.key_of(looking(), request.visit.user.pk),
        "fault": fault,
        "words": box_words,
    }
    return pages.page(request, "box_devices.html", more, status=status)


def state(request: HttpRequest, box: str) -> JsonResponse:
    """Say what changes when the page does, for an open page that asks."""
    found = at_the_box(box_or_404(request, box))
    return JsonResponse({"stamp": found.stamp, "over": not found.waits})


def scan(request: HttpRequest, box: str) -> HttpResponse:
    """Let the box listen for devices."""
    return _signed(request, box, lambda: (CommandKind.SCAN, ScanBody(), ""))


def pair(request: HttpRequest, box: str) -> HttpResponse:
    """Let the box pair a device that it heard."""

    def wanted() -> tuple[CommandKind, Body, str]:
        address, digits = request.POST.get("adresse", ""), request.POST.get("chiffres", "").replace(" ", "")
        scanned = at_the_box(box_or_404(request, box)).scan
        if scanned is None or all(one.address != address for one in scanned.seen):
            raise CoordinationError(
                Sentence(fr="Choisir un appareil que le boîtier a entendu.", en="Choose a device that the box heard."),
                hint=Sentence(fr="Faire écouter le boîtier de nouveau.", en="Let the box listen again."),
            )
        if digits and not (digits.isascii() and digits.isdecimal() and len(digits) == 6):
            raise CoordinationError(
                Sentence(fr="Ce ne sont pas six chiffres.", en="These are no six digits."),
                hint=Sentence(
                    fr="Les recopier de l'écran de l'appareil, ou laisser vide s'il n'en montre pas.",
                    en="Copy them from the device's screen, or leave this empty when it shows none.",
                ),
            )
        return CommandKind.PAIR, PairBody(address=address, passkey=int(digits) if digits else None), address

    return _signed(request, box, wanted)


def change_keys(request: HttpRequest, box: str) -> HttpResponse:
    """Let the box take a new key for what it keeps."""
    return _signed(request, box, lambda: (CommandKind.ROTATE, NoBody(), ""), back="box")


def _signed(
    request: HttpRequest, name: str, wanted: Callable[[], tuple[CommandKind, Body, str]], *, back: str = "box_devices"
) -> HttpResponse:
    """Sign an order with the visitor's key, opened by the PIN in the request, and queue it."""
    box = box_or_404(request, name)
    user = request.visit.user
    try:
        kind, body, about = wanted()
        _, key = opened(request)
        with acting() as database:
            signing_keys.tried_well(database, user.pk)
            order(database, kind, body, box=box.name, by=user.name, now=now_ms(), about=about, key=key)
    except CoordinationError as error:
        text = f"{said(error.why)} {said(error.hint)}"
        if back == "box_devices":
            return _page(request, box, fault=text, status=400)
        messages.warning(request, text)
        return redirect(back, box=box.name)
    messages.success(
        request,
        t(
            "Demande signée par vous, en attente du boîtier.",
            "Order signed by you, waiting for the box.",
        ),
    )
    return redirect(back, box=box.name)
