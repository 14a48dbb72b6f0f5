"""The charts of a patient's page: those that their protocol asks for first, in its order, then whatever else came.

Each has its figures in a table, and what is missing in words. A quantity that the protocol watches and of which
nothing came has its place all the same, with why.

Not here: a glucose sensor's charts (glucose_charts), thresholds (chart_limits), causes of gaps (gap_causes).
"""

from collections.abc import Iterable

from alerting.care_protocol import CareProtocol
from coordination.desk.chart_limits import Thresholds, thresholds
from coordination.desk.chart_parts import (
    Raised,
    Sheet,
    Shown,
    gaps_of,
    gaps_said,
    marks_of,
    midnights,
    table_of,
)
from coordination.desk.charts import Axis, Chart, Line, draw, runs, ticks
from coordination.desk.glucose_charts import last_day_chart, profile_chart
from coordination.desk.pages import number, said, t
from coordination.desk.readings import Series
from coordination.desk.shown_values import Ruler
from coordination.tables import QUANTITIES
from devices.reading import Quantity

__all__ = ["PERIODS", "USUAL_DAYS", "Raised", "Sheet", "Shown", "charts", "in_order"]

PERIODS = (7, 14, 30, 90)
USUAL_DAYS = 14
"""Days of a glucose profile (Battelino 2019); of everything else twice as many."""
_TOGETHER = {Quantity.BLOOD_PRESSURE_SYSTOLIC: Quantity.BLOOD_PRESSURE_DIASTOLIC}
_LEFT_OUT = {
    Quantity.BLOOD_PRESSURE_DIASTOLIC,
    Quantity.BLOOD_PRESSURE_MEAN,
    Quantity.PERFUSION_INDEX,
    Quantity.BMI,
}
_FEW = 60
"""Up to here each measurement is a dot."""


def charts(sheet: Sheet) -> list[Shown]:
    """Return the charts of a patient, those of their pathway first."""
    shown: list[Shown] = []
    for quantity in in_order(sheet.protocol, sheet.found):
        series = sheet.found.get(quantity)
        if series is None:
            shown.append(_nothing(sheet, quantity))
        elif quantity is Quantity.GLUCOSE_INTERSTITIAL:
            shown += [profile_chart(sheet), last_day_chart(sheet)]
        else:
            shown.append(_over_days(sheet, series))
    return shown


def in_order(protocol: CareProtocol | None, found: Iterable[Quantity]) -> list[Quantity]:
    """Return the quantities that have a chart: the protocol's, in the order of its rules, then the others by name."""
    asked = [quantity for rule in protocol.rules for quantity in rule.inputs] if protocol is not None else []
    wanted = dict.fromkeys([*asked, *sorted(found, key=lambda one: one.value)])
    return [quantity for quantity in wanted if quantity not in _LEFT_OUT]


def _title(quantity: Quantity) -> str:
    if quantity is Quantity.BLOOD_PRESSURE_SYSTOLIC:
        return t("Tension", "Blood pressure")
    name = said(QUANTITIES[quantity])
    return name[:1].upper() + name[1:]


def _nothing(sheet: Sheet, quantity: Quantity) -> Shown:
    cause = sheet.causes.of(quantity, sheet.begin, sheet.now)
    owner = said(cause.owner)
    return Shown(
        name=quantity.value.replace("_", "-"),
        title=_title(quantity),
        subtitle=t("{n} j", "{n} d", n=sheet.days),
        picture=None,
        missing=t(
            "Aucune mesure reçue sur cette période : {why}{owner}.",
            "No reading received in this period: {why}{owner}.",
            why=said(cause.words),
            owner=f", {owner}" if owner else "",
        ),
    )


def _over_days(sheet: Sheet, whole: Series) -> Shown:
    quantity, begin = whole.quantity, sheet.begin
    series = whole.since(begin)
    if not len(series):
        return _nothing(sheet, quantity)
    other = sheet.found.get(_TOGETHER[quantity]) if quantity in _TOGETHER else None
    beside = None if other is None else other.since(begin)
    ruler = sheet.ruler(quantity)
    longest = sheet.longest(series)
    limits = thresholds(sheet.protocol, quantity, whole, ruler)
    if beside is not None:
        lower = thresholds(sheet.protocol, beside.quantity, other, ruler)
        limits = Thresholds(limits=(*limits.limits, *lower.limits), curves=(*limits.curves, *lower.curves))
    gaps = gaps_of(sheet, series, begin=begin, longest=longest)
    low, high = _range(series, beside, limits, ruler, begin)
    lines = [_line("med", series, ruler, longest)]
    if beside is not None:
        lines.append(_line("dia", beside, ruler, longest))
    lines += [
        Line(
            css="thrc lo2" if curve.low else "thrc hi",
            runs=runs((point for point in curve.points if point[0] >= begin), longest=longest),
        )
        for curve in limits.curves
    ]
    title = _title(quantity)
    count = len(series)
    subtitle = t("{n} j, {count} mesures · {unit}", "{n} d, {count} readings · {unit}",
                 n=sheet.days, count=count, unit=ruler.unit)  # fmt: skip
    chart = Chart(
        name=quantity.value.replace("_", "-"),
        title=title,
        description=t(
            "De {low} à {high} ; dernière {last}.", "From {low} to {high}; last {last}.",
            low=ruler.words(int(series.counts.min())), high=ruler.words(int(series.counts.max())),
            last=ruler.words(int(series.counts[-1])),
        ),
        x=Axis(low=begin, high=sheet.now, ticks=midnights(begin, sheet.now, sheet.zone)),
        y=Axis(low=low, high=high, ticks=[(value, number(f"{value:g}")) for value in ticks(low, high)]),
        lines=lines,
        limits=limits.limits,
        gaps=gaps,
        marks=marks_of(sheet, series, ruler, begin),
    )  # fmt: skip
    rows, times = table_of(series, beside, ruler, sheet.zone)
    columns = (t("systolique", "systolic"), t("diastolique", "diastolic")) if beside is not None else (ruler.unit,)
    return Shown(
        name=chart.name,
        title=title,
        subtitle=subtitle,
        picture=draw(chart),
        legend=_legend(limits, both=beside is not None),
        head=(t("Mesurée", "Measured"), *columns),
        rows=rows,
        times=times,
        gaps=gaps_said(sheet, quantity, gaps),
    )


def _line(css: str, series: Series, ruler: Ruler, longest: float) -> Line:
    points = zip(series.times.tolist(), ruler.places(series.counts).tolist(), strict=True)
    return Line(css=css, runs=runs(points, longest=longest), dots=len(series) <= _FEW)


def _legend(limits: Thresholds, *, both: bool) -> list[tuple[str, str]]:
    found = []
    if both:
        found += [("med", t("systolique", "systolic")), ("dia", t("diastolique (tirets)", "diastolic (dashes)"))]
    for curve in limits.curves:
        css = "thrc lo2" if curve.low else "thrc hi"
        found.append((css, t("seuil : {words}", "threshold: {words}", words=curve.words)))
    return found


def _range(series: Series, beside: Series | None, limits: Thresholds, ruler: Ruler, begin: int) -> tuple[float, float]:
    values = [
        *ruler.places(series.counts).tolist(),
        *([] if beside is None else ruler.places(beside.counts).tolist()),
        *(one.value for one in limits.limits),
        *(place for curve in limits.curves for at, place in curve.points if at >= begin),
    ]
    margin = max((max(values) - min(values)) * 0.14, 10 * ruler.step)
    return min(values) - margin, max(values) + margin
