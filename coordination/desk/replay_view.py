"""What a page says of a replay: figures of both protocols side by side, the team's load, and known events.

A history is no promise: the page says so, what was left out, and that less than a fortnight says little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import shorten

import msgspec

from alerting.alert import Outcome, Priority
from alerting.care_protocol import CareProtocol
from alerting.comparison import Verdict
from coordination.desk.models import Alert, Membership, Patient
from coordination.desk.models.pace import WEEK
from coordination.desk.pace import budgets_of
from coordination.desk.pace import minutes_of as minutes_of_team
from coordination.desk.pages import DAY, HOUR, NB, moment, number, said, span, t
from coordination.desk.readings import readings_of
from coordination.desk.thresholds import differing_quantities
from coordination.desk.workshop_charts import Pair, pair
from coordination.replay_result import ReplayAlert, ReplayResult, ReplaySide
from coordination.sql import Sql
from coordination.team_load import WEEK_MS, load_of, minutes_of
from exchange.messages import AlertRecord

EARLY_MS, LATE_MS = 3 * DAY, DAY
"""An alert of a replay is of a known event when it is told so long before it, or so long after."""
_MOST_PAIRS = 3
_MOST_EVENTS = 12
_USEFUL = {Outcome.ACTION.value}
_NEEDLESS = {Outcome.NO_ACTION.value, Outcome.ARTEFACT.value, Outcome.WRONG_PERSON.value, Outcome.DUPLICATE.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line: its words, on both sides, and the difference in words; `more` says that it grew."""

    words: str
    before: str
    after: str
    gap: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayView:
    """What the page shows of a finished replay."""

    result: ReplayResult
    figures: Sequence[Figure]
    events: Sequence[Figure]
    rules: Sequence[Figure]
    pairs: Sequence[Pair]
    notes: Sequence[str]


def replay_view(
    database: Sql,
    text: str,
    *,
    patient: Patient,
    holding: CareProtocol | None,
    draft: CareProtocol,
    days: int,
    now: int,
) -> ReplayView:
    """Return what the page shows of a result; `days` is how many were asked for."""
    result = msgspec.json.decode(text, type=ReplayResult)
    shown = readings_of(patient, begin=result.since, end=result.until)
    before = None if result.before is None or holding is None else (holding, result.before)
    quantities = [one for one in differing_quantities(holding, draft) if one in shown][:_MOST_PAIRS]
    return ReplayView(
        result=result,
        figures=_figures(database, result, patient, now),
        events=_events(result, patient),
        rules=_rules(result, holding, draft),
        pairs=[
            pair(
                shown[quantity],
                since=result.since,
                until=result.until,
                zone=patient.time_zone,
                before=before,
                after=(draft, result.after),
            )
            for quantity in quantities
        ],
        notes=_notes(result, days),
    )


# --- figures ----------------------------------------------------------------------------------------------


def _figures(database: Sql, result: ReplayResult, patient: Patient, now: int) -> list[Figure]:
    # A few hours say nothing of a week: they count as the day that they are of.
    weeks = max(result.until - result.since, DAY) / WEEK_MS
    before, after = result.before, result.after

    def rate(words: str, count: Callable[[ReplaySide], int]) -> Figure:
        old = None if before is None else count(before)
        new = count(after)
        return Figure(
            words=words,
            before="–" if old is None else _a_week(old / weeks),
            after=_a_week(new / weeks),
            gap="" if old is None else signed((new - old) / weeks, 1),
            more=old is not None and new > old,
        )

    figures = [
        rate(t("Alertes dites à quelqu'un", "Alerts told to somebody"), lambda side: side.trial.burden.told),
        rate(
            t("dont priorité haute", "of them high priority"),
            lambda side: sum(rule.told for rule in side.trial.burden.rules.values() if rule.priority is Priority.HIGH),
        ),
        rate(
            t("Levées sans être dites", "Raised and not told"),
            lambda side: side.trial.burden.raised - side.trial.burden.told,
        ),
        _quiet_days(before, after),
    ]
    nurses = set(Membership.objects.filter(team=patient.team_id, role="nurse").values_list("user_id", flat=True))
    usual, own = minutes_of_team(patient.team)[WEEK], budgets_of(patient.team)
    room = sum(own.get(nurse, usual) for nurse in nurses)
    load = load_of(database, patient.team_id, budget=room, now=now)
    change = (_minutes(after) - (0.0 if before is None else _minutes(before))) / weeks
    # A week that was lighter than what was replayed is spared no more than it had.
    new = max(0.0, load.minutes + change)
    gap = new - load.minutes
    budget = t("{minutes} par semaine pour l'équipe", "{minutes} a week for the team", minutes=_hours(load.budget))
    figures.append(
        Figure(
            words=t("Charge de l'équipe, tous patients", "Load of the team, all patients")
            + f" ({t('budget :', 'budget:')} {budget})",
            before=_hours(load.minutes),
            after=_hours(new) + (f", {t('au-delà du budget', 'over budget')}" if new > load.budget else ""),
            gap="=" if round(gap) == 0 else f"{signed(gap, 0)}{NB}min",
            more=gap > 0.5,
        )
    )
    return figures


