"""/q/...: a questionnaire behind its own link. No account, no name, no cookie; it works without JavaScript.

Looking spends nothing; sending does, once. The link is what is secret, so that no other page could send for whoever
holds it: the form needs no token of a session. Answers are kept first, then judged at once.
"""

import logging
from collections.abc import Mapping

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from alerting.errors import AlertingError
from coordination.answers import Answers, keep
from coordination.desk import pages
from coordination.desk.shared_database import acting, looking
from coordination.desk.sign_in import source_of
from coordination.errors import CoordinationError
from coordination.questionnaire_links import Link, count_guess, find, must_wait
from coordination.questionnaires import Choice, Question
from coordination.self_report_judging import follow_one

logger = logging.getLogger(__name__)

GONE, WAIT = 410, 429


@csrf_exempt
def fill(request: HttpRequest, token: str) -> HttpResponse:
    """Show the questions of a link, or take the answers to them."""
    response = _fill(request, token)
    # The address is the secret: no page that is gone to from here, and no search engine, may learn it.
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _fill(request: HttpRequest, token: str) -> HttpResponse:
    now = request.visit.now
    # Looked at without a transaction: whoever has no link makes nobody wait who works.
    link = find(looking(), token)
    if link is None:
        source = source_of(request)
        waits = must_wait(looking(), source, at=now)
        if not waits:
            with acting() as database:
                count_guess(database, source, at=now)
        context = {"link": None, "waits": waits}
        return pages.page(request, "questionnaire_gone.html", context, status=WAIT if waits else 404)
    if not link.answerable(now):
        return pages.page(request, "questionnaire_gone.html", {"link": link, "waits": False}, status=GONE)
    if request.method != "POST":
        return _form(request, token, link, {}, ())
    chosen, lacking = _read(request.POST, link)
    if lacking:
        return _form(request, token, link, chosen, lacking)
    answers = Answers(questionnaire=link.questionnaire, chosen=chosen)
    with acting() as database:
        kept = keep(database, link, answers, at=now)
        after = find(database, token)
    if not kept:
        return pages.page(request, "questionnaire_gone.html", {"link": after, "waits": False}, status=GONE)
    _judge(link, now)
    return pages.page(request, "questionnaire_thanks.html", {"link": link, "urgent": answers.urgent})


def _judge(link: Link, now: int) -> None:
    """Judge what was answered; what fails here is taken up by the worker, and nothing of it is the person's concern."""
    try:
        follow_one(acting, link.patient, now=now)
    except (AlertingError, CoordinationError, DatabaseError) as error:
        logger.warning("answers wait for the worker: %s", type(error).__name__)


def _form(
    request: HttpRequest, token: str, link: Link, chosen: Mapping[str, Choice], lacking: tuple[Question, ...]
) -> HttpResponse:
    context = {"token": token, "link": link, "asked": link.questionnaire, "chosen": chosen, "lacking": lacking}
    return pages.page(request, "questionnaire.html", context)


def _read(sent: Mapping[str, str], link: Link) -> tuple[dict[str, Choice], tuple[Question, ...]]:
    """Return the answers, and the questions that lack one."""
    chosen: dict[str, Choice] = {}
    lacking = []
    for question in link.questionnaire.questions:
        value = sent.get(f"q-{question.name}", "")
        found = next((choice for choice in question.choices if str(choice.points) == value), None)
        if found is not None:
            chosen[question.name] = found
        elif value or not question.optional:
            lacking.append(question)
    return chosen, tuple(lacking)
