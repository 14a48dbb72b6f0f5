"""The charts of a glucose sensor: the profile of its days, its last 24 hours, and the shares of time in ranges.

Below a day of readings there are no statistics, and below five days no profile: the page says why. Nothing is bridged.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alerting.glucose_profile import FEWEST_DAYS, Profile, profile, target_of
from alerting.local_time import each_local_minutes, offsets
from alerting.wording import about
from coordination.desk.chart_parts import Sheet, Shown, gaps_of, gaps_said, hours, marks_of, table_of
from coordination.desk.charts import Area, Axis, Band, Chart, Line, draw, runs, ticks
from coordination.desk.glucose_figures import EDGES, ENOUGH, STABLE_PERCENT, Figures, TooFew, figures_of, received
from coordination.desk.pages import DAY, number, said, span, t
from coordination.desk.shown_values import Ruler
from devices.reading import Quantity

QUANTITY = Quantity.GLUCOSE_INTERSTITIAL
_SHORTEST_GAP = 20 * 60_000
"""Minutes after which a glucose sensor's line breaks: four missed readings of one every 5 min."""
_USUAL_CADENCE = 300_000
_CSS = ("tvl", "tl", "tok", "th", "tvh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the readings lies in one range of glucose: (words, percent, class)."""

    words: str
    percent: float
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Glucose:
    """The figures of a period as the page shows them.

    Attributes:
        shares: highest range first; empty when there are too few readings.
        unit: of the ranges.
        lines: mean, GMI, variation, how much of the time the sensor was active.
        missing: why there are none, "" when there are.
        caution: what to keep in mind when there are few, "" otherwise.
    """

    shares: tuple[Share, ...] = ()
    unit: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    missing: str = ""
    caution: str = ""


def glucose_of(sheet: Sheet) -> Glucose | None:
    """Return the figures of the period, None for a patient without a glucose sensor."""
    whole = sheet.found.get(QUANTITY)
    if whole is None:
        return None
    found = figures_of(whole.since(sheet.begin), period=sheet.days * DAY)
    ruler = sheet.ruler(QUANTITY)
    if isinstance(found, TooFew):
        return Glucose(missing=_too_few(found.received, found.needed))
    return Glucose(
        shares=_shares(found, ruler),
        unit=ruler.unit,
        lines=_lines(found, ruler),
        caution="" if found.enough else _caution(found.active),
    )


def _too_few(there: int, needed: int) -> str:
    return t(
        "Données insuffisantes : {there} reçues, {needed} nécessaires.",
        "Not enough data: {there} received, {needed} needed.",
        there=span(there),
        needed=span(needed) if needed > DAY else t("24 h", "24 h"),
    )


def _caution(active: float) -> str:
    return t(
        "À lire avec prudence : capteur actif {active} % du temps, {needed} % nécessaires.",
        "Read with care: sensor active {active} % of the time, {needed} % needed.",
        active=number(active * 100, 0),
        needed=number(ENOUGH * 100, 0),
    )


def _shares(found: Figures, ruler: Ruler) -> tuple[Share, ...]:
    very_low, low, high, very_high = EDGES
    below, above = ruler.scale, ruler
    finest = max(1, round(float(1 / below.step))) if below.step >= 1 else 10
    words = (
        f"< {above.bare(very_low)}",
        f"{above.bare(very_low)}–{above.bare(low - finest)}",
        f"{above.bare(low)}–{above.bare(high)}",
        f"{above.bare(high + finest)}–{above.bare(very_high)}",
        f"> {above.bare(very_high)}",
    )
    rows = zip(words, found.shares, _CSS, strict=True)
    return tuple(Share(words=one, percent=part, css=css) for one, part, css in rows)[::-1]


def _lines(found: Figures, ruler: Ruler) -> tuple[tuple[str, str], ...]:
    stable = t("stable", "stable") if found.variation <= STABLE_PERCENT else t("instable", "unstable")
    return (
        (t("Glucose moyen", "Mean glucose"), said(about(ruler.scale, round(found.mean * 10)))),
        (t("GMI", "GMI"), f"{number(found.gmi, 1)} %"),
        (t("CV", "CV"), f"{number(found.variation, 1)} %, {stable} (≤ {number(STABLE_PERCENT, 0)} %)"),
        (t("Capteur actif", "Sensor active"), f"{number(found.active * 100, 0)} %"),
    )


def profile_chart(sheet: Sheet) -> Shown:
    """Return the profile of the period's days, or why there is none."""
    series = sheet.found[QUANTITY].since(sheet.begin)
    ruler = sheet.ruler(QUANTITY)
    title = t("Profil glycémique ambulatoire (AGP)", "Ambulatory glucose profile (AGP)")
    there = received(series)
    share = number(100 * min(1.0, there / (sheet.days * DAY)), 0)
    worn = t("{n} j, capteur actif {share} % du temps", "{n} d, sensor active {share} % of the time",
             n=sheet.days, share=share)  # fmt: skip
    local = each_local_minutes(offsets(ZoneInfo(sheet.zone)), series.times)
    found = profile(series.times, local, series.counts)
    if found is None or np.isnan(found.bands[2]).all():
        # The days may be there, and at no hour of theirs enough readings.
        needed = (
            t("trop peu à chaque heure du jour", "too few at each hour of the day")
            if found is not None
            else t("{n} jours nécessaires", "{n} days needed", n=FEWEST_DAYS)
        )
        return Shown(
            name="agp",
            title=title,
            subtitle=worn,
            picture=None,
            missing=t(
                "Données insuffisantes : {there} reçues, {needed}.", "Not enough data: {there} received, {needed}.",
                there=span(there), needed=needed,
            ),
        )  # fmt: skip
    low, high = target_of(sheet.protocol) if sheet.protocol is not None else (700, 1800)
    return Shown(
        name="agp",
        title=title,
        subtitle=f"{worn} · {ruler.unit}",
        picture=draw(_profile(found, (low, high), ruler, title)),
        legend=(
            ("med", t("médiane", "median")),
            ("a75", "25–75 %"),
            ("a95", "5–95 %"),
            ("band", t("cible {low}–{high}", "target {low}–{high}", low=ruler.bare(low), high=ruler.bare(high))),
        ),
        head=(t("Heure", "Hour"), "5 %", "25 %", t("médiane", "median"), "75 %", "95 %"),
        rows=[
            (f"{minute // 60:02d}:{minute % 60:02d}", *(_cell(value, ruler) for value in found.bands[:, place]))
            for place, minute in enumerate(found.minutes.tolist())
            if minute % 60 == 0
        ],
    )


def _cell(count: float, ruler: Ruler) -> str:
    return "–" if np.isnan(count) else ruler.about(count).removesuffix(said(ruler.scale.many))


def _profile(found: Profile, target: tuple[int, int], ruler: Ruler, title: str) -> Chart:
    """Return the profile as drawn; hours with too few readings are left out, and nothing joins what is around them."""
    known = ~np.isnan(found.bands[2])
    stretches = _stretches(known)
    bands = [ruler.places(band) for band in found.bands]
    hour = found.minutes / 60

    def points(band: NDArray[np.float64], places: NDArray[np.int64]) -> list[tuple[float, float]]:
        return [(float(hour[at]), round(float(band[at]), 3)) for at in places.tolist()]

    p5, p25, p50, p75, p95 = bands
    areas = [
        Area(css=css, upper=points(upper, places), lower=points(lower, places))
        for css, upper, lower in (("a95", p95, p5), ("a75", p75, p25))
        for places in stretches
        if len(places) > 1
    ]
    median = found.bands[2][known]
    low, top = ruler.place(400), max(ruler.place(3000), float(p95[known].max()))
    return Chart(
        name="agp",
        title=title,
        description=t(
            "Médiane par heure du jour, de {low} à {high} ; {n} jours.",
            "Median by hour of the day, from {low} to {high}; {n} days.",
            low=ruler.about(float(median.min())),
            high=ruler.about(float(median.max())),
            n=found.days,
        ),
        x=Axis(low=0, high=24, ticks=[(at, f"{at:02d} h") for at in range(0, 25, 3)]),
        y=Axis(low=low, high=top, ticks=[(value, number(f"{value:g}")) for value in ticks(low, top)]),
        bands=(Band(low=ruler.place(target[0]), high=ruler.place(target[1])),),
        areas=areas,
        lines=(Line(css="med", runs=[points(p50, places) for places in stretches]),),
    )


def _stretches(known: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Return the places that follow on each other without a hole."""
    places = np.flatnonzero(known)
    return [part for part in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(part)]


def last_day_chart(sheet: Sheet) -> Shown:
    """Return the last 24 hours."""
    whole = sheet.found[QUANTITY]
    begin = sheet.now - DAY
    recent = whole.since(begin)
    ruler = sheet.ruler(QUANTITY)
    cadence = sheet.cadence(whole) or _USUAL_CADENCE
    longest = max(_SHORTEST_GAP, 3 * cadence)
    title = t("Dernières 24 heures", "Last 24 hours")
    subtitle = t(
        "{asked} mesures attendues, {n} reçues · {unit}", "{asked} readings expected, {n} received · {unit}",
        asked=round(DAY / cadence), n=len(recent), unit=ruler.unit,
    )  # fmt: skip
    target = target_of(sheet.protocol) if sheet.protocol is not None else (700, 1800)
    places = ruler.places(recent.counts)
    bottom = min([ruler.place(400), *places.tolist()])
    top = max([ruler.place(2600), *places.tolist()])
    gaps = gaps_of(sheet, recent, begin=begin, longest=longest)
    chart = Chart(
        name="day",
        title=title,
        description=subtitle,
        x=Axis(low=begin, high=sheet.now, ticks=hours(sheet.now, sheet.zone)),
        y=Axis(low=bottom, high=top, ticks=[(value, number(f"{value:g}")) for value in ticks(bottom, top)]),
        bands=(Band(low=ruler.place(target[0]), high=ruler.place(target[1])),),
        lines=(
            Line(
                css="med",
                runs=runs(zip(recent.times.tolist(), places.tolist(), strict=True), longest=longest),
            ),
        ),
        gaps=gaps,
        marks=marks_of(sheet, whole, ruler, begin),
    )
    rows, times = table_of(recent, None, ruler, sheet.zone)
    return Shown(
        name="day",
        title=title,
        subtitle=subtitle,
        picture=draw(chart) if len(recent) else None,
        missing="" if len(recent) else t("Aucune mesure depuis 24 heures.", "No reading for 24 hours."),
        head=(t("Mesurée", "Measured"), ruler.unit),
        rows=rows,
        times=times,
        gaps=gaps_said(sheet, QUANTITY, gaps),
        periods=False,
    )