def _quiet_days(before: ReplaySide | None, after: ReplaySide) -> Figure:
    def share(side: ReplaySide) -> float:
        days = side.trial.burden.days
        return 100 * days.get(0, 0) / max(1, sum(days.values()))

    old = None if before is None else share(before)
    new = share(after)
    return Figure(
        words=t("Jours sans alerte", "Days without an alert"),
        before="–" if old is None else f"{old:.0f}{NB}%",
        after=f"{new:.0f}{NB}%",
        gap="" if old is None or round(old) == round(new) else f"{signed(new - old, 0)}{NB}{t('points', 'points')}",
        more=old is not None and new < old,
    )


def _minutes(side: ReplaySide) -> float:
    """Return what a side's alerts would have taken; those that are not kept one by one as the others on average."""
    told = [one for one in side.alerts if one.told_at is not None]
    kept = sum(minutes_of(one.priority, one.category) for one in told)
    return kept * (side.trial.burden.told / len(told)) if told else 0.0


def _rules(result: ReplayResult, holding: CareProtocol | None, draft: CareProtocol) -> list[Figure]:
    """Return the rules that raise another number of alerts."""
    titles = rule_titles(holding, draft)
    old = {} if result.before is None else result.before.trial.burden.rules
    new = result.after.trial.burden.rules
    found = []
    for name in dict.fromkeys([*old, *new]):
        was, will = (old[name].told if name in old else 0), (new[name].told if name in new else 0)
        if was != will:
            found.append(
                Figure(
                    words=titles.get(name, name),
                    before=str(was),
                    after=str(will),
                    gap=signed(will - was, 0),
                    more=will > was,
                )
            )
    return found


def rule_titles(*protocols: CareProtocol | None) -> dict[str, str]:
    """Return what the rules of some protocols are called, the last one's words first; None: no protocol."""
    return {rule.id: said(rule.words.title) for one in protocols if one is not None for rule in one.rules}


# --- known events -----------------------------------------------------------------------------------------


def _events(result: ReplayResult, patient: Patient) -> list[Figure]:
    """Return what both would have made of the alerts of which somebody said what came of them."""
    known = (
        Alert.objects.filter(patient=patient, raised_at__gte=result.since, raised_at__lte=result.until)
        .exclude(category="technical")
        .filter(alertoutcome__outcome__in=_USEFUL | _NEEDLESS)
        .select_related("alertoutcome")
        .order_by("-raised_at")[:_MOST_EVENTS]
    )
    return [_event(result, alert, patient) for alert in known]


