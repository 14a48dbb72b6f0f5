"""The charts of a patient's page: the profile of a glucose sensor, its last day, and a line for everything else.

- What was not measured is not drawn: a line breaks, and a gap longer than the device's cadence explains is hatched.
- Below a day of a glucose sensor there are no statistics, and below five days no profile: the page says why.
- Each chart has its figures in a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from markupsafe import Markup

from alerting.care_protocol import CareProtocol
from alerting.glucose_profile import Profile, profile, target_of
from alerting.local_time import each_local_minutes, offsets
from alerting.rules import LevelRule
from alerting.wording import shown_unit
from coordination.desk.charts import Area, Axis, Band, Chart, Gap, Limit, Line, Mark, draw, runs, ticks
from coordination.desk.pages import DAY, HOUR, clock_time, day, number, said, span, t
from coordination.desk.readings import Series
from coordination.tables import QUANTITIES
from devices.reading import Quantity, facts

PERIODS = (7, 14, 30, 90)
USUAL_DAYS = 14
"""Days of a glucose profile (Battelino 2019); of everything else twice as many."""
_TOGETHER = {Quantity.BLOOD_PRESSURE_SYSTOLIC: Quantity.BLOOD_PRESSURE_DIASTOLIC}
_LEFT_OUT = {
    Quantity.BLOOD_PRESSURE_DIASTOLIC,
    Quantity.BLOOD_PRESSURE_MEAN,
    Quantity.GLUCOSE_INTERSTITIAL,
    Quantity.PERFUSION_INDEX,
    Quantity.BMI,
}
_FEW = 60
"""Up to here each measurement is a dot."""
_CGM_GAP = 20 * 60_000
"""Minutes after which a glucose sensor's line breaks: four missed readings of one every 5 min."""
_LONGEST_TABLE = 200
RANGES = ((540, 700), (700, 1800), (1800, 2500))
"""Quanta of glucose: 54, 70, 180 and 250 mg/dL (Battelino 2019)."""


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
    periods: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the readings lies in one range of glucose: (words, percent, class)."""

    words: str
    percent: float
    css: str


def charts(
    found: Mapping[Quantity, Series],
    *,
    days: int,
    now: int,
    zone: str,
    protocol: CareProtocol | None,
    raised: Sequence[Raised],
) -> list[Shown]:
    """Return the charts of a patient, those of their pathway first.

    Args:
        found: their readings, of `days` days at least.
        days: how far back.
        now: ms UTC.
        zone: IANA name of the patient's time zone.
        protocol: whose thresholds are drawn; None when the team has none.
        raised: their alerts.
    """
    shown: list[Shown] = []
    sensor = found.get(Quantity.GLUCOSE_INTERSTITIAL)
    if sensor is not None:
        shown.append(_profile(sensor.since(now - days * DAY), days, zone, protocol))
        shown.append(_last_day(sensor, now, zone, protocol, raised))
    for quantity, series in found.items():
        if quantity not in _LEFT_OUT:
            beside = found.get(_TOGETHER[quantity]) if quantity in _TOGETHER else None
            shown.append(_over_days(series, beside, days=days, now=now, zone=zone, protocol=protocol, raised=raised))
    return shown


def time_in_ranges(series: Series) -> list[Share]:
    """Return the shares of a glucose sensor's readings, highest range first; empty below a day of readings."""
    if len(series) * series.cadence < DAY:
        return []
    counts = series.counts
    edges = [low for low, _ in RANGES] + [RANGES[-1][1]]
    of_range = np.histogram(counts, [-(2**53), *edges[:2], edges[2] + 1, edges[3] + 1, 2**53])[0] / len(counts) * 100
    words = ("< 54", "54–69", "70–180", "181–250", "> 250")
    css = ("tvl", "tl", "tok", "th", "tvh")
    return [
        Share(words=one, percent=float(part), css=name) for one, part, name in zip(words, of_range, css, strict=True)
    ][::-1]


# --- glucose ----------------------------------------------------------------------------------------------


def _profile(series: Series, days: int, zone: str, protocol: CareProtocol | None) -> Shown:
    title = t("Profil glycémique ambulatoire (AGP)", "Ambulatory glucose profile (AGP)")
    received = len(series) * series.cadence
    worn = t("{n} j demandés, {h} reçues", "{n} d asked for, {h} received", n=days, h=span(int(received)))
    local = each_local_minutes(offsets(ZoneInfo(zone)), series.times)
    found = profile(series.times, local, series.counts)
    if found is None:
        return Shown(
            name="agp",
            title=title,
            subtitle=worn,
            picture=None,
            missing=t(
                "Données insuffisantes : {h} reçues, 5 jours nécessaires.",
                "Not enough data: {h} received, 5 days needed.",
                h=span(int(received)),
            ),
        )
    return Shown(
        name="agp",
        title=title,
        subtitle=f"{worn} · mg/dL",
        picture=draw(_profile_chart(found, protocol, title)),
        legend=(
            ("med", t("médiane", "median")),
            ("a75", "25–75 %"),
            ("a95", "5–95 %"),
            ("band", t("cible", "target")),
        ),
        head=(t("Heure", "Hour"), "5 %", "25 %", t("médiane", "median"), "75 %", "95 %"),
        rows=[
            (f"{minute // 60:02d}:{minute % 60:02d}", *(_whole(value) for value in found.bands[:, place] / 10))
            for place, minute in enumerate(found.minutes.tolist())
            if minute % 60 == 0
        ],
    )


