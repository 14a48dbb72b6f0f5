"""What is done with alerts from the pages: take, give back, assign, tell a physician, call again, close, and undo it.

The row of the worklist is a problem: what is done with its alert is done with the others of it that nobody has done
anything with since the page was read. Several rows at once only when they are technical, or of one patient: a click
must not clear what was not looked at.
"""

from collections.abc import Callable, Sequence

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from alerting.alert import Sentence
from coordination import handling
from coordination.alert_acts import standing_of
from coordination.deadlines import TECHNICAL
from coordination.desk.alert_story import HOW, colleagues
from coordination.desk.models import Alert
from coordination.desk.pages import HOUR, t
from coordination.desk.shared_database import acting
from coordination.desk.views.account import back
from coordination.desk.worklist import of_team, priority_of, same_problem
from coordination.handling import Handler, Turn, turn
from coordination.outcomes import RECALL, Said
from coordination.sql import Sql

RECALLS = {
    "1": Sentence(fr="dans 1 heure", en="in 1 hour"),
    "2": Sentence(fr="dans 2 heures", en="in 2 hours"),
    "4": Sentence(fr="dans 4 heures", en="in 4 hours"),
    "24": Sentence(fr="demain à la même heure", en="tomorrow at this time"),
}
"""Hours -> how they are said."""
MOST_TOGETHER = 100
LONGEST_NAME = 60

_What = Callable[[Sql, str, Turn, int], bool]


def handler_of(request: HttpRequest) -> Handler:
    """Return who acts."""
    user = request.visit.user
    return Handler(name=user.name, row=user.pk)


def take(request: HttpRequest, alert: str) -> HttpResponse:
    """Take an alert in hand, if nobody did since it was looked at."""
    return _act(request, alert, _taken, t("prise en charge par vous.", "in your hands now."))


def give_back(request: HttpRequest, alert: str) -> HttpResponse:
    """Give an alert back to the team."""

    def what(database: Sql, one: str, this: Turn, handled: int) -> bool:
        return handling.give_back(database, one, this, handled=handled)

    return _act(request, alert, what, t("rendue à l'équipe.", "given back to the team."))


def assign(request: HttpRequest, alert: str) -> HttpResponse:
    """Give an alert into the hands of a member of the team."""
    wanted = request.POST.get("a", "")
    everybody = {str(one.pk): one for people in colleagues(request.visit.team).values() for one in people}
    if wanted not in everybody:
        return _told(
            request, alert, t("Choisir à qui l'affecter : rien n'a été changé.", "Choose whom to assign it to.")
        )
    to = Handler(name=everybody[wanted].name, row=everybody[wanted].pk)

    def what(database: Sql, one: str, this: Turn, handled: int) -> bool:
        return handling.assign(database, one, this, handled=handled, to=to)

    return _act(request, alert, what, t("affectée à {name}.", "assigned to {name}.", name=to.name))


def tell_physician(request: HttpRequest, alert: str) -> HttpResponse:
    """Keep that a physician was told, who and how."""
    who = " ".join(request.POST.get("qui", "").replace("\0", "").split())[:LONGEST_NAME]
    how = request.POST.get("comment", "")
    if not who or how not in HOW:
        said = t("Écrire qui a été prévenu et comment : rien n'a été changé.", "Say who was told, and how.")
        return _told(request, alert, said)

    def what(database: Sql, one: str, this: Turn, handled: int) -> bool:
        return handling.tell_physician(database, one, this, handled=handled, who=who, how=how)

    return _act(request, alert, what, t("médecin prévenu ({who}).", "physician told ({who}).", who=who))


def close(request: HttpRequest, alert: str) -> HttpResponse:
    """Close an alert with what came of it, or plan to call again whoever could not be reached."""
    came = request.POST.get("issue", "")
    if came == RECALL:
        return _recall(request, alert)
    if came not in set(Said):
        said = t("Choisir ce qu'il en est : rien n'a été changé.", "Choose what came of it: nothing was changed.")
        return _told(request, alert, said)
    said_of = Said(came)

    def what(database: Sql, one: str, this: Turn, handled: int) -> bool:
        return handling.close(database, one, this, handled=handled, said=said_of)

    return _act(request, alert, what, t("close.", "closed."))


def _recall(request: HttpRequest, alert: str) -> HttpResponse:
    hours = request.POST.get("rappel", "")
    if hours not in RECALLS:
        said = t("Choisir quand rappeler : rien n'a été changé.", "Choose when to call again: nothing was changed.")
        return _told(request, alert, said)
    at = request.visit.now + int(hours) * HOUR

    def what(database: Sql, one: str, this: Turn, handled: int) -> bool:
        return handling.recall(database, one, this, handled=handled, recall_at=at)

    when = RECALLS[hours]
    return _act(request, alert, what, t(f"à rappeler {when.fr}.", f"to be called again {when.en}."))


def reopen(request: HttpRequest, alert: str) -> HttpResponse:
    """Take a closed alert in hand again."""

    def what(database: Sql, one: str, this: Turn, handled: int) -> bool:
        return handling.reopen(database, one, this, handled=handled)

    return _act(request, alert, what, t("rouverte, entre vos mains.", "opened again, in your hands."), alone=True)


