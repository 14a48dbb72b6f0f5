"""Pages from templates: the words and numbers of the reader's language, and nothing that a template would have to know.

Templates (templates/*.html) are Jinja2 with everything escaped. Their sentences stand in them in both languages,
side by side, French first: `t("Alertes", "Alerts")`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from alerting.alert import Sentence
from coordination.desk.access import Action, Role
from coordination.desk.navigation import ENTRIES
from coordination.desk.site import HERE

NB = "\u00a0"
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
HALF_A_YEAR = 183 * DAY
ROLES = {
    Role.NURSE: Sentence(fr="infirmière", en="nurse"),
    Role.PHYSICIAN: Sentence(fr="médecin", en="physician"),
    Role.INSTALLER: Sentence(fr="installateur", en="installer"),
    Role.ADMIN: Sentence(fr="administration", en="administrator"),
    Role.AUDITOR: Sentence(fr="audit", en="auditor"),
}


def page(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """Return a page."""
    return render(request, template, dict(context or {}), status=status)


def environment(**options: Any) -> Environment:
    """Return what the templates are rendered in."""
    options["undefined"] = StrictUndefined
    made = Environment(trim_blocks=True, lstrip_blocks=True, **options)  # noqa: S701 - Django passes autoescape=True
    made.globals.update(
        t=t, said=said, url=reverse, static=static, span=span, day=day, whole_day=whole_day, clock_time=clock_time,
        moment=moment, number=number, commas=commas, nb=NB, Action=Action, ROLES=ROLES, ENTRIES=ENTRIES,
        providers=lambda: settings.DESK.oidc, as_json=as_json,
    )  # fmt: skip
    return made


def visited(request: HttpRequest) -> dict[str, Any]:
    """Return what every template may use of the request."""
    fr = french()
    return {
        # A page asks a thousand times: the reader's language is looked up once for it.
        "t": _in_french if fr else _in_english,
        "said": (lambda sentence: sentence.fr) if fr else (lambda sentence: sentence.en),
        "visit": getattr(request, "visit", None),
        "language": get_language() or "fr",
        "reading_hours": settings.DESK.reading_hours,
        "here": request.get_full_path(),
        "messages": get_messages(request),
    }


def commas(text: str) -> str:
    """Return a sentence whose numbers have the reader's comma or point."""
    return re.sub(r"(?<=[0-9])\.(?=[0-9])", ",", text) if french() else text


def french() -> bool:
    """Return whether the reader reads French."""
    return (get_language() or "fr").startswith("fr")


def t(fr: str, en: str, **values: object) -> str:
    """Return a sentence in the reader's language, with its values; what is passed in is escaped by the template."""
    text = fr if french() else en
    return text.format(**values) if values else text


def _in_french(fr: str, _en: str, **values: object) -> str:
    return fr.format(**values) if values else fr


def _in_english(_fr: str, en: str, **values: object) -> str:
    return en.format(**values) if values else en


def said(sentence: Sentence) -> str:
    """Return a sentence in the reader's language."""
    return sentence.fr if french() else sentence.en


def as_json(value: object) -> str:
    """Return what a script of ours reads in a data- attribute; the template escapes it."""
    return json.dumps(value, default=dict)


@lru_cache
def _digest(name: str) -> str:
    return hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]


def static(name: str) -> str:
    """Return the address of a file of ours, which changes when the file does."""
    return f"{settings.STATIC_URL}{name}?{_digest(name)}"


def span(ms: int) -> str:
    """Return how long something lasts, never negative, in whole minutes, cut: "12 min", "7 h 20", "3 j 4 h"."""
    minutes = max(0, ms) // MINUTE
    if minutes < 60:
        return f"{minutes}{NB}min"
    if minutes < 24 * 60:
        return f"{minutes // 60}{NB}h{NB}{minutes % 60:02d}"
    days, hours = minutes // (24 * 60), minutes // 60 % 24
    return f"{days}{NB}{t('j', 'd')}{NB}{hours}{NB}h"


def _local(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone))


def day(at: int, zone: str = "Europe/Paris") -> str:
    """Return a date: 12/11 or 12 Nov."""
    local = _local(at, zone)
    return f"{local:%d/%m}" if french() else f"{local.day} {local:%b}"


def iso_day(text: str) -> str:
    """Return an ISO date as the reader writes it."""
    found = date.fromisoformat(text)
    return f"{found:%d/%m/%Y}" if french() else f"{found.day} {found:%b %Y}"


def whole_day(at: int, zone: str = "Europe/Paris") -> str:
    """Return a date with its year: 12/11/2026 or 12 Nov 2026."""
    local = _local(at, zone)
    return f"{local:%d/%m/%Y}" if french() else f"{local.day} {local:%b %Y}"


def clock_time(at: int, zone: str = "Europe/Paris") -> str:
    """Return a time of day, 14:32."""
    return f"{_local(at, zone):%H:%M}"


def moment(at: int, zone: str = "Europe/Paris") -> Markup:
    """Return a date and time that a machine can read too; with its year when it is over half a year away."""
    local = _local(at, zone)
    date_of = day if abs(settings.DESK.clock.now_ms() - at) < HALF_A_YEAR else whole_day
    text = f"{date_of(at, zone)} {t('à', 'at')} {local:%H:%M}"
    return Markup('<time datetime="{}">{}</time>').format(local.isoformat(timespec="seconds"), text)


def typed_moment(at: int, zone: str) -> str:
    """Return a date and time as a form's field has it: 2026-11-30T08:05."""
    return f"{_local(at, zone):%Y-%m-%dT%H:%M}"


def number(value: float | str, decimals: int | None = None) -> str:
    """Return a number with the reader's comma or point."""
    text = str(value) if decimals is None else f"{float(value):.{decimals}f}"
    return text.replace(".", ",") if french() else text