def _event(result: ReplayResult, alert: Alert, patient: Patient) -> Figure:
    useful = alert.alertoutcome.outcome in _USEFUL
    evidence = msgspec.json.decode(alert.record, type=AlertRecord).evidence if alert.record else ()
    quantity = evidence[-1].quantity if evidence else None
    text = alert.text_fr if t("fr", "en") == "fr" else alert.text_en

    def lead(side: ReplaySide | None) -> int | None:
        if side is None:
            return None
        told = [
            one.told_at
            for one in side.alerts
            if one.told_at is not None
            and _is_of(one, alert.rule_id, quantity)
            and -LATE_MS <= alert.raised_at - one.told_at <= EARLY_MS
        ]
        return alert.raised_at - min(told) if told else None

    old, new = lead(result.before), lead(result.after)
    kind = t("vraie, suivie d'une action", "true, acted upon") if useful else t("sans suite utile", "of no use")
    gap = ""
    if old is not None and new is not None and abs(new - old) >= HOUR / 60:
        gap = f"{'+' if new > old else '−'}{NB}{span(abs(new - old))}"
    elif (old is None) != (new is None):
        gap = t("nouvelle", "new") if old is None else t("plus dite", "no longer told")
    when = moment(alert.raised_at, patient.time_zone).striptags()
    return Figure(
        words=f"{when} · {shorten(text, 110, placeholder='…')} ({kind})",
        before="–" if result.before is None else _lead(old),
        after=_lead(new),
        gap=gap,
        more=(new is None) if useful else (old is None and new is not None),
    )


def _is_of(one: ReplayAlert, rule: str, quantity: object) -> bool:
    return one.rule == rule or one.quantity is quantity


def _lead(lead: int | None) -> str:
    if lead is None:
        return t("non dite", "not told")
    if abs(lead) < 60_000:
        return t("au même moment", "at the same time")
    return (
        t("{span} avant", "{span} before", span=span(lead))
        if lead > 0
        else t("{span} après", "{span} after", span=span(-lead))
    )


# --- words ------------------------------------------------------------------------------------------------


def _notes(result: ReplayResult, days: int) -> list[str]:
    """Return what is to be known of a replay besides its figures."""
    not_judged = sum(one.not_judged for one in result.after.trial.coverage.values())
    gaps = sum(one.gaps for one in result.after.trial.coverage.values() if one.ruled)
    notes = [
        t(
            "Jours avec des mesures : {n} sur {days} demandés ; mesures reçues : {readings}.",
            "Days with readings: {n} of {days} asked for; readings received: {readings}.",
            n=result.days_with,
            days=days,
            readings=result.readings,
        ),
        t(
            "Mesures exclues, que rien ne peut juger : {invalid} ; sans heure sûre ou trop récentes : {undated}."
            " Trous sans mesure : {gaps}.",
            "Readings left out, which nothing may judge: {invalid}; without a sure time or too recent: {undated}."
            " Gaps without a reading: {gaps}.",
            invalid=not_judged,
            undated=result.out_of_time,
            gaps=gaps,
        ),
        t(
            "Rejeu par le moteur du boîtier, version {version}. Le passé ne garantit pas l'avenir.",
            "Replayed by the engine of the box, version {version}. The past is no promise.",
            version=result.engine_version,
        ),
    ]
    if result.verdicts:
        named = {
            Verdict.SAME: t("pareilles", "the same"),
            Verdict.EARLIER: t("plus tard avec le projet", "later with the draft"),
            Verdict.LATER: t("plus tôt avec le projet", "earlier with the draft"),
            Verdict.REGRADED: t("d'une autre priorité ou non dites", "of another priority or not told"),
            Verdict.ONLY_FIRST: t("seulement aujourd'hui", "only today"),
            Verdict.ONLY_SECOND: t("seulement avec le projet", "only with the draft"),
        }
        told = [
            f"{result.verdicts[name.value]} {words}" for name, words in named.items() if name.value in result.verdicts
        ]
        notes.insert(0, f"{t('Alerte par alerte :', 'Alert by alert:')} {', '.join(told)}.")
    return notes


def _a_week(value: float) -> str:
    return t("{n} par semaine", "{n} a week", n=number(value, 1))


def signed(value: float, decimals: int) -> str:
    """Return a difference with its sign, "=" when there is none."""
    text = number(abs(value), decimals)
    if not text.strip("0.,"):
        return "="
    return f"{'+' if value > 0 else '−'}{NB}{text}"


def _hours(minutes: float) -> str:
    whole = round(minutes)
    return f"{whole}{NB}min" if whole < 60 else f"{whole // 60}{NB}h{NB}{whole % 60:02d}"