def _whole(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0f}"


def _profile_chart(found: Profile, protocol: CareProtocol | None, title: str) -> Chart:
    low, high = (edge / 10 for edge in (target_of(protocol) if protocol is not None else (700, 1800)))
    known = ~np.isnan(found.bands[2])
    hours = found.minutes / 60
    p5, p25, p50, p75, p95 = (
        [(float(at), float(value)) for at, value in zip(hours[known], band[known] / 10, strict=True)]
        for band in found.bands
    )
    median = [value for _, value in p50]
    top = max(300.0, *(value for _, value in p95))
    return Chart(
        name="agp",
        title=title,
        description=t(
            "Médiane par heure du jour, de {low} à {high} mg/dL ; {n} jours.",
            "Median by hour of the day, from {low} to {high} mg/dL; {n} days.",
            low=f"{min(median):.0f}",
            high=f"{max(median):.0f}",
            n=found.days,
        ),
        x=Axis(low=0, high=24, ticks=[(hour, f"{hour:02d} h") for hour in range(0, 25, 3)]),
        y=Axis(low=40, high=top, ticks=[(value, f"{value:.0f}") for value in ticks(40, top)]),
        bands=(Band(low=low, high=high),),
        areas=(Area(css="a95", upper=p95, lower=p5), Area(css="a75", upper=p75, lower=p25)),
        lines=(Line(css="med", runs=runs(p50, longest=0.3)),),
    )


def _last_day(series: Series, now: int, zone: str, protocol: CareProtocol | None, raised: Sequence[Raised]) -> Shown:
    recent = series.since(now - DAY)
    cadence = series.cadence or 300_000
    asked = round(DAY / cadence)
    title = t("Dernières 24 heures", "Last 24 hours")
    subtitle = t(
        "{asked} mesures attendues, {n} reçues · mg/dL", "{asked} readings expected, {n} received · mg/dL",
        asked=asked, n=len(recent),
    )  # fmt: skip
    low, high = (edge / 10 for edge in (target_of(protocol) if protocol is not None else (700, 1800)))
    values = recent.values
    bottom = min(40.0, float(values.min())) if len(recent) else 40.0
    top = max(260.0, float(values.max())) if len(recent) else 260.0
    chart = Chart(
        name="day",
        title=title,
        description=subtitle,
        x=Axis(low=now - DAY, high=now, ticks=_hours(now, zone)),
        y=Axis(low=bottom, high=top, ticks=[(value, f"{value:.0f}") for value in ticks(bottom, top)]),
        bands=(Band(low=low, high=high),),
        lines=(Line(css="med", runs=runs(recent.points(), longest=max(_CGM_GAP, 3 * cadence))),),
        gaps=_gaps(recent, begin=now - DAY, end=now, longest=max(_CGM_GAP, 3 * cadence)),
        marks=_marks(raised, Quantity.GLUCOSE_INTERSTITIAL, series, now - DAY, zone),
    )
    return Shown(
        name="day",
        title=title,
        subtitle=subtitle,
        picture=draw(chart),
        head=(t("Mesurée", "Measured"), "mg/dL"),
        rows=_table(recent, None, zone),
        periods=False,
    )


# --- everything else --------------------------------------------------------------------------------------


