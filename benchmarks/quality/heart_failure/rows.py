"""Row: one way of raising alerts on some people, printed for a reader and, as JSON, for a program."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.figure import machine
from benchmarks.quality.heart_failure.outcomes import Estimate, Outcomes

LEAK = 35.0
"""% of events seen at `QUIET` unexplained alerts a patient-year above which a result is a leak until explained."""
QUIET = 1.0
_HEAD = (
    f"{'':86} {'seen, 1-14 d before':>20} {'30 d':>5} {'unexplained/year':>18} {'PPV 14':>6} {'PPV 30':>6} "
    f"{'lead, days':>12} {'alerts/year':>11} {'a day':>7} {'chance':>6} {'area':>5}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line.

    Attributes:
        people: which simulated people.
        name: of the detector.
        aim: unexplained alerts a patient-year for which the threshold was chosen on other people, None for a rule that
            says its own.
        threshold: what was reached or exceeded, in the detector's own unit; None when a protocol says it.
        outcomes: what it was worth.
        chance: % of events that as many alerts a year, raised at random, see.
        area: window area under the curve; None where there is no score but alerts only.
    """

    people: str
    name: str
    aim: float | None
    threshold: float | None
    outcomes: Outcomes
    chance: float
    area: float | None

    @property
    def suspect(self) -> bool:
        """Whether it sees more than can be believed."""
        return self.outcomes.seen.value > LEAK and self.outcomes.unexplained.value <= QUIET


def print_rows(rows: Sequence[Row], *, rerun: str) -> None:
    """Print a plain table, then one JSON line a row."""
    print(_HEAD)
    for row in rows:
        print(_plain(row))
    here = machine()
    for row in rows:
        line = {"table": "heart_failure", "data": "simulated", **_document(row), "rerun": rerun, "machine": here}
        print(json.dumps(line, ensure_ascii=False), flush=True)


def _plain(row: Row) -> str:
    found = row.outcomes
    aim = "" if row.aim is None else f" @ {row.aim:g}"
    people = "" if row.people == "accepted" else f"{row.people}: "
    area = "" if row.area is None else f"{row.area:.2f}"
    mark = "  more than can be believed: a leak until explained" if row.suspect else ""
    return (
        f"{f'simulated | {people}{row.name}{aim}':86} {_interval(found.seen, 0):>20} {found.seen_30.value:5.0f} "
        f"{_interval(found.unexplained, 2):>18} {found.precision_14.value:6.0f} {found.precision_30.value:6.0f} "
        f"{_interval(found.lead, 0):>12} {found.alerts.value:11.2f} {found.alerts_a_day:7.4f} {row.chance:6.0f} "
        f"{area:>5}{mark}"
    )


def _interval(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f}-{estimate.high:.{digits}f})"


def _document(row: Row) -> dict[str, object]:
    return _finite(
        {
            "people": row.people,
            "detector": row.name,
            "aim_unexplained": row.aim,
            "threshold": row.threshold,
            **asdict(row.outcomes),
            "chance_at_same_rate": row.chance,
            "window_area": row.area,
            "suspect": row.suspect,
        }
    )


def _finite(document: dict[str, object]) -> dict[str, object]:
    """Return it with four digits a number, and null where there is none."""
    return {name: _number(value) for name, value in document.items()}


def _number(value: object) -> object:
    match value:
        case dict():
            return _finite(value)
        case tuple():
            return [_number(one) for one in value]
        case float():
            return round(value, 4) if np.isfinite(value) else None
        case _:
            return value