def undo(request: HttpRequest, alert: str) -> HttpResponse:
    """Undo what one did a short while ago, on everything that it was done with."""
    found = _found(request, alert)
    this = turn(handler_of(request), request.visit.now)
    with acting() as database:
        done = handling.undo(database, request.POST.get("tour", "")[:32], this)
    if done:
        messages.success(request, t("{name} : annulé.", "{name}: undone.", name=name_of(found)))
    else:
        too_late = t(
            "{name} : trop tard pour annuler, ou quelqu'un d'autre a agi depuis. Rien n'a été changé.",
            "{name}: too late to undo, or somebody else has acted since. Nothing was changed.",
            name=name_of(found),
        )
        messages.warning(request, too_late)
    return _back_to(request, found)


def together(request: HttpRequest) -> HttpResponse:
    """Take or close several rows at once: technical ones, or those of one patient."""
    chosen: list[tuple[Alert, int]] = []
    for value in request.POST.getlist("lignes")[:MOST_TOGETHER]:
        alert, _, seen = value.partition(":")
        found = of_team(request.visit.team, alert[:32])
        if found is not None and seen.isascii() and seen.isdecimal() and len(seen) < 10:
            chosen.append((found, int(seen)))
    came = request.POST.get("issue", "")
    if came not in {"prendre", Said.EQUIPMENT, Said.NOTHING_NEEDED} or not chosen:
        messages.warning(
            request, t("Aucune ligne cochée : rien n'a été changé.", "No row chosen: nothing was changed.")
        )
        return back(request, "/alertes")
    patients = {found.patient_id for found, _ in chosen}
    if any(priority_of(found) != TECHNICAL for found, _ in chosen) and (len(patients) > 1 or None in patients):
        refused = t(
            "Plusieurs patients à la fois : seulement pour des alertes techniques. Rien n'a été changé.",
            "Several patients at once: only for technical alerts. Nothing was changed.",
        )
        messages.warning(request, refused)
        return back(request, "/alertes")
    what = _taken if came == "prendre" else _closed_as(Said(came))
    this = turn(handler_of(request), request.visit.now)
    with acting() as database:
        done = sum(_do(database, found, seen, what, this) for found, seen in chosen)
    messages.success(
        request,
        t("{n} lignes sur {of} : fait.", "{n} rows of {of}: done.", n=done, of=len(chosen)),
        extra_tags=f"undo {chosen[0][0].pk} {this.id}" if done else "",
    )
    if done < len(chosen):
        left = t(
            "Les autres venaient d'être prises en charge par quelqu'un d'autre.",
            "Somebody else had just taken the others.",
        )
        messages.warning(request, left)
    return back(request, "/alertes")


def _taken(database: Sql, one: str, this: Turn, handled: int) -> bool:
    return handling.take(database, one, this, handled=handled)


def _closed_as(said: Said) -> _What:
    return lambda database, one, this, handled: handling.close(database, one, this, handled=handled, said=said)


def _seen(request: HttpRequest) -> int:
    value = request.POST.get("vu", "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else -1


def _found(request: HttpRequest, alert: str) -> Alert:
    found = of_team(request.visit.team, alert)
    if found is None:
        raise Http404
    return found


def name_of(alert: Alert) -> str:
    """Return whose an alert is: the pseudonym, or the box's name."""
    return alert.patient.pseudonym if alert.patient is not None else alert.box.name


def _do(
    database: Sql, found: Alert, seen: int, what: _What, this: Turn, *, others: Sequence[Alert] | None = None
) -> bool:
    if not what(database, found.pk, this, seen):
        return False
    # The row is a problem: what waits beside the alert is looked after with it.
    for other in same_problem(found) if others is None else others:
        standing = standing_of(database, other.pk)
        if standing is not None and standing[1] == other.handled:
            what(database, other.pk, this, other.handled)
    return True


def _act(request: HttpRequest, alert: str, what: _What, done: str, *, alone: bool = False) -> HttpResponse:
    found = _found(request, alert)
    this = turn(handler_of(request), request.visit.now, request.POST.get("note", "").replace("\0", ""))
    others = () if alone else tuple(same_problem(found))
    with acting() as database:
        worked = _do(database, found, _seen(request), what, this, others=others)
    name = name_of(found)
    if worked:
        messages.success(request, f"{name} : {done}", extra_tags=f"undo {found.pk} {this.id}")
    else:
        messages.warning(
            request,
            t(
                "{name} vient d'être prise en charge par quelqu'un d'autre. Rien n'a été changé.",
                "{name} was just taken in hand by somebody else. Nothing was changed.",
                name=name,
            ),
        )
    return _back_to(request, found)


def _told(request: HttpRequest, alert: str, said: str) -> HttpResponse:
    found = _found(request, alert)
    messages.warning(request, said)
    return HttpResponseRedirect(f"/alertes/{found.pk}#faire")


def _back_to(request: HttpRequest, found: Alert) -> HttpResponse:
    """Return to where somebody acted, at the row with its new state."""
    response = back(request, "/alertes")
    return HttpResponseRedirect(f"{response.url.split('#')[0]}#a-{found.pk[:12]}")