def _over_days(
    series: Series,
    beside: Series | None,
    *,
    days: int,
    now: int,
    zone: str,
    protocol: CareProtocol | None,
    raised: Sequence[Raised],
) -> Shown:
    begin = now - days * DAY
    quantity = series.quantity
    series, beside = series.since(begin), None if beside is None else beside.since(begin)
    unit = shown_unit(facts(quantity).unit)
    title = (
        t("Tension", "Blood pressure")
        if quantity is Quantity.BLOOD_PRESSURE_SYSTOLIC
        else said(QUANTITIES[quantity]).capitalize()
    )
    subtitle = t(
        "{n} j, {count} mesures · {unit}", "{n} d, {count} readings · {unit}", n=days, count=len(series), unit=unit
    )
    if not len(series):
        missing = t("Aucune mesure sur cette période.", "No reading in this period.")
        return Shown(name=quantity.value, title=title, subtitle=subtitle, picture=None, missing=missing)
    longest = max(2.5 * DAY, 4 * series.cadence)
    limits = _limits(protocol, quantity)
    values = [
        *series.values.tolist(),
        *(beside.values.tolist() if beside is not None else []),
        *(one.value for one in limits),
    ]
    margin = max((max(values) - min(values)) * 0.12, float(facts(quantity).quantum) * 10)
    low, high = min(values) - margin, max(values) + margin
    lines = [Line(css="med", runs=runs(series.points(), longest=longest), dots=len(series) <= _FEW)]
    if beside is not None:
        lines.append(Line(css="dia", runs=runs(beside.points(), longest=longest), dots=len(series) <= _FEW))
    chart = Chart(
        name=quantity.value.replace("_", "-"),
        title=title,
        description=t(
            "De {low} à {high} {unit} ; dernière {last} {unit}.",
            "From {low} to {high} {unit}; last {last} {unit}.",
            low=_amount(series, int(series.values.argmin())),
            high=_amount(series, int(series.values.argmax())),
            last=_amount(series, -1),
            unit=unit,
        ),
        x=Axis(low=begin, high=now, ticks=_days(begin, now, zone)),
        y=Axis(low=low, high=high, ticks=[(value, number(f"{value:g}")) for value in ticks(low, high)]),
        lines=lines,
        limits=limits,
        gaps=_gaps(series, begin=begin, end=now, longest=longest),
        marks=_marks(raised, quantity, series, begin, zone),
    )
    columns = (t("systolique", "systolic"), t("diastolique", "diastolic")) if beside is not None else (unit,)
    legend = (
        (("med", t("systolique", "systolic")), ("dia", t("diastolique (tirets)", "diastolic (dashes)")))
        if beside is not None
        else ()
    )
    return Shown(
        name=quantity.value,
        title=title,
        subtitle=subtitle,
        picture=draw(chart),
        legend=legend,
        head=(t("Mesurée", "Measured"), *columns),
        rows=_table(series, beside, zone),
    )


def _limits(protocol: CareProtocol | None, quantity: Quantity) -> list[Limit]:
    """Return the thresholds of a protocol on a quantity itself."""
    if protocol is None:
        return []
    quantum = float(facts(quantity).quantum)
    return [
        Limit(
            value=rule.threshold * quantum,
            css="hi" if not rule.side.low else "lo2",
            words=f"{said(rule.words.title)} : {number(f'{rule.threshold * quantum:g}')}",
        )
        for rule in protocol.rules
        if isinstance(rule, LevelRule) and rule.quantity is quantity
    ]


def _gaps(series: Series, *, begin: int, end: int, longest: float) -> list[Gap]:
    """Return the stretches without a reading that the cadence does not explain."""
    times = [float(begin), *series.times.tolist(), float(end)]
    why = t("pas de donnée", "no data")
    return [Gap(begin=before, end=after, why=why) for before, after in pairwise(times) if after - before > longest]


def _marks(raised: Sequence[Raised], quantity: Quantity, series: Series, begin: int, zone: str) -> list[Mark]:
    found = []
    for one in raised:
        if one.quantity is quantity and one.at >= begin and len(series):
            nearest = int(np.abs(series.times - one.at).argmin())
            words = t("alerte {at}", "alert {at}", at=clock_time(one.at, zone))
            found.append(Mark(at=one.at, value=float(series.values[nearest]), words=words))
    return found


def _amount(series: Series, place: int) -> str:
    decimals = max(0, -facts(series.quantity).quantum.normalize().as_tuple().exponent)  # type: ignore[operator]
    return number(float(series.values[place]), min(decimals, 1))


def _table(series: Series, beside: Series | None, zone: str) -> list[tuple[str, ...]]:
    other = {} if beside is None else dict(zip(beside.times.tolist(), range(len(beside)), strict=True))
    rows: list[tuple[str, ...]] = []
    for place in range(len(series) - 1, max(-1, len(series) - 1 - _LONGEST_TABLE), -1):
        at = int(series.times[place])
        cells = [f"{day(at, zone)} {clock_time(at, zone)}", _amount(series, place)]
        if beside is not None:
            cells.append(_amount(beside, other[at]) if at in other else "–")
        rows.append(tuple(cells))
    return rows


def _hours(now: int, zone: str) -> list[tuple[float, str]]:
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


def _days(begin: int, now: int, zone: str) -> list[tuple[float, str]]:
    """Return midnights of the patient's clock, about eight."""
    first = datetime.fromtimestamp(begin / 1000, UTC).astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    last = datetime.fromtimestamp(now / 1000, UTC).astimezone(ZoneInfo(zone)).date()
    step = max(1, round((last - first).days / 8))
    found = []
    while first <= last:
        at = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000
        found.append((at, day(int(at), zone)))
        first += timedelta(days=step)
    return found
