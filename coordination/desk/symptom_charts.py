"""The charts of what a person answers: an ordinal scale, so each answer is a dot with its words in the table.

Answers are steps and not amounts: between two of them nothing was asked, so no line joins them across more than two
usual pauses, and the scale is drawn whole, from no complaint to the most.
"""

from collections.abc import Sequence

from coordination.desk.charts import Axis, Chart, Line, Mark, draw, runs
from coordination.desk.pages import DAY, clock_time, day, said, t
from coordination.desk.patient_charts import Raised, Sheet, Shown
from coordination.desk.readings import Series
from coordination.desk.self_reports import words_of
from coordination.tables import QUANTITIES
from devices.reading import SYMPTOMS, Quantity, facts

_MOST_TICKS = 7


def symptom_charts(sheet: Sheet) -> list[Shown]:
    """Return the charts of the answers on a patient's sheet."""
    return [
        _chart(series, days=sheet.days, now=sheet.now, zone=sheet.zone, raised=sheet.raised)
        for quantity, series in sheet.found.items()
        if quantity in SYMPTOMS
    ]


def _chart(series: Series, *, days: int, now: int, zone: str, raised: Sequence[Raised]) -> Shown:
    quantity, begin = series.quantity, now - days * DAY
    name = said(QUANTITIES[quantity])
    title = name[:1].upper() + name[1:]
    series = series.since(begin)
    known = facts(quantity)
    subtitle = t("{n} j, {count} réponses · de {low} à {high} points",
                 "{n} d, {count} answers · from {low} to {high} points",
                 n=days, count=len(series), low=known.low, high=known.high)  # fmt: skip
    if not len(series):
        missing = t("Aucune réponse sur cette période.", "No answer in this period.")
        return Shown(name=quantity.value, title=title, subtitle=subtitle, picture=None, missing=missing)
    last = int(series.counts[-1])
    subtitle = (
        f"{subtitle} · {t('dernière : {last}{words}', 'last: {last}{words}', last=last, words=_words(quantity, last))}"
    )
    step = 1 if known.high - known.low < _MOST_TICKS else 2
    chart = Chart(
        name=quantity.value.replace("_", "-"),
        title=title,
        description=t(
            "Dernière réponse : {last} sur {high}{words}.", "Last answer: {last} of {high}{words}.",
            last=last, high=known.high, words=_words(quantity, last),
        ),
        x=Axis(low=begin, high=now, ticks=[(at, day(at, zone)) for at in range(begin, now + 1, _step(days))]),
        y=Axis(
            low=known.low - 0.3,
            high=known.high + 0.3,
            ticks=[(float(points), str(points)) for points in range(known.low, known.high + 1, step)],
        ),
        lines=(Line(css="med", runs=runs(series.points(), longest=max(2.5 * series.cadence, 3 * DAY)), dots=True),),
        marks=_marks(raised, series, begin, zone),
    )  # fmt: skip
    rows = [
        (f"{day(int(at), zone)} {clock_time(int(at), zone)}", str(int(count)), _words(quantity, int(count))[2:] or "–")
        for at, count in zip(series.times[::-1].tolist(), series.counts[::-1].tolist(), strict=True)
    ]
    return Shown(
        name=chart.name,
        title=title,
        subtitle=subtitle,
        picture=draw(chart),
        head=(t("Répondu", "Answered"), t("Points", "Points"), t("Réponse", "Answer")),
        rows=rows[:200],
    )


def _words(quantity: Quantity, points: int) -> str:
    found = words_of(quantity, points)
    return "" if found is None else f", {said(found)}"


def _step(days: int) -> int:
    return max(1, round(days / 7)) * DAY


def _marks(raised: Sequence[Raised], series: Series, begin: int, zone: str) -> list[Mark]:
    at_values = dict(zip(series.times.tolist(), series.values.tolist(), strict=True))
    return [
        Mark(at=one.at, value=at_values[one.at], words=t("alerte {at}", "alert {at}", at=clock_time(one.at, zone)))
        for one in raised
        if one.quantity is series.quantity and one.at >= begin and one.at in at_values
    ]
