"""`veilleur shadow`: what a protocol that tells nobody would have told, beside what was told.

Nothing is counted here (shadow_comparison): this is how it is said.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from tabulate import tabulate

from agent.backtest_words import AUDIENCES, NOT_A_DEVICE, PRIORITIES, Words
from agent.key_places import open_vault
from agent.settings_file import read_settings
from agent.shadow_comparison import Comparison, PatientShadow, Side, read_shadows
from agent.shadow_store import Fault
from agent.status import iso
from alerting.alert import Audience, Priority, Sentence
from alerting.backtest import AlertOutcome, line
from alerting.burden import DAY_MS
from alerting.comparison import Verdict
from alerting.trial import label

MOST_SHOWN = 40
GRAVEST_FIRST = (Priority.HIGH, Priority.MEDIUM, Priority.LOW)
NONE_SET = Sentence(
    fr="Aucun patient n'a de protocole à l'essai : ajouter « shadow = » sous un patient, puis redémarrer le boîtier.",
    en="No patient has a shadow: add 'shadow =' below a patient, then restart the box.",
)
NOBODY_TOLD = Sentence(
    fr="Personne n'a été prévenu des alertes du protocole à l'essai, et personne n'a pu y répondre.",
    en="Nobody was told of the shadow's alerts, and nobody could answer them.",
)
_TOGETHER = {
    Verdict.SAME: Sentence(fr="pareilles", en="the same"),
    Verdict.EARLIER: Sentence(fr="plus tôt à l'essai", en="earlier with the shadow"),
    Verdict.LATER: Sentence(fr="plus tard à l'essai", en="later with the shadow"),
    Verdict.REGRADED: Sentence(
        fr="autre priorité, autre destinataire ou tue par l'un", en="graded otherwise, or told by one only"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRequest:
    """What was asked for; `patient` None: all that have a shadow."""

    config: Path
    patient: str | None
    as_json: bool
    lang: str


def print_shadows(request: ShadowRequest) -> None:
    """Print the comparison on standard output.

    Raises:
        RequestError, SettingsError, StoreError, VaultError: it cannot be read; the hint says what to do.
        sqlite3.Error: the database is busy for too long.
    """
    settings = read_settings(request.config)
    found = read_shadows(settings, open_vault(settings), patient=request.patient)
    if request.as_json:
        click.echo(json.dumps([as_json(one) for one in found], ensure_ascii=False))
        return
    if not found:
        click.echo(NONE_SET.fr if request.lang == "fr" else NONE_SET.en)
        return
    for one in found:
        for text in shadow_lines(one, Words(request.lang, one.zone)):
            click.echo(text)
        click.echo()
    click.echo(Words(request.lang, found[0].zone).of(NOT_A_DEVICE))


# --- for people -------------------------------------------------------------------------------------------------


def shadow_lines(found: PatientShadow, words: Words) -> Iterator[str]:
    """Yield the lines that say what a patient's shadow came to."""
    one = found.comparison
    yield found.patient
    yield "─" * len(found.patient)
    if one is None:
        yield "" if found.why is None else words.of(found.why)
        return
    sides = [words.say("à l'essai", "shadow"), words.say("appliqué", "applied")]
    yield f"{sides[0]} · {_named(one.shadow, words)}"
    yield f"{sides[1]} · {_named(one.active, words)}"
    yield from _time(one, words)
    yield words.of(NOBODY_TOLD)
    yield ""
    headings = ["", *sides]
    align = ("left", "right", "right")
    rows = _rows(one, words)
    yield from tabulate(rows, headers=headings, tablefmt="simple", colalign=align, disable_numparse=True).splitlines()
    yield ""
    verdicts = one.verdicts
    both = " · ".join(f"{words.of(said)} {words.number(verdicts[key])}" for key, said in _TOGETHER.items())
    yield f"{words.say('déclenchées par les deux :', 'raised by both:')} {both}"
    yield from _only(words.say("Levées seulement à l'essai", "Raised by the shadow only"), one.only_shadow, words)
    yield from _only(
        words.say("Levées seulement par le protocole appliqué", "Raised by the applied protocol only"),
        one.only_active,
        words,
    )


def _named(side: Side, words: Words) -> str:
    protocol = side.protocol
    return f"{label(protocol)} · {words.of(protocol.title)} · {protocol.protocol_hash[:12]}"


