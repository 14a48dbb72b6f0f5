"""An alert in one sentence with its numbers, in French and English.

Each rule kind has its own sentence: what was measured and when (in the patient's time zone), against which threshold,
and one thing to check, never a dose. A second sentence says what the next graver rule would take (graver), a third what
was missing for a fuller judgement (lacking).

Rules of this room:

- What is shown is what was compared (wording). A number that the engine did not keep is left out, never made up.
- What the sentence is about, between its title and what to check, has at most 300 characters, and all of it at most
  1000, which is what the wire carries: where a protocol's own words leave no room, what to check stands in the alert's
  own field only.
"""

from zoneinfo import ZoneInfo

from alerting import explain_past, explain_together, explain_values, explain_watching
from alerting.alert import Sentence
from alerting.graver import why_not_higher
from alerting.lacking import what_is_missing
from alerting.rules import BaselineRule, ChangeRule, ForecastRule, LevelRule, RateRule, ShareRule
from alerting.scheduled_rules import MeanRule, MissingRule, QualityRule, ScoreRule
from alerting.telling import Members, Telling
from alerting.wording import NOTHING, say, shown_unit

__all__ = ["Members", "Telling", "explain", "shown_unit", "what_is_missing", "why_not_higher"]

LONGEST = 1000
"""Characters of a sentence on the wire, in each language."""


def explain(telling: Telling, zone: ZoneInfo) -> Sentence:
    """Return the sentence of an alert, its times in `zone`."""
    words = telling.rule.words
    end = NOTHING
    if telling.late:
        end = say("~; mesure reçue en retard", "; reading received late")
    if telling.withdrawn:
        end = say(
            "{end}~; retirée~: les mesures reçues en retard ne la confirment pas",
            "{end}; withdrawn: readings received late do not bear it out",
            end=end,
        )
    begun = say("{title}~: {what}", "{title}: {what}", title=words.title, what=what_happened(telling, zone))
    check = say("~; à vérifier~: {check}", "; to check: {check}", check=words.check)
    whole = say("{begun}{check}{end}", "{begun}{check}{end}", begun=begun, check=check, end=end)
    if max(len(whole.fr), len(whole.en)) <= LONGEST:
        return whole
    return say("{begun}{end}", "{begun}{end}", begun=begun, end=end)


def what_happened(telling: Telling, zone: ZoneInfo) -> Sentence:  # noqa: C901, PLR0911 - one return a kind
    """Return what the sentence is about: neither the rule's title nor what to check."""
    match telling.rule:
        case LevelRule() as rule:
            return explain_values.level(rule, telling, zone)
        case RateRule() as rule:
            return explain_values.rate(rule, telling, zone)
        case ForecastRule() as rule:
            return explain_values.forecast(rule, telling, zone)
        case ChangeRule() as rule:
            return explain_values.change(rule, telling, zone)
        case BaselineRule() as rule:
            return explain_past.baseline(rule, telling, zone)
        case ShareRule() as rule:
            return explain_past.share(rule, telling, zone)
        case MeanRule() as rule:
            return explain_past.mean(rule, telling, zone)
        case MissingRule() as rule:
            return explain_watching.missing(rule, telling, zone)
        case QualityRule() as rule:
            return explain_watching.quality(rule, telling, zone)
        case ScoreRule() as rule:
            return explain_together.score(rule, telling, zone)
        case rule:
            return explain_together.composite(rule, telling, zone)
