"""/parcours/<pathway>: one pack of a team, the limits that its physicians set in it, and others made from it."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from alerting.alert import Sentence
from alerting.protocol_file import check_protocol
from alerting.toml_text import MOST_CHARACTERS
from coordination.desk import pages
from coordination.desk.pages import said, t
from coordination.desk.shared_database import acting, looking
from coordination.desk.thresholds import Number, as_written, groups
from coordination.errors import CoordinationError
from coordination.handling import Handler
from coordination.packs import NAME, FaultyError, Pack, finder, make_pack, meaning_of, pack_of, save_pack, with_limits

LONGEST_TITLE = 120


def _pack(request: HttpRequest, name: str) -> Pack:
    found = pack_of(looking(), request.visit.team.pk, name)
    if found is None:
        raise Http404
    return found


def show(request: HttpRequest, pathway: str) -> HttpResponse:
    """Show one pack: its rules, and between which values a nurse may set them."""
    return _page(request, _pack(request, pathway))


def _page(
    request: HttpRequest,
    pack: Pack,
    *,
    text: str | None = None,
    typed: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    copy: dict[str, str] | None = None,
) -> HttpResponse:
    database, team = looking(), request.visit.team.pk
    meaning = meaning_of(database, team, pack)
    checked = check_protocol((pack.text if text is None else text).encode(), packs=finder(database, team))
    more = {
        "pack": pack,
        "meaning": meaning,
        "groups": [] if meaning is None else groups(meaning, None, holding=None),
        "faults": checked.faults,
        "text": pack.text if text is None else text,
        "typed": typed or {},
        "wrong": wrong or {},
        "open_text": text is not None and typed is None,
        "copy": copy or {},
        "title": Sentence(fr="", en="") if meaning is None else meaning.title,
    }
    return pages.page(request, "pack.html", more, status=422 if copy else 200)


def set_limits(request: HttpRequest, pathway: str) -> HttpResponse:
    """Keep the limits that a physician set."""
    pack = _pack(request, pathway)
    meaning = meaning_of(looking(), request.visit.team.pk, pack)
    if meaning is None:
        raise Http404
    typed = {key: value[:40] for key, value in request.POST.items() if key[:2] in {"b.", "h."}}
    limits: dict[tuple[str, str], tuple[object, object]] = {}
    wrong: dict[str, str] = {}
    for number in (one for group in groups(meaning, None, holding=None) for one in group.numbers if one.low):
        ends = [_end(number, typed, name) for name in ("b", "h")]
        if None in ends:
            wrong[number.name] = t("Écrire deux nombres, comme 1,5 et 3.", "Write two numbers, like 1.5 and 3.")
        elif (typed.get(f"b.{number.name}"), typed.get(f"h.{number.name}")) != (number.low, number.high):
            limits[number.table, number.key] = (ends[0], ends[1])
    if wrong:
        return _page(request, pack, typed=typed, wrong=wrong)
    if not limits:
        return HttpResponseRedirect(reverse("pack", args=[pathway]))
    text = with_limits(pack.text, meaning, limits)
    return _saved(request, pack, text, typed=typed)


def _end(number: Number, typed: dict[str, str], side: str) -> object | None:
    shown = number.low if side == "b" else number.high
    return as_written(typed.get(f"{side}.{number.name}", shown), number)


def write(request: HttpRequest, pathway: str) -> HttpResponse:
    """Keep a pack as a physician wrote it."""
    text = request.POST.get("texte", "")[: MOST_CHARACTERS + 1].replace("\r\n", "\n")
    return _saved(request, _pack(request, pathway), text)


def copy(request: HttpRequest, pathway: str) -> HttpResponse:
    """Make a pack of another name that begins as a copy of this one, and open it."""
    pack = _pack(request, pathway)
    fields = {"nom": 48, "titre": LONGEST_TITLE, "titre_en": LONGEST_TITLE}
    typed = {field: request.POST.get(field, "")[: longest + 1].strip() for field, longest in fields.items()}
    wrong = _copy_faults(request, pack, typed)
    if wrong:
        return _page(request, pack, copy=typed, wrong=wrong)
    by = Handler(name=request.visit.user.name, row=request.visit.user.pk)
    title = Sentence(fr=typed["titre"], en=typed["titre_en"])
    try:
        with acting() as database:
            team = request.visit.team.pk
            make_pack(database, pack, team=team, name=typed["nom"], title=title, by=by, at=request.visit.now)
    except FaultyError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
        return _page(request, pack, copy=typed)
    except CoordinationError as error:
        return _page(request, pack, copy=typed, wrong={"nom": f"{said(error.why)} {said(error.hint)}"})
    messages.success(
        request,
        t("Parcours fait. Fixer maintenant ses limites.", "Pathway made. Now set its limits."),
    )
    return HttpResponseRedirect(reverse("pack", args=[typed["nom"]]))


def _copy_faults(request: HttpRequest, pack: Pack, typed: dict[str, str]) -> dict[str, str]:
    """Return what is wrong with what was typed of a new pack, by field."""
    wrong = {}
    if NAME.fullmatch(typed["nom"]) is None:
        wrong["nom"] = t(
            "De 2 à 48 lettres minuscules sans accent, chiffres ou _ ; une lettre d'abord.",
            "2 to 48 small letters without accents, digits or _; a letter first.",
        )
    meaning = meaning_of(looking(), request.visit.team.pk, pack)
    for field, language in (("titre", "fr"), ("titre_en", "en")):
        words = typed[field]
        if not 1 <= len(words) <= LONGEST_TITLE or not words.isprintable():
            wrong[field] = t(
                "Dire en 1 à 120 caractères pour qui il est.", "Say in 1 to 120 characters for whom it is."
            )
        elif meaning is not None and words == getattr(meaning.title, language):
            wrong[field] = t(
                "C'est le titre du parcours copié : en donner un qui l'en distingue.",
                "This is the title of the pathway that is copied: give one that tells them apart.",
            )
    return wrong


def _saved(request: HttpRequest, pack: Pack, text: str, *, typed: dict[str, str] | None = None) -> HttpResponse:
    seen = request.POST.get("vu", "")
    by = Handler(name=request.visit.user.name, row=request.visit.user.pk)
    try:
        with acting() as database:
            save_pack(
                database,
                team=request.visit.team.pk,
                name=pack.name,
                text=text,
                seen=int(seen) if seen.isdecimal() and len(seen) < 10 else -1,
                by=by,
                at=request.visit.now,
            )
    except FaultyError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
        return _page(request, pack, text=text, typed=typed)
    except CoordinationError as error:
        messages.warning(request, f"{said(error.why)} {said(error.hint)}")
        return _page(request, _pack(request, pack.name), typed=typed, text=None if typed else text)
    messages.success(request, t("Enregistré : vaut pour les prochains projets.", "Saved: holds for the next drafts."))
    return HttpResponseRedirect(reverse("pack", args=[pack.name]))
