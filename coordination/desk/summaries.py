"""The figures of a summary: for each quantity how many readings, first and last, lowest, highest and usual."""

from dataclasses import dataclass

import numpy as np

from coordination.desk.chart_parts import Sheet
from coordination.desk.pages import said
from coordination.desk.patient_charts import in_order
from coordination.tables import QUANTITIES
from devices.reading import Quantity

LONG_DAYS = 90
_WITH = {Quantity.BLOOD_PRESSURE_SYSTOLIC: Quantity.BLOOD_PRESSURE_DIASTOLIC}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quantity over the period, in words; `change` from the first reading to the last, "" for a single one."""

    name: str
    count: int
    last: str
    median: str
    low: str
    high: str
    change: str


def measured_lines(sheet: Sheet) -> list[Line]:
    """Return a line for each quantity that was measured in the period, those of the pathway first."""
    found = []
    for quantity in in_order(sheet.protocol, sheet.found):
        for one in (quantity, _WITH.get(quantity)):
            line = None if one is None else _line(sheet, one)
            if line is not None:
                found.append(line)
    return found


def _line(sheet: Sheet, quantity: Quantity) -> Line | None:
    whole = sheet.found.get(quantity)
    series = None if whole is None else whole.since(sheet.begin)
    if series is None or not len(series):
        return None
    ruler, counts = sheet.ruler(quantity), series.counts
    name = said(QUANTITIES[quantity])
    return Line(
        name=name[:1].upper() + name[1:],
        count=len(series),
        last=ruler.words(int(counts[-1])),
        median=ruler.about(float(np.median(counts))),
        low=ruler.words(int(counts.min())),
        high=ruler.words(int(counts.max())),
        change=ruler.gain(int(counts[-1] - counts[0])) if len(series) > 1 else "",
    )
