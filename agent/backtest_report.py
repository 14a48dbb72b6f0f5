"""What a trial says: the alerts of one or several protocols side by side, their days, and what the recording holds.

Nothing is counted here (alerting.burden, alerting.coverage, alerting.comparison): this is how it is said.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from agent.backtest_unsaid import NEVER_JUDGED, naive_line, never_judged_lines
from agent.backtest_words import (
    AUDIENCES,
    NO_PROMISE,
    NOT_A_DEVICE,
    PRIORITIES,
    REASONS,
    SIMULATED,
    Words,
)
from alerting.alert import Audience, Priority, Reason
from alerting.backtest import AlertOutcome
from alerting.burden import NURSE_AIM, Burden, RuleBurden, middle
from alerting.care_protocol import CareProtocol
from alerting.comparison import Difference, Verdict
from alerting.coverage import Coverage
from alerting.quantity_words import NAMES
from alerting.trial import Trial

MOST_DIFFERENCES = 40
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is said of a trial.

    Attributes:
        source: what was read, by name.
        protocols: tried, in order; of two that are compared the one that is tried first.
        trials: one a protocol.
        set_aside: name -> readings of a quantity that this program does not know.
        simulated: the recording says that nobody was measured.
        naive_at: a time of the recording without an offset, as it was read (ms UTC); None when all have one.
        differences: alert by alert, None when nothing is compared so closely.
    """

    source: str
    protocols: Sequence[CareProtocol]
    trials: Sequence[Trial]
    set_aside: dict[str, int]
    simulated: bool
    naive_at: int | None = None
    differences: Sequence[Difference] | None = None


def report_lines(report: Report, words: Words) -> Iterator[str]:
    """Yield the lines of a report."""
    yield from _head(report, words)
    yield from _section(words.say("Alertes", "Alerts"))
    yield from _table(_summary(report, words), ["", *_letters(report)])
    yield from _days(report, words)
    for letter, protocol, trial in zip(_letters(report), report.protocols, report.trials, strict=True):
        yield from _section(f"{words.say('Par règle', 'By rule')} · {letter} {trial.protocol}".replace("·  ", "· "))
        yield from _rules(protocol, trial.burden, words)
        yield from never_judged_lines(protocol, trial, words)
    if report.differences is not None:
        yield from _differences(report.differences, words)
    yield from _section(words.say("Ce que l'historique contient", "What the history holds"))
    yield from _coverage(report, words)
    yield ""
    yield words.of(NOT_A_DEVICE)


def _head(report: Report, words: Words) -> Iterator[str]:
    first = report.trials[0]
    yield words.say("Essai d'un protocole sur un historique", "A protocol tried on a history")
    patients = first.burden.patients
    parts = [
        report.source,
        f"{words.number(patients)} patient{'s' if patients > 1 else ''}",
        f"{words.number(first.readings)} {words.say('mesures', 'readings')}",
    ]
    if first.first_ms is not None and first.last_ms is not None:
        parts.append(f"{words.period(first.first_ms, first.last_ms)} ({words.zone.key})")
    yield " · ".join(parts)
    for letter, protocol, trial in zip(_letters(report), report.protocols, report.trials, strict=True):
        compared = report.differences is not None
        role = ""
        if compared:
            role = words.say(" (actuel)", " (current)") if letter == "B" else words.say(" (essayé)", " (tried)")
        hashed = protocol.protocol_hash[:12]
        yield f"{letter + ' ' if letter else ''}{trial.protocol}{role} · {words.of(protocol.title)} · {hashed}"
    yield words.of(NO_PROMISE)
    if report.simulated:
        yield words.of(SIMULATED)
    if report.naive_at is not None:
        yield naive_line(report.naive_at, words)


def _summary(report: Report, words: Words) -> list[list[str]]:
    burdens = [trial.burden for trial in report.trials]

    def row(name: str, values: Sequence[str]) -> list[str]:
        return [name, *values]

    weekly = words.say("par semaine et par patient", "a week and patient")
    rows = [
        row(words.say("alertes", "alerts"), [words.number(one.raised) for one in burdens]),
        row(f"· {weekly}", [words.rate(one.a_week(one.raised), 1) for one in burdens]),
        row(words.say("· dites", "· told"), [words.number(one.told) for one in burdens]),
        row(words.say("· tues", "· not told"), [words.number(one.raised - one.told) for one in burdens]),
    ]
    suppressed = [_reasons(one) for one in burdens]
    rows += [
        row(f"·· {words.of(REASONS[reason])}", [words.number(one[reason]) for one in suppressed])
        for reason in Reason
        if any(one[reason] for one in suppressed)
    ]
    rows += [
        row(
            f"· {words.say('priorité', 'priority')} {words.of(PRIORITIES[priority])}",
            [words.number(_raised(one, priority=priority)) for one in burdens],
        )
        for priority in (Priority.HIGH, Priority.MEDIUM, Priority.LOW)
    ]
    rows += [
        row(
            f"· {words.say('pour :', 'for:')} {words.of(AUDIENCES[audience])}",
            [words.number(_raised(one, audience=audience)) for one in burdens],
        )
        for audience in Audience
    ]
    rows.append(
        row(
            words.say("dites à l'infirmière, par patient-jour", "told to the nurse, a patient-day"),
            [_against_aim(one, words) for one in burdens],
        )
    )
    if burdens[0].patients > 1:
        rows.append(
            row(
                words.say(
                    f"· patients sous {words.number(NURSE_AIM, 2)}", f"· patients under {words.number(NURSE_AIM, 2)}"
                ),
                [_under_aim(one, words) for one in burdens],
            )
        )
    return rows


