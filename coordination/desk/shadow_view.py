"""What the workshop shows of a shadow: whether one is judged on the box, since when, and what it would have told.

Everything is by the box's own word: its answers to the orders, and the report in the newest of them. Nothing is counted
here.

Not here: ordering (coordination.shadow_orders).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from alerting.alert import Sentence
from alerting.care_protocol import CareProtocol
from alerting.protocol_file import check_protocol
from coordination.deliveries import why_of
from coordination.desk.models import Patient
from coordination.desk.pages import t
from coordination.desk.replay_view import Figure, rule_titles, signed
from coordination.shadow_orders import ShadowOrder, shadow_orders
from coordination.sql import Sql
from exchange.shadow_reports import ShadowReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowView:
    """A patient's shadow.

    Attributes:
        asked: the newest order, when the box has not done it; None.
        why: what the box said against it.
        done: the newest order that the box did, None before.
        tried: what is judged beside, or was until it ended; None when it cannot be read.
        report: what that came to, None before the box said anything.
        figures: both sides of it.
        rules: the same of each rule that either raised.
    """

    asked: ShadowOrder | None
    why: Sequence[Sentence]
    done: ShadowOrder | None
    tried: CareProtocol | None
    report: ShadowReport | None
    figures: Sequence[Figure]
    rules: Sequence[Figure]

    @property
    def running(self) -> bool:
        """Whether the box judges one, as far as it said."""
        return self.done is not None and self.done.protocol is not None

    @property
    def can_end(self) -> bool:
        """Whether there is something to end, on the box or on its way there."""
        if self.asked is not None and self.asked.waits:
            return self.asked.protocol is not None
        return self.running

    @property
    def since(self) -> int:
        """When it began, ms UTC by the box's clock; 0 before."""
        if self.report is not None:
            return self.report.since
        return 0 if self.done is None or self.done.answer is None else self.done.answer.at

    @property
    def ended_at(self) -> int:
        """When the box ended it, ms UTC by its clock."""
        return 0 if self.done is None or self.done.answer is None else self.done.answer.at


def shadow_view(database: Sql, patient: Patient, holding: CareProtocol | None) -> ShadowView:
    """Return a patient's shadow; `holding` is what the patient is judged by, None when the team does not know it."""
    orders = shadow_orders(database, patient.pseudonym, team=patient.team_id)
    done = next((one for one in orders if one.done), None)
    asked = orders[0] if orders and not orders[0].done else None
    begun = next((one for one in orders if one.done and one.protocol is not None), None)
    text = None if begun is None or begun.protocol is None else begun.protocol.text
    tried = None if text is None else check_protocol(text.encode()).protocol
    report = None if done is None else done.report
    return ShadowView(
        asked=asked,
        why=() if asked is None else why_of(asked.answer),
        done=done,
        tried=tried,
        report=report,
        figures=() if report is None else _figures(report),
        rules=() if report is None else _rules(report, rule_titles(holding, tried)),
    )


def _figures(report: ShadowReport) -> list[Figure]:
    active, shadow = report.active, report.shadow
    return [
        _figure(t("Alertes dites à quelqu'un", "Alerts told to somebody"), active.told, shadow.told),
        _figure(
            t("Levées sans être dites", "Raised and not told"), active.raised - active.told, shadow.raised - shadow.told
        ),
        _figure(t("Reprises ensuite", "Taken back later"), active.taken_back, shadow.taken_back),
        _figure(
            t("Levées par un seul des deux", "Raised by one of the two only"), report.only_active, report.only_shadow
        ),
    ]


def _rules(report: ShadowReport, titles: dict[str, str]) -> list[Figure]:
    return [_figure(titles.get(one.rule, one.rule), one.active, one.shadow) for one in report.rules]


def _figure(words: str, active: int, shadow: int) -> Figure:
    return Figure(
        words=words, before=str(active), after=str(shadow), gap=signed(shadow - active, 0), more=shadow > active
    )
