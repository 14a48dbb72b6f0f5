"""Acts before which somebody shows once more who they are: an open browser alone does not hand over accounts.

allauth keeps what was asked, asks for the password, a code or a passkey, and goes on. Whoever signed in or showed it in
the last five minutes is not asked. Where a second factor is only offered (trials), nobody is.
"""

from collections.abc import Callable
from functools import wraps

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from coordination.desk.access import Action
from coordination.desk.errors import forbidden

_View = Callable[..., HttpResponse]


def once_more(view: _View, action: Action) -> _View:
    """Return a view that is reached after showing once more who one is; `action` is what its address needs."""
    asked = reauthentication_required(view, app="desk")

    @wraps(view)
    def answer(request: HttpRequest, *arguments: object, **named: object) -> HttpResponse:
        # What was kept while somebody was asked comes here past the table of roles, which may have changed meanwhile.
        if not request.visit.may(action):
            return forbidden(request)
        if settings.DESK.second_factor != "required":
            return view(request, *arguments, **named)
        return asked(request, *arguments, **named)

    return answer
