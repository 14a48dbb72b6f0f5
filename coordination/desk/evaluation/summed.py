"""Sums of what was observed, each by the formula that the dictionary gives: from the rows alone, as anybody could."""

from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from math import ceil

from alerting.alert import Outcome
from coordination.desk.evaluation.observed import Days, Measured, Row, retracted

_DIGITS = Decimal("0.0001")
_DELAYS = (("transmit", "transmit_s"), ("take", "take_s"), ("close", "close_s"))


def share(part: int, whole: int) -> str | None:
    """Return a share with four decimals, rounded half to even; None of nothing."""
    if not whole:
        return None
    return str((Decimal(part) / Decimal(whole)).quantize(_DIGITS, rounding=ROUND_HALF_EVEN))


def adherence(days: Days, found: list[Measured]) -> Iterator[Row]:
    """Yield a patient's adherence, for each quantity."""
    watched = [(number, minutes) for number, minutes in enumerate(days.watched) if minutes]
    for one in found if watched else ():
        with_data = sum(one.with_data(number, minutes) for number, minutes in watched)
        yield {
            "patient": days.name,
            "quantity": one.quantity,
            "asked": int(one.asked),
            "days": len(watched),
            "days_with_data": with_data,
            "adherence": share(with_data, len(watched)),
            "readings": sum(one.counts[number] for number, _ in watched),
        }


class Outcomes:
    """What came of the alerts of each rule."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, str], Counter[str]] = {}

    def add(self, row: Row) -> None:
        """Count an alert."""
        key = (str(row["protocol"]), int(row["protocol_version"] or 0), str(row["rule"]))
        found = self._found.setdefault(key, Counter())
        if retracted(row):
            found["retracted"] += 1
            return
        found["alerts"] += 1
        for name in ("told", "taken", "closed"):
            found[name] += row[name] is not None
        if row["outcome"]:
            found[str(row["outcome"])] += 1

    def rows(self, watched_min: int) -> Iterator[Row]:
        """Yield the rules in their order; `watched_min` is how long all patients together were watched."""
        for (protocol, version, rule), found in sorted(self._found.items()):
            judged = found["closed"] - found[Outcome.DUPLICATE]
            yield {
                "protocol": protocol,
                "protocol_version": version,
                "rule": rule,
                **{name: found[name] for name in ("alerts", "retracted", "told", "taken", "closed")},
                **{one.value: found[one.value] for one in Outcome},
                "precision": share(found[Outcome.ACTION] + found[Outcome.NO_ACTION], judged),
                "useful": share(found[Outcome.ACTION], judged),
                "per_100_days": share(100 * 1440 * found["alerts"], watched_min),
            }


class Delays:
    """How long the alerts of each priority and category took."""

    def __init__(self, made: int) -> None:
        """`made` is when the export is made (ms UTC)."""
        self._made = made
        self._found: dict[tuple[str, str], dict[str, list[int]]] = {}
        self._overdue: Counter[tuple[str, str]] = Counter()

    def add(self, row: Row) -> None:
        """Take up an alert, unless it was taken back."""
        if retracted(row):
            return
        key = (str(row["priority"]), str(row["category"]))
        found = self._found.setdefault(key, {name: [] for name, _ in _DELAYS})
        for name, column in _DELAYS:
            value = row[column]
            if value is not None:
                found[name].append(int(value))
        due, taken = row["due"], row["taken"]
        if due is not None:
            self._overdue[key] += int(due) // 1000 < int(self._made if taken is None else taken) // 1000

    def rows(self) -> Iterator[Row]:
        """Yield the priorities and categories in their order."""
        for key, found in sorted(self._found.items()):
            row: Row = {"priority": key[0], "category": key[1]}
            for name, _ in _DELAYS:
                values = sorted(found[name])
                row[f"{name}_n"] = len(values)
                for rank in (50, 90):
                    row[f"{name}_p{rank}"] = values[ceil(rank * len(values) / 100) - 1] if values else None
                row[f"{name}_max"] = values[-1] if values else None
            row["overdue"] = self._overdue[key]
            yield row