def _days(report: Report, words: Words) -> Iterator[str]:
    yield from _section(words.say("Jours calmes, jours chargés", "Quiet days, busy days"))
    burdens = [trial.burden for trial in report.trials]
    watched = [sum(one.days.values()) for one in burdens]
    rows = [
        [words.say("jours suivis", "days watched"), *map(words.number, watched)],
        [
            words.say("· sans alerte dite", "· without an alert told"),
            *(
                f"{words.number(one.days.get(0, 0))} ({words.percent(one.days.get(0, 0) / max(1, days))})"
                for one, days in zip(burdens, watched, strict=True)
            ),
        ],
        [
            words.say("alertes à moins de 10 min d'une autre", "alerts within 10 min of another"),
            *(words.number(one.bunched) for one in burdens),
        ],
        [
            words.say("· au plus en 10 min, par patient", "· most within 10 min, of a patient"),
            *(words.number(one.most_at_once) for one in burdens),
        ],
        [
            words.say("répétées (3 fois la même règle en 24 h)", "chatter (3 of one rule in 24 h)"),
            *(words.number(sum(rule.chattering for rule in one.rules.values())) for one in burdens),
        ],
        [
            words.say("ouvertes plus de 24 h", "stood for more than 24 h"),
            *(words.number(sum(rule.over_a_day for rule in one.rules.values())) for one in burdens),
        ],
    ]
    yield from _table(rows, ["", *_letters(report)])
    for letter, burden in zip(_letters(report), burdens, strict=True):
        if burden.busiest:
            several = burden.patients > 1
            shown = ", ".join(
                f"{words.day(one.day, year=True)}{' ' + one.patient if several else ''} ({words.number(one.told)})"
                for one in burden.busiest
            )
            yield f"{words.say('les plus chargés', 'the busiest')}{' ' + letter if letter else ''} : {shown}".replace(
                " :", words.say(" :", ":")
            )


def _rules(protocol: CareProtocol, burden: Burden, words: Words) -> Iterator[str]:
    headings = [
        words.say("règle", "rule"),
        words.say("priorité", "priority"),
        words.say("pour", "for"),
        words.say("alertes", "alerts"),
        words.say("par sem.", "a week"),
        words.say("dites", "told"),
        words.say("médiane", "median"),
        words.say("max.", "longest"),
        words.say("en cours", "standing"),
        words.say("répétées", "chatter"),
    ]
    none = RuleBurden(priority=Priority.LOW, audience=Audience.NURSE)
    rows = []
    for rule in protocol.rules:
        one = burden.rules.get(rule.id, none)
        median = middle(one.minutes)
        rows.append(
            [
                rule.id,
                words.of(PRIORITIES[rule.priority]),
                words.of(AUDIENCES[rule.audience]),
                words.number(one.raised) + (NEVER_JUDGED if one.never_judged else ""),
                words.rate(burden.a_week(one.raised), 1),
                words.number(one.told),
                "-" if median is None else words.span(median * 60_000),
                words.span(one.longest_ms) if one.raised else "-",
                words.number(one.standing),
                words.number(one.chattering),
            ]
        )
    yield from _table(rows, headings, left=3)


def _coverage(report: Report, words: Words) -> Iterator[str]:
    headings = [
        words.say("quantité", "quantity"),
        words.say("mesures", "readings"),
        words.say("par jour", "a day"),
        words.say("attendues", "expected"),
        words.say("jours avec", "days with"),
        words.say("trous", "gaps"),
        words.say("en tout", "in all"),
        words.say("silence max.", "longest silence"),
        words.say("non jugées", "not judged"),
    ]
    rows = []
    unruled = []
    for quantity, one in report.trials[0].coverage.items():
        rows.append([words.of(NAMES[quantity]), *_covered(one, words)])
        if not one.ruled:
            unruled.append(words.of(NAMES[quantity]))
    yield from _table(rows, headings, left=1)
    if unruled:
        yield f"{words.say('aucune règle ne regarde :', 'no rule looks at:')} {', '.join(unruled)}"
    for name, count in report.set_aside.items():
        yield words.say(
            f"{words.number(count)} × {name} : quantité inconnue, laissée de côté",
            f"{words.number(count)} × {name}: unknown quantity, set aside",
        )


