"""/boitiers/<b>/appareils: a box listens, somebody chooses, the box pairs; each order signed by whoever gives it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """An order, about what and about whom."""

    kind: CommandKind
    body: Body
    about: str = ""
    subject: str = ""


def show(request: HttpRequest, box: str) -> HttpResponse:
    """Show what the box heard and paired."""
    return _page(request, box_or_404(request, box))


def _page(request: HttpRequest, box: Box, *, fault: str = "", status: int = 200) -> HttpResponse:
    found = at_the_box(box)
    shown = found.patients if request.visit.may(Action.READ_PATIENTS) else ()
    more = {
        "box": box.name,
        "found": found,
        "patients": shown,
        "patient": shown[0] if len(shown) == 1 else t("patient-du-boîtier", "patient-of-the-box"),
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
    return _signed(request, box, lambda: _Wanted(kind=CommandKind.SCAN, body=ScanBody()))


def pair(request: HttpRequest, box: str) -> HttpResponse:
    """Let the box pair a device that it heard."""

    def wanted() -> _Wanted:
        address, digits = request.POST.get("adresse", ""), request.POST.get("chiffres", "").replace(" ", "")
        found = at_the_box(box_or_404(request, box))
        if found.scan is None or all(one.address != address for one in found.scan.seen):
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
        body = PairBody(address=address, passkey=int(digits) if digits else None)
        return _Wanted(kind=CommandKind.PAIR, body=body, about=address, subject=_whose(request, found.patients))

    return _signed(request, box, wanted)


def _whose(request: HttpRequest, patients: Sequence[str]) -> str:
    """Return for whom the box is to read a device, a pseudonym; "": its settings are to say it.

    Whoever may not read who the patients are gives it to the only one that there is.
    """
    if not request.visit.may(Action.READ_PATIENTS):
        return patients[0] if len(patients) == 1 else ""
    chosen = request.POST.get("patient", "")
    if chosen and chosen not in patients:
        raise CoordinationError(
            Sentence(
                fr="Ce boîtier ne transmet pas pour ce patient.", en="This box does not transmit for this patient."
            ),
            hint=Sentence(fr="Choisir dans la liste.", en="Choose from the list."),
        )
    return chosen


def change_keys(request: HttpRequest, box: str) -> HttpResponse:
    """Let the box take a new key for what it keeps."""
    return _signed(request, box, lambda: _Wanted(kind=CommandKind.ROTATE, body=NoBody()), back="box")


def _signed(
    request: HttpRequest, name: str, wanted: Callable[[], _Wanted], *, back: str = "box_devices"
) -> HttpResponse:
    """Sign an order with the visitor's key, opened by the PIN in the request, and queue it."""
    box = box_or_404(request, name)
    user = request.visit.user
    try:
        asked = wanted()
        _, key = opened(request)
        with acting() as database:
            order(
                database,
                asked.kind,
                asked.body,
                box=box.name,
                by=user.name,
                now=now_ms(),
                subject=asked.subject,
                about=asked.about,
                key=key,
            )
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
