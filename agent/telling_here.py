"""When the box itself tells the patient or a carer of an alert: a decision, without clock, store or sound.

Meant are alerts for the patient or a carer at once, and those that escalation has brought to them. Rules of this room:

- Where the box is the channel (`at_once`), it tells as soon as such an alert is told at all.
- Where somebody else is, it tells when they cannot know of it in time: the team has not confirmed to have the alert
  `receipt_within` after it was kept, or nobody has attended to it by its own deadline.
- It repeats, a few times and not too often, until somebody has attended to the alert or it ended. One telling serves
  all alerts that are due.
- What is late, suppressed or technical is never told here as if it were happening now.

Times are ms UTC. Not here: through what it is told (notifier), and whom else to tell (alerting.escalation).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from alerting.alert import AlertChange, Audience, Category, ChangeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingPlan:
    """How the box tells; all in ms.

    Attributes:
        at_once: whether the box is the channel for such alerts.
        receipt_within: how long the team may take to confirm an alert.
        attend_within: how long people may take to attend to one that has no deadline of its own.
        repeat: the pause between two tellings of one alert.
        most: tellings of one alert at most.
        pause: the pause between two tellings of whatever, at least.
    """

    at_once: bool
    receipt_within: int
    attend_within: int
    repeat: int
    most: int
    pause: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An alert that the box may have to tell.

    Attributes:
        alert_id: whose.
        patient: pseudonym, never said aloud.
        kept_at: when the box kept it, or learned that it is for the patient or a carer.
        due_by: by when somebody must look, None where its rule does not say.
        check: what its rule asks to verify, in French; "" for nothing.
        tellings: how often it was told here.
        last: when it was told here last; None: never.
    """

    alert_id: str
    patient: str
    kept_at: int
    due_by: int | None
    check: str = ""
    tellings: int = 0
    last: int | None = None


def is_over(change: AlertChange) -> bool:
    """Return whether an alert is not to be told any more after this change."""
    return change.resolved_at is not None or change.kind is ChangeKind.RETRACTED or change.suppressed is not None


def concerns(change: AlertChange) -> bool:
    """Return whether this change is news for the patient or a carer, now."""
    meant = change.audience is Audience.PATIENT_NOW or any(
        step.audience is Audience.PATIENT_NOW for step in change.escalated
    )
    return meant and not change.late and change.category is Category.CLINICAL and not is_over(change)


def next_at(alert: Standing, plan: TellingPlan, *, unconfirmed: bool) -> int | None:
    """Return when an alert that nobody has attended to is told next; None: no more.

    Args:
        alert: the alert.
        plan: how the box tells.
        unconfirmed: whether the team may not have it yet.
    """
    if alert.tellings >= plan.most:
        return None
    if alert.last is not None:
        return alert.last + plan.repeat
    if plan.at_once:
        return alert.kept_at
    attended_by = alert.kept_at + plan.attend_within if alert.due_by is None else alert.due_by
    return min(attended_by, alert.kept_at + plan.receipt_within) if unconfirmed else attended_by


def due(
    alerts: Iterable[Standing], plan: TellingPlan, *, now: int, unconfirmed_since: int | None, last: int | None
) -> list[Standing]:
    """Return the alerts to tell `now`, all in one telling.

    Args:
        alerts: those that stand and that nobody has attended to.
        plan: how the box tells.
        now: ms UTC.
        unconfirmed_since: when the oldest alert was kept that the team has not confirmed; None: it has all. An alert
            kept later counts as unconfirmed: what is not known to have arrived is told.
        last: when anything was told last; None: never. A clock set back does not silence the box.
    """
    if last is not None and 0 <= now - last < plan.pause:
        return []
    found: list[Standing] = []
    for alert in alerts:
        unconfirmed = unconfirmed_since is not None and unconfirmed_since <= alert.kept_at
        at = next_at(alert, plan, unconfirmed=unconfirmed)
        back = alert.last is not None and now < alert.last
        if at is not None and (at <= now or back):
            found.append(alert)
    return found
