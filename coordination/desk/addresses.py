"""How an address is added to the desk: with the action that it needs, and the methods that it takes.

An address without an action would be refused by the middleware (visits).
"""

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

from coordination.desk.access import Action

_View = Callable[..., HttpResponse]


def page(address: str, view: _View, action: Action, name: str, *, methods: tuple[str, ...] = ("GET",)) -> URLPattern:
    """Return the route of a page or act that needs `action`."""
    checked = require_http_methods([*methods, *(("HEAD",) if "GET" in methods else ())])(view)
    checked.action = action
    return path(address, checked, name=name)


def act(address: str, view: _View, action: Action, name: str) -> URLPattern:
    """Return the route of an act: POST only."""
    return page(address, view, action, name, methods=("POST",))


def form(address: str, view: _View, action: Action, name: str) -> URLPattern:
    """Return the route of a page with a form that is sent to the same address."""
    return page(address, view, action, name, methods=("GET", "POST"))