def _time(one: Comparison, words: Words) -> Iterator[str]:
    begin, end = words.moment(one.counted_from), words.moment(one.until)
    span = words.span(one.until - one.counted_from)
    readings = words.say(f"{words.number(one.readings)} mesures", f"{words.number(one.readings)} readings")
    yield words.say(f"du {begin} au {end} ({span}, {readings})", f"from {begin} to {end} ({span}, {readings})")
    if one.counted_from > one.since:
        since = words.moment(one.since)
        yield words.say(
            f"à l'essai depuis le {since} ; ce qui précède ne se compte plus : protocole appliqué changé depuis, ou "
            "alertes trop anciennes ou trop nombreuses pour être gardées",
            f"the shadow began on {since}; what came before cannot be counted any more: the applied protocol has "
            "changed since, or its alerts were too old or too many to be kept",
        )
    if one.fault is not None:
        yield words.of(stopped(one.fault, words.moment(one.fault.at)))


def stopped(fault: Fault, when: str) -> Sentence:
    """Return what is said of a shadow that judges no more; `when` is the time of that, in the reader's form."""
    return Sentence(
        fr=f"ARRÊTÉ par un défaut ({fault.kind}, {when}) : il ne juge plus jusqu'au prochain démarrage ; le protocole "
        "appliqué n'est pas touché",
        en=f"STOPPED by a fault ({fault.kind}, {when}): it judges no more until the next start; the applied protocol "
        "is not touched",
    )


def _rows(one: Comparison, words: Words) -> list[list[str]]:
    sides = (one.shadow, one.active)
    rows = [
        [
            words.say("alertes dites, et par semaine", "alerts told, and a week"),
            *(_told(side.burden.told, side, words) for side in sides),
        ]
    ]
    for priority in GRAVEST_FIRST:
        for audience in Audience:
            counts = [side.told(priority, audience) for side in sides]
            if any(counts):
                rows.append(
                    [
                        f"· {words.of(PRIORITIES[priority])} · {words.of(AUDIENCES[audience])}",
                        *(_told(count, side, words) for count, side in zip(counts, sides, strict=True)),
                    ]
                )
    rows.append(
        [
            words.say("alertes déclenchées et tues", "alerts raised and not told"),
            *(words.number(side.burden.raised - side.burden.told) for side in sides),
        ]
    )
    if any(side.taken_back for side in sides):
        rows.append(
            [words.say("reprises ensuite", "taken back later"), *(words.number(side.taken_back) for side in sides)]
        )
    return rows


def _told(count: int, side: Side, words: Words) -> str:
    rate = _a_week(count, side)
    return words.number(count) if rate is None else f"{words.number(count)} ({words.number(rate, 1)})"


def _a_week(count: int, side: Side) -> float | None:
    """Return alerts a week; of less than a day nothing is said by the week."""
    return side.burden.a_week(count) if side.burden.watched_ms >= DAY_MS else None


def _only(title: str, alerts: Sequence[AlertOutcome], words: Words) -> Iterator[str]:
    yield ""
    yield f"{title}{words.say(' :', ':')} {words.number(len(alerts))}"
    if len(alerts) > MOST_SHOWN:
        more = words.number(len(alerts) - MOST_SHOWN)
        yield words.say(f"  … {more} plus anciennes : « --json » les donne", f"  … {more} older: '--json' gives them")
    for one in alerts[-MOST_SHOWN:]:
        who = f"[{words.of(PRIORITIES[one.priority])}, {words.of(AUDIENCES[one.audience])}]"
        kept_back = words.say(" (tue)", " (not told)") if one.told_at is None else ""
        yield f"  {words.moment(one.raised_at)} {who}{kept_back} {words.of(one.why)}"


# --- for programs -----------------------------------------------------------------------------------------------


def as_json(found: PatientShadow) -> dict[str, object]:
    """Return plain values; times in ISO 8601 ending in Z, `why` where there is no comparison."""
    one, why = found.comparison, found.why
    if one is None:
        return {"patient": found.patient, "why": None if why is None else {"fr": why.fr, "en": why.en}}
    return {
        "patient": found.patient,
        "since": iso(one.since),
        "counted_from": iso(one.counted_from),
        "until": iso(one.until),
        "readings": one.readings,
        "fault": None if one.fault is None else {"kind": one.fault.kind, "at": iso(one.fault.at)},
        "shadow": _side(one.shadow),
        "active": _side(one.active),
        "both": {key.value: one.verdicts[key] for key in _TOGETHER},
        "only_shadow": [line(alert) for alert in one.only_shadow],
        "only_active": [line(alert) for alert in one.only_active],
    }


def _side(side: Side) -> dict[str, object]:
    return {
        "protocol": side.protocol.name,
        "version": side.protocol.version,
        "hash": side.protocol.protocol_hash,
        "raised": side.burden.raised,
        "told": side.burden.told,
        "told_a_week": _a_week(side.burden.told, side),
        "by": [
            {"priority": priority.value, "audience": audience.value, "told": count, "told_a_week": _a_week(count, side)}
            for priority in GRAVEST_FIRST
            for audience in Audience
            if (count := side.told(priority, audience))
        ],
        "taken_back": side.taken_back,
    }
