"""The addresses that other systems ask, and the page of the evaluation export.

Refusals under /fhir/ are in FHIR's words (machine_visits), never a page to sign in.
"""

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern

from coordination.desk.access import Action
from coordination.desk.addresses import act, page
from coordination.desk.views import evaluation, fhir, fhir_export


def _for_machines(
    address: str, view: Callable[..., HttpResponse], action: Action, name: str, *methods: str
) -> URLPattern:
    route = page(address, view, action, name, methods=methods or ("GET",))
    route.callback.for_machines = True
    return route


FHIR_ROUTES = (
    page("export", evaluation.show, Action.EXPORT_EVALUATION, "evaluation"),
    act("export/faire", evaluation.make, Action.EXPORT_EVALUATION, "evaluation_make"),
    *(_for_machines(*one) for one in (*fhir_export.ADDRESSES, *fhir.ADDRESSES)),
)
