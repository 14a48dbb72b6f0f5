"""What came of alerts, counted: how often a rule's alerts were of use, and which thresholds are worth trying.

An alert counts as of use when somebody did something because of it, and is left out when it was said twice or nobody
said what came of it. Proposals are a list for whoever adapts the protocol; nothing here changes one.
"""

from collections import defaultdict
from dataclasses import dataclass

import msgspec
from django.db.models import Count, Max

from alerting.alert import Outcome, Sentence
from alerting.rules import Measure
from alerting.wording import PERCENT, POINTS, Scale, amount, scale_of
from coordination.desk.models import Alert, AlertOutcome, Team
from coordination.desk.pages import DAY
from coordination.proposals import Judged, Proposal, propose, worth_a_look
from exchange.messages import AlertRecord

USEFUL = frozenset({Outcome.ACTION.value})
COUNTED = USEFUL | {Outcome.NO_ACTION.value, Outcome.ARTEFACT.value, Outcome.WRONG_PERSON.value}
LOOKED_AT_DAYS = 90
MOST_LOOKED_AT = 60
"""Rules about a patient that are looked at for a threshold worth trying."""
MOST_ALERTS = 200
"""Of each, so many of the latest alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of `of` alerts of which somebody said what came of them, `useful` led somebody to do something."""

    useful: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTally:
    """How often one rule's alerts were of use, about how many patients; `protocol_hash` is the newest alert's."""

    protocol: str
    rule: str
    protocol_hash: str
    tally: Tally
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorthTrying:
    """A rule whose alerts about a patient were seldom of use.

    Attributes:
        pseudonym: of the patient.
        tally: how often they were.
        proposal: a threshold worth trying, None where none can be told from the alerts.
        now: the threshold as a person reads it, and `then` the proposed one; None where there is none.
    """

    pseudonym: str
    protocol: str
    rule: str
    protocol_hash: str
    tally: Tally
    proposal: Proposal | None
    now: Sentence | None
    then: Sentence | None


def tally_of(alert: Alert) -> Tally | None:
    """Return how often alerts of an alert's rule were of use to its patient so far; None when nobody said."""
    if alert.patient is None:
        return None
    same = AlertOutcome.objects.filter(alert__patient=alert.patient, alert__rule_id=alert.rule_id, outcome__in=COUNTED)
    found = dict(same.values_list("outcome").annotate(number=Count("pk")).order_by())
    of = sum(found.values())
    return None if not of else Tally(useful=sum(found.get(one, 0) for one in USEFUL), of=of)


def tallies(team: Team, *, now: int) -> tuple[RuleTally, ...]:
    """Return how often each rule's alerts were of use within 90 days before `now` (ms UTC), the least of use first."""
    by_rule: defaultdict[tuple[str, str], list[tuple[int | None, bool, int]]] = defaultdict(list)
    newest: dict[tuple[str, str], tuple[int, str]] = {}
    for protocol, rule, patient, outcome, number, protocol_hash, last in _judged(team, now):
        key = (protocol, rule)
        by_rule[key].append((patient, outcome in USEFUL, number))
        newest[key] = max(newest.get(key, (0, "")), (last, protocol_hash))
    found = [
        RuleTally(
            protocol=protocol,
            rule=rule,
            protocol_hash=newest[protocol, rule][1],
            tally=Tally(
                useful=sum(number for _, useful, number in rows if useful), of=sum(number for _, _, number in rows)
            ),
            patients=len({patient for patient, _, _ in rows}),
        )
        for (protocol, rule), rows in by_rule.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.tally.useful / one.tally.of, -one.tally.of, one.rule)))


def worth_trying(team: Team, *, now: int) -> tuple[WorthTrying, ...]:
    """Return the rules whose alerts about one patient were seldom of use, those that cost most first."""
    by_patient: defaultdict[tuple[int, str], list[tuple[bool, int]]] = defaultdict(list)
    for _, rule, patient, outcome, number, _, _ in _judged(team, now):
        if patient is not None:
            by_patient[patient, rule].append((outcome in USEFUL, number))
    seldom = []
    for (patient, rule), rows in by_patient.items():
        useful, of = sum(number for was, number in rows if was), sum(number for _, number in rows)
        if worth_a_look(useful, of):
            seldom.append((of - useful, patient, rule, Tally(useful=useful, of=of)))
    seldom.sort(key=lambda one: (-one[0], one[1], one[2]))
    return tuple(_worth(patient, rule, tally) for _, patient, rule, tally in seldom[:MOST_LOOKED_AT])


def _judged(team: Team, now: int) -> list[tuple[str, str, int | None, str, int, str, int]]:
    rows = (
        Alert.objects.filter(team=team, closed_at__gte=now - LOOKED_AT_DAYS * DAY, alertoutcome__outcome__in=COUNTED)
        .values_list("protocol", "rule_id", "patient_id", "alertoutcome__outcome")
        .annotate(number=Count("pk"), text=Max("protocol_hash"), last=Max("raised_at"))
        .order_by()
    )
    return list(rows)


def _worth(patient: int, rule: str, tally: Tally) -> WorthTrying:
    alerts = list(
        Alert.objects.filter(patient=patient, rule_id=rule, alertoutcome__outcome__in=COUNTED)
        .select_related("patient", "alertoutcome")
        .order_by("-raised_at")[:MOST_ALERTS]
    )
    newest = alerts[0]
    said = [msgspec.json.decode(one.record, type=AlertRecord) for one in reversed(alerts)]
    outcomes = [one.alertoutcome.outcome in USEFUL for one in reversed(alerts)]
    judged = [
        Judged(value=record.finding.value, threshold=record.finding.threshold, useful=useful)
        for record, useful in zip(said, outcomes, strict=True)
        if record.finding.value is not None and record.finding.threshold is not None
    ]
    scale = _scale(said[-1])
    proposal = propose(judged) if scale is not None and len(judged) == len(said) else None
    now = then = None
    if scale is not None and proposal is not None and proposal.then is not None:
        now, then = amount(scale, proposal.now), amount(scale, proposal.then)
    return WorthTrying(
        pseudonym=newest.patient.pseudonym if newest.patient is not None else "",
        protocol=newest.protocol,
        rule=rule,
        protocol_hash=newest.protocol_hash,
        tally=tally,
        proposal=proposal,
        now=now,
        then=then,
    )


def _scale(record: AlertRecord) -> Scale | None:
    """Return how a rule's numbers are shown; None for measures that no threshold is set in by a person."""
    measure = record.finding.measure
    if measure == Measure.QUANTA and record.evidence:
        scale = scale_of(record.evidence[-1].quantity, {})
        return scale if record.finding.baseline is None else scale.differences
    return {Measure.BASIS_POINTS.value: PERCENT, Measure.POINTS.value: POINTS}.get(measure)