def _covered(one: Coverage, words: Words) -> list[str]:
    days = one.watched_ms / 86_400_000
    return [
        words.number(one.readings),
        words.rate(one.readings / days if days else None, 1),
        words.rate(one.expected / days if one.expected is not None and days else None, 1),
        f"{words.number(one.days_with)}/{words.number(one.days)}",
        words.number(one.gaps),
        words.span(one.silent_ms) if one.gaps else "-",
        words.span(one.longest_ms),
        f"{words.number(one.not_judged)} ({words.percent(one.not_judged / max(1, one.readings))})",
    ]


def _differences(differences: Sequence[Difference], words: Words) -> Iterator[str]:
    yield from _section(words.say("Alerte par alerte", "Alert by alert"))
    counted = Counter(one.verdict for one in differences)
    verdicts = {
        Verdict.SAME: words.say("pareilles", "the same"),
        Verdict.EARLIER: words.say("plus tôt avec A", "earlier with A"),
        Verdict.LATER: words.say("plus tard avec A", "later with A"),
        Verdict.REGRADED: words.say("autre priorité, autre destinataire ou tue", "graded or told otherwise"),
        Verdict.ONLY_FIRST: words.say("seulement avec A", "only with A"),
        Verdict.ONLY_SECOND: words.say("seulement avec B", "only with B"),
    }
    yield " · ".join(f"{text} {words.number(counted[verdict])}" for verdict, text in verdicts.items())
    others = [one for one in differences if one.verdict is not Verdict.SAME]
    for one in others[:MOST_DIFFERENCES]:
        alert = one.shown[0]
        by = f" ({words.span(abs(one.by))})" if one.by else ""
        graded = f" ({_grades(one.shown, words)})" if one.verdict is Verdict.REGRADED else ""
        what = f"{alert.patient} · {alert.rule} · {verdicts[one.verdict]}"
        yield f"  {words.moment(alert.raised_at)} · {what}{by}{graded}"
    if len(others) > MOST_DIFFERENCES:
        more = words.number(len(others) - MOST_DIFFERENCES)
        yield words.say(
            f"  … et {more} autres : « --format jsonl » les donne toutes",
            f"  … and {more} more: '--format jsonl' gives them all",
        )


def _grades(alerts: Sequence[AlertOutcome], words: Words) -> str:
    return " / ".join(
        ", ".join(
            [
                words.of(PRIORITIES[one.priority]),
                words.of(AUDIENCES[one.audience]),
                *([words.say("tue", "not told")] if one.told_at is None else []),
            ]
        )
        for one in alerts
    )


def _against_aim(burden: Burden, words: Words) -> str:
    if not burden.watched_ms:
        return "-"
    rate = burden.told_to_nurse / burden.patient_days
    aim = words.number(NURSE_AIM, 2)
    told = words.say(f"au plus {aim}", f"at most {aim}") if rate <= NURSE_AIM else words.say(f"> {aim} !", f"> {aim}!")
    return f"{words.number(rate, 2)} ({told})"


def _under_aim(burden: Burden, words: Words) -> str:
    under = sum(count for rate, count in burden.nurse_rates.items() if rate <= NURSE_AIM * 1000)
    return words.percent(under / max(1, sum(burden.nurse_rates.values())))


def _raised(burden: Burden, *, priority: Priority | None = None, audience: Audience | None = None) -> int:
    return sum(
        rule.raised
        for rule in burden.rules.values()
        if priority in {None, rule.priority} and audience in {None, rule.audience}
    )


def _reasons(burden: Burden) -> Counter[Reason]:
    found: Counter[Reason] = Counter()
    for rule in burden.rules.values():
        found.update(rule.suppressed)
    return found


def _letters(report: Report) -> list[str]:
    return list(_LETTERS[: len(report.trials)]) if len(report.trials) > 1 else [""]


def _section(title: str) -> Iterator[str]:
    yield ""
    yield title.rstrip(" ·")
    yield "─" * len(title)


def _table(rows: Sequence[Sequence[str]], headings: Sequence[str], left: int = 1) -> Iterator[str]:
    width = len(headings)
    align = ["left"] * left + ["right"] * (width - left)
    shown = headings if any(headings) else ()
    text = tabulate(rows, headers=shown, tablefmt="simple" if shown else "plain", colalign=align, disable_numparse=True)
    yield from text.splitlines()
