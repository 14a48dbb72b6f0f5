"""What the charts of a patient share: one chart on the page, its gaps with their causes, its marks, table and ticks.

- What was not measured is not drawn: a line breaks, and a gap longer than the device's cadence explains is hatched,
  named, and said again in words under the chart, with who looks after it.

Not here: which charts there are (patient_charts), and glucose sensors (glucose_charts).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from markupsafe import Markup

from alerting.care_protocol import CareProtocol
from alerting.scheduled_rules import MissingRule
from coordination.desk.charts import Gap, Mark
from coordination.desk.gap_causes import Causes
from coordination.desk.pages import DAY, HOUR, clock_time, day, said, t
from coordination.desk.readings import Series
from coordination.desk.shown_values import Ruler
from devices.reading import Quantity

LONGEST_TABLE = 200
MOST_GAPS_SAID = 4

NOTHING_KNOWN = Causes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alert as a chart marks it: ms UTC, its quantity's value there is looked up."""

    at: int
    quantity: Quantity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One chart on the page.

    Attributes:
        name: unique on the page.
        subtitle: over which time, how much of it was received, in which unit.
        picture: None when there is too little to draw.
        missing: why there is none.
        legend: (class of a line or area, words).
        head: of the table.
        rows: of the table, newest first.
        times: ms UTC of each row that is one reading; empty where rows are none.
        gaps: what is missing and why, the longest first, in words.
        periods: whether the page offers other periods for it.
    """

    name: str
    title: str
    subtitle: str
    picture: Markup | None
    missing: str = ""
    legend: Sequence[tuple[str, str]] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    times: Sequence[int] = ()
    gaps: Sequence[str] = ()
    periods: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What every chart of a page is drawn with.

    Attributes:
        found: the patient's readings.
        days: how far back.
        now: ms UTC.
        zone: IANA name of the patient's time zone.
        protocol: whose thresholds are drawn; None when the team has none.
        raised: the patient's alerts.
        causes: why readings did not come.
    """

    found: Mapping[Quantity, Series]
    days: int
    now: int
    zone: str
    protocol: CareProtocol | None
    raised: Sequence[Raised] = ()
    causes: Causes = NOTHING_KNOWN

    @property
    def begin(self) -> int:
        """Where the period begins, ms UTC."""
        return self.now - self.days * DAY

    def ruler(self, quantity: Quantity) -> Ruler:
        """Return how a quantity is shown here."""
        return Ruler.of(quantity, self.protocol)

    def cadence(self, series: Series) -> float:
        """Return how often a reading is expected, ms: as the protocol says, else as they came; 0 for nobody knows."""
        timing = None if self.protocol is None else self.protocol.timings.get(series.quantity)
        return float(timing.cadence) if timing is not None and timing.cadence else series.cadence

    def longest(self, series: Series) -> float:
        """Return how far apart (ms) two readings may lie and still be joined, when it is measured now and then.

        As long as the protocol waits before it says that one is missing, else two days and a half, or two and a half
        times the usual.
        """
        asked = [
            (rule.expected if rule.by is None else DAY) + rule.grace
            for rule in (self.protocol.rules if self.protocol is not None else ())
            if isinstance(rule, MissingRule) and rule.quantity is series.quantity
        ]
        return float(min(asked)) if asked else 2.5 * max(DAY, self.cadence(series))


def gaps_of(sheet: Sheet, series: Series, *, begin: int, longest: float) -> list[Gap]:
    """Return the stretches from `begin` to now without a reading that the cadence does not explain, each with why."""
    times = [float(begin), *series.times.tolist(), float(sheet.now)]
    return [
        Gap(begin=before, end=after, why=said(sheet.causes.of(series.quantity, before, after).words))
        for before, after in pairwise(times)
        if after - before > longest
    ]


def gaps_said(sheet: Sheet, quantity: Quantity, gaps: Sequence[Gap]) -> list[str]:
    """Return gaps in words, the longest first: from when to when, why, and who looks after it."""
    found = []
    for gap in sorted(gaps, key=lambda one: one.begin - one.end)[:MOST_GAPS_SAID]:
        owner = said(sheet.causes.of(quantity, gap.begin, gap.end).owner)
        begin, end = _when(gap.begin, sheet.zone), _when(gap.end, sheet.zone)
        found.append(f"{begin} – {end}{t(' :', ':')} {gap.why}{f' ({owner})' if owner else ''}")
    return found


def _when(at: float, zone: str) -> str:
    return f"{day(int(at), zone)} {clock_time(int(at), zone)}"


def marks_of(sheet: Sheet, series: Series, ruler: Ruler, begin: int) -> list[Mark]:
    """Return the alerts on a quantity since `begin`, at the reading nearest to each."""
    found = []
    for one in sheet.raised:
        if one.quantity is series.quantity and begin <= one.at <= sheet.now and len(series):
            nearest = int(np.abs(series.times - one.at).argmin())
            words = _alert_words(one.at, sheet)
            found.append(Mark(at=one.at, value=ruler.place(int(series.counts[nearest])), words=words))
    return found


def _alert_words(at: int, sheet: Sheet) -> str:
    same_day = sheet.now - at < DAY
    return clock_time(at, sheet.zone) if same_day else day(at, sheet.zone)


def table_of(series: Series, beside: Series | None, ruler: Ruler, zone: str) -> tuple[list[tuple[str, ...]], list[int]]:
    """Return the newest readings as rows, newest first, and when each was measured."""
    other = {} if beside is None else dict(zip(beside.times.tolist(), range(len(beside)), strict=True))
    rows: list[tuple[str, ...]] = []
    times: list[int] = []
    for place in range(len(series) - 1, max(-1, len(series) - 1 - LONGEST_TABLE), -1):
        at = int(series.times[place])
        cells = [_when(at, zone), ruler.bare(int(series.counts[place]))]
        if beside is not None:
            cells.append(ruler.bare(int(beside.counts[other[at]])) if at in other else "–")
        rows.append(tuple(cells))
        times.append(at)
    return rows, times


def hours(now: int, zone: str) -> list[tuple[float, str]]:
    """Return every third full hour of the patient's clock of the last day."""
    local = (
        datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
    )
    found = []
    for back in range(25):
        at = local.astimezone(UTC) - timedelta(hours=back)
        shown = at.astimezone(ZoneInfo(zone))
        if shown.hour % 3 == 0:
            found.append((at.timestamp() * 1000, f"{shown.hour:02d} h"))
    return [one for one in reversed(found) if one[0] >= now - DAY + HOUR / 2]


def midnights(begin: int, end: int, zone: str, *, about: int = 8) -> list[tuple[float, str]]:
    """Return midnights of the patient's clock between two times (ms UTC), about so many."""
    first = datetime.fromtimestamp(begin / 1000, UTC).astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    last = datetime.fromtimestamp(end / 1000, UTC).astimezone(ZoneInfo(zone)).date()
    step = max(1, round((last - first).days / about))
    found = []
    while first <= last:
        at = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000
        found.append((at, day(int(at), zone)))
        first += timedelta(days=step)
    return found
