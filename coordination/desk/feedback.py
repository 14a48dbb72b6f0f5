"""What came of alerts, counted: how often a rule's alerts were of use, for a patient and for the team."""

from dataclasses import dataclass

from django.db.models import Count

from alerting.alert import Outcome
from coordination.desk.models import Alert, AlertOutcome

_USEFUL = {Outcome.ACTION.value}
_COUNTED = _USEFUL | {Outcome.NO_ACTION.value, Outcome.ARTEFACT.value, Outcome.WRONG_PERSON.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of `of` alerts of which somebody said what came of them, `useful` led somebody to do something."""

    useful: int
    of: int


def tally_of(alert: Alert) -> Tally | None:
    """Return how often alerts of an alert's rule were of use to its patient so far; None when nobody said."""
    if alert.patient is None:
        return None
    same = AlertOutcome.objects.filter(alert__patient=alert.patient, alert__rule_id=alert.rule_id, outcome__in=_COUNTED)
    found = dict(same.values_list("outcome").annotate(number=Count("pk")).order_by())
    of = sum(found.values())
    return None if not of else Tally(useful=sum(found.get(one, 0) for one in _USEFUL), of=of)
