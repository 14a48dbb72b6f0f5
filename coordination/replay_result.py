"""What trying a draft came to: the alerts of the protocol that holds and of the draft, over one history, in counts.

A result is kept as JSON and read by the pages. How it was judged is alerting.backtest's, how it is shown the desk's.
"""

from msgspec import Struct

from alerting.alert import Audience, Category, Priority
from alerting.trial import Trial
from devices.reading import Quantity

VERSION = 1
MOST_ALERTS = 3000
"""Alerts of one side that are kept one by one; all of them are counted."""
INDICATIVE_DAYS = 14
"""Local days with a judged reading below which a replay says little."""


class ReplayAlert(Struct, frozen=True, kw_only=True, array_like=True):
    """One alert that would have been raised; times in ms UTC.

    Attributes:
        told_at: when somebody would have been told, None when nobody.
        resolved_at: when it ended, None when it stands.
        quantity: of its rule.
    """

    rule: str
    priority: Priority
    category: Category
    audience: Audience
    quantity: Quantity
    raised_at: int
    told_at: int | None
    resolved_at: int | None


class ReplaySide(Struct, frozen=True, kw_only=True):
    """One protocol over the history.

    Attributes:
        trial: its counts.
        alerts: each, by time: the newest, when there are more than are kept.
        left_out: how many are not in `alerts`.
    """

    trial: Trial
    alerts: tuple[ReplayAlert, ...]
    left_out: int = 0


class ReplayResult(Struct, frozen=True, kw_only=True):
    """Both sides.

    Attributes:
        since: from when on the history was judged, ms UTC.
        until: to when.
        readings: of the patient that were given to the engine, those before `since` that rules look back at included.
        out_of_time: readings left out because their time is not known, or after the job was asked for.
        days_with: local days with a reading that a rule may judge.
        engine_version: of the engine that judged, the box's own.
        before: the protocol that holds, None when the team knows none.
        after: the draft.
        verdicts: how the alerts of one side stand to the other's (`alerting.comparison.Verdict`) -> how many.
    """

    v: int = VERSION
    since: int
    until: int
    readings: int
    out_of_time: int
    days_with: int
    engine_version: str
    before: ReplaySide | None
    after: ReplaySide
    verdicts: dict[str, int]

    @property
    def indicative(self) -> bool:
        """Whether there is too little history to say much."""
        return self.days_with < INDICATIVE_DAYS
