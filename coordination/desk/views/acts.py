"""/audit: the record of acts, whether it still holds, and a copy of it, which is an act itself."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from markupsafe import Markup

from alerting.alert import Sentence
from coordination.audit_check import Checked, Fault, check
from coordination.audit_log import AuditLog
from coordination.audit_witness import Witness
from coordination.desk import pages
from coordination.desk.access import Action
from coordination.desk.acts import Asked, Reader, as_csv, as_json_lines
from coordination.desk.pages import said, t
from coordination.desk.shared_database import acting, reading
from coordination.desk.team_settings import team_settings
from coordination.errors import CoordinationError
from coordination.sql import Sql
from exchange.audit_chain import TEAM_LOG, Act, Detail
from exchange.audit_export import Exported
from exchange.audit_export import lines as export_lines
from exchange.audit_words import ACT_WORDS, in_words
from exchange.errors import TeamListError
from exchange.identity import key_id
from exchange.team_list import verify_team_list

ZONE = ZoneInfo("Europe/Paris")
_FORMS = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson", "chaine": "application/x-ndjson"}
_DETAILS = {
    "reason": Sentence(fr="raison", en="reason"),
    "kind": Sentence(fr="genre", en="kind"),
    "patient": Sentence(fr="patient", en="patient"),
    "box": Sentence(fr="boîtier", en="box"),
    "about": Sentence(fr="au sujet de", en="about"),
    "key": Sentence(fr="clé", en="key"),
    "keys": Sentence(fr="clés", en="keys"),
    "certificate": Sentence(fr="certificat", en="certificate"),
    "certificates": Sentence(fr="certificats", en="certificates"),
    "until": Sentence(fr="jusqu'à", en="until"),
    "code": Sentence(fr="code", en="code"),
    "replaces": Sentence(fr="remplace", en="replaces"),
    "version": Sentence(fr="version", en="version"),
    "signatures": Sentence(fr="signatures", en="signatures"),
    "entries": Sentence(fr="actes", en="acts"),
    "outcome": Sentence(fr="suite", en="outcome"),
}
_FAULTS = {
    Fault.UNREADABLE: Sentence(fr="il n'est pas lisible comme il a été écrit", en="it is not what was written"),
    Fault.MISSING: Sentence(fr="un ou plusieurs actes manquent avant lui", en="one or more acts are missing before it"),
    Fault.CHANGED: Sentence(
        fr="son empreinte ne suit pas de celle d'avant : il a été changé, ou un acte d'avant",
        en="its hash does not follow from the one before: it was changed, or an act before it",
    ),
    Fault.SIGNED_OTHERWISE: Sentence(
        fr="l'équipe avait signé une autre empreinte, ou des actes ont été retirés à la fin",
        en="the team had signed another hash, or acts were taken off the end",
    ),
    Fault.SIGNATURE: Sentence(
        fr="la tête signée à cet endroit n'est pas d'une clé de l'équipe", en="the head signed there is not by the team"
    ),
}


def show(request: HttpRequest) -> HttpResponse:
    """Show the acts that the visitor may read."""
    asked, faults = _asked(request)
    with reading() as opened:
        found = Reader(opened, request.visit).page(asked)
    query = request.GET.copy()
    if found.older is not None:
        query["avant"] = str(found.older)
    return pages.page(
        request,
        "acts.html",
        {
            "found": found,
            "asked": asked,
            "faults": faults,
            "given": {name: request.GET.get(name, "")[:80] for name in ("acte", "par", "sur", "depuis", "jusque")},
            "older": query.urlencode(),
            "acts": sorted((said(words), act) for act, words in ACT_WORDS.items()),
            "act_words": lambda act: in_words(act, "fr" if pages.french() else "en"),
            "when": _when,
            "detail_words": lambda name: said(_DETAILS[name]) if name in _DETAILS else name.replace("_", " "),
        },
    )


def _when(at: int) -> Markup:
    """Return the time of an act to the second, with its year: the record is kept for years."""
    local = datetime.fromtimestamp(at / 1000, ZONE)
    shown = f"{local:%d/%m/%Y}" if pages.french() else f"{local:%Y-%m-%d}"
    text = Markup('<time datetime="{}">{}<small>{}</small></time>')
    return text.format(local.isoformat(timespec="seconds"), shown, f"{local:%H:%M:%S}")


def _asked(request: HttpRequest) -> tuple[Asked, list[str]]:
    """Return what is asked for, and what of it cannot be read."""
    given = request.POST if request.method == "POST" else request.GET
    faults: list[str] = []

    def day(name: str, *, after: int) -> int | None:
        text = given.get(name, "").strip()[:10]
        if not text:
            return None
        try:
            at = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=ZONE) + timedelta(days=after)
            return round(at.timestamp() * 1000)
        except (ValueError, OverflowError):
            faults.append(
                t(
                    "« {text} » n'est pas une date ; elle n'a pas compté.",
                    "'{text}' is no date; it was left out.",
                    text=text,
                )
            )
            return None

    act = given.get("acte", "")
    before = given.get("avant", "")
    asked = Asked(
        act=act if act in ACT_WORDS else "",
        by=given.get("par", "").strip()[:80],
        on=given.get("sur", "").strip()[:80],
        since=day("depuis", after=0),
        until=day("jusque", after=1),
        before=int(before) if before.isascii() and before.isdecimal() and len(before) < 17 else None,
    )
    return asked, faults


def verify(request: HttpRequest) -> HttpResponse:
    """Compute the chain anew and say whether it holds, or where it does not."""
    with reading() as opened:
        found = check(opened, signers=_signers())
    if found.fault is None:
        messages.success(request, _holds(found))
    else:
        messages.warning(
            request,
            t(
                "La chaîne est rompue à l'acte n° {n} : {why}. Ne rien supprimer, prévenir votre administrateur, garder"
                " une copie de la base.",
                "The chain is broken at act no. {n}: {why}. Delete nothing, tell your administrator, keep a copy of the"
                " database.",
                n=found.at,
                why=said(_FAULTS[found.fault]),
            ),
        )
    return HttpResponseRedirect(reverse("acts"))


def _holds(found: Checked) -> str:
    text = t(
        "La chaîne tient : {n} actes, du n° {first} au n° {last}, signés jusqu'au n° {signed}.",
        "The chain holds: {n} acts, from no. {first} to no. {last}, signed for up to no. {signed}.",
        n=found.entries,
        first=found.first,
        last=found.last,
        signed=found.signed_until,
    )
    if found.signatures:
        return text
    return text + t(
        " Les signatures n'ont pas été vérifiées : la liste de l'équipe n'est pas lisible d'ici.",
        " Signatures were not verified: the team's list cannot be read from here.",
    )


def _signers() -> dict[str, bytes] | None:
    """Return who may sign for the record, by the list that the root signed; None where it is not at hand."""
    try:
        enrolment = team_settings().enrolment
        if enrolment is None or not enrolment.root:
            return None
        root = bytes.fromhex(enrolment.root)
        return verify_team_list(Path(enrolment.team).read_bytes(), roots={key_id(root): root}).signers()
    except (CoordinationError, OSError, TeamListError):
        return None


def export(request: HttpRequest) -> HttpResponse:
    """Give a copy of what the visitor may read; that it was given is an act."""
    form = request.POST.get("forme", "csv")
    visit = request.visit
    if form not in _FORMS or (form == "chaine" and not visit.may(Action.READ_ALL_ACTS)):
        form = "csv"
    asked, _ = _asked(request)
    ending = "csv" if form == "csv" else "jsonl"
    name = f"veilleur-actes-{datetime.fromtimestamp(visit.now / 1000, ZONE):%Y%m%d-%H%M}.{ending}"
    named = form != "chaine" and visit.may_one((Action.READ_PATIENTS, Action.READ_ALL_ACTS))
    detail: Detail = {"form": form, "act": asked.act, "with_names": named}
    with acting() as database:
        log = AuditLog(database)
        log.begin(at=visit.now)
        log.enter(Act.LOG_EXPORTED, at=visit.now, by=visit.user.name, reference=name, detail=detail)
    with reading() as opened:
        content = "".join(_content(opened, request, form, asked))
    response = HttpResponse(content, content_type=_FORMS[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _content(opened: Sql, request: HttpRequest, form: str, asked: Asked) -> Iterable[str]:
    if form == "chaine":
        # Whole, or it could not be verified; what other teams' tags stand for is not in it.
        log = AuditLog(opened)
        whole = Exported(
            log=TEAM_LOG,
            chain=log.chain() or "",
            at=request.visit.now,
            program=version("veilleur"),
            entries=log.entries(),
            checkpoints=[*log.checkpoints(), *Witness(opened).kept()],
            names={},
        )
        return (f"{line}\n" for line in export_lines(whole))
    lines = Reader(opened, request.visit).all(asked)
    return as_csv(lines) if form == "csv" else as_json_lines(lines)
