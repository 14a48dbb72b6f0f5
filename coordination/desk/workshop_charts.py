"""Two pictures side by side: the same readings, with the alerts of the protocol that holds and of the draft.

What was not measured is not drawn. A sensor's many readings are drawn as their spread in each quarter of a day with
the median in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from alerting.care_protocol import CareProtocol
from alerting.rules import LevelRule
from alerting.wording import shown_unit
from coordination.desk.chart_parts import midnights
from coordination.desk.charts import Area, Axis, Chart, Gap, Limit, Line, Mark, draw, runs, ticks
from coordination.desk.pages import DAY, HOUR, day, number, said, t
from coordination.desk.readings import Series
from coordination.replay_result import ReplayAlert, ReplaySide
from coordination.tables import QUANTITIES
from devices.reading import Quantity, facts

_FEW = 60
"""Up to here each measurement is a dot."""
_MANY = 800
_STEP = 6 * HOUR
_MOST_WORDS = 6
"""Marks that carry their day; more would lie over each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One quantity on both sides: (heading, how many alerts, picture) each; the first is None without a protocol."""

    title: str
    before: tuple[str, int, Markup] | None
    after: tuple[str, int, Markup]


def pair(
    series: Series,
    *,
    since: int,
    until: int,
    zone: str,
    before: tuple[CareProtocol, ReplaySide] | None,
    after: tuple[CareProtocol, ReplaySide],
) -> Pair:
    """Return the pictures of one quantity from `since` to `until` (ms UTC)."""
    shown = series.since(since)
    quantity = series.quantity
    sides = [side for side in (before, after) if side is not None]
    limits = [_limits(protocol, quantity) for protocol, _ in sides]
    y = _axis(shown, [limit for side in limits for limit in side])
    pictures = []
    for name, (_, side), levels in zip(("before", "after")[-len(sides) :], sides, limits, strict=True):
        alerts = [one for one in side.alerts if one.quantity is quantity and one.told_at is not None]
        words = t("Aujourd'hui", "Today") if name == "before" else t("Proposé", "Proposed")
        title = f"{said(QUANTITIES[quantity]).capitalize()}, {words.lower()}"
        chart = Chart(
            name=f"{name}-{quantity.value.replace('_', '-')}",
            title=title,
            description=t("{n} alertes dites.", "{n} alerts told.", n=len(alerts)),
            x=Axis(low=since, high=until, ticks=midnights(since, until, zone, about=6)),
            y=y,
            lines=_lines(shown),
            areas=_areas(shown),
            gaps=_gaps(shown, since, until),
            limits=levels,
            marks=_marks(alerts, shown, since, zone),
        )
        pictures.append((words, len(alerts), draw(chart)))
    unit = shown_unit(facts(quantity).unit)
    return Pair(
        title=f"{said(QUANTITIES[quantity]).capitalize()} ({unit})",
        before=pictures[0] if len(pictures) > 1 else None,
        after=pictures[-1],
    )


def _longest(series: Series) -> float:
    return max(2.5 * DAY, 4 * series.cadence) if len(series) <= _MANY else max(float(_STEP) * 1.5, 4 * series.cadence)


def _gaps(series: Series, since: int, until: int) -> list[Gap]:
    """Return the stretches without a reading that the cadence does not explain."""
    times = [float(since), *series.times.tolist(), float(until)]
    why = t("pas de donnée", "no data")
    return [
        Gap(begin=before, end=after, why=why)
        for before, after in pairwise(times)
        if after - before > max(2.5 * DAY, 4 * series.cadence)
    ]


def _lines(series: Series) -> list[Line]:
    if len(series) <= _MANY:
        return [Line(css="med", runs=runs(series.points(), longest=_longest(series)), dots=len(series) <= _FEW)]
    middles = [(at, middle) for at, _, middle, _ in _quarters(series)]
    return [Line(css="med", runs=runs(middles, longest=_longest(series)))]


def _areas(series: Series) -> list[Area]:
    if len(series) <= _MANY:
        return []
    found = _quarters(series)
    bounds = {at: (low, high) for at, low, _, high in found}
    return [
        Area(
            css="a95",
            upper=[(at, bounds[at][1]) for at, _ in run],
            lower=[(at, bounds[at][0]) for at, _ in run],
        )
        for run in runs([(at, low) for at, low, _, _ in found], longest=_longest(series))
        if len(run) > 1
    ]


def _quarters(series: Series) -> list[tuple[float, float, float, float]]:
    """Return (middle of a quarter of a day, least, median, greatest) of each that has readings."""
    quarters = series.times // _STEP
    edges = np.flatnonzero(np.diff(quarters)) + 1
    return [
        (float(part[0] * _STEP + _STEP / 2), float(values.min()), float(np.median(values)), float(values.max()))
        for part, values in zip(np.split(quarters, edges), np.split(series.values, edges), strict=True)
    ]


def _axis(series: Series, limits: Sequence[Limit]) -> Axis:
    values = [*series.values.tolist(), *(one.value for one in limits)]
    if not values:
        values = [0.0, 1.0]
    margin = max((max(values) - min(values)) * 0.15, float(facts(series.quantity).quantum) * 10)
    low, high = min(values) - margin, max(values) + margin
    return Axis(low=low, high=high, ticks=[(value, number(f"{value:g}")) for value in ticks(low, high)])


def _limits(protocol: CareProtocol, quantity: Quantity) -> list[Limit]:
    quantum = float(facts(quantity).quantum)
    return [
        Limit(
            value=rule.threshold * quantum,
            css="lo2" if rule.side.low else "hi",
            words=number(f"{rule.threshold * quantum:g}"),
        )
        for rule in protocol.rules
        if isinstance(rule, LevelRule) and rule.quantity is quantity
    ]


def _marks(alerts: Sequence[ReplayAlert], series: Series, since: int, zone: str) -> list[Mark]:
    if not len(series):
        return []
    found = []
    for one in alerts:
        if one.raised_at >= since:
            nearest = int(np.abs(series.times - one.raised_at).argmin())
            words = day(one.raised_at, zone) if len(alerts) <= _MOST_WORDS else ""
            found.append(Mark(at=one.raised_at, value=float(series.values[nearest]), words=words))
    return found
