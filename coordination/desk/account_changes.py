"""What allauth changes of an account, as acts: a second factor that comes or goes, a session that gets another key.

The handlers run in the transaction of the change (`whole` makes it one), so that neither is there without the other.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.signals import password_changed
from allauth.core import context
from allauth.mfa.models import Authenticator
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest, HttpResponse

from coordination.audit_log import AuditLog
from coordination.desk import sign_in
from coordination.desk.second_factor import STRONG
from coordination.desk.shared_database import acting
from exchange.audit_chain import Act


def listen() -> None:
    """Hear of every change from now on."""
    post_save.connect(_added, sender=Authenticator, dispatch_uid="desk")
    post_delete.connect(_removed, sender=Authenticator, dispatch_uid="desk")
    password_changed.connect(_changed, dispatch_uid="desk")


def whole(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return a view of allauth whose POST is one transaction, with the acts that it makes."""

    @wraps(view)
    def answer(request: HttpRequest, *arguments: object, **named: object) -> HttpResponse:
        if request.method != "POST":
            return view(request, *arguments, **named)
        with acting():
            return view(request, *arguments, **named)

    return answer


def _added(instance: Authenticator, *, created: bool, **_more: Any) -> None:
    if created:
        request = context.request
        if request is not None and request.user.pk == instance.user_id and instance.type != "recovery_codes":
            request.session[STRONG] = True
        _enter(instance, f"{instance.type}_added")


def _removed(instance: Authenticator, **_more: Any) -> None:
    _enter(instance, f"{instance.type}_removed")


def _enter(instance: Authenticator, what: str) -> None:
    at, request = sign_in.now(), context.request
    by = request.user if request is not None and request.user.is_authenticated else instance.user
    with acting() as database:
        log = AuditLog(database)
        log.begin(at=at)
        about = sign_in.reference_of(instance.user)
        log.enter(Act.ACCOUNT_CHANGED, at=at, by=by.name, reference=about, detail={"what": what})


def _changed(request: HttpRequest, **_more: Any) -> None:
    sign_in.followed(request)
