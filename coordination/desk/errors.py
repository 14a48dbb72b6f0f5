"""What a person reads when a page is not for them, not there, or broke."""

from django.http import HttpRequest, HttpResponse

from alerting.alert import Sentence
from coordination.desk import pages

_FORBIDDEN = Sentence(
    fr="Cette page n'est pas ouverte à votre rôle dans cette équipe. Votre administrateur peut le changer.",
    en="This page is not open to your role in this team. Your administrator can change that.",
)
_MISSING = Sentence(
    fr="Il n'y a rien à cette adresse, ou cela appartient à une autre équipe.",
    en="There is nothing at this address, or it belongs to another team.",
)
_FORM_TOO_OLD = Sentence(
    fr="Ce formulaire est trop ancien ou vient d'ailleurs : rien n'a été changé. Revenir en arrière, recharger la page,"
    " puis recommencer.",
    en="This form is too old or came from elsewhere: nothing was changed. Go back, reload the page, then try again.",
)
_BROKEN = Sentence(
    fr="La page n'a pas pu être préparée ; rien n'a été changé. Réessayer, puis prévenir votre administrateur.",
    en="The page could not be prepared; nothing was changed. Try again, then tell your administrator.",
)
_TOO_MANY = Sentence(
    fr="Trop de demandes en peu de temps : rien n'a été changé. Attendre une minute, puis réessayer.",
    en="Too many requests in a short time: nothing was changed. Wait a minute, then try again.",
)


def _told(request: HttpRequest, sentence: Sentence, status: int) -> HttpResponse:
    return pages.page(request, "error.html", {"sentence": sentence, "status": status}, status=status)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 403."""
    return _told(request, _FORBIDDEN, 403)


def missing(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 404."""
    return _told(request, _MISSING, 404)


def csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form that is not this session's."""
    return _told(request, _FORM_TOO_OLD, 403)


def broken(request: HttpRequest) -> HttpResponse:
    """Answer 500."""
    return _told(request, _BROKEN, 500)


def too_many(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer 429."""
    return _told(request, _TOO_MANY, 429)


def busy(request: HttpRequest) -> HttpResponse:
    """Answer 503: what was asked needs what many need at once."""
    return _told(request, _TOO_MANY, 503)
